//! The journal of one change to a target repository: durable as a whole before the target is touched.
//!
//! `applies/<name>/` holds `plan.json`, the old contents in `pre/`, the new ones in `post/`, and at the end
//! `done.json`. It is made under a temporary name and renamed last, so a journal that can be seen is complete. A lock
//! on the directory itself says that somebody works on it; the kernel releases it on any death.

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cto_schema::{
    ApplyDone, ApplyEnd, ApplyKind, ApplyPlan, RunId, SchemaId, Sha256Digest, StrictLimits, parse_strict,
};
use rustix::fs::{AtFlags, FileType, FlockOperation};
use sha2::Digest as _;

use crate::clock::{rfc3339, wall_now};
use crate::durable;
use crate::home::Home;

const PLAN: &str = "plan.json";
const DONE: &str = "done.json";
const SCRATCH: &str = "scratch";
/// A plan of the largest write set is far smaller.
const DOCUMENT: StrictLimits = StrictLimits { bytes: 64 << 20 };

/// A failure with the journal of an apply.
#[derive(Debug, thiserror::Error)]
pub enum ApplyJournalError {
    /// It could not be written.
    #[error("write the journal of the apply {name}; look at the disk of CTO_HOME")]
    Write {
        /// Its name under `applies/`.
        name: String,
        /// The system's error.
        source: io::Error,
    },
    /// It could not be listed or read.
    #[error("read the journal of the apply {name}")]
    Read {
        /// Its name under `applies/`.
        name: String,
        /// The system's error.
        source: io::Error,
    },
    /// Its plan is not one that this version wrote.
    #[error("understand the plan of the apply {name}: {what}; use the version of cto that wrote it")]
    Plan {
        /// Its name under `applies/`.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// The run has been applied, or was tried to be.
    #[error("begin the apply {name}: it has a journal already")]
    Exists {
        /// Its name under `applies/`.
        name: String,
    },
}

/// Which of the two contents of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The old commit's.
    Before,
    /// The new commit's.
    After,
}

impl Side {
    fn directory(self) -> &'static str {
        match self {
            Self::Before => "pre",
            Self::After => "post",
        }
    }
}

/// A journal that is being filled. Dropped before it is ready, it is gone.
#[derive(Debug)]
pub struct ApplyDraft {
    applies: OwnedFd,
    root: PathBuf,
    temporary: String,
    directory: File,
    sides: [OwnedFd; 2],
    ready: bool,
}

impl ApplyDraft {
    /// Begins a journal under a temporary name.
    pub fn begin(home: &Home) -> Result<Self, ApplyJournalError> {
        let mut last = io::Error::other("never tried");
        // Another process that tidies up may take the directory before it is locked.
        for _ in 0..8 {
            match Self::try_begin(home) {
                Ok(draft) => return Ok(draft),
                Err(error) => last = error,
            }
            if !matches!(last.kind(), io::ErrorKind::NotFound | io::ErrorKind::WouldBlock) {
                break;
            }
        }
        Err(ApplyJournalError::Write {
            name: "draft".to_owned(),
            source: last,
        })
    }

    fn try_begin(home: &Home) -> io::Result<Self> {
        let applies = home.applies_dir().try_clone_to_owned()?;
        let temporary = durable::make_temporary_dir_at(&applies)?;
        let begun = Self::open_sides(&applies, &temporary);
        if begun.is_err() {
            durable::remove_tree_at(&applies, &temporary).unwrap_or_default();
        }
        let (directory, sides) = begun?;
        Ok(Self {
            applies,
            root: home.applies(),
            temporary,
            directory,
            sides,
            ready: false,
        })
    }

    fn open_sides(applies: &OwnedFd, temporary: &str) -> io::Result<(File, [OwnedFd; 2])> {
        let directory = File::from(durable::open_dir_at(applies, temporary)?);
        // From here on somebody who tidies up knows that we live.
        rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
        let sides = [Side::Before, Side::After].map(|side| {
            durable::make_dir_at(&directory, side.directory())?;
            durable::open_dir_at(&directory, side.directory())
        });
        let [before, after] = sides;
        Ok((directory, [before?, after?]))
    }

    /// Keeps one content, and returns its digest and size.
    pub fn keep(&self, side: Side, number: usize, content: &mut dyn Read) -> io::Result<(Sha256Digest, u64)> {
        let directory = &self.sides[usize::from(side == Side::After)];
        let file = durable::create_at(directory, &number.to_string())?;
        let (mut hasher, mut size, mut chunk) = (sha2::Sha256::new(), 0, vec![0; 64 << 10]);
        loop {
            let count = match content.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(&chunk[..count]);
            durable::write_all(&file, &chunk[..count])?;
            size += count as u64;
        }
        durable::sync_file(&file)?;
        Ok((Sha256Digest::from_bytes(hasher.finalize().into()), size))
    }

    /// Opens a kept content.
    pub fn open(&self, side: Side, number: usize) -> io::Result<File> {
        let directory = &self.sides[usize::from(side == Side::After)];
        durable::open_read_at(directory, &number.to_string())
    }

    /// Returns an empty directory for what is thrown away at the end.
    pub fn scratch(&self) -> io::Result<PathBuf> {
        fresh_scratch(&self.directory, &self.root.join(&self.temporary))
    }

    /// Makes all of it durable and gives it its name: from here on the apply is finished or undone by recovery.
    pub fn ready(mut self, plan: ApplyPlan) -> Result<ApplyJournal, ApplyJournalError> {
        let base = base_name(&plan);
        let fail = |source| ApplyJournalError::Write {
            name: base.clone(),
            source,
        };
        let mut text = serde_json::to_vec_pretty(&plan).map_err(|error| fail(error.into()))?;
        text.push(b'\n');
        self.write_plan(&text).map_err(fail)?;
        let name = self.rename(&base, plan.kind)?;
        self.ready = true;
        let directory = self.directory.try_clone().map_err(fail)?;
        durable::sync_dir(&self.applies).map_err(fail)?;
        Ok(ApplyJournal {
            place: self.root.join(&name),
            name,
            plan,
            directory,
        })
    }

    fn write_plan(&self, text: &[u8]) -> io::Result<()> {
        for side in &self.sides {
            durable::sync_dir(side)?;
        }
        durable::write_new(&self.directory, PLAN, text)
    }

    fn rename(&self, base: &str, kind: ApplyKind) -> Result<String, ApplyJournalError> {
        for number in 1..=9999_u32 {
            // A run is applied once; taking it back may be tried again.
            let name = match kind {
                ApplyKind::Apply => base.to_owned(),
                ApplyKind::Revert => format!("{base}-{number}"),
            };
            match durable::rename_new(&self.applies, &self.temporary, &name) {
                Ok(()) => return Ok(name),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && kind == ApplyKind::Revert => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => break,
                Err(source) => return Err(ApplyJournalError::Write { name, source }),
            }
        }
        Err(ApplyJournalError::Exists { name: base.to_owned() })
    }
}

impl Drop for ApplyDraft {
    fn drop(&mut self) {
        if !self.ready {
            // What stays is removed by the next who looks for unfinished applies.
            durable::remove_tree_at(&self.applies, &self.temporary).unwrap_or_default();
        }
    }
}

fn base_name(plan: &ApplyPlan) -> String {
    match plan.kind {
        ApplyKind::Apply => plan.run_id.to_string(),
        ApplyKind::Revert => format!("{}.revert", plan.run_id),
    }
}

/// A complete journal, locked by us.
#[derive(Debug)]
pub struct ApplyJournal {
    name: String,
    place: PathBuf,
    plan: ApplyPlan,
    directory: File,
}

impl ApplyJournal {
    /// Returns its name under `applies/`, of `a-z`, `0-9`, `-` and `.`: what is ours in the target is named by it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the plan.
    pub fn plan(&self) -> &ApplyPlan {
        &self.plan
    }

    /// Returns a handle that shares the lock: as long as a process has it that we start with it, the apply counts as
    /// alive, also when we are dead.
    pub fn lock_handle(&self) -> io::Result<File> {
        self.directory.try_clone()
    }

    /// Opens a content; `number` is the path's position in the plan.
    pub fn open(&self, side: Side, number: usize) -> io::Result<File> {
        let directory = durable::open_dir_at(&self.directory, side.directory())?;
        durable::open_read_at(&directory, &number.to_string())
    }

    /// Returns an empty directory for what is thrown away at the end.
    pub fn scratch(&self) -> io::Result<PathBuf> {
        fresh_scratch(&self.directory, &self.place)
    }

    /// Writes down what became of it, then removes the contents; the plan stays as a record.
    pub fn finish(self, outcome: ApplyEnd, detail: &str) -> Result<ApplyDone, ApplyJournalError> {
        let done = ApplyDone {
            schema: SchemaId::APPLY_DONE.to_string(),
            run_id: self.plan.run_id.clone(),
            outcome,
            target_commit: (outcome == ApplyEnd::Committed).then(|| self.plan.new_commit.clone()),
            detail: detail.to_owned(),
            done_at: rfc3339(wall_now()),
        };
        let written = serde_json::to_vec_pretty(&done)
            .map_err(io::Error::from)
            .and_then(|mut text| {
                text.push(b'\n');
                durable::write_new(&self.directory, DONE, &text)?;
                tidy(&self.directory)
            });
        written.map_err(|source| ApplyJournalError::Write {
            name: self.name.clone(),
            source,
        })?;
        Ok(done)
    }
}

impl Drop for ApplyJournal {
    fn drop(&mut self) {
        // Closing alone is too late while another thread is just starting a process: until its exec, that has the
        // descriptor too.
        if rustix::fs::flock(&self.directory, FlockOperation::Unlock).is_err() {
            // Then closing has to do.
        }
    }
}

/// Returns the applies whose process is dead and that are not finished, each locked by us until it is dropped.
///
/// What dead processes left of drafts, and of finished applies, is removed.
pub fn unfinished_applies(home: &Home) -> Result<Vec<Result<ApplyJournal, ApplyJournalError>>, ApplyJournalError> {
    let listed = durable::entries(home.applies_dir()).map_err(|source| ApplyJournalError::Read {
        name: home.applies().display().to_string(),
        source,
    })?;
    let mut found = Vec::new();
    for (name, kind) in listed {
        if kind == FileType::Directory
            && let Some(journal) = claim(home, &name).transpose()
        {
            found.push(journal);
        }
    }
    Ok(found)
}

fn claim(home: &Home, name: &str) -> Result<Option<ApplyJournal>, ApplyJournalError> {
    let read = |source: io::Error| ApplyJournalError::Read {
        name: name.to_owned(),
        source,
    };
    let directory = match durable::open_dir_at(home.applies_dir(), name) {
        Ok(directory) => File::from(directory),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(read(error)),
    };
    match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(errno) => return Err(read(errno.into())),
    }
    // Renamed or removed while we opened it: then it is somebody else's.
    let same = |stat: rustix::fs::Stat| rustix::fs::fstat(&directory).is_ok_and(|own| own.st_ino == stat.st_ino);
    match rustix::fs::statat(home.applies_dir(), name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if same(stat) => {}
        _ => return Ok(None),
    }
    if name.starts_with(durable::TEMPORARY_PREFIX) {
        durable::remove_tree_at(home.applies_dir(), name).map_err(read)?;
        return Ok(None);
    }
    if durable::exists_at(&directory, DONE).map_err(read)? {
        tidy(&directory).map_err(read)?;
        return Ok(None);
    }
    let plan = read_plan(&directory, name)?;
    Ok(Some(ApplyJournal {
        name: name.to_owned(),
        place: home.applies().join(name),
        plan,
        directory,
    }))
}

/// Returns the plan of a run's apply, and what became of it; `None` when it was never begun.
pub fn apply_record(home: &Home, run_id: &RunId) -> Result<Option<(ApplyPlan, Option<ApplyDone>)>, ApplyJournalError> {
    let name = run_id.as_str();
    let read = |source: io::Error| ApplyJournalError::Read {
        name: name.to_owned(),
        source,
    };
    let directory = match durable::open_dir_at(home.applies_dir(), name) {
        Ok(directory) => File::from(directory),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(read(error)),
    };
    let plan = read_plan(&directory, name)?;
    let done = durable::read_if_present_at(&directory, DONE).map_err(read)?;
    let done = done
        .map(|bytes| parse_strict::<ApplyDone>(&bytes, DOCUMENT))
        .transpose();
    let done = done.map_err(|error| ApplyJournalError::Plan {
        name: name.to_owned(),
        what: error.to_string(),
    })?;
    Ok(Some((plan, done)))
}

/// Returns the inverse commit of a run whose change was taken back; `None` when it was not.
pub fn committed_revert(home: &Home, run_id: &RunId) -> Result<Option<String>, ApplyJournalError> {
    let prefix = format!("{run_id}.revert-");
    Ok(reverts(home, |name| name.starts_with(&prefix))?.into_values().next())
}

/// Returns the inverse commit of every run whose change was taken back, by run.
pub(crate) fn committed_reverts(home: &Home) -> Result<BTreeMap<String, String>, ApplyJournalError> {
    reverts(home, |name| name.contains(".revert-"))
}

fn reverts(home: &Home, is_wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, String>, ApplyJournalError> {
    let listed = durable::names(home.applies_dir()).map_err(|source| ApplyJournalError::Read {
        name: home.applies().display().to_string(),
        source,
    })?;
    let mut found = BTreeMap::new();
    for name in listed.iter().filter(|name| is_wanted(name)) {
        let directory = durable::open_dir_at(home.applies_dir(), name);
        let done = directory.and_then(|directory| durable::read_if_present_at(&directory, DONE));
        let done = done.map_err(|source| ApplyJournalError::Read {
            name: name.clone(),
            source,
        })?;
        let Some(done) = done else { continue };
        let done: ApplyDone = parse_strict(&done, DOCUMENT).map_err(|error| ApplyJournalError::Plan {
            name: name.clone(),
            what: error.to_string(),
        })?;
        if let (ApplyEnd::Committed, Some(commit)) = (done.outcome, done.target_commit) {
            found.insert(done.run_id.to_string(), commit);
        }
    }
    Ok(found)
}

fn read_plan(directory: &File, name: &str) -> Result<ApplyPlan, ApplyJournalError> {
    let bytes = durable::read_at(directory, PLAN).map_err(|source| ApplyJournalError::Read {
        name: name.to_owned(),
        source,
    })?;
    let refuse = |what: String| ApplyJournalError::Plan {
        name: name.to_owned(),
        what,
    };
    let plan: ApplyPlan = parse_strict(&bytes, DOCUMENT).map_err(|error| refuse(error.to_string()))?;
    if plan.schema != SchemaId::APPLY.to_string() {
        return Err(refuse("it says another schema".to_owned()));
    }
    if !name.starts_with(&base_name(&plan)) {
        return Err(refuse("it is of another run".to_owned()));
    }
    Ok(plan)
}

/// Removes what only an apply in progress needs.
fn tidy(directory: &File) -> io::Result<()> {
    for name in [Side::Before.directory(), Side::After.directory(), SCRATCH] {
        durable::remove_tree_at(directory, name)?;
    }
    for name in durable::names(directory)? {
        if name.starts_with(durable::TEMPORARY_PREFIX) {
            durable::remove_at(directory, &name)?;
        }
    }
    durable::sync_dir(directory)
}

fn fresh_scratch(directory: &File, place: &Path) -> io::Result<PathBuf> {
    durable::remove_tree_at(directory, SCRATCH)?;
    durable::make_dir_at(directory, SCRATCH)?;
    Ok(place.join(SCRATCH))
}

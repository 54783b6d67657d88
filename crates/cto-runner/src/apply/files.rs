//! The work tree: each file is replaced in one step, and one that somebody has changed meanwhile is left alone.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;

use cto_evidence::Side;
use cto_schema::{ApplyEntry, ApplyPlan, EntryKind, EntryState, escape};
use rustix::fs::{FileType, Mode};
use rustix::io::Errno;

use super::error::{ApplyError, At as _};
use super::{Operation, place};
use crate::baseline::beneath;

/// One path of a plan, with its bytes.
#[derive(Clone, Debug)]
pub(super) struct Step<'a> {
    pub(super) number: usize,
    pub(super) path: Vec<u8>,
    /// What is there before the step.
    pub(super) from: Option<&'a ApplyEntry>,
    /// What is there after it.
    pub(super) to: Option<&'a ApplyEntry>,
}

/// What is at a path, as far as its plan is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    From,
    To,
    /// Somebody else's content, or something in the way.
    Foreign,
}

impl Operation<'_> {
    /// Returns the plan's paths; one whose bytes cannot be read back would make the plan another one.
    pub(super) fn steps(&self, to: Side) -> Result<Vec<Step<'_>>, ApplyError> {
        steps(self.plan(), to)
    }

    /// Makes the files those of one side. Returns the paths that are of neither side, escaped; they are left alone.
    pub(super) fn follow_files(&self, to: Side) -> Result<Vec<String>, ApplyError> {
        let steps = self.steps(to)?;
        let root = self.target.directory();
        let kept = directories_of(steps.iter().filter(|step| step.to.is_some()));
        let mut foreign = Vec::new();
        self.sweep_files()?;
        // What is gone makes room first; deepest first, so that directories are empty when they are looked at.
        for step in steps.iter().rev().filter(|step| step.to.is_none()) {
            self.delete(root, step, &kept, &mut foreign)
                .at("remove", shown(&step.path))?;
        }
        for step in &steps {
            if let Some(after) = step.to {
                let written = self.write(root, step, (to, after), &mut foreign);
                written.at("write", self.target.path().join(OsStr::from_bytes(&step.path)))?;
            }
        }
        Ok(foreign)
    }

    /// Returns the paths that are not those of one side, escaped.
    pub(super) fn files_behind(&self, to: Side) -> Result<Vec<String>, ApplyError> {
        let root = self.target.directory();
        let mut behind = Vec::new();
        for step in self.steps(to)? {
            let state = state(root, &step.path).at("read", shown(&step.path))?;
            if state != step.to.map(ApplyEntry::state) {
                behind.push(shown(&step.path));
            }
        }
        Ok(behind)
    }

    fn temporary(&self, step: &Step<'_>) -> Vec<u8> {
        format!(".cto-{}-{}", self.name(), step.number).into_bytes()
    }

    /// Removes what an interrupted apply left beside the files.
    pub(super) fn sweep_files(&self) -> Result<(), ApplyError> {
        let root = self.target.directory();
        for step in self.steps(Side::After)? {
            if let Ok(parent) = place::open_parent(root, &step.path)
                && beneath::stat_at(&parent, &self.temporary(&step)).is_ok()
            {
                place::remove(&parent, &self.temporary(&step)).at("remove a leftover beside", shown(&step.path))?;
                place::sync(&parent).at("remove a leftover beside", shown(&step.path))?;
            }
        }
        Ok(())
    }

    fn delete(
        &self,
        root: BorrowedFd<'_>,
        step: &Step<'_>,
        kept: &BTreeSet<Vec<u8>>,
        foreign: &mut Vec<String>,
    ) -> io::Result<()> {
        match look(root, step)? {
            Found::Foreign => {
                foreign.push(shown(&step.path));
                return Ok(());
            }
            Found::To => {}
            Found::From => {
                let parent = place::open_parent(root, &step.path)?;
                place::remove(&parent, place::name(&step.path))?;
                place::sync(&parent)?;
            }
        }
        // git carries no empty directories; also where an interruption came between the two.
        let mut directory = beneath::parent(&step.path);
        while !directory.is_empty() && !kept.contains(directory) {
            let above = match place::open_parent(root, directory) {
                Ok(above) => above,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                    directory = beneath::parent(directory);
                    continue;
                }
                Err(errno) => return Err(errno.into()),
            };
            if !place::remove_empty(&above, place::name(directory))? {
                break;
            }
            place::sync(&above)?;
            directory = beneath::parent(directory);
        }
        Ok(())
    }

    fn write(
        &self,
        root: BorrowedFd<'_>,
        step: &Step<'_>,
        (to, after): (Side, &ApplyEntry),
        foreign: &mut Vec<String>,
    ) -> io::Result<()> {
        match look(root, step)? {
            Found::Foreign => {
                foreign.push(shown(&step.path));
                return Ok(());
            }
            // Its name may not be durable yet.
            Found::To => return place::sync(place::open_parent(root, &step.path)?),
            Found::From => {}
        }
        let parent = place::make_parent(root, &step.path)?;
        let (name, temporary) = (place::name(&step.path), self.temporary(step));
        let mut content = self.journal.open(to, step.number)?;
        if after.kind == EntryKind::Symlink {
            let mut text = Vec::new();
            content.read_to_end(&mut text)?;
            place::link(&parent, &temporary, &text)?;
        } else {
            let mode = if after.kind == EntryKind::Executable {
                0o777
            } else {
                0o666
            };
            let file = place::create(&parent, &temporary, mode)?;
            place::pour(&mut content, &file)?;
            // Bits that the operator chose stay, as long as they say the same to git.
            let old = step.from.filter(|before| before.kind == after.kind);
            if old.is_some() {
                let stat = beneath::stat_at(&parent, name)?;
                rustix::fs::fchmod(&file, Mode::from_raw_mode(stat.st_mode & 0o777))?;
            }
            place::sync_file(&file)?;
        }
        // The last look is right before the step: an editor may have saved meanwhile.
        if look(root, step)? != Found::From {
            foreign.push(shown(&step.path));
            return place::remove(&parent, &temporary);
        }
        place::replace(&parent, &temporary, name)?;
        place::sync(&parent)
    }
}

/// Returns the paths of a plan, on their way to one side.
pub(super) fn steps(plan: &ApplyPlan, to: Side) -> Result<Vec<Step<'_>>, ApplyError> {
    let steps = plan.paths.iter().enumerate().map(|(number, change)| {
        let path = change.path.bytes().filter(|path| is_plain(path));
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        let (from, to) = match to {
            Side::After => (before, after),
            Side::Before => (after, before),
        };
        Ok(Step {
            number,
            path: path.ok_or(ApplyError::Answer { what: "a path" })?,
            from,
            to,
        })
    });
    steps.collect()
}

/// A path that git could carry: below the root, and not of its own directory.
fn is_plain(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/')
        .all(|part| !matches!(part, b"" | b"." | b"..") && !part.eq_ignore_ascii_case(b".git"))
}

/// Returns every directory above the given paths.
pub(super) fn directories_of<'a>(steps: impl Iterator<Item = &'a Step<'a>>) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    for step in steps {
        let mut directory = beneath::parent(&step.path);
        while !directory.is_empty() && found.insert(directory.to_vec()) {
            directory = beneath::parent(directory);
        }
    }
    found
}

/// Returns what is at a path; a directory counts as nothing, because git carries none.
pub(super) fn state(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<Option<EntryState>> {
    beneath::entry_state(root, path)
}

fn look(root: BorrowedFd<'_>, step: &Step<'_>) -> io::Result<Found> {
    let state = state(root, &step.path)?;
    if state == step.to.map(ApplyEntry::state) && !is_special(root, &step.path)? {
        return Ok(Found::To);
    }
    if state != step.from.map(ApplyEntry::state) || is_special(root, &step.path)? {
        return Ok(Found::Foreign);
    }
    Ok(Found::From)
}

/// Tells whether a socket or the like is there, which has no state.
fn is_special(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<bool> {
    let looked = beneath::look(root.as_fd(), path)?;
    Ok(looked.is_some_and(|(_, stat)| {
        !matches!(
            beneath::kind(&stat),
            FileType::RegularFile | FileType::Symlink | FileType::Directory
        )
    }))
}

pub(super) fn shown(path: &[u8]) -> String {
    escape(path, 1000)
}

//! Loose objects: written into the target before anything names them, and taken out again if nothing does.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use cto_schema::ApplyPlan;
use rustix::fs::{AtFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::commit::MadeCommit;
use super::error::{ApplyError, At as _};
use super::stand_in::StandIn;
use super::{Operation, fault, place};
use crate::baseline::beneath;
use crate::tool::{Git, Input};

/// Trees that git knows without having them, so that its word about them is worth nothing.
const EMPTY_TREES: [&str; 2] = [
    "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
];
/// A log that is longer is only looked at at its end.
const LOG_TAIL: u64 = 1 << 20;

/// Returns which objects of a commit the target does not have, in the order in which they are written.
pub(super) fn missing(git: &Git, stand_in: &StandIn, made: &MadeCommit) -> Result<Vec<String>, ApplyError> {
    let asked: String = made.objects.iter().map(|(id, _)| format!("{id}\n")).collect();
    let call = stand_in.call("cat-file").args(["--batch-check", "--buffer"]);
    let said = git.run(call.input(Input::Bytes(asked.into_bytes())));
    let said = said.map_err(|source| ApplyError::Git {
        what: "ask which objects are there",
        source,
    })?;
    let text = String::from_utf8_lossy(&said);
    let missing: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_suffix(" missing")).collect();
    let ids = made.objects.iter().map(|(id, _)| id.clone());
    // One that is there meanwhile, or in a pack, is no harm.
    Ok(ids
        .filter(|id| missing.contains(id.as_str()) || EMPTY_TREES.contains(&id.as_str()))
        .collect())
}

impl Operation<'_> {
    fn objects(&self) -> Result<(OwnedFd, PathBuf), ApplyError> {
        let path = self.target.common_directory_path().join("objects");
        let directory = beneath::open_beneath(self.target.common_directory(), b"objects", beneath::DIRECTORY);
        Ok((directory.at("open", &path)?, path))
    }

    fn temporary_object(&self) -> String {
        // git's own prefix: its garbage collection would remove one that stays.
        format!("tmp_obj_cto_{}", self.name())
    }

    /// When objects of this apply say that they were written: git gives a new time to one that it needs.
    fn mark(&self) -> Option<Timespec> {
        let at: jiff::Timestamp = self.plan().planned_at.parse().ok()?;
        Some(Timespec {
            tv_sec: at.as_second(),
            tv_nsec: at.subsec_nanosecond().into(),
        })
    }

    /// Writes the objects that the plan names; one that is there meanwhile is left alone.
    pub(super) fn write_objects(&self, made: &MadeCommit) -> Result<(), ApplyError> {
        let (objects, at) = self.objects()?;
        let mut fans: Vec<(String, OwnedFd)> = Vec::new();
        for id in &self.plan().new_objects {
            let found = made.objects.iter().find(|(known, _)| known == id);
            let (_, source) = found.ok_or(ApplyError::Answer { what: "new objects" })?;
            if fans.last().is_none_or(|(fan, _)| *fan != id[..2]) {
                let fan = open_fan(&objects, &id[..2]).at("make a directory in", at.join(&id[..2]))?;
                fans.push((id[..2].to_owned(), fan));
            }
            if let Some((_, fan)) = fans.last() {
                self.write_object(fan, id, source).at("write an object in", &at)?;
            }
        }
        for (_, fan) in &fans {
            place::sync(fan).at("make objects durable in", &at)?;
        }
        place::sync(&objects).at("make objects durable in", &at)
    }

    fn write_object(&self, fan: &OwnedFd, id: &str, source: &std::path::Path) -> io::Result<()> {
        let temporary = self.temporary_object();
        let file = place::create(fan, temporary.as_bytes(), 0o444)?;
        place::pour(&mut File::open(source)?, &file)?;
        if let Some(mark) = self.mark() {
            let times = Timestamps {
                last_access: mark,
                last_modification: mark,
            };
            rustix::fs::futimens(&file, &times)?;
        }
        place::sync_file(&file)?;
        fault::point("rename")?;
        match rustix::fs::renameat_with(fan, temporary.as_bytes(), fan, &id[2..], RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            // Either it is there by now, which is as good, or the file system cannot refuse: then it must not be there.
            Err(Errno::EXIST) => place::remove(fan, temporary.as_bytes()),
            Err(Errno::INVAL | Errno::NOSYS) => {
                match rustix::fs::linkat(fan, temporary.as_bytes(), fan, &id[2..], AtFlags::empty()) {
                    Ok(()) | Err(Errno::EXIST) => place::remove(fan, temporary.as_bytes()),
                    Err(errno) => Err(errno.into()),
                }
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes the objects again, unless somebody needs them by now: a ref or a log that names the commit, or a git
    /// that would have written one and found it there, which gives it a new time.
    pub(super) fn remove_objects(&self) -> Result<(), ApplyError> {
        let (objects, at) = self.objects()?;
        let needed = self.commit_is_named()?;
        // The commit first: whoever sees it must find all that it names.
        for id in self.plan().new_objects.iter().rev() {
            let fan = match beneath::open_beneath(objects.as_fd(), id.as_bytes()[..2].as_ref(), beneath::DIRECTORY) {
                Ok(fan) => fan,
                // We write into plain directories only: what is none by now has nothing of ours.
                Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => continue,
                Err(errno) => return Err(errno).at("open", at.join(&id[..2])),
            };
            place::remove(&fan, self.temporary_object().as_bytes()).at("remove an object in", &at)?;
            if !needed && self.is_untouched(&fan, &id[2..]) {
                place::remove(&fan, &id.as_bytes()[2..]).at("remove an object in", &at)?;
            }
            place::sync(&fan).at("make durable what is gone from", &at)?;
            place::remove_empty(&objects, &id.as_bytes()[..2]).at("remove a directory in", &at)?;
        }
        place::sync(&objects).at("make durable what is gone from", &at)
    }

    fn is_untouched(&self, fan: &OwnedFd, name: &str) -> bool {
        let stat = rustix::fs::statat(fan, name, AtFlags::SYMLINK_NOFOLLOW);
        let mark = self.mark();
        stat.is_ok_and(|stat| {
            mark.is_some_and(|mark| {
                stat.st_mtime == mark.tv_sec && i64::try_from(stat.st_mtime_nsec) == Ok(mark.tv_nsec)
            })
        })
    }

    /// Tells whether a log or a ref names the new commit, so that somebody may have seen it.
    pub(super) fn commit_is_named(&self) -> Result<bool, ApplyError> {
        let commit = &self.plan().new_commit;
        for (directory, name) in [
            (self.target.git_directory(), b"logs/HEAD".to_vec()),
            (
                self.target.common_directory(),
                [b"logs/", self.branch().as_bytes()].concat(),
            ),
        ] {
            let Ok(log) = beneath::open_beneath(directory, &name, beneath::READ) else {
                continue;
            };
            let mut log = File::from(log);
            let mut tail = Vec::new();
            let length = log.metadata().at("read", "a log of refs")?.len();
            io::Seek::seek(&mut log, io::SeekFrom::Start(length.saturating_sub(LOG_TAIL)))
                .at("read", "a log of refs")?;
            log.take(LOG_TAIL).read_to_end(&mut tail).at("read", "a log of refs")?;
            if tail.windows(commit.len()).any(|window| window == commit.as_bytes()) {
                return Ok(true);
            }
        }
        if !self.plan().new_objects.contains(commit) {
            return Ok(false);
        }
        let call = self.stand_in.call("for-each-ref").arg("--format=%(objectname)");
        let said = self.git.run(call).map_err(|source| ApplyError::Git {
            what: "ask which refs there are",
            source,
        })?;
        Ok(String::from_utf8_lossy(&said).lines().any(|line| line == commit))
    }
}

fn open_fan(objects: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    match beneath::open_beneath(objects.as_fd(), name.as_bytes(), beneath::DIRECTORY) {
        Err(Errno::NOENT) => place::make_parent(objects.as_fd(), format!("{name}/x").as_bytes()),
        other => Ok(other?),
    }
}

/// Returns the branch of a plan.
pub(super) fn branch(plan: &ApplyPlan) -> &str {
    match &plan.moves {
        cto_schema::ApplyRef::Branch { name } => name,
        cto_schema::ApplyRef::DetachedHead => "",
    }
}

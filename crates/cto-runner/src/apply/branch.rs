//! The one step that makes the change visible: the branch moves by a compare-and-swap, and is durable before files are.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use rustix::io::Errno;

use super::commit::Person;
use super::error::{ApplyError, At as _, Halt, Refusal};
use super::{Operation, fault, place};
use crate::baseline::beneath;
use crate::source::Head;

/// An empty lock that is older belongs to nobody: git fills it as soon as it has made it.
const EMPTY_LOCK: Duration = Duration::from_secs(2);

/// Where a target stands, as far as a plan is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The branch is at the old commit.
    Old,
    /// The branch is at the new commit.
    New,
    /// Neither, or `HEAD` names something else; a sentence.
    MovedOn(String),
}

impl Operation<'_> {
    /// Reads where the target stands.
    pub(super) fn standing(&self) -> Result<Standing, ApplyError> {
        let (branch, plan) = (self.branch(), self.plan());
        match self.target.head()? {
            Head::Branch(name) if name == branch => {}
            other => return Ok(Standing::MovedOn(format!("`HEAD` is {other:?} now, not {branch}"))),
        }
        Ok(match self.target.branch_commit(branch)? {
            Some(commit) if commit == plan.new_commit => Standing::New,
            Some(commit) if commit == plan.old_commit => Standing::Old,
            other => {
                let found = other.unwrap_or_else(|| "nothing".to_owned());
                Standing::MovedOn(format!("{branch} is at {found} now"))
            }
        })
    }

    /// Moves the branch from the old to the new commit, and nothing if it is elsewhere by now.
    pub(super) fn move_branch(&self, committer: &Person) -> Result<(), Halt> {
        if let Standing::MovedOn(why) = self.standing()? {
            return Err(Refusal::Undone { why }.into());
        }
        fault::point("before update-ref").at("move", self.branch())?;
        let message = match self.plan().kind {
            cto_schema::ApplyKind::Apply => format!("cto: run {}", self.plan().run_id),
            cto_schema::ApplyKind::Revert => format!("cto: revert of run {}", self.plan().run_id),
        };
        // The stand-in's settings are the harness's: no hook of the target can be found by it.
        let call = self
            .stand_in
            .call("update-ref")
            .setting("core.fsync=all")
            .setting(if self.stand_in.logs() {
                "core.logAllRefUpdates=true"
            } else {
                "core.logAllRefUpdates=false"
            })
            .committer(&committer.name, &committer.email, committer.seconds)
            .args(["--no-deref", "-m", &message, self.branch()])
            .args([&self.plan().new_commit, &self.plan().old_commit]);
        let moved = self.git.run(call);
        fault::point("after update-ref").at("move", self.branch())?;
        match (self.standing()?, moved) {
            // It moved, whatever git complained about.
            (Standing::New, _) => Ok(self.sync_branch()?),
            (Standing::MovedOn(why), _) => Err(Refusal::Undone { why }.into()),
            (Standing::Old, Err(source)) => Err(ApplyError::Git {
                what: "move the branch",
                source,
            }
            .into()),
            (Standing::Old, Ok(_)) => Err(ApplyError::Answer { what: "the branch" }.into()),
        }
    }

    /// Makes the moved branch and its log durable: files must never be newer than the ref.
    pub(super) fn sync_branch(&self) -> Result<(), ApplyError> {
        let (own, common) = (self.target.git_directory(), self.target.common_directory());
        let branch = self.branch().as_bytes();
        let log = [b"logs/", branch].concat();
        for (root, path) in [(common, branch), (common, &log), (own, &b"logs/HEAD"[..])] {
            self.sync_file(root, path).at("make durable", self.branch())?;
        }
        place::sync(beneath::open_beneath(own, b"", beneath::DIRECTORY).at("open", "the git directory")?)
            .at("make durable", self.branch())
    }

    /// Syncs a file below a git directory, what names it, and who owns it.
    fn sync_file(&self, root: BorrowedFd<'_>, path: &[u8]) -> std::io::Result<()> {
        match beneath::open_beneath(root, path, beneath::READ) {
            Ok(fd) => {
                let directory = place::open_parent(root, path)?;
                place::adopt(&fd, &directory)?;
                place::sync_file(&std::fs::File::from(fd))?;
            }
            // A log need not be there; a branch that was packed until now has new directories.
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        let mut directory = beneath::parent(path);
        while !directory.is_empty() {
            place::sync(beneath::open_beneath(root, directory, beneath::DIRECTORY)?)?;
            directory = beneath::parent(directory);
        }
        Ok(())
    }

    /// Removes the branch's lock if a git of ours left it as it was killed; says so if nobody can tell yet.
    pub(super) fn clear_branch_lock(&self) -> Result<(), ApplyError> {
        let name = [self.branch().as_bytes(), b".lock"].concat();
        let common = self.target.common_directory();
        let read = beneath::read_small(common, &name, 4096).at("read the lock of", self.branch())?;
        let Some(content) = read else { return Ok(()) };
        let ours = content.trim_ascii() == self.plan().new_commit.as_bytes();
        if !ours && !content.is_empty() {
            return Ok(());
        }
        let directory = place::open_parent(common, &name).at("open the directory of", self.branch())?;
        let stat = beneath::stat_at(&directory, place::name(&name)).at("look at the lock of", self.branch())?;
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let age = now.tv_sec.saturating_sub(stat.st_mtime);
        if !ours && age <= i64::try_from(EMPTY_LOCK.as_secs()).unwrap_or(2) {
            let busy = std::io::Error::other("an empty lock is there that is too young to be forgotten");
            return Err(busy).at("move", self.branch());
        }
        place::remove(directory.as_fd(), place::name(&name)).at("remove the lock of", self.branch())
    }
}

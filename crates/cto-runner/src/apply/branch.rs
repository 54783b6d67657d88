//! The one step that makes the change visible: the branch moves by a compare-and-swap, and is durable before files are.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use cto_schema::ApplyKind;
use rustix::io::Errno;

use super::commit::Person;
use super::error::{ApplyError, At as _, Halt, Refusal};
use super::{Operation, fault, place};
use crate::baseline::beneath;
use crate::source::Head;
use crate::tool::Input;

/// An empty lock that is older belongs to nobody: git fills it as soon as it has made it.
const EMPTY_LOCK: Duration = Duration::from_secs(2);

/// Stands for the log of any ref: what is above it must exist.
const LOG_OF_ANY: &[u8] = b"logs/refs/any";

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
        Ok(match self.target.branch_commit(branch)? {
            Some(commit) if commit == plan.old_commit => Standing::Old,
            Some(commit) if commit == plan.new_commit => match self.other_head()? {
                None => Standing::New,
                Some(other) => Standing::MovedOn(format!("{branch} has the commit, and {other}")),
            },
            Some(other) => Standing::MovedOn(format!("{branch} is at {other} now")),
            None => Standing::MovedOn(format!("{branch} is not there any more")),
        })
    }

    /// Tells whether the branch is at the new commit, whatever `HEAD` names.
    pub(super) fn branch_is_new(&self) -> Result<bool, ApplyError> {
        let found = self.target.branch_commit(self.branch())?;
        Ok(found.as_ref() == Some(&self.plan().new_commit))
    }

    /// Says what `HEAD` is if it does not name the branch.
    fn other_head(&self) -> Result<Option<String>, ApplyError> {
        Ok(match self.target.head()? {
            Head::Branch(name) if name == self.branch() => None,
            Head::Branch(name) | Head::Other(name) => Some(format!("`HEAD` names {name} now")),
            Head::Detached => Some("`HEAD` is detached now".to_owned()),
        })
    }

    /// Moves the branch from the old to the new commit, and nothing if it is elsewhere by now. It is not durable yet.
    pub(super) fn move_branch(&self, committer: &Person) -> Result<(), Halt> {
        if let Some(why) = self.other_head()? {
            return Err(Refusal::Undone { why }.into());
        }
        let plan = self.plan();
        if self.stand_in.logs() {
            // The logs of a bare repository's work trees may have no place yet, and the stand-in only points there.
            place::make_parent(self.target.common_directory(), LOG_OF_ANY).at("make a log for", self.branch())?;
        }
        fault::point("before update-ref").at("move", self.branch())?;
        let message = match plan.kind {
            ApplyKind::Apply => format!("cto: run {}", plan.run_id),
            ApplyKind::Revert => format!("cto: revert of run {}", plan.run_id),
        };
        let moved = self.update_ref(committer, &message, &plan.new_commit, &plan.old_commit);
        fault::point("after update-ref").at("move", self.branch())?;
        if !self.branch_is_new()? {
            return Err(self.not_moved(moved)?);
        }
        // It moved, whatever git complained about. Whether it is still the one that is checked out only the index's
        // lock guarded, which not everybody who sets `HEAD` takes.
        if let Some(why) = self.other_head()? {
            let back = self.update_ref(
                committer,
                &format!("{message}, taken back"),
                &plan.old_commit,
                &plan.new_commit,
            );
            return Err(back.map_or_else(Halt::from, |()| Refusal::Undone { why }.into()));
        }
        Ok(())
    }

    fn not_moved(&self, moved: Result<(), ApplyError>) -> Result<Halt, ApplyError> {
        let found = self
            .target
            .branch_commit(self.branch())?
            .unwrap_or_else(|| "nothing".to_owned());
        if found == self.plan().old_commit {
            return Ok(moved.map_or_else(Halt::from, |()| ApplyError::Answer { what: "the branch" }.into()));
        }
        let refusal = Refusal::Moved {
            branch: self.branch().to_owned(),
            expected: self.plan().old_commit.clone(),
            found,
        };
        Ok(refusal.into())
    }

    fn update_ref(&self, committer: &Person, message: &str, new: &str, old: &str) -> Result<(), ApplyError> {
        // The stand-in's settings are the harness's: no hook of the target can be found by it.
        let log = if self.stand_in.logs() {
            "core.logAllRefUpdates=true"
        } else {
            "core.logAllRefUpdates=false"
        };
        let call = self.stand_in.call("update-ref").setting("core.fsync=all").setting(log);
        // It reads nothing, but with this as its input it shares the journal's lock: who recovers must not take for
        // dead what may still move the branch.
        let alive = self.journal.lock_handle().at("share the lock of", self.name())?;
        let call = call
            .input(Input::File(alive))
            .committer(&committer.name, &committer.email, committer.seconds)
            .args(["--no-deref", "-m", message, self.branch(), new, old]);
        self.git.run(call).map(drop).map_err(|source| ApplyError::Git {
            what: "move the branch",
            source,
        })
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

    /// Syncs a file below a git directory, and what names it; what git made there as root is given to whom the place
    /// belongs, from above, because each takes its owner from the one that holds it.
    fn sync_file(&self, root: BorrowedFd<'_>, path: &[u8]) -> std::io::Result<()> {
        let file = match beneath::open_beneath(root, path, beneath::READ) {
            Ok(file) => file,
            // A log need not be there.
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        let mut above = beneath::open_beneath(root, b"", beneath::DIRECTORY)?;
        for name in beneath::parent(path).split(|&byte| byte == b'/') {
            // A branch that was packed until now has new directories.
            let directory = beneath::open_beneath(above.as_fd(), name, beneath::DIRECTORY)?;
            place::adopt(&directory, &above)?;
            place::sync(&above)?;
            above = directory;
        }
        place::adopt(&file, &above)?;
        place::sync_file(&std::fs::File::from(file))?;
        place::sync(&above)
    }

    /// Removes the places of logs that nothing was logged in.
    pub(super) fn clear_logs(&self) -> Result<(), ApplyError> {
        let mut path = beneath::parent(LOG_OF_ANY);
        while !path.is_empty() {
            if let Ok(above) = place::open_parent(self.target.common_directory(), path)
                && !place::remove_empty(&above, place::name(path)).at("remove a log of", self.branch())?
            {
                break;
            }
            path = beneath::parent(path);
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

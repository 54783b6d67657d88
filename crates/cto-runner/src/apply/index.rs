//! The target's index: locked for the whole change as git locks it, and brought up to the new commit entry by entry.
//!
//! The lock is a second name of a file of ours, so after a crash its inode says whose it is: a lock that is not this
//! file was made by somebody else and is left alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cto_evidence::Side;
use cto_schema::ApplyEntry;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::error::{ApplyError, At as _, Halt, Refusal};
use super::stand_in::StandIn;
use super::{Operation, fault, place};
use crate::baseline::beneath;
use crate::source::SourceRepository;
use crate::tool::{Git, Input};

pub(super) const LOCK: &[u8] = b"index.lock";
const INDEX: &[u8] = b"index";
const LISTING_CAP: u64 = 4 << 30;

/// What of the index is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lock {
    /// Nothing, or a leftover name.
    None,
    /// The lock is.
    Held,
    /// The index itself is: it was replaced, and only our name for it stayed.
    Placed,
}

/// Entries of an index by path: mode, object and stage.
pub(super) type Entries = BTreeMap<Vec<u8>, (String, String, String)>;

impl Operation<'_> {
    fn index_directory(&self) -> Result<(OwnedFd, PathBuf), ApplyError> {
        let path = self.target.git_directory_path().to_owned();
        let directory = beneath::open_beneath(self.target.git_directory(), b"", beneath::DIRECTORY);
        Ok((directory.at("open", &path)?, path))
    }

    /// The name by which the lock is known to be ours.
    fn mark_of_lock(&self) -> Vec<u8> {
        format!("cto-{}.index", self.name()).into_bytes()
    }

    fn lock_state(&self, directory: &OwnedFd) -> Result<Lock, Errno> {
        let look = |name: &[u8]| match beneath::stat_at(directory, name) {
            Ok(stat) => Ok(Some((stat.st_dev, stat.st_ino))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        };
        let own = look(&self.mark_of_lock())?;
        Ok(match own {
            None => Lock::None,
            Some(_) if look(LOCK)? == own => Lock::Held,
            Some(_) if look(INDEX)? == own => Lock::Placed,
            Some(_) => Lock::None,
        })
    }

    /// Takes the lock that every git takes before it changes index or files; one that we hold already is good.
    pub(super) fn lock_index(&self) -> Result<(), Halt> {
        let (directory, at) = self.index_directory()?;
        let mark = self.mark_of_lock();
        match self.lock_state(&directory).at("look at the index in", &at)? {
            Lock::Held => return Ok(()),
            Lock::None | Lock::Placed => place::remove(&directory, &mark).at("remove a leftover in", &at)?,
        }
        place::create(&directory, &mark, 0o666).at("lock the index in", &at)?;
        fault::point("link").at("lock the index in", &at)?;
        match rustix::fs::linkat(&directory, mark.as_slice(), &directory, LOCK, AtFlags::empty()) {
            Ok(()) => Ok(place::sync(&directory).at("lock the index in", &at)?),
            Err(Errno::EXIST) => {
                place::remove(&directory, &mark).at("remove a leftover in", &at)?;
                Err(Refusal::Locked {
                    name: "index.lock".to_owned(),
                }
                .into())
            }
            Err(errno) => Err(errno).at("lock the index in", &at)?,
        }
    }

    /// Gives the lock back, if it is ours, and removes our name for it.
    pub(super) fn unlock_index(&self) -> Result<(), ApplyError> {
        let (directory, at) = self.index_directory()?;
        if self.lock_state(&directory).at("look at the index in", &at)? == Lock::Held {
            place::remove(&directory, LOCK).at("unlock the index in", &at)?;
        }
        place::remove(&directory, &self.mark_of_lock()).at("remove a leftover in", &at)?;
        place::sync(&directory).at("unlock the index in", &at)
    }

    /// Makes the index that of one side: made anew from the target's own in a place of the harness, then put over it.
    /// Entries of other paths and their flags stay, and so do entries of neither side; the first such is returned.
    pub(super) fn follow_index(&self, to: Side) -> Result<Option<String>, Halt> {
        let (directory, at) = self.index_directory()?;
        if self.lock_state(&directory).at("look at the index in", &at)? == Lock::Placed {
            self.unlock_index()?;
        }
        self.lock_index()?;
        let (lines, foreign) = self.index_lines(to)?;
        if lines.is_empty() {
            self.unlock_index()?;
            return Ok(foreign);
        }
        let index = self.scratch.join("index");
        let mode = copy_index(self.target, &index).at("copy the index of", self.target.path())?;
        let failed = |what| move |source| ApplyError::Git { what, source };
        let call = self.stand_in.index_call("update-index", &index);
        let call = call.args(["-z", "--index-info"]).input(Input::Bytes(lines));
        self.git.run(call).map_err(failed("write the index"))?;
        // What git would otherwise find out at the next look at every file.
        self.git
            .run(self.stand_in.refresh(&index, None))
            .map_err(failed("refresh the index"))?;
        fault::point("index").at("write the index in", &at)?;
        self.fill_lock(&index, mode, &directory).at("write the index in", &at)?;
        place::replace(&directory, LOCK, INDEX).at("replace the index in", &at)?;
        place::sync(&directory).at("replace the index in", &at)?;
        self.unlock_index()?;
        Ok(foreign)
    }

    fn fill_lock(&self, index: &Path, mode: Option<Mode>, directory: &OwnedFd) -> io::Result<()> {
        let mut source = File::open(index)?;
        let lock = File::from(beneath::open_beneath(self.target.git_directory(), LOCK, WRITE)?);
        lock.set_len(0)?;
        place::pour(&mut source, &lock)?;
        if let Some(mode) = mode {
            rustix::fs::fchmod(&lock, mode)?;
        }
        place::adopt(&lock, directory)?;
        // An entry that is not older than its index is looked at again; the copy must not look newer than it is.
        set_time(&lock, &rustix::fs::fstat(&source)?)?;
        place::sync_file(&lock)
    }

    /// What `update-index --index-info` has to read, and the first path, escaped, whose entry is of neither side.
    fn index_lines(&self, to: Side) -> Result<(Vec<u8>, Option<String>), ApplyError> {
        let found = entries(self.git, &self.stand_in, self.target, &self.scratch)?.unwrap_or_default();
        let nothing = "0".repeat(self.plan().new_commit.len());
        let (mut gone, mut lines, mut foreign) = (Vec::new(), Vec::new(), None);
        for step in self.steps(to)? {
            let entry = found.get(&step.path);
            if is_entry(entry, step.to) {
                continue;
            }
            if !is_entry(entry, step.from) {
                foreign.get_or_insert_with(|| super::files::shown(&step.path));
                continue;
            }
            if let Some(to) = step.to {
                let head = format!("{} {}\t", to.kind.git_mode(), to.object);
                lines.extend([head.as_bytes(), &step.path, b"\0"].concat());
            } else {
                gone.extend([format!("0 {nothing}\t").as_bytes(), &step.path, b"\0"].concat());
            }
        }
        // What is gone comes first: a directory may have become a file.
        gone.extend(lines);
        Ok((gone, foreign))
    }

    /// Tells whether the index has an entry that only the new commit can have given it.
    pub(super) fn index_is_ahead(&self) -> Result<bool, ApplyError> {
        let found = entries(self.git, &self.stand_in, self.target, &self.scratch)?.unwrap_or_default();
        let steps = self.steps(Side::After)?;
        Ok(steps.iter().any(|step| is_entry(found.get(&step.path), step.to)))
    }
}

/// Tells whether an entry is what a commit has, merged and whole.
pub(super) fn is_entry(found: Option<&(String, String, String)>, wanted: Option<&ApplyEntry>) -> bool {
    match (found, wanted) {
        (None, None) => true,
        (Some((mode, object, stage)), Some(entry)) => {
            (mode.as_str(), object, stage.as_str()) == (entry.kind.git_mode(), &entry.object, "0")
        }
        _ => false,
    }
}

/// Gives a file the time of another.
fn set_time(file: &File, of: &rustix::fs::Stat) -> io::Result<()> {
    let written = Timespec {
        tv_sec: of.st_mtime,
        tv_nsec: i64::try_from(of.st_mtime_nsec).unwrap_or(0),
    };
    let times = Timestamps {
        last_access: written,
        last_modification: written,
    };
    Ok(rustix::fs::futimens(file, &times)?)
}

const WRITE: OFlags = OFlags::WRONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// Copies the target's index, which may not be there, and returns its permission bits.
pub(super) fn copy_index(target: &SourceRepository, to: &Path) -> io::Result<Option<Mode>> {
    match std::fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let fd = match beneath::open_beneath(target.git_directory(), INDEX, beneath::READ) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let stat = rustix::fs::fstat(&fd)?;
    if beneath::kind(&stat) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file"));
    }
    let mut copy = File::create_new(to)?;
    io::copy(&mut File::from(fd), &mut copy)?;
    // Entries that are as new as their index are looked at again; the copy must be as old.
    set_time(&copy, &stat)?;
    Ok(Some(Mode::from_raw_mode(stat.st_mode & 0o777)))
}

/// Lists the target's index; `None` when it has none.
pub(super) fn entries(
    git: &Git,
    stand_in: &StandIn,
    target: &SourceRepository,
    scratch: &Path,
) -> Result<Option<Entries>, ApplyError> {
    let copy = scratch.join("listed");
    if copy_index(target, &copy)
        .at("copy the index of", target.path())?
        .is_none()
    {
        return Ok(None);
    }
    let call = stand_in.index_call("ls-files", &copy).args(["--stage", "-z"]);
    let listing = git.run(call.cap(LISTING_CAP)).map_err(|source| ApplyError::Git {
        what: "list the index",
        source,
    })?;
    let mut entries = Entries::new();
    for line in listing.split(|&byte| byte == 0).filter(|line| !line.is_empty()) {
        let parsed = line.iter().position(|&byte| byte == b'\t').and_then(|tab| {
            let mut words = std::str::from_utf8(&line[..tab]).ok()?.split(' ');
            let mut word = || words.next().map(str::to_owned);
            Some((line[tab + 1..].to_vec(), (word()?, word()?, word()?)))
        });
        let (path, entry) = parsed.ok_or(ApplyError::Answer { what: "the index" })?;
        entries.insert(path, entry);
    }
    Ok(Some(entries))
}

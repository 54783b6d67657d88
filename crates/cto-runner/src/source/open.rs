//! Opening: what may be a target, and a distinct refusal for everything that may not.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use cto_schema::escape;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::{SourceError, SourceRepository, config};
use crate::baseline::{ObjectFormat, beneath};

/// Opens a path no part of which is a link.
pub(super) fn open_plain(path: &Path) -> Result<(OwnedFd, Stat), SourceError> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let linked = || SourceError::Symlink {
        path: path.to_owned(),
        instead: fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
    };
    let io = |errno: Errno| SourceError::Io {
        path: path.to_owned(),
        source: errno.into(),
    };
    let fd = match rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => {
            return Err(SourceError::Missing { path: path.to_owned() });
        }
        Err(Errno::NOTDIR) => {
            return Err(SourceError::NotADirectory { path: path.to_owned() });
        }
        Err(Errno::LOOP) => return Err(linked()),
        Err(errno) => return Err(io(errno)),
    };
    let stat = rustix::fs::fstat(&fd).map_err(io)?;
    match beneath::kind(&stat) {
        FileType::Directory => Ok((fd, stat)),
        FileType::Symlink => Err(linked()),
        _ => Err(SourceError::NotADirectory { path: path.to_owned() }),
    }
}

impl SourceRepository {
    /// Opens a repository with a work tree that belongs to the caller.
    ///
    /// Root may open anybody's: it could read them anyway, and nothing of a target is ever executed or written.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let absolute = std::path::absolute(path).map_err(|source| SourceError::Io {
            path: path.to_owned(),
            source,
        })?;
        let (directory, stat) = open_plain(&absolute)?;
        owned(&absolute, &stat)?;
        let identity = (stat.st_dev, stat.st_ino);
        let place = find_git_directory(&absolute, &directory)?;
        let (git_dir, git_stat) = open_plain(&place.git_dir)?;
        owned(&place.git_dir, &git_stat)?;
        let (common, common_stat) = open_plain(&place.common)?;
        owned(&place.common, &common_stat)?;
        let mut repository = Self {
            path: absolute,
            directory,
            identity,
            git_dir,
            git_dir_path: place.git_dir,
            common,
            common_path: place.common,
            linked: place.linked,
            format: ObjectFormat::Sha1,
        };
        repository.format = repository.read_format()?;
        repository.check_objects()?;
        let head = repository.head_commit()?;
        repository.check_presence(&head)?;
        Ok(repository)
    }

    fn read_format(&self) -> Result<ObjectFormat, SourceError> {
        let config = self.read(&self.common, "config", 1 << 20)?.unwrap_or_default();
        let extensions = config::section(&config, "extensions");
        let format = |what: String| SourceError::Format {
            path: self.path.clone(),
            what,
        };
        match extensions.get("refstorage").map_or("files", String::as_str) {
            "files" => {}
            other => {
                let other = escape(other.as_bytes(), 50);
                let mend = "run `git refs migrate --ref-format=files` there, or clone it";
                return Err(format(format!(
                    "the reference storage \"{other}\", which is not read here; {mend}"
                )));
            }
        }
        match extensions.get("objectformat").map_or("sha1", String::as_str) {
            "sha1" => Ok(ObjectFormat::Sha1),
            "sha256" => Ok(ObjectFormat::Sha256),
            other => Err(format(format!(
                "the object format \"{}\"",
                escape(other.as_bytes(), 50)
            ))),
        }
    }

    /// The object directory is lent to git by path, so it must be where it seems to be.
    fn check_objects(&self) -> Result<(), SourceError> {
        match beneath::look(beneath::borrow(&self.common), b"objects") {
            Ok(Some((_, stat))) if beneath::kind(&stat) == FileType::Directory => self.check_alternates(),
            Ok(Some((_, stat))) if beneath::kind(&stat) == FileType::Symlink => Err(SourceError::Format {
                path: self.path.clone(),
                what: "a symbolic link for its object directory; clone it".to_owned(),
            }),
            Ok(_) => Err(self.corrupt("it has no object directory".to_owned())),
            Err(errno) => Err(self.io("objects", errno)),
        }
    }

    /// git opens this file and waits for ever where it is a pipe.
    fn check_alternates(&self) -> Result<(), SourceError> {
        match beneath::look(beneath::borrow(&self.common), b"objects/info/alternates") {
            Ok(None) => Ok(()),
            Ok(Some((_, stat))) if beneath::kind(&stat) == FileType::RegularFile => Ok(()),
            Ok(Some(_)) => Err(self.corrupt("objects/info/alternates is no regular file".to_owned())),
            Err(errno) => Err(self.io("objects/info/alternates", errno)),
        }
    }

    /// A cheap look for the commit: its absence among loose objects where there are no packs is certain.
    fn check_presence(&self, commit: &str) -> Result<(), SourceError> {
        let objects = beneath::borrow(&self.common);
        let loose = format!("objects/{}/{}", &commit[..2], &commit[2..]);
        let there = |path: &str| beneath::look(objects, path.as_bytes()).map_err(|errno| self.io(path, errno));
        if there(&loose)?.is_some() || there("objects/info/alternates")?.is_some() {
            return Ok(());
        }
        let packs = match beneath::open_beneath(objects, b"objects/pack", beneath::DIRECTORY) {
            Ok(fd) => beneath::names(&fd).map_err(|error| self.io("objects/pack", error))?,
            Err(_) => Vec::new(),
        };
        if packs.iter().any(|name| name.ends_with(b".pack")) {
            return Ok(());
        }
        Err(self.corrupt(format!("`HEAD` is at {commit}, and that object is missing")))
    }

    pub(super) fn corrupt(&self, what: String) -> SourceError {
        SourceError::Corrupt {
            path: self.path.clone(),
            what,
        }
    }
}

struct Place {
    git_dir: PathBuf,
    common: PathBuf,
    linked: bool,
}

fn find_git_directory(path: &Path, directory: &OwnedFd) -> Result<Place, SourceError> {
    let inside = beneath::borrow(directory);
    let dot_git = path.join(".git");
    let look = |name: &[u8]| {
        beneath::look(inside, name).map_err(|errno| SourceError::Io {
            path: dot_git.clone(),
            source: errno.into(),
        })
    };
    let Some((_, stat)) = look(b".git")? else {
        if look(b"HEAD")?.is_some() && look(b"objects")?.is_some() && look(b"refs")?.is_some() {
            return Err(SourceError::Bare { path: path.to_owned() });
        }
        let above = path
            .ancestors()
            .skip(1)
            .find(|above| above.join(".git").symlink_metadata().is_ok());
        let hint = above.map_or_else(
            || "it has no `.git`; run `git init` and commit, or name another path".to_owned(),
            |above| format!("it is a part of the repository {}; write that", above.display()),
        );
        return Err(SourceError::NotARepository {
            path: path.to_owned(),
            hint,
        });
    };
    match beneath::kind(&stat) {
        // `commondir` in a git directory of its own is not looked at: it could name anybody's repository.
        FileType::Directory => Ok(Place {
            git_dir: dot_git.clone(),
            common: dot_git,
            linked: false,
        }),
        FileType::Symlink => Err(SourceError::Symlink {
            instead: fs::canonicalize(&dot_git).unwrap_or_else(|_| dot_git.clone()),
            path: dot_git,
        }),
        FileType::RegularFile => linked_worktree(path, directory),
        _ => Err(SourceError::Corrupt {
            path: path.to_owned(),
            what: "`.git` is a special file".to_owned(),
        }),
    }
}

/// Follows a `.git` file, and comes back: the git directory must name this work tree.
fn linked_worktree(path: &Path, directory: &OwnedFd) -> Result<Place, SourceError> {
    let foreign = |what| SourceError::ForeignGitDirectory {
        path: path.to_owned(),
        what,
    };
    let text = read_line(directory, b".git", path)?.ok_or_else(|| foreign("it cannot be read"))?;
    let named = text
        .strip_prefix(b"gitdir: ")
        .ok_or_else(|| foreign("it does not say `gitdir:`"))?;
    let git_dir = fs::canonicalize(path.join(OsStr::from_bytes(named)))
        .map_err(|_| foreign("the directory that it names is not there"))?;
    let (git_fd, _) = open_plain(&git_dir)?;
    let Some(common) = read_line(&git_fd, b"commondir", path)? else {
        let parts: Vec<&OsStr> = git_dir.iter().collect();
        if parts
            .windows(2)
            .any(|pair| pair == [OsStr::new(".git"), OsStr::new("modules")])
        {
            return Err(SourceError::Submodule { path: path.to_owned() });
        }
        return Err(foreign(
            "its git directory is separate, so nothing shows that the two belong together",
        ));
    };
    let common = fs::canonicalize(git_dir.join(OsStr::from_bytes(&common)))
        .map_err(|_| foreign("the common directory that it names is not there"))?;
    let back =
        read_line(&git_fd, b"gitdir", path)?.ok_or_else(|| foreign("the git directory does not name a work tree"))?;
    let back = git_dir.join(OsStr::from_bytes(&back));
    let returns = back.file_name() == Some(OsStr::new(".git"))
        && back
            .parent()
            .and_then(|parent| fs::canonicalize(parent).ok())
            .is_some_and(|parent| parent == path);
    if !returns {
        return Err(foreign("the git directory names another work tree"));
    }
    Ok(Place {
        git_dir,
        common,
        linked: true,
    })
}

fn read_line(directory: &OwnedFd, name: &[u8], path: &Path) -> Result<Option<Vec<u8>>, SourceError> {
    let text = beneath::read_small(beneath::borrow(directory), name, 8192).map_err(|source| SourceError::Io {
        path: path.join(OsStr::from_bytes(name)),
        source,
    })?;
    Ok(text.map(|text| text.strip_suffix(b"\n").unwrap_or(&text).to_vec()))
}

fn owned(path: &Path, stat: &Stat) -> Result<(), SourceError> {
    let caller = rustix::process::geteuid();
    if caller.is_root() || stat.st_uid == caller.as_raw() {
        return Ok(());
    }
    Err(SourceError::NotOwned {
        path: path.to_owned(),
        owner: stat.st_uid,
        caller: caller.as_raw(),
    })
}

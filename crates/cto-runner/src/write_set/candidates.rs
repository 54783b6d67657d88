//! Which paths a run may have changed: what lies in the upper layer, and what it covers of the baseline.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use cto_policy::is_git_directory;
use cto_schema::{EntryState, escape};
use rustix::fs::{FileType, Mode};
use rustix::io::Errno;

use super::{CollectLimits, WriteSetError, observe};
use crate::baseline::{Baseline, beneath};

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// Paths whose final state is to be compared.
    pub(super) paths: BTreeSet<Vec<u8>>,
    /// Directories that were written or made.
    pub(super) directories: BTreeSet<Vec<u8>>,
    /// Entries of nested git directories.
    pub(super) nested_git: BTreeSet<Vec<u8>>,
    /// Whether the git directory at the root was touched.
    pub(super) git_touched: bool,
    /// Why the walk stopped.
    pub(super) truncated: Option<String>,
    /// The baseline's states, when all of them had to be read anyway.
    pub(super) manifest: Option<BTreeMap<Vec<u8>, Option<EntryState>>>,
}

impl Candidates {
    /// Takes out what lies at or below covered paths: nobody could change it, and a walk sees the cover.
    pub(super) fn forget_below(&mut self, covered: &[PathBuf]) {
        if covered.is_empty() {
            return;
        }
        let below = |path: &Vec<u8>| {
            covered
                .iter()
                .any(|mask| Path::new(OsStr::from_bytes(path)).starts_with(mask))
        };
        for paths in [&mut self.paths, &mut self.directories, &mut self.nested_git] {
            paths.retain(|path| !below(path));
        }
    }
}

/// Walks the upper layer of an overlay.
pub(super) fn of_upper(
    upper: BorrowedFd<'_>,
    merged: BorrowedFd<'_>,
    baseline: &Baseline,
    limits: &CollectLimits,
) -> Result<Candidates, WriteSetError> {
    let mut walk = Walk {
        found: Candidates::default(),
        merged,
        baseline,
        limits,
        entries: 0,
        upper: true,
        device: None,
    };
    walk.run(upper)?;
    Ok(walk.found)
}

/// Walks a copied workspace, and adds every path of the baseline.
pub(super) fn of_copy(
    merged: BorrowedFd<'_>,
    baseline: &Baseline,
    limits: &CollectLimits,
) -> Result<Candidates, WriteSetError> {
    let device = rustix::fs::fstat(merged)
        .map_err(|errno| workspace(b".", errno))?
        .st_dev;
    let manifest = baseline.manifest()?;
    let found = Candidates {
        git_touched: true,
        ..Candidates::default()
    };
    // The baseline's own entries are no sign of a runaway engine.
    let limits = CollectLimits {
        walked_entries: limits.walked_entries + 2 * baseline.entry_count(),
        ..*limits
    };
    let mut walk = Walk {
        found,
        merged,
        baseline,
        limits: &limits,
        entries: 0,
        upper: false,
        device: Some(device),
    };
    walk.run(merged)?;
    walk.found.paths.extend(manifest.keys().cloned());
    walk.found.manifest = Some(manifest);
    Ok(walk.found)
}

struct Walk<'a> {
    found: Candidates,
    merged: BorrowedFd<'a>,
    baseline: &'a Baseline,
    limits: &'a CollectLimits,
    entries: u64,
    upper: bool,
    /// A directory of another device was mounted there by the harness.
    device: Option<u64>,
}

impl Walk<'_> {
    fn run(&mut self, root: BorrowedFd<'_>) -> Result<(), WriteSetError> {
        let fd = rustix::fs::fstat(self.merged)
            .and_then(|stat| observe::unlock(self.merged, b"", &stat))
            .and_then(|()| beneath::open_beneath(root, b"", beneath::DIRECTORY))
            .map_err(|errno| workspace(b".", errno))?;
        if self.upper && self.check_attributes(b".", &format!("/proc/self/fd/{}", fd.as_raw_fd()))? == Marks::Opaque {
            self.cover(b"")?;
        }
        self.directory(&fd, b"", false, 0)
    }

    fn directory(&mut self, fd: &OwnedFd, path: &[u8], nested: bool, depth: usize) -> Result<(), WriteSetError> {
        if depth > self.limits.depth {
            self.stop(format!(
                "depth: \"{}\" is deeper than {} directories",
                escape(path, 200),
                self.limits.depth
            ));
            return Ok(());
        }
        for name in beneath::names(fd).map_err(|error| workspace(path, error))? {
            if self.found.truncated.is_some() {
                return Ok(());
            }
            if path.is_empty() && name == b".git" {
                self.found.git_touched = true;
                continue;
            }
            self.entries += 1;
            if self.entries > self.limits.walked_entries {
                self.stop(format!(
                    "walked_entries: more than {} entries were written",
                    self.limits.walked_entries
                ));
                return Ok(());
            }
            self.entry(fd, &name, &beneath::join(path, &name), nested, depth)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        path: &[u8],
        nested: bool,
        depth: usize,
    ) -> Result<(), WriteSetError> {
        let stat = beneath::stat_at(parent, name).map_err(|errno| workspace(path, errno))?;
        let kind = beneath::kind(&stat);
        let whiteout = self.upper && kind == FileType::CharacterDevice && stat.st_rdev == 0;
        let marks = if self.upper && matches!(kind, FileType::Directory | FileType::RegularFile) {
            let mut place = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
            place.extend_from_slice(name);
            self.check_attributes(path, place.as_slice())?
        } else {
            Marks::None
        };
        let nested = nested || is_git_directory(name);
        if nested && !whiteout && marks != Marks::Whiteout {
            self.found.nested_git.insert(path.to_vec());
        } else if kind == FileType::Directory {
            self.found.directories.insert(path.to_vec());
            match self.baseline_kind(path)? {
                // A tree below an opaque directory is gone unless it was written again.
                Some(FileType::Directory) if marks == Marks::Opaque => self.cover(path)?,
                Some(FileType::Directory) | None => {}
                Some(_) => self.add(path),
            }
        } else {
            self.add(path);
            if self.baseline_kind(path)? == Some(FileType::Directory) {
                self.cover(path)?;
            }
        }
        if kind == FileType::Directory && self.device.is_none_or(|device| device == stat.st_dev) {
            // Through the merged view, which would not notice a change below it.
            let fd = observe::unlock(self.merged, path, &stat)
                .and_then(|()| rustix::fs::openat(parent, name, beneath::DIRECTORY, Mode::empty()))
                .map_err(|errno| workspace(path, errno))?;
            self.directory(&fd, path, nested, depth + 1)?;
        }
        Ok(())
    }

    fn add(&mut self, path: &[u8]) {
        self.found.paths.insert(path.to_vec());
    }

    /// Adds everything that the baseline has below a directory.
    fn cover(&mut self, path: &[u8]) -> Result<(), WriteSetError> {
        if self.device.is_some() {
            return Ok(());
        }
        let below =
            beneath::files_below(self.baseline.files_fd(), path).map_err(|source| WriteSetError::BaselineRead {
                path: escape(path, 1000),
                source,
            })?;
        self.found.paths.extend(below);
        Ok(())
    }

    fn baseline_kind(&self, path: &[u8]) -> Result<Option<FileType>, WriteSetError> {
        self.baseline.kind(path).map_err(|source| WriteSetError::BaselineRead {
            path: escape(path, 1000),
            source,
        })
    }

    /// Reads the overlay's own marks, and fails closed on those that would hide content elsewhere.
    fn check_attributes<P: rustix::path::Arg + Copy>(&self, path: &[u8], place: P) -> Result<Marks, WriteSetError> {
        let mut list = vec![0_u8; 1 << 10];
        let mut listed = rustix::fs::llistxattr(place, &mut list[..]);
        if listed == Err(Errno::RANGE) {
            // The kernel allows no longer list than this.
            list.resize(64 << 10, 0);
            listed = rustix::fs::llistxattr(place, &mut list[..]);
        }
        let length = match listed {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP) => return Ok(Marks::None),
            Err(errno) => return Err(workspace(path, errno)),
        };
        let mut marks = Marks::None;
        for name in list[..length].split(|&byte| byte == 0) {
            let attribute = match name {
                b"user.overlay.redirect" | b"trusted.overlay.redirect" => "overlay.redirect",
                b"user.overlay.metacopy" | b"trusted.overlay.metacopy" => "overlay.metacopy",
                b"user.overlay.whiteout" => {
                    marks = Marks::Whiteout;
                    continue;
                }
                // `y` and `x` are both taken for opaque: that only makes more paths be compared.
                b"user.overlay.opaque" | b"trusted.overlay.opaque" => {
                    marks = Marks::Opaque;
                    continue;
                }
                _ => continue,
            };
            return Err(WriteSetError::OverlayFeature {
                path: escape(path, 1000),
                attribute,
            });
        }
        Ok(marks)
    }

    fn stop(&mut self, why: String) {
        self.found.truncated.get_or_insert(why);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Marks {
    None,
    Whiteout,
    Opaque,
}

pub(super) fn workspace(path: &[u8], error: impl Into<std::io::Error>) -> WriteSetError {
    WriteSetError::Workspace {
        path: escape(path, 1000),
        source: error.into(),
    }
}

//! Copies a directory into a layer: shared extents where the file system has them, and no link that leads out.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags};

use super::manifest::{plain_mode, special};
use super::{LayerError, shown};

/// The largest layer, in entries.
const MAX_ENTRIES: usize = 2_000_000;

/// Copies what is below `source` into the empty directory `target`; hard links become copies.
pub(super) fn copy(source: &Path, target: &Path, owner: Option<(u32, u32)>) -> Result<(), LayerError> {
    let mut pending = vec![(source.to_owned(), target.to_owned())];
    let mut entries = 0;
    while let Some((from, to)) = pending.pop() {
        settle(&to, 0o755, owner)?;
        for entry in fs::read_dir(&from).map_err(|error| LayerError::file("list", &from, error))? {
            let entry = entry.map_err(|error| LayerError::file("list", &from, error))?;
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            entries += 1;
            if entries > MAX_ENTRIES {
                let problem = format!("it has more than {MAX_ENTRIES} entries; freeze a smaller directory");
                return Err(LayerError::Entry {
                    path: shown(source),
                    problem,
                });
            }
            let metadata = fs::symlink_metadata(&from).map_err(|error| LayerError::file("read", &from, error))?;
            if metadata.is_dir() {
                fs::create_dir(&to).map_err(|error| LayerError::file("make", &to, error))?;
                pending.push((from, to));
            } else if metadata.is_symlink() {
                copy_link(source, &from, &to, owner)?;
            } else if metadata.is_file() {
                copy_file(&from, &to).map_err(|error| LayerError::file("copy", &from, error))?;
                settle(&to, plain_mode(metadata.mode()), owner)?;
            } else {
                return Err(special(&from));
            }
        }
    }
    Ok(())
}

fn settle(path: &Path, mode: u32, owner: Option<(u32, u32)>) -> Result<(), LayerError> {
    let fail = |error| LayerError::file("set the mode and owner of", path, error);
    if let Some((uid, gid)) = owner {
        lchown(path, Some(uid), Some(gid)).map_err(fail)?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(fail)
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    // The name was a regular file a moment ago; should it be something else by now, nothing is followed or waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = File::from(rustix::fs::open(from, flags, Mode::empty())?);
    if !source.metadata()?.is_file() {
        return Err(io::Error::other("it changed while it was copied"));
    }
    let mut target = File::create_new(to)?;
    if rustix::fs::ioctl_ficlone(&target, &source).is_err() {
        // `io::copy` between files is copy_file_range where the kernel has it.
        io::copy(&mut &source, &mut target)?;
    }
    Ok(())
}

fn copy_link(root: &Path, from: &Path, to: &Path, owner: Option<(u32, u32)>) -> Result<(), LayerError> {
    let target = fs::read_link(from).map_err(|error| LayerError::file("read", from, error))?;
    if let Err(problem) = leads_nowhere_else(root, from, &target) {
        let shown_target = cto_schema::escape(target.as_os_str().as_bytes(), 200);
        return Err(LayerError::Entry {
            path: shown(from),
            problem: format!("it is a link to '{shown_target}', {problem}"),
        });
    }
    symlink(&target, to).map_err(|error| LayerError::file("make", to, error))?;
    if let Some((uid, gid)) = owner {
        lchown(to, Some(uid), Some(gid)).map_err(|error| LayerError::file("set the owner of", to, error))?;
    }
    Ok(())
}

/// Accepts a link that stays in the layer by its text alone, or that names something below `/usr`, which every
/// sandbox has (the interpreter of a virtual environment).
fn leads_nowhere_else(root: &Path, link: &Path, target: &Path) -> Result<(), &'static str> {
    if target.is_absolute() {
        let plain = target
            .components()
            .skip(1)
            .all(|part| matches!(part, Component::Normal(_)));
        return if plain && target.starts_with("/usr") {
            Ok(())
        } else {
            Err(
                "which a sandbox does not have; make it relative, or make the environment with /usr/bin/python3 or --copies",
            )
        };
    }
    let mut depth = link
        .strip_prefix(root)
        .map_or(0, |path| path.components().count().saturating_sub(1));
    for part in target.components() {
        match part {
            Component::ParentDir if depth == 0 => {
                return Err("which is outside the directory; copy what it names into it");
            }
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
    }
    Ok(())
}

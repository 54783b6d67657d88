//! Copies a frozen tree: modes, symbolic links and modification times are kept.

use std::fs::{self, File, FileTimes, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

/// Copies what is below `source` into the existing directory `target`, and gives it an owner.
///
/// Entries of `target` with the same name are replaced. Both trees must be at rest.
pub(crate) fn copy_tree(source: &Path, target: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    let mut pending = vec![(source.to_owned(), target.to_owned())];
    let mut directories = Vec::new();
    while let Some((from, to)) = pending.pop() {
        directories.push((from.clone(), to.clone()));
        for entry in fs::read_dir(&from)? {
            let entry = entry?;
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            let metadata = entry.metadata()?;
            let kind = metadata.file_type();
            if kind.is_dir() {
                make_directory(&to)?;
                pending.push((from, to));
            } else if kind.is_symlink() {
                clear(&to)?;
                symlink(fs::read_link(&from)?, &to)?;
                give(&to, owner)?;
                set_link_time(&to, &metadata)?;
            } else if kind.is_file() {
                clear(&to)?;
                fs::copy(&from, &to)?;
                give(&to, owner)?;
                File::options()
                    .write(true)
                    .open(&to)
                    .or_else(|_| File::open(&to))?
                    .set_times(times(&metadata)?)?;
            }
            // Other kinds are no content of a baseline: a FIFO or device would be a trap.
        }
    }
    // Deepest first, so that no later write touches a time that is already set.
    for (from, to) in directories.iter().rev() {
        let metadata = fs::metadata(from)?;
        fs::set_permissions(to, Permissions::from_mode(metadata.mode() & 0o7777))?;
        File::open(to)?.set_times(times(&metadata)?)?;
        give(to, owner)?;
    }
    Ok(())
}

fn times(metadata: &fs::Metadata) -> io::Result<FileTimes> {
    Ok(FileTimes::new()
        .set_modified(metadata.modified()?)
        .set_accessed(metadata.accessed()?))
}

fn give(path: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    match owner {
        Some((uid, gid)) => std::os::unix::fs::lchown(path, Some(uid), Some(gid)),
        None => Ok(()),
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => fs::remove_file(path).and_then(|()| fs::create_dir(path)),
        Err(_) => fs::create_dir(path),
    }
}

fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

fn set_link_time(path: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    let time = rustix::fs::Timespec {
        tv_sec: metadata.mtime(),
        tv_nsec: metadata.mtime_nsec(),
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

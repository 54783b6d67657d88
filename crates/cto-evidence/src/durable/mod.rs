//! Durable file primitives, relative to a directory handle: nothing in evidence is written by another route.
//!
//! Every step passes [`fault::point`], which does nothing outside this crate's tests and there stands for a crash,
//! a full disk or a broken one. A failed `fsync` is final: the kernel may have dropped the pages, so trying again
//! would report success for data that is gone (PostgreSQL's fsync lesson of 2018).

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};

/// Prefix of names that exist only while something is being written.
pub(crate) const TEMPORARY_PREFIX: &str = ".tmp-";

static NEXT_TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// Opens a directory by path; a symlink as the last component is refused.
pub(crate) fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Opens a directory below another; a symlink is refused.
pub(crate) fn open_dir_at(dir: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?)
}

/// Makes a private directory that must not exist.
pub(crate) fn make_dir_at(dir: impl AsFd, name: &str) -> io::Result<()> {
    fault::point("mkdir")?;
    Ok(rustix::fs::mkdirat(dir, name, Mode::RWXU)?)
}

/// Makes a private directory under a fresh temporary name.
pub(crate) fn make_temporary_dir_at(dir: impl AsFd) -> io::Result<String> {
    let dir = dir.as_fd();
    loop {
        let number = NEXT_TEMPORARY.fetch_add(1, Ordering::Relaxed);
        let name = format!("{TEMPORARY_PREFIX}{}-{number}", std::process::id());
        match make_dir_at(dir, &name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|()| name),
        }
    }
}

/// Removes a directory with all that is in it, never through a link; a name that is already gone is fine.
pub(crate) fn remove_tree_at(dir: impl AsFd, name: &str) -> io::Result<()> {
    fault::point("remove_tree")?;
    let name = std::ffi::CString::new(name)?;
    remove_below(dir.as_fd(), &name)
}

fn remove_below(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let below = match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(below) => below,
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let entries = rustix::fs::Dir::read_from(&below)?.collect::<Result<Vec<_>, _>>()?;
    for entry in entries {
        let child = entry.file_name();
        if matches!(child.to_bytes(), b"." | b"..") {
            continue;
        }
        match rustix::fs::unlinkat(&below, child, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            // EISDIR says Linux, EPERM POSIX.
            Err(rustix::io::Errno::ISDIR | rustix::io::Errno::PERM) => remove_below(below.as_fd(), child)?,
            Err(error) => return Err(error.into()),
        }
    }
    match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Creates a private file that must not exist, for appending.
pub(crate) fn create_at(dir: impl AsFd, name: &str) -> io::Result<File> {
    fault::point("create")?;
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// Opens an existing regular file for reading and appending.
pub(crate) fn open_append_at(dir: impl AsFd, name: &str) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    regular(rustix::fs::openat(dir, name, flags, Mode::empty())?.into())
}

/// Opens an existing regular file for reading; anything that is not one is refused without blocking on it.
pub(crate) fn open_read_at(dir: impl AsFd, name: &str) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    regular(rustix::fs::openat(dir, name, flags, Mode::empty())?.into())
}

fn regular(file: File) -> io::Result<File> {
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}

/// Reads a whole regular file.
pub(crate) fn read_at(dir: impl AsFd, name: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_read_at(dir, name)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a whole regular file; `None` when there is none.
pub(crate) fn read_if_present_at(dir: impl AsFd, name: &str) -> io::Result<Option<Vec<u8>>> {
    match read_at(dir, name) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the names in a directory, sorted by bytes, without `.` and `..`; invalid UTF-8 is replaced, so such a
/// name fits none of ours.
pub(crate) fn names(dir: impl AsFd) -> io::Result<Vec<String>> {
    Ok(entries(dir)?.into_iter().map(|(name, _)| name).collect())
}

/// Returns names and types in a directory, sorted by name.
pub(crate) fn entries(dir: impl AsFd) -> io::Result<Vec<(String, FileType)>> {
    let dir = dir.as_fd();
    let mut found = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                FileType::from_raw_mode(rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
            }
            known => known,
        };
        found.push((name.to_string_lossy().into_owned(), kind));
    }
    found.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    Ok(found)
}

/// True when a directory entry of any kind has this name.
pub(crate) fn exists_at(dir: impl AsFd, name: &str) -> io::Result<bool> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Writes all bytes, or fails.
pub(crate) fn write_all(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    fault::write(file, bytes)?;
    file.write_all(bytes)
}

/// Makes a file's bytes and length durable.
pub(crate) fn sync_file(file: &File) -> io::Result<()> {
    fault::point("fsync")?;
    Ok(rustix::fs::fdatasync(file)?)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: impl AsFd) -> io::Result<()> {
    fault::point("fsync_dir")?;
    Ok(rustix::fs::fsync(dir)?)
}

/// Shortens a file.
pub(crate) fn truncate(file: &File, len: u64) -> io::Result<()> {
    fault::point("truncate")?;
    Ok(rustix::fs::ftruncate(file, len)?)
}

/// Renames within a directory; an existing target is refused, never replaced.
pub(crate) fn rename_new(dir: impl AsFd, from: &str, to: &str) -> io::Result<()> {
    rename_new_across(dir.as_fd(), from, dir.as_fd(), to)
}

/// Renames from one directory to another; an existing target is refused, never replaced.
pub(crate) fn rename_new_across(from_dir: impl AsFd, from: &str, to_dir: impl AsFd, to: &str) -> io::Result<()> {
    fault::point("rename")?;
    let (from_dir, to_dir) = (from_dir.as_fd(), to_dir.as_fd());
    match rustix::fs::renameat_with(from_dir, from, to_dir, to, RenameFlags::NOREPLACE) {
        // File systems without RENAME_NOREPLACE (NFS): a hard link refuses an existing target as well.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            rustix::fs::linkat(from_dir, from, to_dir, to, AtFlags::empty())?;
            rustix::fs::unlinkat(from_dir, from, AtFlags::empty())?;
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Renames within a directory and replaces the target. Never used on evidence, only on keys and open streams.
pub(crate) fn replace(dir: impl AsFd, from: &str, to: &str) -> io::Result<()> {
    fault::point("replace")?;
    let dir = dir.as_fd();
    Ok(rustix::fs::renameat(dir, from, dir, to)?)
}

/// Removes a name; a name that is already gone is fine.
pub(crate) fn remove_at(dir: impl AsFd, name: &str) -> io::Result<()> {
    fault::point("unlink")?;
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Returns whether a temporary name is one of a process that is gone. One whose number another process has by now stays.
pub(crate) fn is_of_the_dead(name: &str) -> bool {
    let number = name
        .strip_prefix(TEMPORARY_PREFIX)
        .and_then(|rest| rest.split('-').next());
    let pid = number
        .and_then(|number| number.parse().ok())
        .and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

/// Removes a directory that holds nothing.
pub(crate) fn remove_empty_dir_at(dir: impl AsFd, name: &str) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}

/// Writes bytes durably under a temporary name and returns that name. On failure nothing is left.
pub(crate) fn write_temporary(dir: impl AsFd, bytes: &[u8]) -> io::Result<String> {
    let dir = dir.as_fd();
    let (name, file) = create_temporary(dir)?;
    let written = write_all(&file, bytes).and_then(|()| sync_file(&file));
    if let Err(error) = written {
        drop(file);
        // The write's error is the one to report; a name that stays is removed by recovery.
        remove_at(dir, &name).unwrap_or_default();
        return Err(error);
    }
    Ok(name)
}

/// Creates an empty file under a fresh temporary name.
pub(crate) fn create_temporary(dir: impl AsFd) -> io::Result<(String, File)> {
    let dir = dir.as_fd();
    loop {
        let number = NEXT_TEMPORARY.fetch_add(1, Ordering::Relaxed);
        let name = format!("{TEMPORARY_PREFIX}{}-{number}", std::process::id());
        match create_at(dir, &name) {
            // Left by a dead process with our id: the next number is free sooner or later.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return Ok((name, other?)),
        }
    }
}

/// Writes a new file: temporary name, write, fsync, rename without replacing, fsync of the directory.
pub(crate) fn write_new(dir: impl AsFd, name: &str, bytes: &[u8]) -> io::Result<()> {
    write_new_together(dir, &[(name, bytes)]).map_err(|(_, error)| error)
}

/// Writes several new files, as [`write_new`] does, with one fsync of the directory for all their names. A failure
/// names the file by its position, and leaves none of them: what is not durable is not there.
pub(crate) fn write_new_together(dir: impl AsFd, files: &[(&str, &[u8])]) -> Result<(), (usize, io::Error)> {
    let dir = dir.as_fd();
    debug_assert!(
        files.iter().all(|(name, _)| !name.contains('/')),
        "one directory handle per level"
    );
    let mut temporaries = Vec::with_capacity(files.len());
    let mut renamed = 0;
    let written = files.iter().enumerate().try_for_each(|(at, (_, bytes))| {
        temporaries.push(write_temporary(dir, bytes).map_err(|error| (at, error))?);
        Ok(())
    });
    let written = written.and_then(|()| {
        files
            .iter()
            .zip(&temporaries)
            .enumerate()
            .try_for_each(|(at, ((name, _), temporary))| {
                rename_new(dir, temporary, name).map_err(|error| (at, error))?;
                renamed = at + 1;
                Ok(())
            })
    });
    let written = written.and_then(|()| sync_dir(dir).map_err(|error| (renamed.saturating_sub(1), error)));
    if written.is_err() {
        let renamed_names = files[..renamed].iter().map(|(name, _)| *name);
        for name in renamed_names.chain(temporaries[renamed..].iter().map(String::as_str)) {
            remove_at(dir, name).unwrap_or_default();
        }
    }
    written
}

/// Writes a file that may exist: like [`write_new`], but replaces it atomically. Never used on evidence.
pub(crate) fn write_replacing(dir: impl AsFd, name: &str, bytes: &[u8]) -> io::Result<()> {
    debug_assert!(!name.contains('/'), "one directory handle per level");
    let dir = dir.as_fd();
    let temporary = write_temporary(dir, bytes)?;
    if let Err(error) = replace(dir, &temporary, name) {
        remove_at(dir, &temporary).unwrap_or_default();
        return Err(error);
    }
    sync_dir(dir)
}

#[cfg(not(test))]
pub(crate) mod fault {
    //! No faults outside tests.

    use std::fs::File;
    use std::io;

    #[expect(clippy::unnecessary_wraps, reason = "the test half fails")]
    pub(crate) fn point(_operation: &str) -> io::Result<()> {
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the test half fails")]
    pub(crate) fn write(_file: &File, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod fault;

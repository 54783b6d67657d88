//! Reading below a directory that others fill: no symbolic link is followed, no FIFO waited for, no size trusted.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use cto_schema::{EntryKind, EntryState, Sha256Digest};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use sha2::Digest as _;

const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);
/// Opens a directory for reading.
pub(crate) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW);
/// Opens a file without following a link or waiting for a FIFO's writer.
pub(crate) const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// Opens a directory by its path.
pub(crate) fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, DIRECTORY, Mode::empty())?)
}

/// Opens `path` below `root`; every part of it must be a plain entry.
pub(crate) fn open_beneath(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    for _ in 0..16 {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), BENEATH) {
            // The kernel cannot tell while something is renamed; it asks to be asked again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// Looks at `path` below `root`; `None` when nothing is there, also when its parent is no directory.
pub(crate) fn look(root: BorrowedFd<'_>, path: &[u8]) -> Result<Option<(OwnedFd, Stat)>, Errno> {
    match open_beneath(root, path, LOOK) {
        Ok(fd) => {
            let stat = rustix::fs::fstat(&fd)?;
            Ok(Some((fd, stat)))
        }
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Returns the kind of what was looked at.
pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Returns a size as the kernel gave it; it never gives a negative one.
pub(crate) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Reads the text of a link that was looked at.
pub(crate) fn link_text(link: &OwnedFd) -> Result<Vec<u8>, Errno> {
    Ok(rustix::fs::readlinkat(link, "", Vec::new())?.into_bytes())
}

/// Lists a directory, sorted by bytes.
pub(crate) fn names(directory: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Looks at an entry of an open directory.
pub(crate) fn stat_at(directory: &OwnedFd, name: &[u8]) -> Result<Stat, Errno> {
    rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Joins a directory's path and a name; the root's path is empty.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !directory.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// Returns the path of the directory that holds `path`; empty for the root's own entries.
pub(crate) fn parent(path: &[u8]) -> &[u8] {
    path.iter()
        .rposition(|&byte| byte == b'/')
        .map_or(b"", |slash| &path[..slash])
}

/// Reads a regular file below `root`, at most `cap` bytes; `None` when there is no regular file.
pub(crate) fn read_small(root: BorrowedFd<'_>, path: &[u8], cap: u64) -> io::Result<Option<Vec<u8>>> {
    let fd = match open_beneath(root, path, READ) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let stat = rustix::fs::fstat(&fd)?;
    if kind(&stat) != FileType::RegularFile {
        return Ok(None);
    }
    // Room for all of it and a byte more, so that one read takes the content and the next one sees the end.
    let expected = size(&stat).min(cap).min(1 << 20);
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0) + 1);
    File::from(fd).take(cap.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > cap {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {cap} bytes"),
        ));
    }
    Ok(Some(bytes))
}

/// Digests what a reader gives, and counts it.
pub(crate) fn digest_reader(mut reader: impl Read) -> io::Result<(Sha256Digest, u64)> {
    let mut hasher = sha2::Sha256::new();
    let mut chunk = vec![0; 64 << 10];
    let mut total = 0_u64;
    loop {
        let count = match reader.read(&mut chunk) {
            Ok(0) => return Ok((Sha256Digest::from_bytes(hasher.finalize().into()), total)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&chunk[..count]);
        total += count as u64;
    }
}

/// Returns the state of a file or link below a root that the harness keeps; `None` for anything else.
pub(crate) fn entry_state(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<Option<EntryState>> {
    let Some((fd, stat)) = look(root, path)? else {
        return Ok(None);
    };
    match kind(&stat) {
        FileType::Symlink => {
            let text = link_text(&fd)?;
            let digest = Sha256Digest::of(&text);
            Ok(Some(EntryState {
                kind: EntryKind::Symlink,
                digest,
                size_bytes: text.len() as u64,
            }))
        }
        FileType::RegularFile => {
            let (digest, size_bytes) = digest_reader(File::from(open_beneath(root, path, READ)?))?;
            Ok(Some(EntryState {
                kind: file_kind(stat.st_mode),
                digest,
                size_bytes,
            }))
        }
        _ => Ok(None),
    }
}

/// Returns git's view of a regular file's mode: only the owner's executable bit counts.
pub(crate) fn file_kind(mode: u32) -> EntryKind {
    if mode & 0o100 == 0 {
        EntryKind::File
    } else {
        EntryKind::Executable
    }
}

/// Lists every file and link below `path`, in no promised order; directories are only walked.
pub(crate) fn files_below(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut pending = vec![path.to_vec()];
    while let Some(directory) = pending.pop() {
        let fd = open_beneath(root, &directory, DIRECTORY)?;
        for name in names(&fd)? {
            let path = join(&directory, &name);
            if kind(&stat_at(&fd, &name)?) == FileType::Directory {
                pending.push(path);
            } else {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Gives a borrowed view of an open directory.
pub(crate) fn borrow(fd: &OwnedFd) -> BorrowedFd<'_> {
    fd.as_fd()
}

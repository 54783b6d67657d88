//! Whether the new files can be written at all: asked while the answer can still be a refusal.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use cto_schema::ApplyEntry;
use rustix::fs::{Access, AtFlags, OFlags};
use rustix::io::Errno;

use super::error::{At as _, Halt, Refusal};
use super::files::{Step, shown};
use crate::baseline::beneath;
use crate::source::SourceRepository;

/// What a block of a small file, directories and a new index take beside the contents.
const MARGIN: u64 = 1 << 20;
const BLOCK: u64 = 4096;

/// Checks that every directory of the change may be written in, and that its disk has room.
pub(super) fn check_room(target: &SourceRepository, steps: &[Step<'_>]) -> Result<(), Halt> {
    let parents: BTreeSet<&[u8]> = steps.iter().map(|step| beneath::parent(&step.path)).collect();
    for parent in parents {
        let (directory, path) = nearest(target, parent).at("open a directory of", target.path())?;
        match rustix::fs::accessat(&directory, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
            Ok(()) => {}
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
                let path = if path.is_empty() { b"." } else { path };
                return Err(Refusal::Path {
                    path: shown(path),
                    what: "is a directory that must not be written in",
                }
                .into());
            }
            Err(errno) => return Err(errno).at("ask for the rights on a directory of", target.path())?,
        }
    }
    let disk = rustix::fs::fstatvfs(target.directory()).at("ask for the room on the disk of", target.path())?;
    let sizes = steps.iter().filter_map(|step| step.to).map(size);
    let needed = sizes.fold(MARGIN, u64::saturating_add);
    // A file system that knows no blocks says nothing about room.
    if disk.f_blocks > 0 && disk.f_bavail.saturating_mul(disk.f_frsize) < needed {
        return Err(Refusal::Unsupported {
            what: "has no room for the new files on its disk",
        }
        .into());
    }
    Ok(())
}

fn size(entry: &ApplyEntry) -> u64 {
    entry.size_bytes.saturating_add(BLOCK)
}

/// Opens a directory, or the nearest above it that is there.
fn nearest<'a>(target: &SourceRepository, mut path: &'a [u8]) -> Result<(OwnedFd, &'a [u8]), Errno> {
    loop {
        match beneath::open_beneath(
            target.directory(),
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        ) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if !path.is_empty() => path = beneath::parent(path),
            other => return Ok((other?, path)),
        }
    }
}

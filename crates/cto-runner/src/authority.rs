//! Files that say what is allowed: nobody else may write them, they are judged by their descriptor, and read once.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use cto_schema::escape;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// What a symbolic link in the place of such a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// An error: what a record is called is a part of what it says.
    Refused,
    /// Another name, if it belongs to somebody who may decide.
    Followed,
}

/// A file whose word does not count.
#[derive(Debug, thiserror::Error)]
#[error("read {}: {reason}", escape(path.as_os_str().as_encoded_bytes(), 400))]
pub struct AuthorityError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: Distrust,
}

/// Why a file's word does not count, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    /// It cannot be opened or read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// It is a symbolic link, and must not be one.
    #[error("it is a symbolic link; name the file itself, or put a copy in the link's place")]
    Link,
    /// It is a directory, FIFO, socket or device.
    #[error("it is not a regular file")]
    NotAFile,
    /// It, or the link that leads to it, belongs to somebody else.
    #[error(
        "it belongs to uid {owner}, and only uid {user} and root may say what is allowed; look at it, then run chown {user} on it"
    )]
    Owner {
        /// Whom it belongs to.
        owner: u32,
        /// Whom it may belong to besides root.
        user: u32,
    },
    /// Others may change it.
    #[error("others than its owner may write it (mode {mode:03o}); look at it, then run chmod go-w on it")]
    Writable {
        /// Its permission bits.
        mode: u32,
    },
    /// It is larger than anything of its kind.
    #[error("it has more than {cap} bytes")]
    TooLarge {
        /// The limit in bytes.
        cap: u64,
    },
}

/// Reads a file that says what is allowed; the bytes are what counts, and the file is not asked again.
pub fn read_authority(path: &Path, links: Links, cap: u64) -> Result<Vec<u8>, AuthorityError> {
    read(path, links, cap).map_err(|reason| AuthorityError {
        path: path.to_owned(),
        reason,
    })
}

fn read(path: &Path, links: Links, cap: u64) -> Result<Vec<u8>, Distrust> {
    let file = open(path, links)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Distrust::NotAFile);
    }
    check_owner(&metadata)?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o022 != 0 {
        return Err(Distrust::Writable { mode });
    }
    let mut bytes = Vec::new();
    file.take(cap.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > cap {
        return Err(Distrust::TooLarge { cap });
    }
    Ok(bytes)
}

/// Opens without waiting for a FIFO's writer.
fn open(path: &Path, links: Links) -> Result<File, Distrust> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(fd) => return Ok(fd.into()),
        // A socket cannot be opened at all.
        Err(Errno::NXIO) => return Err(Distrust::NotAFile),
        Err(Errno::LOOP) => {}
        Err(errno) => return Err(Distrust::Unreadable(errno.into())),
    }
    if links == Links::Refused {
        return Err(Distrust::Link);
    }
    check_owner(&path.symlink_metadata()?)?;
    Ok(rustix::fs::open(path, flags, Mode::empty())
        .map_err(io::Error::from)?
        .into())
}

fn check_owner(metadata: &std::fs::Metadata) -> Result<(), Distrust> {
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner == user || owner == 0 {
        Ok(())
    } else {
        Err(Distrust::Owner { owner, user })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::baseline::sample::write;
    use crate::lacks::lacks;

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_a_file_that_nobody_else_may_write_is_read() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("record");
        write(&path, "word");
        let read_it = || read(&path, Links::Refused, 4);
        for mode in [0o600, 0o644, 0o444, 0o755] {
            chmod(&path, mode);
            assert_eq!(read_it().unwrap(), b"word");
        }
        for mode in [0o664, 0o646, 0o666, 0o620] {
            chmod(&path, mode);
            assert!(matches!(read_it(), Err(Distrust::Writable { mode: seen }) if seen == mode));
        }
        chmod(&path, 0o600);
        assert!(matches!(
            read(&path, Links::Refused, 3),
            Err(Distrust::TooLarge { cap: 3 })
        ));
    }

    #[test]
    fn a_link_is_another_name_or_an_error_and_its_target_is_judged() {
        let place = tempfile::tempdir().unwrap();
        let (path, link) = (place.path().join("record"), place.path().join("link"));
        write(&path, "word");
        chmod(&path, 0o600);
        symlink("record", &link).unwrap();
        assert!(matches!(read(&link, Links::Refused, 9), Err(Distrust::Link)));
        assert_eq!(read(&link, Links::Followed, 9).unwrap(), b"word");
        chmod(&path, 0o622);
        assert!(matches!(
            read(&link, Links::Followed, 9),
            Err(Distrust::Writable { .. })
        ));
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting() {
        let place = tempfile::tempdir().unwrap();
        let fifo = place.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let socket = place.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [&fifo, &socket, place.path()] {
            let found = read(path, Links::Followed, 9);
            assert!(
                matches!(found, Err(Distrust::NotAFile)),
                "{}: {found:?}",
                path.display()
            );
        }
        let missing = read(&place.path().join("missing"), Links::Followed, 9);
        assert!(matches!(missing, Err(Distrust::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound));
    }

    #[test]
    fn what_belongs_to_somebody_else_is_refused_and_so_is_a_link_of_his() {
        if lacks("root", rustix::process::geteuid().is_root()) {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let (path, link) = (place.path().join("record"), place.path().join("link"));
        write(&path, "word");
        symlink("record", &link).unwrap();
        let foreign = |path: &Path| {
            let found = read(path, Links::Followed, 9);
            matches!(found, Err(Distrust::Owner { owner: 65534, user: 0 }))
        };
        std::os::unix::fs::lchown(&link, Some(65534), None).unwrap();
        assert!(foreign(&link) && !foreign(&path));
        std::os::unix::fs::lchown(&link, Some(0), None).unwrap();
        std::os::unix::fs::lchown(&path, Some(65534), None).unwrap();
        assert!(foreign(&link) && foreign(&path));
    }
}

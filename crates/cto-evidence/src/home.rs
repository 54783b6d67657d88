//! `$CTO_HOME`: the private directory that holds runs, live markers, keys, the ledger and caches.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, Stat, StatVfsMountFlags};

use crate::durable;

/// Directories of a home, in the order of [`Home::open`]'s handles.
const DIRECTORIES: [&str; 11] = [
    "runs",
    "live",
    "keys",
    "baselines",
    "layers",
    "cache",
    "work",
    "approvals",
    "applies",
    "disposable",
    "imported",
];

/// Name of the file that tells this installation from every other.
const INSTALLATION: &str = "installation-id";

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// A directory of the home could not be made or opened.
    #[error("open '{path}'; check that it is a directory of yours, or set CTO_HOME to another one")]
    Open {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A directory of the home is a symlink.
    #[error("use '{path}': it is a symbolic link; set CTO_HOME to the directory itself")]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// A directory of the home belongs to another user.
    #[error("use '{path}': it belongs to user {owner}, not to {user}; set CTO_HOME to a directory of your own")]
    Owner {
        /// The directory.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// Our user id.
        user: u32,
    },
    /// Others may write in a directory of the home.
    #[error("use '{path}': others may write there (mode {mode:o}); run `chmod go-w '{path}'`")]
    Writable {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The home lies on a read-only file system.
    #[error("use '{path}': its file system is read-only; set CTO_HOME to a directory that can be written")]
    ReadOnly {
        /// The directory.
        path: PathBuf,
    },
}

/// An opened home. Its directories exist, belong to this user, and nobody else may write in them.
#[derive(Debug)]
pub struct Home {
    root: PathBuf,
    root_dir: OwnedFd,
    dirs: [OwnedFd; DIRECTORIES.len()],
}

impl Home {
    /// Opens a home and makes what is missing, with mode 0700.
    ///
    /// The parents of `root` may contain symlinks; `root` and what is below it may not.
    pub fn open(root: &Path) -> Result<Self, HomeError> {
        let root = settle(root)?;
        let root_dir = open_root(&root)?;
        let mut opened = Vec::with_capacity(DIRECTORIES.len());
        for name in DIRECTORIES {
            opened.push(open_below(&root_dir, name, &root.join(name))?);
        }
        let dirs = opened.try_into().map_err(|_| HomeError::Open {
            path: root.clone(),
            source: io::Error::other("a directory is missing"),
        })?;
        Ok(Self { root, root_dir, dirs })
    }

    /// Returns the home's path, without symlinks.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the directory that holds one directory per run.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Returns the directory of one run; it need not exist.
    pub fn run(&self, run_id: &cto_schema::RunId) -> PathBuf {
        self.runs().join(run_id.as_str())
    }

    /// Returns the directory of live markers.
    pub fn live(&self) -> PathBuf {
        self.root.join("live")
    }

    /// Returns the directory of keys.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// Returns the directory of prepared baselines.
    pub fn baselines(&self) -> PathBuf {
        self.root.join("baselines")
    }

    /// Returns the directory of dependency layers.
    pub fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    /// Returns the directory of things that can be made again.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Returns the directory of workspaces of live runs.
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Returns the directory of approvals: one directory per packet.
    pub fn approvals(&self) -> PathBuf {
        self.root.join("approvals")
    }

    /// Returns the directory of changes to target repositories that were begun: one directory per run.
    pub fn applies(&self) -> PathBuf {
        self.root.join("applies")
    }

    /// Returns the directory of disposable repositories: one directory per run.
    pub fn disposable(&self) -> PathBuf {
        self.root.join("disposable")
    }

    /// Returns the directory of runs that other installations made: one directory per run.
    pub fn imported(&self) -> PathBuf {
        self.root.join("imported")
    }

    /// Returns the directory of one sealed document; it need not exist.
    pub fn document(&self, kind: cto_schema::DocumentKind, id: &cto_schema::RunId) -> PathBuf {
        self.root.join(kind.directory()).join(id.as_str())
    }

    /// Opens the directory of sealed documents of one kind, which is made when the first is sealed.
    pub(crate) fn kind_dir(&self, kind: cto_schema::DocumentKind) -> Result<OwnedFd, HomeError> {
        let name = kind.directory();
        open_below(&self.root_dir, name, &self.root.join(name))
    }

    /// Returns what tells this installation from every other: 128 random bits, drawn once, hexadecimal.
    pub fn installation_id(&self) -> io::Result<String> {
        if let Some(id) = self.read_installation_id()? {
            return Ok(id);
        }
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(io::Error::other)?;
        let text = format!("{}\n", data_encoding::HEXLOWER.encode(&bits));
        match durable::write_new(self.root_dir(), INSTALLATION, text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            // Processes that race agree on the file that was first.
            Ok(()) | Err(_) => {}
        }
        let read = self.read_installation_id()?;
        read.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the installation id is gone"))
    }

    fn read_installation_id(&self) -> io::Result<Option<String>> {
        let Some(bytes) = durable::read_if_present_at(self.root_dir(), INSTALLATION)? else {
            return Ok(None);
        };
        let id = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if id.len() == 32 && id.bytes().all(plain) {
            return Ok(Some(id));
        }
        let what = "installation-id is not 32 hexadecimal digits; restore it from a backup";
        Err(io::Error::new(io::ErrorKind::InvalidData, what))
    }

    /// Returns the ledger's file; it need not exist.
    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger.sqlite")
    }

    pub(crate) fn root_dir(&self) -> BorrowedFd<'_> {
        self.root_dir.as_fd()
    }

    pub(crate) fn runs_dir(&self) -> BorrowedFd<'_> {
        self.dirs[0].as_fd()
    }

    pub(crate) fn live_dir(&self) -> BorrowedFd<'_> {
        self.dirs[1].as_fd()
    }

    pub(crate) fn keys_dir(&self) -> BorrowedFd<'_> {
        self.dirs[2].as_fd()
    }

    pub(crate) fn approvals_dir(&self) -> BorrowedFd<'_> {
        self.dirs[7].as_fd()
    }

    pub(crate) fn imported_dir(&self) -> BorrowedFd<'_> {
        self.dirs[10].as_fd()
    }

    pub(crate) fn applies_dir(&self) -> BorrowedFd<'_> {
        self.dirs[8].as_fd()
    }
}

/// Returns the root with its parents' symlinks resolved, after making the parents.
fn settle(root: &Path) -> Result<PathBuf, HomeError> {
    let fail = |source| HomeError::Open {
        path: root.to_owned(),
        source,
    };
    let absolute = std::path::absolute(root).map_err(fail)?;
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(fail(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not the name of a directory",
        )));
    };
    if name == OsStr::new("..") {
        return Err(fail(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not the name of a directory",
        )));
    }
    let settled = match parent.canonicalize() {
        Ok(settled) => settled,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(parent)
                .map_err(|source| read_only_or(parent, source))?;
            parent.canonicalize().map_err(fail)?
        }
        Err(error) => return Err(fail(error)),
    };
    Ok(settled.join(name))
}

fn open_root(root: &Path) -> Result<OwnedFd, HomeError> {
    match rustix::fs::mkdir(root, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(read_only_or(root, error.into())),
    }
    let dir = durable::open_dir(root).map_err(|source| explain(root, source))?;
    check(&dir, root)?;
    let statvfs = rustix::fs::fstatvfs(&dir).map_err(|source| HomeError::Open {
        path: root.to_owned(),
        source: source.into(),
    })?;
    if statvfs.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(HomeError::ReadOnly { path: root.to_owned() });
    }
    Ok(dir)
}

fn open_below(root_dir: &OwnedFd, name: &str, path: &Path) -> Result<OwnedFd, HomeError> {
    let dir = match durable::open_dir_at(root_dir, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match rustix::fs::mkdirat(root_dir, name, Mode::RWXU) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(read_only_or(path, error.into())),
            }
            durable::open_dir_at(root_dir, name)
        }
        other => other,
    };
    let dir = dir.map_err(|source| explain(path, source))?;
    check(&dir, path)?;
    Ok(dir)
}

fn check(dir: &OwnedFd, path: &Path) -> Result<(), HomeError> {
    let stat: Stat = rustix::fs::fstat(dir).map_err(|source| HomeError::Open {
        path: path.to_owned(),
        source: source.into(),
    })?;
    let user = rustix::process::geteuid().as_raw();
    if stat.st_uid != user {
        return Err(HomeError::Owner {
            path: path.to_owned(),
            owner: stat.st_uid,
            user,
        });
    }
    let mode = stat.st_mode & 0o7777;
    if mode & 0o022 != 0 {
        return Err(HomeError::Writable {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

fn read_only_or(path: &Path, source: io::Error) -> HomeError {
    if source.kind() == io::ErrorKind::ReadOnlyFilesystem {
        return HomeError::ReadOnly { path: path.to_owned() };
    }
    HomeError::Open {
        path: path.to_owned(),
        source,
    }
}

fn explain(path: &Path, source: io::Error) -> HomeError {
    // O_NOFOLLOW|O_DIRECTORY on a link says ELOOP or ENOTDIR, depending on the file system.
    if path.is_symlink() {
        return HomeError::Symlink { path: path.to_owned() };
    }
    HomeError::Open {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn makes_a_private_tree_and_opens_it_again() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("deep/home");
        Home::open(&root).unwrap();
        let home = Home::open(&root).unwrap();
        for dir in DIRECTORIES {
            let mode = home.root().join(dir).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o700, "{dir}");
        }
    }

    #[test]
    fn refuses_links_and_directories_that_others_may_write() {
        let place = tempfile::tempdir().unwrap();
        let real = place.path().join("real");
        let home = Home::open(&real).unwrap();
        let link = place.path().join("link");
        symlink(&real, &link).unwrap();
        assert!(matches!(Home::open(&link), Err(HomeError::Symlink { .. })));

        std::fs::set_permissions(home.live(), std::fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(
            Home::open(&real),
            Err(HomeError::Writable { mode: 0o770, .. })
        ));
        std::fs::set_permissions(home.live(), std::fs::Permissions::from_mode(0o700)).unwrap();

        std::fs::remove_dir(home.work()).unwrap();
        symlink("/tmp", home.work()).unwrap();
        assert!(matches!(Home::open(&real), Err(HomeError::Symlink { .. })));
    }

    #[test]
    fn refuses_a_directory_of_another_user() {
        // Only root can give a directory away; a system directory stands in for it elsewhere.
        let place = tempfile::tempdir().unwrap();
        let mut foreign = PathBuf::from("/usr/lib");
        if rustix::process::geteuid().is_root() {
            foreign = place.path().join("home");
            Home::open(&foreign).unwrap();
            std::os::unix::fs::chown(&foreign, Some(65534), None).unwrap();
        }
        assert!(matches!(Home::open(&foreign), Err(HomeError::Owner { .. })));
    }

    #[test]
    fn an_installation_keeps_its_id_and_a_damaged_one_is_no_new_one() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(&place.path().join("home")).unwrap();
        let id = home.installation_id().unwrap();
        assert_eq!(home.installation_id().unwrap(), id);
        let other = Home::open(&place.path().join("other")).unwrap();
        assert_ne!(other.installation_id().unwrap(), id);
        for damaged in ["", "0", &id.to_uppercase().replace(char::is_numeric, "A")] {
            durable::write_replacing(home.root_dir(), INSTALLATION, damaged.as_bytes()).unwrap();
            assert!(home.installation_id().is_err(), "{damaged}");
        }
    }

    #[test]
    fn refuses_a_file_in_the_place_of_a_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(Home::open(file.path()), Err(HomeError::Open { .. })));
    }
}

//! Writing a tree's raw blobs to disk, through directory descriptors, with a manifest of what was written.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use cto_schema::{PathText, Sha256Digest, escape};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use sha2::Digest as _;

use super::beneath;
use super::error::{At as _, BaselineError};
use super::manifest::Manifest;
use super::store::TreeMeta;
use crate::tool::{Git, GitCall, Input};

/// Every file's modification time: older than any index, so that no entry is ever racily clean.
const WRITTEN_AT: Timespec = Timespec {
    tv_sec: 1_000_000_000,
    tv_nsec: 0,
};
/// The longest text of a link that the kernel takes.
const LINK_CAP: u64 = 4095;
/// How much of a tree's listing is taken: about ten million entries.
const LISTING_CAP: u64 = 1 << 30;

/// One tree to be written.
pub(super) struct Job<'a> {
    pub(super) git: &'a Git,
    pub(super) git_dir: &'a Path,
    pub(super) commit: &'a str,
    pub(super) tree: &'a str,
    pub(super) owner: Option<(u32, u32)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    File,
    Executable,
    Symlink,
    Gitlink,
}

impl Type {
    fn mode(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
            Self::Gitlink => "160000",
        }
    }
}

struct Entry<'a> {
    kind: Type,
    id: &'a str,
    path: &'a [u8],
}

impl Job<'_> {
    /// Writes `files/` and `manifest` in `work`.
    pub(super) fn build(&self, work: &Path, allow_gitlinks: bool) -> Result<TreeMeta, BaselineError> {
        let files = work.join("files");
        std::fs::DirBuilder::new().mode(0o755).create(&files).at(&files)?;
        let listing = GitCall::new("ls-tree").args(["-r", "-z", "--full-tree", self.tree]);
        let listing = self.git.run(listing.git_dir(self.git_dir).cap(LISTING_CAP))?;
        let entries = self.entries(&listing)?;
        let links: Vec<String> = entries
            .iter()
            .filter(|e| e.kind == Type::Gitlink)
            .map(|e| escape(e.path, 4096))
            .collect();
        if let (Some(path), false) = (links.first(), allow_gitlinks) {
            return Err(BaselineError::Gitlink {
                commit: self.commit.to_owned(),
                path: path.clone(),
            });
        }
        let wanted: String = entries
            .iter()
            .filter(|e| e.kind != Type::Gitlink)
            .map(|e| format!("{}\n", e.id))
            .collect();
        let blobs = GitCall::new("cat-file")
            .args(["--batch", "--buffer"])
            .git_dir(self.git_dir);
        let mut blobs = BufReader::with_capacity(
            256 << 10,
            self.git.start(blobs.input(Input::Bytes(wanted.into_bytes())))?,
        );
        let manifest_path = work.join("manifest");
        let mut writer = Writer::new(&files, self.owner).at(&files)?;
        let mut manifest = Manifest::create(&manifest_path).at(&manifest_path)?;
        for entry in &entries {
            let written = self.write(&mut writer, entry, &mut blobs);
            let (digest, size) = match written {
                Ok(written) => written,
                Err(Failure::Reading(source)) => {
                    return Err(blobs.into_inner().explain(source).into());
                }
                Err(Failure::Other(error)) => return Err(error),
            };
            manifest
                .add(entry.kind.mode(), digest, size, entry.path)
                .at(&manifest_path)?;
        }
        blobs.into_inner().finish()?;
        writer.finish().at(&files)?;
        let (manifest_digest, bytes) = manifest.finish().at(&manifest_path)?;
        Ok(TreeMeta {
            tree: self.tree.to_owned(),
            entry_count: entries.len() as u64,
            bytes,
            manifest_digest,
            has_ignore_rules: entries
                .iter()
                .any(|e| e.path == b".gitignore" || e.path.ends_with(b"/.gitignore")),
            gitlinks: links,
            symlinks: Some(
                entries
                    .iter()
                    .filter(|e| e.kind == Type::Symlink)
                    .map(|e| PathText::new(e.path))
                    .collect(),
            ),
        })
    }

    fn entries<'l>(&self, listing: &'l [u8]) -> Result<Vec<Entry<'l>>, BaselineError> {
        let mut entries = Vec::new();
        for line in listing.split(|&byte| byte == 0).filter(|line| !line.is_empty()) {
            let entry = parse_line(line).ok_or_else(|| BaselineError::Answer {
                command: "ls-tree",
                commit: self.commit.to_owned(),
                what: format!("unknown entry \"{}\"", escape(line, 200)),
            })?;
            if let Some(what) = unsafe_name(entry.path) {
                return Err(self.refuse(entry.path, what));
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn write(
        &self,
        writer: &mut Writer,
        entry: &Entry<'_>,
        blobs: &mut impl BufRead,
    ) -> Result<(Sha256Digest, u64), Failure> {
        let name = beneath::parent(entry.path).len();
        let name = if name == 0 { entry.path } else { &entry.path[name + 1..] };
        let place = |result: io::Result<()>| result.map_err(|error| Failure::Other(self.placing(entry.path, error)));
        place(writer.enter(beneath::parent(entry.path)))?;
        if entry.kind == Type::Gitlink {
            place(writer.directory(name))?;
            return Ok((Sha256Digest::of(b""), 0));
        }
        let size = read_header(blobs, entry.id).map_err(Failure::Reading)?;
        let content = blobs.take(size);
        let digest = if entry.kind == Type::Symlink {
            if size == 0 || size > LINK_CAP {
                let what = "it is a symbolic link with an empty or over-long text; fix it in the target";
                return Err(Failure::Other(self.refuse(entry.path, what)));
            }
            let mut text = Vec::new();
            let mut content = content;
            content.read_to_end(&mut text).map_err(Failure::Reading)?;
            if text.contains(&0) {
                let what = "it is a symbolic link with a NUL in its text; fix it in the target";
                return Err(Failure::Other(self.refuse(entry.path, what)));
            }
            place(writer.symlink(name, &text))?;
            Sha256Digest::of(&text)
        } else {
            let mode = if entry.kind == Type::Executable { 0o755 } else { 0o644 };
            let file = match writer.file(name) {
                Ok(file) => file,
                Err(error) => return Err(Failure::Other(self.placing(entry.path, error))),
            };
            let digest = copy(content, &file)?;
            place(writer.settle(&file, mode))?;
            digest
        };
        let mut end = [0];
        blobs.read_exact(&mut end).map_err(Failure::Reading)?;
        Ok((digest, size))
    }

    fn refuse(&self, path: &[u8], what: &'static str) -> BaselineError {
        BaselineError::UnsafeTree {
            commit: self.commit.to_owned(),
            path: escape(path, 1000),
            what,
        }
    }

    /// What exists already was in the tree twice; everything else is the disk's fault.
    fn placing(&self, path: &[u8], error: io::Error) -> BaselineError {
        match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                self.refuse(path, "the tree names it twice; run `git fsck` in the target")
            }
            _ => BaselineError::Io {
                path: escape(path, 1000).into(),
                source: error,
            },
        }
    }
}

/// Reading git failed, or something that has its own words did.
enum Failure {
    Reading(io::Error),
    Other(BaselineError),
}

fn parse_line(line: &[u8]) -> Option<Entry<'_>> {
    let tab = line.iter().position(|&byte| byte == b'\t')?;
    let (head, path) = (std::str::from_utf8(&line[..tab]).ok()?, &line[tab + 1..]);
    let mut words = head.split(' ');
    let (mode, object, id) = (words.next()?, words.next()?, words.next()?);
    let kind = match (mode, object) {
        ("100755", "blob") => Type::Executable,
        ("120000", "blob") => Type::Symlink,
        ("160000", "commit") => Type::Gitlink,
        // Old trees hold other permission bits; git has always read them as these two.
        (mode, "blob") if mode.starts_with("100") => {
            let owner = u32::from_str_radix(&mode[3..], 8).ok()?;
            if owner & 0o100 == 0 {
                Type::File
            } else {
                Type::Executable
            }
        }
        _ => return None,
    };
    Some(Entry { kind, id, path })
}

fn unsafe_name(path: &[u8]) -> Option<&'static str> {
    path.split(|&byte| byte == b'/').find_map(|part| {
        if part.is_empty() || part == b"." || part == b".." {
            Some("a part of the path is empty, `.` or `..`; no git that is sound writes this")
        } else if part.eq_ignore_ascii_case(b".git") {
            Some("a part of the path is `.git`; remove it from the target's history")
        } else if part.len() > 255 {
            Some("a part of the path is longer than 255 bytes; rename it in the target")
        } else {
            None
        }
    })
}

/// Reads `<id> blob <size>` of `cat-file --batch`.
fn read_header(blobs: &mut impl BufRead, id: &str) -> io::Result<u64> {
    let mut line = Vec::new();
    blobs.take(256).read_until(b'\n', &mut line)?;
    let text = String::from_utf8_lossy(&line);
    let size = text
        .trim_end()
        .strip_prefix(id)
        .and_then(|rest| rest.strip_prefix(" blob "))
        .map(str::parse);
    match size {
        Some(Ok(size)) => Ok(size),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("no blob {id}: \"{}\"", escape(&line, 200)),
        )),
    }
}

fn copy(mut content: impl Read, mut file: &File) -> Result<Sha256Digest, Failure> {
    let mut hasher = sha2::Sha256::new();
    let mut chunk = [0; 32 << 10];
    loop {
        let count = content.read(&mut chunk).map_err(Failure::Reading)?;
        if count == 0 {
            return Ok(Sha256Digest::from_bytes(hasher.finalize().into()));
        }
        hasher.update(&chunk[..count]);
        let written = file.write_all(&chunk[..count]);
        written.map_err(|source| {
            Failure::Other(BaselineError::Io {
                path: "files".into(),
                source,
            })
        })?;
    }
}

/// Writes entries in the order of a listing and keeps the directories on the way open.
struct Writer {
    /// The directories from the root to where we are, with the length of their paths.
    open: Vec<(usize, OwnedFd)>,
    at: Vec<u8>,
    owner: Option<(u32, u32)>,
}

impl Writer {
    fn new(root: &Path, owner: Option<(u32, u32)>) -> io::Result<Self> {
        let root = beneath::open_directory(root)?;
        rustix::fs::fchmod(&root, Mode::from_raw_mode(0o755))?;
        Ok(Self {
            open: vec![(0, root)],
            at: Vec::new(),
            owner,
        })
    }

    /// Goes to a directory, and makes what is missing of it.
    fn enter(&mut self, directory: &[u8]) -> io::Result<()> {
        let within =
            |at: &[u8]| at.is_empty() || directory == at || (directory.starts_with(at) && directory[at.len()] == b'/');
        while !within(&self.at) {
            self.open.pop();
            self.at.truncate(self.open.last().map_or(0, |(length, _)| *length));
        }
        let rest = directory[self.at.len()..]
            .split(|&byte| byte == b'/')
            .filter(|part| !part.is_empty());
        for part in rest {
            self.directory(part)?;
            let next = rustix::fs::openat(self.here()?, part, beneath::DIRECTORY, Mode::empty())?;
            self.at = beneath::join(&self.at, part);
            self.open.push((self.at.len(), next));
        }
        Ok(())
    }

    fn here(&self) -> io::Result<&OwnedFd> {
        self.open
            .last()
            .map(|(_, fd)| fd)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn directory(&self, name: &[u8]) -> io::Result<()> {
        match rustix::fs::mkdirat(self.here()?, name, Mode::from_raw_mode(0o755)) {
            // The listing is not sorted the way a walk goes: `a.b` comes between `a` and `a/`.
            Err(rustix::io::Errno::EXIST) => return Ok(()),
            other => other?,
        }
        rustix::fs::chmodat(self.here()?, name, Mode::from_raw_mode(0o755), AtFlags::empty())?;
        self.give(name)
    }

    fn symlink(&self, name: &[u8], text: &[u8]) -> io::Result<()> {
        rustix::fs::symlinkat(text, self.here()?, name)?;
        let times = Timestamps {
            last_access: WRITTEN_AT,
            last_modification: WRITTEN_AT,
        };
        rustix::fs::utimensat(self.here()?, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        self.give(name)
    }

    fn file(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(
            self.here()?,
            name,
            flags,
            Mode::from_raw_mode(0o600),
        )?))
    }

    fn settle(&self, file: &File, mode: u32) -> io::Result<()> {
        if let Some((uid, gid)) = self.owner {
            rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
        rustix::fs::futimens(
            file,
            &Timestamps {
                last_access: WRITTEN_AT,
                last_modification: WRITTEN_AT,
            },
        )?;
        Ok(())
    }

    fn give(&self, name: &[u8]) -> io::Result<()> {
        if let Some((uid, gid)) = self.owner {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::chownat(self.here()?, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    /// Gives the root away last: until then it is nobody else's business.
    fn finish(self) -> io::Result<()> {
        if let (Some((uid, gid)), Some((_, root))) = (self.owner, self.open.first()) {
            rustix::fs::fchown(root, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        Ok(())
    }
}

//! The tree of a workspace: walked by descriptors, without following a link, within limits.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use cto_schema::{RuleId, TreeLimits, WorkspaceFinding, escape};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::redact::Redactor;

/// Why a workspace cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[error("open the workspace {}; is it there, a directory, and readable?", escape(path.as_os_str().as_encoded_bytes(), 400))]
pub struct TreeError {
    /// The directory.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

/// A workspace, walked once.
#[derive(Debug)]
pub struct WorkspaceTree {
    root: OwnedFd,
    path: PathBuf,
    limits: TreeLimits,
    /// Every regular file that is to be read, relative, sorted.
    pub files: Vec<String>,
    /// Every path that exists: files, directories and what is not read.
    pub paths: BTreeSet<String>,
    /// Directories and archives with the form of an evidence bundle; they are not looked into.
    pub bundles: Vec<String>,
    /// What is wrong with the tree itself.
    pub findings: Vec<WorkspaceFinding>,
}

/// A file's bytes, and where the rules of the redactor hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceFile {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Lines with a secret, from 1, each with the rule that hit; line 0 where it spans lines.
    pub secrets: Vec<(u32, String)>,
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

struct Walk<'a> {
    tree: WorkspaceTree,
    ignores: &'a dyn Fn(&str) -> bool,
    bytes: u64,
    full: bool,
}

impl WorkspaceTree {
    /// Walks a workspace. Only its own path may be or hold a link.
    pub fn walk(path: &Path, limits: TreeLimits, ignores: &dyn Fn(&str) -> bool) -> Result<Self, TreeError> {
        let failed = |source| TreeError {
            path: path.to_owned(),
            source,
        };
        let real = std::fs::canonicalize(path).map_err(failed)?;
        let root = rustix::fs::open(&real, DIRECTORY, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let top = rustix::fs::openat(&root, ".", DIRECTORY, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let mut walk = Walk {
            tree: Self {
                root,
                path: real,
                limits,
                files: vec![],
                paths: BTreeSet::new(),
                bundles: vec![],
                findings: vec![],
            },
            ignores,
            bytes: 0,
            full: false,
        };
        walk.directory(&top, "", 0);
        walk.tree.files.sort();
        Ok(walk.tree)
    }

    /// Returns the workspace's path, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads one of [`WorkspaceTree::files`]; what cannot be read is a finding.
    pub fn read(&self, file: &str) -> Result<WorkspaceFile, Box<WorkspaceFinding>> {
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
        let unreadable = |source: io::Error| {
            let message = format!("the file cannot be read: {source}");
            Box::new(finding(
                file,
                RuleId::FileUnreadable,
                message,
                "make it readable, or name it under ignore",
            ))
        };
        let opened = rustix::fs::openat2(&self.root, file, FILE, Mode::empty(), resolve);
        let opened = std::fs::File::from(opened.map_err(|errno| unreadable(errno.into()))?);
        if !opened.metadata().map_err(unreadable)?.is_file() {
            return Err(unreadable(io::Error::other("it is no regular file any more")));
        }
        let cap = self.limits.file_bytes;
        let mut bytes = Vec::new();
        opened
            .take(cap.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > cap {
            return Err(Box::new(too_large(file, cap)));
        }
        let secrets = secrets(&bytes);
        Ok(WorkspaceFile { bytes, secrets })
    }

    /// Returns whether a path exists, relative to the workspace; it may lead out of it with `..`, and is only looked up.
    pub fn exists(&self, path: &str) -> bool {
        // The workspace itself has no name in it.
        path.is_empty()
            || self.paths.contains(path.trim_end_matches('/'))
            || rustix::fs::statat(&self.root, path, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }
}

/// Scans as a whole, and line by line only where something was found.
fn secrets(bytes: &[u8]) -> Vec<(u32, String)> {
    let redactor = Redactor::default();
    let all = redactor.scan("", bytes);
    if all.is_empty() {
        return vec![];
    }
    let mut found = Vec::new();
    for (number, line) in (1_u32..).zip(bytes.split(|byte| *byte == b'\n')) {
        found.extend(redactor.scan("", line).into_iter().map(|hit| (number, hit.rule)));
    }
    for hit in all {
        if !found.iter().any(|(_, rule)| *rule == hit.rule) {
            found.push((0, hit.rule));
        }
    }
    found
}

fn finding(file: &str, rule: RuleId, message: impl AsRef<str>, mend: &str) -> WorkspaceFinding {
    WorkspaceFinding {
        file: escape(file.as_bytes(), 400),
        line: None,
        rule,
        message: escape(message.as_ref().as_bytes(), 1200),
        mend: mend.to_owned(),
    }
}

fn too_large(file: &str, cap: u64) -> WorkspaceFinding {
    finding(
        file,
        RuleId::FileTooLarge,
        format!("the file has more than {cap} bytes"),
        "split it, move it out of the workspace, or raise limits.file_bytes in the rules file",
    )
}

impl Walk<'_> {
    fn add(&mut self, file: &str, rule: RuleId, message: impl AsRef<str>, mend: &str) {
        self.tree.findings.push(finding(file, rule, message, mend));
    }

    fn directory(&mut self, directory: &OwnedFd, prefix: &str, depth: u32) {
        let names = match names(directory) {
            Ok(names) => names,
            Err(error) => {
                let shown = if prefix.is_empty() { "." } else { prefix };
                let message = format!("the directory cannot be read: {error}");
                return self.add(
                    shown,
                    RuleId::FileUnreadable,
                    message,
                    "make it readable, or name it under ignore",
                );
            }
        };
        let has = |name: &CStr| names.iter().any(|found| found.as_c_str() == name);
        if !prefix.is_empty() && has(c"SHA256SUMS") && has(c"attestation.dsse.json") {
            self.tree.bundles.push(prefix.to_owned());
            return;
        }
        for name in names {
            self.entry(directory, &name, prefix, depth);
        }
    }

    fn entry(&mut self, directory: &OwnedFd, name: &CStr, prefix: &str, depth: u32) {
        let Some(plain) = name
            .to_str()
            .ok()
            .filter(|text| escape(text.as_bytes(), usize::MAX) == **text)
        else {
            let shown = format!(
                "{prefix}{}{}",
                if prefix.is_empty() { "" } else { "/" },
                escape(name.to_bytes(), 200)
            );
            return self.add(
                &shown,
                RuleId::NameNotPlain,
                "the name is not UTF-8, or holds control or invisible characters",
                "rename it; it was not read",
            );
        };
        let path = if prefix.is_empty() {
            plain.to_owned()
        } else {
            format!("{prefix}/{plain}")
        };
        let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // Gone since the directory was read.
            Err(Errno::NOENT) => return,
            Err(errno) => {
                let message = format!("it cannot be looked at: {}", io::Error::from(errno));
                return self.add(
                    &path,
                    RuleId::FileUnreadable,
                    message,
                    "make it readable, or name it under ignore",
                );
            }
        };
        self.tree.paths.insert(path.clone());
        if (self.ignores)(&path) {
            return;
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.enter(directory, name, &path, depth + 1),
            FileType::RegularFile => self.file(&path, u64::try_from(stat.st_size).unwrap_or(u64::MAX)),
            FileType::Symlink => self.add(
                &path,
                RuleId::LinkNotFollowed,
                "the symbolic link is not followed",
                "put the file itself in its place, or name the link under ignore in the rules file",
            ),
            _ => self.add(
                &path,
                RuleId::FileSpecial,
                "this is a FIFO, a socket or a device",
                "remove it from the workspace",
            ),
        }
    }

    fn enter(&mut self, directory: &OwnedFd, name: &CStr, path: &str, depth: u32) {
        if depth > self.tree.limits.depth {
            let message = format!("the directory lies deeper than {} levels", self.tree.limits.depth);
            return self.add(
                path,
                RuleId::TreeTooLarge,
                message,
                "move it up, or raise limits.depth in the rules file",
            );
        }
        match rustix::fs::openat(directory.as_fd(), name, DIRECTORY, Mode::empty()) {
            Ok(inner) => self.directory(&inner, path, depth),
            Err(errno) => {
                let message = format!("the directory cannot be read: {}", io::Error::from(errno));
                self.add(
                    path,
                    RuleId::FileUnreadable,
                    message,
                    "make it readable, or name it under ignore",
                );
            }
        }
    }

    fn file(&mut self, path: &str, size_bytes: u64) {
        let limits = self.tree.limits;
        let stem = path.strip_suffix(".tar.zst").and_then(|stem| stem.rsplit('/').next());
        if stem.is_some_and(cto_policy::is_run_id) {
            self.tree.bundles.push(path.to_owned());
            return;
        }
        if size_bytes > limits.file_bytes {
            self.tree.findings.push(too_large(path, limits.file_bytes));
            return;
        }
        self.bytes = self.bytes.saturating_add(size_bytes);
        let over = self.tree.files.len() as u64 >= u64::from(limits.files) || self.bytes > limits.total_bytes;
        if over && !self.full {
            self.full = true;
            let message = format!(
                "the workspace has more than {} files or {} bytes; this file and those after it were not read",
                limits.files, limits.total_bytes
            );
            self.add(
                path,
                RuleId::TreeTooLarge,
                message,
                "name what is no plan under ignore, or raise limits in the rules file",
            );
        }
        if !over {
            self.tree.files.push(path.to_owned());
        }
    }
}

/// Returns the names in a directory, sorted by bytes.
fn names(directory: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

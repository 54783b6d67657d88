//! What an engine did to its own git directory, as facts; the directory is hostile data and no git ever runs on it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use cto_schema::{GitFact, escape};
use rustix::fs::FileType;

use super::candidates::workspace;
use super::{WorkspaceView, WriteSetError, git_index, observe};
use crate::baseline::{Baseline, ObjectFormat, beneath};

/// Files larger than this differ from the baseline's, which are smaller.
const SMALL: u64 = 1 << 20;
const INDEX_CAP: u64 = 256 << 20;
const MOST_ENTRIES: usize = 100_000;
const DEEPEST: usize = 32;
/// Facts of one kind that are told one by one.
const MOST_FACTS: usize = 50;

/// What git itself writes while it is used honestly.
const BENIGN: [&[u8]; 10] = [
    b"COMMIT_EDITMSG",
    b"ORIG_HEAD",
    b"FETCH_HEAD",
    b"MERGE_MSG",
    b"AUTO_MERGE",
    b"REBASE_HEAD",
    b"CHERRY_PICK_HEAD",
    b"description",
    b"gc.log",
    b"gc.pid",
];

/// Compares the workspace's git directory with the one that the engine was given.
pub(super) fn facts(baseline: &Baseline, view: WorkspaceView<'_>) -> Result<Vec<GitFact>, WriteSetError> {
    let looked = beneath::look(view.merged, b".git").map_err(|errno| workspace(b".git", errno))?;
    let Some((_, stat)) = looked else {
        return Ok(vec![fact("replaced", "the git directory was removed")]);
    };
    if beneath::kind(&stat) != FileType::Directory {
        return Ok(vec![fact("replaced", ".git is no longer a directory")]);
    }
    let now = open(view.merged, b".git")?;
    let layer = baseline.git_layer().join(".git");
    let before = beneath::open_directory(&layer).map_err(|source| WriteSetError::BaselineRead {
        path: ".git".to_owned(),
        source,
    })?;
    let mut comparison = Comparison {
        baseline,
        now,
        before,
        facts: BTreeMap::new(),
        refs: BTreeMap::new(),
    };
    comparison.run()?;
    Ok(comparison.finish())
}

struct Comparison<'a> {
    baseline: &'a Baseline,
    now: OwnedFd,
    before: OwnedFd,
    facts: BTreeMap<&'static str, Vec<String>>,
    refs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Comparison<'_> {
    fn run(&mut self) -> Result<(), WriteSetError> {
        let now = self.list(&self.now)?;
        let before: BTreeSet<Vec<u8>> = self.list(&self.before)?.into_keys().collect();
        if now.len() > MOST_ENTRIES {
            self.add(
                "objects_added",
                format!("more than {MOST_ENTRIES} files; the rest was not looked at"),
            );
        }
        let mut objects = 0_u64;
        for (path, kind) in &now {
            if *kind == FileType::Symlink {
                self.add("replaced", format!("{} is a symbolic link", escape(path, 300)));
            } else if *kind != FileType::RegularFile {
                self.add("replaced", format!("{} is a special file", escape(path, 300)));
            } else if path.starts_with(b"objects/info/") {
                self.plain("objects_added", path)?;
            } else if path.starts_with(b"objects/") {
                objects += u64::from(!before.contains(path));
            } else if path == b"packed-refs" || path.starts_with(b"refs/") {
                self.read_refs(path)?;
            } else if path.starts_with(b"hooks/") {
                self.plain("hook_added", path)?;
            } else if path == b"shallow" || path == b"info/grafts" {
                self.plain("replaced", path)?;
            } else if path == b"HEAD"
                || path == b"index"
                || path.starts_with(b"logs/")
                || BENIGN.contains(&path.as_slice())
            {
                // HEAD and index are looked at below; the rest says nothing.
            } else {
                self.plain("config_changed", path)?;
            }
        }
        if objects > 0 {
            self.add("objects_added", format!("{objects} new object files"));
        }
        for path in before.iter().filter(|path| !now.contains_key(*path)) {
            // Repacking moves objects and refs; anything else that is gone was removed on purpose.
            if !path.starts_with(b"objects/") && !path.starts_with(b"refs/") && path != b"index" {
                self.add("replaced", format!("{} was removed", escape(path, 300)));
            }
        }
        self.head()?;
        self.compare_refs();
        self.index()
    }

    /// A file that must be as it was.
    fn plain(&mut self, kind: &'static str, path: &[u8]) -> Result<(), WriteSetError> {
        let now = beneath::read_small(self.now.as_fd(), path, SMALL);
        let now = match now {
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => None,
            other => other.map_err(|error| workspace(path, error))?,
        };
        let before = beneath::read_small(self.before.as_fd(), path, SMALL).map_err(|error| workspace(path, error))?;
        if now.is_some() && now == before {
            return Ok(());
        }
        let old: BTreeSet<&[u8]> = before.iter().flat_map(|text| text.split(|&b| b == b'\n')).collect();
        let lines = now.iter().flat_map(|text| text.split(|&b| b == b'\n'));
        let new: Vec<String> = lines
            .filter(|line| !old.contains(line))
            .take(10)
            .map(|line| escape(line.trim_ascii(), 120))
            .collect();
        let verb = if before.is_some() { "changed" } else { "added" };
        self.add(kind, format!("{} was {verb}: {}", escape(path, 300), new.join("; ")));
        Ok(())
    }

    fn read_refs(&mut self, path: &[u8]) -> Result<(), WriteSetError> {
        let text = match beneath::read_small(self.now.as_fd(), path, 16 << 20) {
            Ok(text) => text.unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
                self.add("ref_changed", format!("{} is too large to read", escape(path, 300)));
                return Ok(());
            }
            Err(error) => return Err(workspace(path, error)),
        };
        if path == b"packed-refs" {
            for line in text
                .split(|&byte| byte == b'\n')
                .filter(|line| !line.starts_with(b"#") && !line.starts_with(b"^"))
            {
                if let Some(space) = line.iter().position(|&byte| byte == b' ') {
                    // A loose ref outranks a packed one, and may have been read before.
                    self.refs
                        .entry(line[space + 1..].to_vec())
                        .or_insert_with(|| line[..space].to_vec());
                }
            }
        } else if !path.ends_with(b".lock") {
            self.refs.insert(path.to_vec(), text.trim_ascii().to_vec());
        }
        Ok(())
    }

    fn head(&mut self) -> Result<(), WriteSetError> {
        let text = beneath::read_small(self.now.as_fd(), b"HEAD", 4096);
        let text = text
            .map_err(|error| workspace(b".git/HEAD", error))?
            .unwrap_or_default();
        let text = text.trim_ascii();
        let commit = match text.strip_prefix(b"ref: ") {
            Some(name) => self.refs.get(name.trim_ascii()).map(Vec::as_slice),
            None => Some(text),
        };
        let commit = commit.unwrap_or(b"no commit");
        if commit != self.baseline.commit().as_bytes() {
            let detail = format!(
                "HEAD says \"{}\" and is at {}, the baseline is {}",
                escape(text, 200),
                escape(commit, 100),
                self.baseline.commit()
            );
            self.add("head_moved", detail);
        } else if text != b"ref: refs/heads/main" {
            self.add("ref_changed", format!("HEAD says \"{}\"", escape(text, 200)));
        }
        Ok(())
    }

    fn compare_refs(&mut self) {
        let refs = std::mem::take(&mut self.refs);
        for (name, value) in &refs {
            if name == b"refs/heads/main" && value == self.baseline.commit().as_bytes() {
                continue;
            }
            let kind = if name.starts_with(b"refs/replace/") {
                "replaced"
            } else {
                "ref_changed"
            };
            self.add(kind, format!("{} is {}", escape(name, 300), escape(value, 100)));
        }
        if !refs.contains_key(&b"refs/heads/main"[..]) {
            self.add("ref_changed", "refs/heads/main is gone".to_owned());
        }
    }

    fn index(&mut self) -> Result<(), WriteSetError> {
        let id_length = match self.baseline.format() {
            ObjectFormat::Sha1 => 20,
            ObjectFormat::Sha256 => 32,
        };
        let parse = |fd: &OwnedFd| match beneath::read_small(fd.as_fd(), b"index", INDEX_CAP) {
            Ok(bytes) => Ok(bytes.and_then(|bytes| git_index::parse(&bytes, id_length))),
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => Ok(None),
            Err(error) => Err(workspace(b".git/index", error)),
        };
        let (Some(now), Some(before)) = (parse(&self.now)?, parse(&self.before)?) else {
            self.add("index_changed", "the index is gone or unreadable".to_owned());
            return Ok(());
        };
        let mut staged = 0_u64;
        for (path, entry) in &now {
            let flags = [
                (entry.assume_unchanged, "assume-unchanged"),
                (entry.skip_worktree, "skip-worktree"),
                (entry.intent_to_add, "intent-to-add"),
            ];
            for (_, flag) in flags.iter().filter(|(set, _)| *set) {
                self.add("index_changed", format!("{} is marked {flag}", escape(path, 300)));
            }
            let same =
                |old: &git_index::IndexEntry| (old.mode, &old.id, old.stage) == (entry.mode, &entry.id, entry.stage);
            staged += u64::from(!before.get(path).is_some_and(same));
        }
        staged += before.keys().filter(|path| !now.contains_key(*path)).count() as u64;
        if staged > 0 {
            self.add("index_changed", format!("{staged} entries differ from the baseline's"));
        }
        Ok(())
    }

    /// Lists everything below a git directory that is no directory.
    fn list(&self, root: &OwnedFd) -> Result<BTreeMap<Vec<u8>, FileType>, WriteSetError> {
        let mut found = BTreeMap::new();
        let mut pending = vec![(Vec::new(), 0)];
        while let Some((path, depth)) = pending.pop() {
            let fd = open(root.as_fd(), &path)?;
            for name in beneath::names(&fd).map_err(|error| workspace(&path, error))? {
                let stat = beneath::stat_at(&fd, &name).map_err(|errno| workspace(&name, errno))?;
                let (kind, path) = (beneath::kind(&stat), beneath::join(&path, &name));
                if kind != FileType::Directory {
                    if kind == FileType::RegularFile {
                        observe::unlock(root.as_fd(), &path, &stat).map_err(|errno| workspace(&path, errno))?;
                    }
                    found.insert(path, kind);
                } else if depth < DEEPEST && path.len() < 4000 {
                    pending.push((path, depth + 1));
                }
            }
            if found.len() > MOST_ENTRIES {
                break;
            }
        }
        Ok(found)
    }

    fn add(&mut self, kind: &'static str, detail: String) {
        self.facts.entry(kind).or_default().push(detail);
    }

    fn finish(self) -> Vec<GitFact> {
        let mut facts = Vec::new();
        for (kind, details) in self.facts {
            let more = details.len().saturating_sub(MOST_FACTS);
            facts.extend(details.iter().take(MOST_FACTS).map(|detail| fact(kind, detail)));
            if more > 0 {
                facts.push(fact(kind, &format!("and {more} more")));
            }
        }
        facts
    }
}

fn open(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, WriteSetError> {
    observe::open_directory(root, path).map_err(|errno| workspace(path, errno))
}

fn fact(kind: &str, detail: &str) -> GitFact {
    GitFact {
        kind: kind.to_owned(),
        detail: detail.to_owned(),
    }
}

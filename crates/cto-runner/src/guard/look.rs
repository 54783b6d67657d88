//! One look at a repository: every work tree with its state and status, and the git directory to the nanosecond.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use cto_schema::{CoreSnapshot, CoreWorkTree, escape};

use super::{ask, git_directory, keep_of, shown};
use crate::baseline::beneath;
use crate::run::chain;
use crate::source::{DirtyPaths, Head, SourceRepository};
use crate::tool::{Git, GitCall};

/// Most work trees that are looked at.
const MOST_WORK_TREES: usize = 500;
/// Most paths that are named.
const SHOWN: usize = 20;

/// A work tree as git lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    path: PathBuf,
    locked: Option<String>,
    prunable: Option<String>,
    bare: bool,
}

/// Asks git which work trees there are, and counts them again by hand: git leaves out what it cannot read.
pub(super) fn work_trees(git: &Git, main: &SourceRepository) -> Result<Vec<Listed>, String> {
    let text = ask(git, main, GitCall::new("worktree").args(["list", "--porcelain", "-z"]))?;
    let mut listed = Vec::new();
    for record in parse(&text) {
        listed.push(record);
    }
    if listed.len() > MOST_WORK_TREES {
        return Err(format!(
            "there are {} work trees, {MOST_WORK_TREES} are looked at",
            listed.len()
        ));
    }
    if listed.first().is_none_or(|first| first.path != main.path()) {
        return Err("git says that the main work tree is another directory".to_owned());
    }
    let entries = match beneath::open_beneath(main.common_directory(), b"worktrees", beneath::DIRECTORY) {
        Ok(directory) => beneath::names(&directory)
            .map_err(|error| format!("failed to list the work trees: {error}"))?
            .len(),
        Err(rustix::io::Errno::NOENT) => 0,
        Err(errno) => return Err(format!("failed to list the work trees: {errno}")),
    };
    if entries + 1 != listed.len() {
        return Err(format!(
            "git lists {} linked work trees, and the git directory has {entries} entries for them",
            listed.len().saturating_sub(1)
        ));
    }
    Ok(listed)
}

/// Records end with an empty line; every line ends with a zero byte.
fn parse(text: &[u8]) -> Vec<Listed> {
    let mut listed = Vec::new();
    let mut current: Option<Listed> = None;
    for line in text.split(|&byte| byte == 0) {
        if line.is_empty() {
            listed.extend(current.take());
            continue;
        }
        let (name, value) = match line.iter().position(|&byte| byte == b' ') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &b""[..]),
        };
        if name == b"worktree" {
            listed.extend(current.take());
            current = Some(Listed {
                path: PathBuf::from(OsStr::from_bytes(value)),
                ..Listed::default()
            });
        }
        if let Some(record) = &mut current {
            match name {
                b"locked" => record.locked = Some(escape(value, 400)),
                b"prunable" => record.prunable = Some(escape(value, 400)),
                b"bare" => record.bare = true,
                _ => {}
            }
        }
    }
    listed.extend(current);
    listed
}

/// Returns every directory that belongs to the repository.
pub(super) fn roots(main: &SourceRepository, listed: &Result<Vec<Listed>, String>) -> Vec<PathBuf> {
    let mut roots = vec![main.path().to_owned(), main.common_directory_path().to_owned()];
    for record in listed.iter().flatten() {
        // Where processes say that they are has no links in it.
        roots.push(std::fs::canonicalize(&record.path).unwrap_or_else(|_| record.path.clone()));
        roots.push(record.path.clone());
    }
    roots.sort();
    roots.dedup();
    roots
}

/// Looks at everything once.
pub(super) fn snapshot(
    git: &Git,
    main: &SourceRepository,
    listed: Result<Vec<Listed>, String>,
    keep: &Path,
) -> CoreSnapshot {
    let mut snapshot = CoreSnapshot::default();
    let mut problems = Vec::new();
    match git_directory::read(main.common_directory()) {
        Ok(seen) => {
            snapshot.git_directory_digest = Some(seen.digest);
            snapshot.locks = seen.locks;
        }
        Err(error) => problems.push(format!("failed to read the git directory: {error}")),
    }
    match listed {
        Ok(listed) => {
            snapshot.work_trees = listed
                .into_iter()
                .enumerate()
                .map(|(at, record)| work_tree(git, main, at == 0, record, keep))
                .collect();
        }
        Err(why) => problems.push(why),
    }
    snapshot.problem = (!problems.is_empty()).then(|| problems.join("; "));
    snapshot
}

fn work_tree(git: &Git, main: &SourceRepository, is_main: bool, listed: Listed, keep: &Path) -> CoreWorkTree {
    let mut seen = CoreWorkTree {
        path: shown(&listed.path),
        is_main,
        locked: listed.locked,
        ..CoreWorkTree::default()
    };
    if let Some(why) = listed.prunable {
        seen.problem = Some(format!("git would prune it: {why}"));
        return seen;
    }
    if listed.bare {
        seen.problem = Some("the configuration says that it is bare".to_owned());
        return seen;
    }
    seen.problem = fill(git, main, &listed.path, keep, &mut seen).err();
    seen
}

fn fill(git: &Git, main: &SourceRepository, path: &Path, keep: &Path, seen: &mut CoreWorkTree) -> Result<(), String> {
    let source = SourceRepository::open(path).map_err(|error| chain(&error))?;
    if source.common_directory_path() != main.common_directory_path() {
        return Err("it belongs to another repository".to_owned());
    }
    if let Some(why) = source.other_work_tree().map_err(|error| chain(&error))? {
        return Err(format!("in the configuration {why}"));
    }
    seen.state = Some(source.state().map_err(|error| chain(&error))?);
    seen.branch = match source.head().map_err(|error| chain(&error))? {
        Head::Branch(name) => Some(escape(name.as_bytes(), 400)),
        Head::Detached | Head::Other(_) => None,
    };
    seen.operation = operation(&source)?;
    let keep = keep_of(keep, &source).map_err(|error| format!("failed to make room for its index: {error}"))?;
    let dirty = source.dirty_paths(git, &keep).map_err(|error| chain(&error))?;
    let staged = source.staged(git, &keep).map_err(|error| chain(&error))?;
    seen.submodules = staged.submodules;
    let (count, paths) = together(dirty, staged.paths);
    seen.dirty_paths = paths;
    seen.dirty_count = Some(count);
    Ok(())
}

/// Counts a path that differs on disk and in the index once, as far as it is named.
fn together(disk: DirtyPaths, index: DirtyPaths) -> (u64, Vec<String>) {
    let mut paths = disk.shown;
    let twice = index.shown.iter().filter(|path| paths.contains(path)).count() as u64;
    for path in index.shown {
        if paths.len() < SHOWN && !paths.contains(&path) {
            paths.push(path);
        }
    }
    ((disk.count + index.count).saturating_sub(twice), paths)
}

fn operation(source: &SourceRepository) -> Result<Option<String>, String> {
    if let Some(what) = source.operation_in_progress().map_err(|error| chain(&error))? {
        return Ok(Some(what.to_owned()));
    }
    let bisecting = beneath::look(source.git_directory(), b"BISECT_LOG").map_err(|errno| errno.to_string())?;
    Ok(bisecting.map(|_| "a bisection".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_git_lists() {
        let text =
            b"worktree /a\0HEAD 1\0branch refs/heads/main\0\0worktree /b\n b\0HEAD 2\0detached\0locked mine\nline\0\0\
            worktree /c\0bare\0locked\0prunable gitdir file points to non-existent location\0\0";
        let listed = parse(text);
        assert_eq!(listed.len(), 3);
        assert_eq!(listed[1].path, Path::new("/b\n b"));
        assert_eq!(listed[1].locked.as_deref(), Some("mine\\nline"));
        assert!(listed[2].bare && listed[2].locked.as_deref() == Some("") && listed[2].prunable.is_some());
        assert!(parse(b"").is_empty());
    }

    #[test]
    fn a_path_that_differs_twice_is_one_path() {
        let paths = |names: &[&str]| DirtyPaths {
            count: names.len() as u64,
            shown: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let (count, shown) = together(paths(&["a", "b"]), paths(&["b", "c"]));
        assert_eq!((count, shown.len()), (3, 3));
    }
}

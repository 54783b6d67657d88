//! What an engine finds in its cage, and what of it becomes evidence afterwards.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use cto_sandbox::Change;
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::baseline::{Baseline, beneath};
use crate::cage::Outfit;
use crate::engine::{Invocation, Keep};

/// Most entries that are looked at for kept files.
const MAX_ENTRIES: usize = 20_000;
/// Deepest directory below a kept one that is looked at.
const MAX_DEPTH: u32 = 16;

/// The first components of what the harness put in the workspace for the engine.
#[derive(Clone, Debug, Default)]
pub(super) struct Inputs {
    /// They are new, or the engine's own by its manifest: what it writes there is recorded like a scratch path.
    pub(super) scratch: Vec<String>,
    /// They cover something of the baseline, which therefore counts as unchanged.
    pub(super) covering: Vec<PathBuf>,
}

/// Returns what the cage gets for an invocation.
pub(super) fn outfit(invocation: &Invocation, listen: Option<u16>) -> Outfit {
    let home = invocation.home.iter().map(|file| Change::Content {
        path: file.path.clone(),
        mode: file.mode,
        bytes: file.content.clone(),
    });
    Outfit {
        home: home.collect(),
        binds: invocation.binds.clone(),
        masks: invocation.masks.clone(),
        path: invocation.path.clone(),
        listen,
        start_in_root: invocation.workdir_root,
    }
}

/// Returns how the engine's inputs come into the workspace: nothing of the target is taken for them.
pub(super) fn inputs(
    invocation: &Invocation,
    scratch: &[String],
    baseline: &Baseline,
) -> io::Result<(Vec<Change>, Inputs)> {
    let first = |path: &Path| match path.components().next() {
        Some(Component::Normal(name)) => Some(PathBuf::from(name)),
        _ => None,
    };
    let roots: BTreeSet<PathBuf> = invocation
        .inputs
        .iter()
        .filter_map(|input| first(&input.path))
        .collect();
    let mut seen = Inputs {
        scratch: scratch.to_vec(),
        covering: vec![],
    };
    for root in &roots {
        if baseline.kind(root.as_os_str().as_bytes())?.is_some() {
            seen.covering.push(root.clone());
        } else {
            seen.scratch.push(format!("{}/", root.display()));
        }
    }
    let removed = roots.into_iter().map(|path| Change::Remove { path });
    let made = invocation.inputs.iter().map(|input| Change::Content {
        path: input.path.clone(),
        mode: 0o644,
        bytes: input.content.clone(),
    });
    Ok((removed.chain(made).collect(), seen))
}

/// Returns the first symbolic link on the way to a masked path, escaped; what it points to could not be covered.
pub(super) fn masked_link(masks: &[PathBuf], baseline: &Baseline) -> io::Result<Option<String>> {
    for mask in masks {
        let parts: Vec<&Path> = mask.ancestors().filter(|part| *part != Path::new("")).collect();
        for part in parts.iter().rev() {
            let bytes = part.as_os_str().as_bytes();
            if baseline.kind(bytes)? == Some(FileType::Symlink) {
                return Ok(Some(cto_schema::escape(bytes, 200)));
            }
        }
    }
    Ok(None)
}

/// One kept file: its name below `backend/`, and its bytes.
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// Reads what of the private home is evidence; of a directory, every regular file below.
pub(super) fn kept(home: BorrowedFd<'_>, keep: &[Keep]) -> io::Result<Vec<Kept>> {
    let mut all = Vec::new();
    for wanted in keep {
        let mut left = wanted.max_bytes;
        for path in files_below(home, wanted.from.as_os_str().as_bytes())? {
            let bytes = read(home, &path, left)?;
            left = left.saturating_sub(bytes.len() as u64);
            let path = Path::new(OsStr::from_bytes(&path));
            let rest = path.strip_prefix(&wanted.from).unwrap_or(path);
            let Some(name) = evidence_name(&wanted.to, rest) else {
                continue;
            };
            all.push(Kept { name, bytes });
        }
    }
    Ok(all)
}

/// Names of evidence are plain; a file with another name stays behind.
fn evidence_name(to: &str, rest: &Path) -> Option<String> {
    let rest = rest.to_str()?;
    let name = if rest.is_empty() {
        format!("backend/{to}")
    } else {
        format!("backend/{to}/{rest}")
    };
    cto_evidence::is_artifact_name(&name).then_some(name)
}

/// Lists regular files at or below a path, sorted; what is not there, or is closed to us, is an empty list.
fn files_below(base: BorrowedFd<'_>, path: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let at = match beneath::look(base, path) {
        Err(Errno::ACCESS) => None,
        other => other?,
    };
    let mut found = Vec::new();
    let mut pending = match at.map(|(_, stat)| beneath::kind(&stat)) {
        Some(FileType::RegularFile) => return Ok(vec![path.to_vec()]),
        Some(FileType::Directory) => vec![(path.to_vec(), 0)],
        _ => vec![],
    };
    while let Some((directory, depth)) = pending.pop() {
        // What its owner closed to itself is no log.
        let Ok(open) = beneath::open_beneath(base, &directory, beneath::DIRECTORY) else {
            continue;
        };
        for name in beneath::names(&open)? {
            let path = beneath::join(&directory, &name);
            match beneath::kind(&beneath::stat_at(&open, &name)?) {
                FileType::RegularFile => found.push(path),
                FileType::Directory if depth < MAX_DEPTH => pending.push((path, depth + 1)),
                _ => {}
            }
            if found.len() + pending.len() >= MAX_ENTRIES {
                pending.clear();
                break;
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Reads at most `limit` bytes of a regular file that is still one.
fn read(base: BorrowedFd<'_>, path: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let Ok(file) = beneath::open_beneath(base, path, beneath::READ) else {
        return Ok(vec![]);
    };
    if beneath::kind(&rustix::fs::fstat(&file)?) != FileType::RegularFile {
        return Ok(vec![]);
    }
    let mut bytes = Vec::new();
    File::from(file).take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    fn write(path: &Path, bytes: &[u8]) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::io::Write::write_all(&mut File::create(path).unwrap(), bytes).unwrap();
    }

    #[test]
    fn what_is_kept_is_capped_has_plain_names_and_is_no_link() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join(".agent/a.json"), b"0123456789");
        write(&dir.path().join(".agent/b c.json"), b"odd name");
        write(&dir.path().join(".agent/sub/z.log"), b"zzzz");
        write(&dir.path().join("secret"), b"of the host");
        std::os::unix::fs::symlink("../secret", dir.path().join(".agent/link.json")).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join(".agent/etc")).unwrap();
        let root = File::open(dir.path()).unwrap();
        let keep = [Keep {
            from: ".agent".into(),
            to: "agent-data".to_owned(),
            max_bytes: 22,
        }];
        let found = kept(root.as_fd(), &keep).unwrap();
        let shown: Vec<(&str, usize)> = found
            .iter()
            .map(|kept| (kept.name.as_str(), kept.bytes.len()))
            .collect();
        assert_eq!(
            shown,
            [("backend/agent-data/a.json", 10), ("backend/agent-data/sub/z.log", 4)]
        );
        let absent = [Keep {
            from: "nowhere".into(),
            ..keep[0].clone()
        }];
        assert!(kept(root.as_fd(), &absent).unwrap().is_empty());
    }
}

//! What must hold before anything is changed: the target is the approved one, nobody works in it, every path of the
//! change is what the old commit says, and git will call the result clean.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use cto_evidence::{ApplyDraft, Side};
use cto_schema::{ApplyEntry, ApplyPlan, EntryKind};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::Expected;
use super::error::{ApplyError, At as _, Halt, Refusal};
use super::files::{Step, shown, state, steps};
use super::index::{Entries, entries, is_entry};
use super::room::check_room;
use super::stand_in::StandIn;
use crate::baseline::beneath;
use crate::source::{Head, SourceRepository};
use crate::tool::{Git, Input};

/// Checks that the target is the approved one and that nobody works in it.
pub(super) fn check_target(target: &SourceRepository, expected: &Expected) -> Result<(), Halt> {
    if target.identity() != expected.identity || !target.is_in_place() {
        return Err(Refusal::Identity.into());
    }
    let branch = &expected.branch;
    match target.head()? {
        Head::Branch(name) if name == *branch => {}
        Head::Detached => return Err(Refusal::Detached.into()),
        Head::Branch(found) | Head::Other(found) => {
            let expected = branch.clone();
            return Err(Refusal::Head { expected, found }.into());
        }
    }
    let found = target.branch_commit(branch)?.unwrap_or_default();
    if found != expected.commit {
        return Err(Refusal::Moved {
            branch: branch.clone(),
            expected: expected.commit.clone(),
            found,
        }
        .into());
    }
    if let Some(place) = target.elsewhere(branch)? {
        let branch = branch.clone();
        return Err(Refusal::Elsewhere { branch, place }.into());
    }
    if let Some(what) = target.operation_in_progress()? {
        return Err(Refusal::InProgress { what }.into());
    }
    check_locks(target, branch)
}

fn check_locks(target: &SourceRepository, branch: &str) -> Result<(), Halt> {
    let branch_lock = format!("{branch}.lock");
    let (own, common) = (target.git_directory(), target.common_directory());
    for (root, name) in [(own, "index.lock"), (own, "HEAD.lock"), (common, &branch_lock)] {
        let looked = beneath::look(root, name.as_bytes()).at("look for a lock in", target.git_directory_path())?;
        if looked.is_some() {
            return Err(Refusal::Locked { name: name.to_owned() }.into());
        }
    }
    // git follows links here, and would write where they lead.
    let log = format!("logs/{branch}");
    for (root, name) in [(own, "logs/HEAD"), (common, &log), (common, branch)] {
        let kind = match beneath::open_beneath(root, name.as_bytes(), OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC)
        {
            Err(Errno::NOENT) => continue,
            Err(Errno::LOOP | Errno::NOTDIR) => FileType::Symlink,
            Err(errno) => return Err(errno).at("look at a ref in", target.git_directory_path())?,
            Ok(fd) => beneath::kind(&rustix::fs::fstat(&fd).at("look at", name)?),
        };
        if kind != FileType::RegularFile {
            return Err(Refusal::Unsupported {
                what: "has a ref or a log of one that is no regular file",
            }
            .into());
        }
    }
    Ok(())
}

/// Checks that every new object has a directory to be written into, or none yet: through a link it would land elsewhere.
pub(super) fn check_fans(target: &SourceRepository, new_objects: &[String]) -> Result<(), Halt> {
    let fans: BTreeSet<&str> = new_objects.iter().filter_map(|id| id.get(..2)).collect();
    for fan in fans {
        let name = format!("objects/{fan}");
        let looked = beneath::look(target.common_directory(), name.as_bytes());
        match looked.at("look at", target.common_directory_path().join(&name))? {
            Some((_, stat)) if beneath::kind(&stat) != FileType::Directory => {
                return Err(Refusal::Unsupported {
                    what: "keeps objects where a link leads: in its objects directory there is one that is no plain directory",
                }
                .into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks that work tree and index have the old commit's entries where something is to change.
pub(super) fn check_paths(
    git: &Git,
    stand_in: &StandIn,
    target: &SourceRepository,
    plan: &ApplyPlan,
    scratch: &Path,
) -> Result<(), Halt> {
    let steps = steps(plan, Side::After)?;
    let deleted: BTreeSet<&[u8]> = steps
        .iter()
        .filter(|step| step.to.is_none())
        .map(|step| step.path.as_slice())
        .collect();
    for step in &steps {
        check_file(target, step, &deleted)?;
    }
    check_room(target, &steps)?;
    let Some(index) = entries(git, stand_in, target, scratch)? else {
        return Err(Refusal::Unsupported { what: "has no index" }.into());
    };
    for step in &steps {
        check_entry(&index, step, &deleted)?;
    }
    Ok(())
}

fn refuse(path: &[u8], what: &'static str) -> Halt {
    Refusal::Path {
        path: shown(path),
        what,
    }
    .into()
}

fn check_file(target: &SourceRepository, step: &Step<'_>, deleted: &BTreeSet<&[u8]>) -> Result<(), Halt> {
    let (root, path) = (target.directory(), step.path.as_slice());
    let at = || target.path().join(OsStr::from_bytes(path));
    if let Some(before) = step.from {
        if state(root, path).at("read", at())? == Some(before.state()) {
            return Ok(());
        }
        return Err(refuse(
            path,
            "is not what the old commit says: it was changed, or git converts it as it checks it out",
        ));
    }
    // Nothing may be where something new comes, and nothing but directories on the way.
    for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        let above = &path[..end];
        match beneath::look(root, above).at("look at", at())? {
            Some((_, stat)) if beneath::kind(&stat) == FileType::Directory => {}
            Some(_) if !deleted.contains(above) => return Err(refuse(above, "is in the way: it is no directory")),
            _ => return Ok(()),
        }
    }
    match beneath::look(root, path).at("look at", at())? {
        None => Ok(()),
        Some((_, stat)) if beneath::kind(&stat) == FileType::Directory => {
            if makes_room(root, path, deleted).at("look at", at())? {
                return Ok(());
            }
            Err(refuse(
                path,
                "is in the way: it is a directory that does not become empty",
            ))
        }
        Some(_) => Err(refuse(path, "is in the way: the old commit does not have it")),
    }
}

/// Tells whether a directory holds only what is deleted, and directories of that.
fn makes_room(root: BorrowedFd<'_>, path: &[u8], deleted: &BTreeSet<&[u8]>) -> io::Result<bool> {
    let directory = beneath::open_beneath(root, path, beneath::DIRECTORY)?;
    let names = beneath::names(&directory)?;
    for name in &names {
        let below = beneath::join(path, name);
        let is_directory = beneath::kind(&beneath::stat_at(&directory, name)?) == FileType::Directory;
        let goes = if is_directory {
            makes_room(root, &below, deleted)?
        } else {
            deleted.contains(below.as_slice())
        };
        if !goes {
            return Ok(false);
        }
    }
    Ok(!names.is_empty())
}

fn check_entry(index: &Entries, step: &Step<'_>, deleted: &BTreeSet<&[u8]>) -> Result<(), Halt> {
    let path = step.path.as_slice();
    if !is_entry(index.get(path), step.from) {
        return Err(refuse(path, "is staged in another state than the old commit's"));
    }
    if step.from.is_none() {
        let below = [path, b"/"].concat();
        let after = index
            .range(below.clone()..)
            .take_while(|(other, _)| other.starts_with(&below));
        let above = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .filter_map(|(end, _)| index.get_key_value(&path[..end]));
        if let Some((other, _)) = after
            .chain(above)
            .find(|(other, _)| !deleted.contains(other.as_slice()))
        {
            return Err(refuse(other, "is staged where the change needs room"));
        }
    }
    Ok(())
}

/// Checks that git, under the attributes of the new commit, will call the new files what the commit says: a rule that
/// converts line ends or filters would make them look changed for ever.
pub(super) fn check_clean(
    git: &Git,
    stand_in: &StandIn,
    plan: &ApplyPlan,
    draft: &ApplyDraft,
    scratch: &Path,
) -> Result<(), Halt> {
    let (tree, index) = (scratch.join("tree"), scratch.join("checked"));
    fs::create_dir(&tree).at("make", &tree)?;
    let mut names = Vec::new();
    for step in steps(plan, Side::After)? {
        if let Some(after) = step.to {
            let place = tree.join(OsStr::from_bytes(&step.path));
            lay_out(draft, step.number, after, &place).at("write", &place)?;
            names.extend([step.path.as_slice(), b"\0"].concat());
        }
    }
    let failed = |what| move |source| ApplyError::Git { what, source };
    let read = stand_in.index_call("read-tree", &index).arg(&plan.new_tree);
    git.run(read).map_err(failed("read the new tree"))?;
    git.run(stand_in.refresh(&index, Some(&tree)))
        .map_err(failed("look at the new files"))?;
    let diff = stand_in
        .index_call("diff-files", &index)
        .args(["-z", "--name-only", "--diff-filter=MT"]);
    let differing = git
        .run(diff.work_tree(&tree).directory(&tree))
        .map_err(failed("look at the new files"))?;
    if let Some(path) = differing.split(|&byte| byte == 0).find(|path| !path.is_empty()) {
        return Err(refuse(
            path,
            "would look changed: attributes of the target have git convert it",
        ));
    }
    let filters = stand_in
        .index_call("check-attr", &index)
        .args(["--cached", "-z", "--stdin", "filter"]);
    let filters = filters.work_tree(&tree).directory(&tree);
    let said = git
        .run(filters.input(Input::Bytes(names)).cap(1 << 30))
        .map_err(failed("ask for filters"))?;
    let fields: Vec<&[u8]> = said.split(|&byte| byte == 0).collect();
    let filtered = fields
        .chunks_exact(3)
        .find(|entry| !matches!(entry[2], b"unspecified" | b"unset"));
    match filtered {
        Some(entry) => Err(refuse(
            entry[0],
            "goes through a filter of the target (git-lfs or the like)",
        )),
        None => Ok(()),
    }
}

fn lay_out(draft: &ApplyDraft, number: usize, after: &ApplyEntry, place: &Path) -> io::Result<()> {
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut content = draft.open(Side::After, number)?;
    if after.kind == EntryKind::Symlink {
        let mut text = Vec::new();
        io::Read::read_to_end(&mut content, &mut text)?;
        return symlink(OsStr::from_bytes(&text), place);
    }
    let mut file = File::create_new(place)?;
    io::copy(&mut content, &mut file)?;
    let mode = if after.kind == EntryKind::Executable {
        0o755
    } else {
        0o644
    };
    file.set_permissions(fs::Permissions::from_mode(mode))
}

//! The agent's own repository: its objects are packed anew and hashed anew, and nothing of the target's settings is in it.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use cto_schema::{History, escape};

use super::error::{At as _, BaselineError};
use super::objects::{ObjectFormat, ObjectSource, configuration, create};
use crate::tool::{Git, GitCall, GitError, Input};

/// Sloppy but harmless metadata of old commits; everything that concerns trees and names stays an error.
const STRICT: &str = "--strict=missingEmail=ignore,missingNameBeforeEmail=ignore,badTimezone=ignore,\
    zeroPaddedDate=ignore,zeroPaddedFilemode=ignore,missingSpaceBeforeDate=ignore,missingSpaceBeforeEmail=ignore,\
    badDate=ignore,badDateOverflow=ignore,nulInCommit=ignore";

/// Files are raw blobs, so no conversion may make them look changed.
const ATTRIBUTES: &str =
    "# The work tree holds the blobs as they are.\n* -text -ident -filter -working-tree-encoding\n";

const SETTINGS: &str = "\tfilemode = true\n\tlogallrefupdates = true\n\tcheckStat = minimal\n\ttrustctime = false\n\
    [user]\n\tname = agent\n\temail = agent@localhost\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n\
    [index]\n\tthreads = 1\n[advice]\n\tdetachedHead = false\n";

/// Packs the commit, with or without what it descends from, into a new git directory in `work`, and returns that.
///
/// The pack is indexed from its content alone, so every object's name is proven, and `--strict` proves that nothing
/// is missing.
pub(super) fn fetch(
    git: &Git,
    source: &ObjectSource,
    reader: &Path,
    commit: &str,
    history: History,
    work: &Path,
) -> Result<PathBuf, BaselineError> {
    let git_dir = work.join("layer/.git");
    for directory in ["objects/info", "objects/pack", "refs/heads", "info"] {
        let path = git_dir.join(directory);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&path)
            .at(&path)?;
    }
    let shallow = match history {
        History::Baseline => vec![commit.to_owned()],
        History::Full => source.shallow.clone(),
    };
    let edge: String = shallow.iter().map(|id| format!("{id}\n")).collect();
    let config = agent_configuration(source.format);
    let files = [
        ("config", config.as_str()),
        ("HEAD", "ref: refs/heads/main\n"),
        ("info/attributes", ATTRIBUTES),
        ("shallow", &edge),
    ];
    for (name, content) in files {
        if !content.is_empty() {
            create(&git_dir.join(name), content).at(&git_dir)?;
        }
    }
    let wanted: String = shallow
        .iter()
        .map(|id| format!("--shallow {id}\n"))
        .chain([format!("{commit}\n")])
        .collect();
    let mut pack =
        GitCall::new("pack-objects").args(["--revs", "--stdout", "--quiet", "--delta-base-offset", "--window=0"]);
    if !shallow.is_empty() {
        pack = pack.arg("--shallow");
    }
    let pack = pack
        .git_dir(reader)
        .alternate_objects(&source.objects)
        .input(Input::Bytes(wanted.into_bytes()));
    let index = GitCall::new("index-pack")
        .args(["--stdin", "--no-rev-index", STRICT])
        .git_dir(&git_dir)
        .unsynced();
    git.pipe(pack, index).map_err(|source_error| match source_error {
        error @ GitError::Failed { .. } => BaselineError::Objects {
            commit: commit.to_owned(),
            objects: source.objects.clone(),
            source: error,
        },
        other => other.into(),
    })?;
    Ok(git_dir)
}

/// Returns a commit's tree, and whether it has parents.
pub(super) fn read_commit(git: &Git, git_dir: &Path, commit: &str) -> Result<(String, bool), BaselineError> {
    let text = git.run(GitCall::new("cat-file").args(["commit", commit]).git_dir(git_dir))?;
    let mut lines = text.split(|&byte| byte == b'\n');
    let tree = lines.next().and_then(|line| line.strip_prefix(b"tree "));
    let tree = tree.ok_or_else(|| BaselineError::Answer {
        command: "cat-file",
        commit: commit.to_owned(),
        what: "the commit names no tree".to_owned(),
    })?;
    Ok((
        escape(tree, 100),
        lines.next().is_some_and(|line| line.starts_with(b"parent ")),
    ))
}

/// Makes the branch and an index that knows the files as they lie, and gives all of it to the engine.
pub(super) fn finish(
    git: &Git,
    git_dir: &Path,
    files: &Path,
    commit: &str,
    is_shallow: bool,
    owner: Option<(u32, u32)>,
) -> Result<(), BaselineError> {
    create(&git_dir.join("refs/heads/main"), &format!("{commit}\n")).at(git_dir)?;
    let shallow = git_dir.join("shallow");
    if !is_shallow && fs::read_to_string(&shallow).is_ok_and(|text| text.trim_end() == commit) {
        fs::remove_file(&shallow).at(&shallow)?;
    }
    git.run(GitCall::new("read-tree").arg(commit).git_dir(git_dir).work_tree(files))?;
    match git.run(
        GitCall::new("update-index")
            .args(["-q", "--refresh"])
            .git_dir(git_dir)
            .work_tree(files),
    ) {
        // It exits 1 when an entry differs, which an empty directory of a submodule link does.
        Ok(_) | Err(GitError::Failed { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    settle(git_dir.parent().unwrap_or(git_dir), owner)
}

/// Sets modes and the owner of everything below, without following links: there are none of ours.
fn settle(root: &Path, owner: Option<(u32, u32)>) -> Result<(), BaselineError> {
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).at(&path)?;
        let mode = if metadata.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).at(&path)?;
        if let Some((uid, gid)) = owner {
            lchown(&path, Some(uid), Some(gid)).at(&path)?;
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(&path).at(&path)? {
                pending.push(path.join(entry.at(&path)?.file_name()));
            }
        }
    }
    Ok(())
}

fn agent_configuration(format: ObjectFormat) -> String {
    let base = configuration(format, false);
    match base.split_once("[extensions]") {
        Some((core, extensions)) => format!("{core}{SETTINGS}[extensions]{extensions}"),
        None => format!("{base}{SETTINGS}"),
    }
}

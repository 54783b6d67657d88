//! The conflict list and the route record, and what of the list is there.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use cto_schema::{
    Conflict, ConflictHit, ConflictList, CoreRouteFacts, GUARD_FILE_MAX_BYTES, GuardFile, RouteRecord, Sha256Digest,
    escape,
};
use globset::{GlobBuilder, GlobMatcher};

use super::{GuardRequest, ask, keep_of, shown};
use crate::authority::{Links, read_authority};
use crate::run::chain;
use crate::source::SourceRepository;
use crate::tool::{Git, GitCall};

/// Most branches whose changes are looked at.
const MOST_BRANCHES: usize = 5_000;
/// Most hits of one entry that are named.
const MOST_HITS: usize = 20;

/// A branch: its full name and its commit.
struct Branch {
    name: String,
    commit: String,
}

/// Reads the conflict list and compares it with what is there.
pub(super) fn compare_conflicts(
    git: &Git,
    main: &SourceRepository,
    request: &GuardRequest,
    keep: &Path,
    facts: &mut CoreRouteFacts,
) {
    let Some(path) = &request.conflicts else { return };
    let (file, list) = read(path, ConflictList::parse);
    facts.conflict_list = Some(file);
    let Some(list) = list else { return };
    match hits(git, main, &list, keep, facts) {
        Ok(hits) => facts.conflicts = hits,
        Err(why) => facts.conflict_problem = Some(format!("the conflict list cannot be compared: {why}")),
    }
}

/// Reads the route record.
pub(super) fn read_route(request: &GuardRequest, facts: &mut CoreRouteFacts) {
    if let Some(path) = &request.route {
        let (file, record) = read(path, RouteRecord::parse);
        facts.route_record = Some(file);
        facts.route = record;
    }
}

/// A file that decides is one that nobody else may write, as everywhere.
fn read<T>(path: &Path, parse: impl FnOnce(&[u8]) -> Result<T, String>) -> (GuardFile, Option<T>) {
    let mut file = GuardFile {
        path: shown(path),
        digest: None,
        problem: None,
    };
    let bytes = match read_authority(path, Links::Followed, GUARD_FILE_MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => {
            file.problem = Some(error.reason.to_string());
            return (file, None);
        }
    };
    file.digest = Some(Sha256Digest::of(&bytes));
    match parse(&bytes) {
        Ok(value) => (file, Some(value)),
        Err(why) => {
            file.problem = Some(why);
            (file, None)
        }
    }
}

fn hits(
    git: &Git,
    main: &SourceRepository,
    list: &ConflictList,
    keep: &Path,
    facts: &CoreRouteFacts,
) -> Result<Vec<ConflictHit>, String> {
    let branches = branches(git, main)?;
    let mut found = Vec::new();
    for conflict in &list.conflicts {
        let globs = matchers(&conflict.branches)?;
        let there = branches.iter().filter(|branch| names_match(&branch.name, &globs));
        let hits = there.map(|branch| format!("branch {}", escape(branch.name.as_bytes(), 300)));
        found.extend(hits.take(MOST_HITS).map(|what| hit(conflict, what)));
    }
    if list.conflicts.iter().all(|conflict| conflict.paths.is_empty()) {
        return Ok(found);
    }
    let globs = list
        .conflicts
        .iter()
        .map(|conflict| matchers(&conflict.paths))
        .collect::<Result<Vec<_>, _>>()?;
    let mut counts = vec![0_usize; globs.len()];
    for (place, commit) in unmerged(&branches, facts) {
        for path in changed(git, main, keep, &commit)? {
            let path_there = Path::new(OsStr::from_bytes(&path));
            for ((conflict, globs), count) in list.conflicts.iter().zip(&globs).zip(&mut counts) {
                if *count < MOST_HITS && globs.iter().any(|glob| glob.is_match(path_there)) {
                    *count += 1;
                    let what = format!("{} is changed on {place}", escape(&path, 300));
                    found.push(hit(conflict, what));
                }
            }
        }
    }
    Ok(found)
}

fn hit(conflict: &Conflict, found: String) -> ConflictHit {
    ConflictHit {
        id: escape(conflict.id.as_bytes(), 100),
        owner: escape(conflict.owner.as_bytes(), 200),
        found,
    }
}

/// Compares a branch by its short name, a remote's also without the remote.
fn names_match(full: &str, globs: &[GlobMatcher]) -> bool {
    let short = full
        .strip_prefix("refs/heads/")
        .or_else(|| full.strip_prefix("refs/remotes/"))
        .unwrap_or(full);
    let without_remote = full
        .strip_prefix("refs/remotes/")
        .and_then(|rest| rest.split_once('/'))
        .map(|(_, name)| name);
    [Some(short), without_remote]
        .into_iter()
        .flatten()
        .any(|name| globs.iter().any(|glob| glob.is_match(name)))
}

fn branches(git: &Git, main: &SourceRepository) -> Result<Vec<Branch>, String> {
    let call = GitCall::new("for-each-ref").args(["--format=%(objectname) %(refname)", "refs/heads", "refs/remotes"]);
    let text = ask(git, main, call)?;
    let mut branches = Vec::new();
    for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let line = String::from_utf8_lossy(line);
        let (commit, name) = line.split_once(' ').ok_or("git listed a branch without a name")?;
        branches.push(Branch {
            name: name.to_owned(),
            commit: commit.to_owned(),
        });
    }
    if branches.len() > MOST_BRANCHES {
        return Err(format!(
            "there are {} branches, {MOST_BRANCHES} are looked at",
            branches.len()
        ));
    }
    Ok(branches)
}

/// Returns every commit that local work stands on, and what it is called: branches, and detached work trees.
fn unmerged(branches: &[Branch], facts: &CoreRouteFacts) -> Vec<(String, String)> {
    let mut known = BTreeSet::new();
    let mut found = Vec::new();
    let local = branches.iter().filter(|branch| branch.name.starts_with("refs/heads/"));
    let named = local.map(|branch| {
        let name = escape(branch.name.as_bytes(), 300);
        (format!("branch {name}"), branch.commit.clone())
    });
    let trees = facts.before.work_trees.iter().filter(|tree| !tree.is_main);
    let detached =
        trees.filter_map(|tree| Some((format!("work tree {}", tree.path), tree.state.as_ref()?.commit.clone())));
    for (place, commit) in named.chain(detached) {
        if known.insert(commit.clone()) {
            found.push((place, commit));
        }
    }
    found
}

/// Returns the paths that a commit changes since it left main; asked in a git directory of the harness's own.
fn changed(git: &Git, main: &SourceRepository, keep: &Path, commit: &str) -> Result<Vec<Vec<u8>>, String> {
    let head = main.head_commit().map_err(|error| chain(&error))?;
    if head == commit {
        return Ok(Vec::new());
    }
    let keep = keep_of(keep, main).map_err(|error| format!("failed to make room: {error}"))?;
    let objects = main.objects().map_err(|error| chain(&error))?;
    let call = GitCall::new("diff-tree")
        .args(["-r", "--name-only", "--no-renames", "-z", "--merge-base", &head, commit])
        .git_dir(&keep.join(format!("status-{}", main.format().word())))
        .alternate_objects(&objects.objects)
        .cap(256 << 20);
    let text = git.run(call).map_err(|error| chain(&error))?;
    let paths = text.split(|&byte| byte == 0).filter(|path| !path.is_empty());
    Ok(paths.map(<[u8]>::to_vec).collect())
}

fn matchers(patterns: &[String]) -> Result<Vec<GlobMatcher>, String> {
    let build = |pattern: &String| {
        let whole = pattern
            .strip_suffix('/')
            .map_or_else(|| pattern.clone(), |directory| format!("{directory}/**"));
        let glob = GlobBuilder::new(&whole).literal_separator(true).build();
        glob.map(|glob| glob.compile_matcher())
            .map_err(|error| format!("failed to use a pattern: {error}"))
    };
    patterns.iter().map(build).collect()
}

//! Whether commits exist: asked of the repositories that the rules name, through a git directory of our own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cto_policy::CommitAnswer;

use crate::baseline::init_bare;
use crate::run::chain;
use crate::source::SourceRepository;
use crate::tool::{Git, GitCall, Input};

/// Looks each commit up in each repository until one has it.
pub(super) fn look_up(
    workspace: &Path,
    repositories: &[String],
    commits: &BTreeSet<String>,
    git: Option<&Git>,
) -> BTreeMap<String, CommitAnswer> {
    let mut answers: BTreeMap<String, CommitAnswer> = BTreeMap::new();
    if commits.is_empty() {
        return answers;
    }
    let mut problems = Vec::new();
    for repository in repositories {
        let open: Vec<&String> = commits
            .iter()
            .filter(|id| answers.get(*id) != Some(&CommitAnswer::Known))
            .collect();
        let asked = git
            .ok_or_else(|| "there is no git on this machine".to_owned())
            .and_then(|git| ask(git, workspace, repository, &open));
        match asked {
            Ok(found) => answers.extend(found),
            Err(problem) => problems.push(problem),
        }
    }
    for id in commits {
        let answer = answers.entry(id.clone()).or_insert(CommitAnswer::Unknown);
        // One repository that could not be asked may be the one that has it.
        if *answer == CommitAnswer::Unknown && !problems.is_empty() {
            *answer = CommitAnswer::Unasked(problems.join("; "));
        }
    }
    answers
}

/// The repository around a directory, or the one at a path.
fn place(workspace: &Path, repository: &str) -> Result<PathBuf, String> {
    if repository != "." {
        return std::fs::canonicalize(workspace.join(repository)).map_err(|error| {
            format!(
                "repository '{}': {error}",
                cto_schema::escape(repository.as_bytes(), 200)
            )
        });
    }
    workspace
        .ancestors()
        .find(|above| above.join(".git").symlink_metadata().is_ok())
        .map(Path::to_owned)
        .ok_or_else(|| "the workspace lies in no git repository".to_owned())
}

fn ask(
    git: &Git,
    workspace: &Path,
    repository: &str,
    ids: &[&String],
) -> Result<BTreeMap<String, CommitAnswer>, String> {
    let path = place(workspace, repository)?;
    let source = SourceRepository::open(&path).map_err(|error| chain(&error))?;
    let objects = source.objects().map_err(|error| chain(&error))?;
    let own = tempfile::tempdir().map_err(|error| error.to_string())?;
    init_bare(own.path(), objects.format).map_err(|error| error.to_string())?;
    let lines: String = ids.iter().map(|id| format!("{id}^{{commit}}\n")).collect();
    let call = GitCall::new("cat-file")
        .args(["--batch-check", "--buffer"])
        .git_dir(own.path())
        .alternate_objects(&objects.objects)
        .input(Input::Bytes(lines.into_bytes()));
    let said = git.run(call).map_err(|error| chain(&error))?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    // One line for each question; anything else is no answer.
    if lines.len() != ids.len() {
        return Err(format!(
            "git answered {} of {} questions about commits",
            lines.len(),
            ids.len()
        ));
    }
    let meaning = |line: &str| match line.rsplit(' ').next() {
        _ if line.split(' ').nth(1) == Some("commit") => CommitAnswer::Known,
        Some("ambiguous") => CommitAnswer::Ambiguous,
        _ => CommitAnswer::Unknown,
    };
    Ok(ids
        .iter()
        .zip(lines)
        .map(|(id, line)| ((*id).clone(), meaning(line)))
        .collect())
}

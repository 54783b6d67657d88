//! A Harbor (Terminal-Bench) task directory as a case: what can be mapped is, and what cannot is refused by name.
//!
//! The task's working directory becomes the workspace, its tests a directory of it, and its test script the
//! verification. There is no container here: what a Dockerfile would install is not there, so it is refused.

mod canary;
mod dockerfile;
mod paths;
mod script;
mod task_toml;

#[cfg(test)]
mod tests;

use std::path::Path;

use cto_schema::{BaselineExpectation, Case, Timeouts, escape};

use super::load::{read_fixture, read_text, shown};
use super::{CaseError, CaseFile, CaseFileKind, CaseOrigin, LoadedCase, document};
use dockerfile::Dockerfile;
use paths::Renamed;
use task_toml::TaskToml;

/// The file that makes a directory a Harbor task.
pub(super) const MARK: &str = "task.toml";
/// The directory of the workspace that gets the tests.
const TESTS: &str = "tests";

/// What a Harbor task says besides what every case says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HarborTask {
    /// What makes verification fail, where no canary can be generated for it.
    pub canary_patch: Option<String>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// How it was mapped, for the contract.
    pub notes: String,
    /// The solution as a shell script, which the `fake` engine plays; absent when there is none.
    pub solution: Option<String>,
}

/// Tells whether a directory holds a Harbor task and no case.
pub(super) fn is_task(directory: &Path) -> bool {
    !directory.join("case.yaml").exists() && directory.join(MARK).exists()
}

/// What is said of a task in the form of Terminal-Bench 1.
pub(super) const OLD_TASK: &str = "task.yaml is the form of Terminal-Bench 1, whose tests and containers are described otherwise; \
                                   convert it with Harbor: harbor task migrate -i DIR -o OUT";

/// Tells whether a directory holds a task in the form of Terminal-Bench 1.
pub(super) fn is_old_task(directory: &Path) -> bool {
    !directory.join("case.yaml").exists() && directory.join("task.yaml").exists()
}

/// Returns the name of a task: its directory's, in the letters of a case.
pub(super) fn name_of(directory: &Path) -> String {
    let name = directory
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let letter = |c: char| {
        if matches!(c, '_' | '.') {
            '-'
        } else {
            c.to_ascii_lowercase()
        }
    };
    name.chars().map(letter).collect()
}

/// Reads a task directory and refuses it with everything that cannot be mapped.
pub(super) fn load(directory: &Path) -> Result<LoadedCase, CaseError> {
    // `.` has no name of its own.
    let directory = &std::fs::canonicalize(directory).map_err(|error| super::load::read_error(directory, error))?;
    let mut problems = Vec::new();
    let toml = read_text(&directory.join(MARK))?;
    let task = task_toml::read(&toml, &mut problems);
    let instruction = read_text(&directory.join("instruction.md"))?;
    let dockerfile = read_dockerfile(directory, &mut problems)?;
    layout(directory, &mut problems);
    let (workdir, files) = match &dockerfile {
        Some((found, context)) => (found.workdir.clone(), found.fixture(context, &mut problems)),
        None => (String::new(), Vec::new()),
    };
    let renamed = Renamed::of(&workdir);
    let tests = read_fixture(&directory.join(TESTS))?;
    let script = read_text(&directory.join(TESTS).join("test.sh"))?;
    let verification = script::read(&script, &workdir, &tests, &mut problems);
    let files = together(files, tests, &renamed, &mut problems);
    problems.extend(document::forbidden_files(&files));
    let solution = match directory.join("solution/solve.sh") {
        path if path.exists() => Some(renamed.text(&read_text(&path)?)),
        _ => None,
    };
    let (Some(task), Some(verification), Some((dockerfile, _)), true) =
        (task, verification, dockerfile, problems.is_empty())
    else {
        return Err(CaseError::Invalid {
            place: shown(directory),
            problems,
        });
    };
    let canary_patch = match verification.canary.as_ref().map(|place| canary::patch(place, &files)) {
        Some(Err(problem)) => {
            return Err(CaseError::Invalid {
                place: shown(directory),
                problems: vec![problem],
            });
        }
        Some(Ok(patch)) => Some(patch),
        None => None,
    };
    let case = case(directory, &task, &renamed.text(&instruction), verification.argv);
    let mut found = Vec::new();
    document::identity(&case, &mut found);
    if !found.is_empty() {
        found.push("the name of a Harbor task is that of its directory".to_owned());
        return Err(CaseError::Invalid {
            place: shown(directory),
            problems: found,
        });
    }
    let notes = notes(&dockerfile, &verification.notes);
    Ok(LoadedCase {
        case,
        files,
        origin: CaseOrigin::Directory(directory.clone()),
        harbor: Some(HarborTask {
            canary_patch,
            timeouts: task.timeouts(),
            notes,
            solution,
        }),
    })
}

fn case(directory: &Path, task: &TaskToml, instruction: &str, argv: Vec<String>) -> Case {
    let id = name_of(directory);
    Case {
        title: task.title().unwrap_or_else(|| format!("Harbor task {id}")),
        task: instruction.to_owned(),
        language: "any".to_owned(),
        allowed_writes: vec!["**".to_owned()],
        verification: vec![argv],
        verification_inputs: vec![format!("{TESTS}/")],
        expected_change: Vec::new(),
        baseline_expectation: BaselineExpectation::Any,
        reference_edit: std::collections::BTreeMap::new(),
        case_id: id,
    }
}

fn notes(dockerfile: &Dockerfile, verification: &str) -> String {
    format!(
        "Read from a Harbor task. Its working directory {} is the workspace /workspace, its tests lie in /workspace/{TESTS} \
         where the agent sees them and may not change them, its logs in /tmp/logs. Its image {} is not used: programs are \
         those of this host. There is no network. {verification}",
        dockerfile.workdir, dockerfile.image
    )
}

fn read_dockerfile(
    directory: &Path,
    problems: &mut Vec<String>,
) -> Result<Option<(Dockerfile, Vec<CaseFile>)>, CaseError> {
    let environment = directory.join("environment");
    let path = environment.join("Dockerfile");
    if !path.exists() {
        problems.push(
            "environment/Dockerfile is missing: another kind of environment (compose, a prebuilt image) cannot be made here; \
             write a Dockerfile with FROM, WORKDIR and COPY"
                .to_owned(),
        );
        return Ok(None);
    }
    let context = read_fixture(&environment)?;
    for file in &context {
        let name = String::from_utf8_lossy(&file.path);
        if name.contains("compose") && (name.ends_with(".yaml") || name.ends_with(".yml")) && !name.contains('/') {
            problems.push(format!(
                "environment/{}: several containers cannot be made here; put what the task needs into its files",
                escape(&file.path, 120)
            ));
        }
        if name == ".dockerignore" {
            problems.push("environment/.dockerignore is not read; remove what it names, and it".to_owned());
        }
    }
    Ok(dockerfile::read(&read_text(&path)?, problems).map(|found| (found, context)))
}

/// What else a task may have that has no counterpart here.
fn layout(directory: &Path, problems: &mut Vec<String>) {
    for (name, what) in [
        (
            "steps",
            "a task of several steps is several cases; make a task directory of each",
        ),
        (
            "trajectory.json",
            "an agent cannot start with the context of another; remove it if the task works without",
        ),
        (
            "tests/Dockerfile",
            "a container for verification cannot be made here; let tests/test.sh do with what the host has",
        ),
        (
            "tests/test.bat",
            "Windows is not supported; remove it if tests/test.sh is enough",
        ),
        (
            "solution/solve.bat",
            "Windows is not supported; remove it if solution/solve.sh is enough",
        ),
    ] {
        if directory.join(name).exists() {
            problems.push(format!("{name}: {what}"));
        }
    }
}

/// Puts the environment's files and the tests into one fixture, with the task's own paths renamed.
fn together(
    files: Vec<CaseFile>,
    tests: Vec<CaseFile>,
    renamed: &Renamed,
    problems: &mut Vec<String>,
) -> Vec<CaseFile> {
    if files
        .iter()
        .any(|file| file.path.starts_with(b"tests/") || file.path == b"tests")
    {
        problems.push(
            "the environment has files in tests/, where the task's own tests go; rename that directory".to_owned(),
        );
    }
    let tests = tests.into_iter().map(|file| CaseFile {
        path: [b"tests/", &file.path[..]].concat(),
        ..file
    });
    let mut all: Vec<CaseFile> = files.into_iter().chain(tests).collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    for file in &mut all {
        if file.kind == CaseFileKind::Link {
            if file.bytes.starts_with(b"/") {
                let path = escape(&file.path, 200);
                problems.push(format!(
                    "{path}: a link to an absolute path leads nowhere here; make it relative"
                ));
            }
        } else if let Ok(text) = std::str::from_utf8(&file.bytes) {
            file.bytes = renamed.text(text).into_bytes();
        }
    }
    all
}

//! Which script a call gets: by the model's name, by the phase that asks, by the case that the prompt speaks of.

use super::cases::{self, Solution};
use super::phases::Phase;
use super::{Script, Turn};
use crate::scripted::call::Call;
use crate::scripted::tools;

/// The scripts that a model name can ask for (`scripted-NAME`), and what each does.
pub(in crate::scripted) const NAMES: &[(&str, &str)] = &[
    (
        "fix",
        "solves the embedded case that the prompt speaks of, in the shell",
    ),
    ("write", "solves it with the agent's own tool for files"),
    ("commit", "solves it and commits, as the prompts of Case tell it to"),
    ("idle", "says that it is done and changes nothing"),
    ("stray", "solves it and writes a file that no case allows"),
    ("ask-model", "asks another model from inside, then solves it"),
    ("no-envelope", "solves it, and no phase of Case ends as it must"),
    ("reject", "solves it, and the reviewer of Case rejects it"),
];

/// The model that `scripted-ask-model` asks for.
const OTHER_MODEL: &str = "another-model";

/// Commits what is changed, whoever the agent is.
const COMMIT: &str =
    "git -c user.name=agent -c user.email=agent@example.invalid commit -qam 'Fix it'; git log --oneline -1";

/// Returns the script for a call; `own` takes the place of the built-in ones.
pub(in crate::scripted) fn choose(call: &Call, name: &str, own: Option<&Script>) -> Script {
    let solution = cases::find(&[&call.prompt, &call.system, &call.heard]);
    let mut work = own.cloned().unwrap_or_else(|| built_in(name, solution));
    if let Some(path) = task_file(call) {
        work.turns.insert(
            0,
            Turn::shell(Some("I will read the task."), format!("cat {}", tools::quoted(path))),
        );
    }
    let Some(phase) = Phase::of(call).filter(|_| name != "no-envelope") else {
        return work;
    };
    let files = solution.map(Solution::files).unwrap_or_default();
    phase.script(work, &files, name == "reject")
}

fn built_in(name: &str, solution: Option<&Solution>) -> Script {
    let Some(solution) = solution else {
        return Script::says("There is no script for this task.");
    };
    let mut turns = match name {
        "idle" => vec![],
        "write" => solution.by_files(),
        _ => solution.by_shell(),
    };
    match name {
        "stray" => turns.push(Turn::shell(None, "echo stray > STRAY.md".to_owned())),
        "commit" => turns.push(Turn::shell(None, COMMIT.to_owned())),
        "ask-model" => turns.insert(
            0,
            Turn {
                ask_model: Some(OTHER_MODEL.to_owned()),
                ..Turn::default()
            },
        ),
        _ => {}
    }
    let last = match name {
        "idle" => "Nothing is left to do.".to_owned(),
        _ => format!("Done: {}. Changed {}.", solution.title, solution.files().join(", ")),
    };
    Script { turns, r#final: last }
}

/// Returns the file that holds the task, where the prompt only points to one, as Case's does.
fn task_file(call: &Call) -> Option<&str> {
    const MARK: &str = "**Task file**: `";
    let at = call.prompt.find(MARK)? + MARK.len();
    let (path, _) = call.prompt[at..].split_once('`')?;
    (!path.contains('\n')).then_some(path)
}

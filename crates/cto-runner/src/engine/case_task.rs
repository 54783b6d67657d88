//! What the Case engine reads besides its configuration: the task file, its text, and the list of projects.

use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::json;

use super::{EngineTask, HomeFile, InputFile, Installation, Invocation, find, prompt};

/// The task's identity inside Case; its manifest's argv and log names hold it as well.
const TASK: &str = "cto-task";
/// The project's name inside Case.
const PROJECT: &str = "fixture";

/// Adds the files to an invocation. The brief is in a file, so no argument holds it.
pub(super) fn add(task: &EngineTask<'_>, found: &Installation, invocation: &mut Invocation) {
    let input = |path: String, content: String| InputFile {
        path: PathBuf::from(path),
        content: content.into_bytes(),
    };
    invocation.inputs = vec![
        input(format!(".case/tasks/active/{TASK}.task.json"), task_file(task)),
        input(format!(".case/tasks/active/{TASK}.md"), text(task)),
        input(".case/active".to_owned(), TASK.to_owned()),
    ];
    invocation.home.push(HomeFile {
        path: PathBuf::from(".config/case/projects.json"),
        content: projects(task).into_bytes(),
        mode: 0o600,
    });
    // Its prompts tell the model to call `ca` by name, and it must never take them from the target.
    invocation.path.extend(found.program.parent().map(PathBuf::from));
    if let Some(root) = find::package_root(&found.program) {
        invocation
            .env
            .push((OsString::from("CASE_PACKAGE_ROOT"), root.into_os_string()));
    }
}

fn verification(task: &EngineTask<'_>) -> String {
    let commands = &task.contract.verification_commands;
    let lines: Vec<String> = commands.iter().map(|argv| prompt::shell_line(argv)).collect();
    if lines.is_empty() {
        "true".to_owned()
    } else {
        lines.join(" && ")
    }
}

fn task_file(task: &EngineTask<'_>) -> String {
    let document = json!({
        "id": TASK,
        "status": "active",
        // The same contract gives the same file; nothing reads the time.
        "created": "2024-01-01T00:00:00Z",
        "repo": PROJECT,
        "issueType": "freeform",
        "issue": prompt::title(task.contract),
        "mode": "unattended",
        "profile": "standard",
        "agents": {},
        "tested": false,
        "manualTested": false,
        "prUrl": null,
        "prNumber": null,
        "fastTestCommand": verification(task),
    });
    document.to_string()
}

fn projects(task: &EngineTask<'_>) -> String {
    let document = json!({
        "repos": [{
            "name": PROJECT,
            // Any other type asks for a browser.
            "type": "library",
            "path": cto_sandbox::WORKSPACE,
            "remote": "https://example.invalid/fixture.git",
            "description": PROJECT,
            "language": task.case.map_or("other", |case| case.case.language.as_str()),
            "packageManager": "none",
            "commands": { "setup": "true", "test": verification(task) },
        }]
    });
    document.to_string()
}

/// The text that every phase reads: the prompt of every engine, and what Case wants at the end of each answer.
fn text(task: &EngineTask<'_>) -> String {
    let result = json!({
        "status": "completed",
        "summary": "what was done",
        "artifacts": {
            "commit": null,
            "filesChanged": task.contract.allowed_paths,
            "testsPassed": true,
            "screenshotUrls": [],
            "evidenceMarkers": [],
            "prUrl": null,
            "prNumber": null,
        },
        "error": null,
    });
    format!(
        "{}\n## Appendix: how each agent ends\n\nThere is no pull request and no issue tracker: leave prUrl and \
         prNumber null, and do not call gh. End your last message with exactly one such block, with status completed, \
         failed or blocked:\n\n<<<AGENT_RESULT\n{result}\nAGENT_RESULT>>>\n",
        prompt::prompt(task.contract)
    )
}

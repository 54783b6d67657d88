//! Tests of scripts: which is chosen, what it does with the tools that there are, and that it solves its case.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Script, ScriptError, cases, choose};
use crate::Dialect;
use crate::scripted::answer::{Answer, ToolInput};
use crate::scripted::call::Call;
use crate::scripted::{ScriptedModel, ScriptedOptions};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases")
}

/// A request with this system text, prompt, results and these tools, as Responses.
fn call(system: &str, prompt: &str, results: &[&str], tools: &Value) -> Call {
    let mut input = vec![json!({ "type": "message", "role": "user", "content": prompt })];
    for result in results {
        input.push(json!({ "type": "function_call_output", "call_id": "x", "output": result }));
    }
    let body = json!({ "model": "m", "instructions": system, "input": input, "tools": tools });
    Call::read(Dialect::Responses, body.to_string().as_bytes()).unwrap()
}

fn shell(name: &str, field: &str, kind: &str) -> Value {
    let parameters = json!({ "type": "object", "properties": { field: { "type": kind } }, "required": [field] });
    json!({ "type": "function", "name": name, "parameters": parameters })
}

fn file_tool(name: &str, field: &str) -> Value {
    let properties = json!({ field: { "type": "string" }, "content": { "type": "string" } });
    json!({ "type": "function", "name": name, "parameters": { "type": "object", "properties": properties } })
}

fn answer(call: &Call, name: &str) -> Answer {
    choose(call, name, None).answer(call)
}

fn arguments(answer: &Answer) -> Value {
    match &answer.calls[0].input {
        ToolInput::Arguments(text) => serde_json::from_str(text).unwrap(),
        ToolInput::Freeform(text) => json!(text),
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell is what a script is written for")]
fn bash(directory: &Path, command: &str) -> String {
    let output = Command::new("/bin/bash")
        .args(["-c", command])
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[expect(clippy::disallowed_methods, reason = "a test's own files need not survive a crash")]
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::write(target, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

#[test]
fn every_case_of_the_repository_has_its_solution() {
    let mut found: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut known: Vec<String> = cases::solutions()
        .iter()
        .map(|solution| solution.case_id.clone())
        .collect();
    found.sort();
    known.sort();
    assert_eq!(known, found);
}

#[test]
fn the_plain_fix_solves_every_case_in_a_real_shell() {
    for solution in cases::solutions() {
        let directory = tempfile::tempdir().unwrap();
        copy(&root().join(&solution.case_id).join("fixture"), directory.path());
        let tools = json!([shell("bash", "command", "string")]);
        let mut results: Vec<String> = vec![];
        let last = loop {
            let heard: Vec<&str> = results.iter().map(String::as_str).collect();
            let answer = answer(&call("", &solution.title, &heard, &tools), "fix");
            if answer.calls.is_empty() {
                break answer.text.unwrap();
            }
            results.push(bash(directory.path(), arguments(&answer)["command"].as_str().unwrap()));
            assert!(results.len() < 5);
        };
        assert_eq!(results.len(), 2);
        assert!(last.contains(&solution.title), "{last}");
        for (path, content) in &solution.reference_edit {
            assert_eq!(&fs::read_to_string(directory.path().join(path)).unwrap(), content);
        }
    }
}

#[test]
fn a_case_is_found_by_its_id_its_title_or_its_task_however_they_are_wrapped() {
    for solution in cases::solutions() {
        for mark in [&solution.case_id, &solution.title, &solution.task] {
            let prompt = format!("Do this:\n   {}", mark.replace(' ', "\n    "));
            for texts in [["", &prompt], [&prompt, "r1-none"]] {
                assert_eq!(cases::find(&texts).unwrap().case_id, solution.case_id, "{mark}");
            }
        }
    }
}

#[test]
fn files_that_are_named_tell_the_case_when_nothing_else_does() {
    let find = |text| cases::find(&[text]).map(|solution| solution.case_id.as_str());
    assert_eq!(
        find("Fix slugify in strings.py so that test_strings.py passes."),
        Some("r1-string-slugify")
    );
    assert_eq!(
        find("slugify: src/strings.py, test_strings.py"),
        Some("r1-src-string-slugify")
    );
    assert_eq!(find("Slugify in slugify.go"), Some("r1-go-slugify"));
    assert_eq!(find("Say OK."), None);
    let preflight = call("", "Say OK.", &[], &json!([]));
    assert_eq!(
        answer(&preflight, "fix").text.unwrap(),
        "There is no script for this task."
    );
}

#[test]
fn a_command_goes_to_whatever_shell_the_agent_has() {
    let prompt = "r1-string-slugify";
    for (tool, field) in [
        (shell("bash", "command", "string"), "command"),
        (shell("Bash", "command", "string"), "command"),
        (shell("exec_command", "cmd", "string"), "cmd"),
        (shell("shell", "command", "array"), "command"),
    ] {
        let answer = answer(&call("", prompt, &[], &json!([tool])), "fix");
        assert_eq!(answer.calls[0].name, tool["name"].as_str().unwrap());
        assert_eq!(answer.calls[0].namespace, None);
        let value = &arguments(&answer)[field];
        let command = value.as_str().or_else(|| value[2].as_str()).unwrap();
        assert_eq!(command, "ls; cat strings.py");
    }
    let wrapped = json!([
        { "type": "namespace", "name": "box", "tools": [shell("exec_command", "cmd", "string")] },
        { "type": "custom", "name": "apply_patch", "format": {} },
    ]);
    let answer = answer(&call("", prompt, &[], &wrapped), "fix");
    assert_eq!(answer.calls[0].namespace.as_deref(), Some("box"));
}

#[test]
fn a_file_goes_to_whatever_writes_files() {
    let prompt = "r1-string-slugify";
    let system = "Primary working directory: /some/place\nMore.";
    let bash = shell("Bash", "command", "string");
    let claude = json!([bash, file_tool("Read", "file_path"), file_tool("Write", "file_path")]);
    let read = answer(&call(system, prompt, &["seen"], &claude), "write");
    assert_eq!(read.calls[0].name, "Read");
    let write = answer(&call(system, prompt, &["seen", "read"], &claude), "write");
    assert_eq!(write.calls[0].name, "Write");
    assert_eq!(arguments(&write)["file_path"], "/some/place/strings.py");
    assert!(arguments(&write)["content"].as_str().unwrap().contains("def slugify"));

    let pi = json!([bash, file_tool("write", "path")]);
    assert_eq!(
        arguments(&answer(&call(system, prompt, &["seen"], &pi), "write"))["path"],
        "strings.py"
    );

    let codex = json!([bash, { "type": "custom", "name": "apply_patch", "format": {} }]);
    let patch = answer(&call(system, prompt, &["seen"], &codex), "write");
    let ToolInput::Freeform(text) = &patch.calls[0].input else {
        panic!("{patch:?}");
    };
    assert!(text.starts_with("*** Begin Patch\n*** Add File: strings.py\n+\"\"\"Helpers"));
    assert!(text.ends_with("\n*** End Patch"));

    let bare = answer(&call(system, prompt, &["seen"], &json!([bash])), "write");
    assert!(
        arguments(&bare)["command"]
            .as_str()
            .unwrap()
            .starts_with("cat > strings.py <<'END_OF_FILE'\n")
    );
}

#[test]
fn the_phases_of_case_end_in_their_envelopes() {
    let tools = json!([shell("bash", "command", "string")]);
    let prompt = "- **Task file**: `/w/.case/tasks/active/t 1.md`\n";
    let title = "Fix slugify so that whitespace runs become one hyphen";
    for (role, rubric) in [
        ("Implementer", None),
        ("Verifier", Some("verifier")),
        ("Reviewer", Some("reviewer")),
        ("Closer", None),
        ("Retrospective", None),
    ] {
        let system = format!("\n# {role} Agent\nDo it.");
        let envelope = |name: &str| {
            let mut heard = vec![];
            for _ in 0..9 {
                let call = call(&system, prompt, &heard, &tools);
                let answer = answer(&call, name);
                if answer.calls.is_empty() {
                    let text = answer.text.unwrap();
                    let (_, rest) = text.split_once("<<<AGENT_RESULT\n").unwrap();
                    let (json, _) = rest.split_once("\nAGENT_RESULT>>>").unwrap();
                    return (heard.len(), serde_json::from_str::<Value>(json).unwrap());
                }
                heard.push(title);
            }
            panic!("{role} does not end");
        };
        let (calls, good) = envelope("fix");
        assert_eq!(good["status"], "completed");
        assert_eq!(good["rubric"]["role"].as_str(), rubric);
        assert!(!good.to_string().contains("\"fail\""));
        let (_, bad) = envelope("reject");
        assert_eq!(bad.to_string().contains("\"fail\""), role == "Reviewer");
        if role == "Implementer" {
            assert_eq!(calls, 3, "reads the task, looks, fixes");
            assert_eq!(good["artifacts"]["filesChanged"], json!(["strings.py"]));
            let first = answer(&call(&system, prompt, &[], &tools), "fix");
            assert_eq!(arguments(&first)["command"], "cat '/w/.case/tasks/active/t 1.md'");
            let none = answer(&call(&system, prompt, &[title, "", ""], &tools), "no-envelope");
            assert!(!none.text.unwrap().contains("AGENT_RESULT"));
        }
    }
}

#[test]
fn the_other_scripts_do_what_their_names_say() {
    let tools = json!([shell("bash", "command", "string")]);
    let commands = |name: &str| -> Vec<String> {
        let mut heard = vec![];
        let mut commands = vec![];
        loop {
            let answer = answer(&call("", "r1-string-slugify", &heard, &tools), name);
            if answer.calls.is_empty() {
                return commands;
            }
            commands.push(arguments(&answer)["command"].as_str().unwrap().to_owned());
            heard.push("ok");
        }
    };
    assert!(commands("idle").is_empty());
    assert!(commands("stray").last().unwrap().contains("> STRAY.md"));
    assert!(commands("commit").last().unwrap().contains(" commit "));
    let asked = &commands("ask-model")[0];
    assert!(asked.contains("127.0.0.1:8080") && asked.contains("\"model\":\"another-model\""));
    assert_eq!(commands("ask-model").len(), 1 + commands("fix").len());
}

#[test]
fn another_model_is_really_asked_with_curl_or_without() {
    let model = ScriptedModel::start(ScriptedOptions::default()).unwrap();
    let mut call = call(
        "",
        "r1-string-slugify",
        &[],
        &json!([shell("bash", "command", "string")]),
    );
    call.host = model.address().to_string();
    let asked = arguments(&answer(&call, "ask-model"))["command"]
        .as_str()
        .unwrap()
        .to_owned();
    // A shell for which there is no curl.
    let bare = tempfile::tempdir().unwrap();
    for program in ["bash", "cat"] {
        std::os::unix::fs::symlink(Path::new("/bin").join(program), bare.path().join(program)).unwrap();
    }
    for path in [
        "/usr/local/bin:/usr/bin:/bin".to_owned(),
        bare.path().display().to_string(),
    ] {
        // Nothing listens on port 1, whatever else this machine runs.
        let command = format!("PATH={path}; {}", asked.replace("127.0.0.1:8080", "127.0.0.1:1"));
        let heard = bash(bare.path(), &command);
        assert!(heard.contains("\"model\":\"another-model\""), "{path}: {heard}");
    }
    assert_eq!(model.stop().len(), 2);
}

#[test]
fn a_script_file_is_read_strictly() {
    let script = Script::parse(
        "turns:\n  - say: First.\n    shell: echo 1\n  - write: { path: a.txt, content: b }\n  - ask_model: x\nfinal: Done.\n",
    )
    .unwrap();
    let tools = json!([shell("bash", "command", "string")]);
    let at = |heard: &[&str]| {
        let call = call("", "anything", heard, &tools);
        choose(&call, "fix", Some(&script)).answer(&call)
    };
    assert_eq!(at(&[]).text.unwrap(), "First.");
    assert_eq!(
        arguments(&at(&["1"]))["command"],
        "cat > a.txt <<'END_OF_FILE'\nb\nEND_OF_FILE\n"
    );
    assert_eq!(at(&["1", "2", "3"]).text.unwrap(), "Done.");
    for (text, wanted) in [
        ("turns: [{ say: x }]\nfinal: x\n", ScriptError::Turn(1)),
        (
            "turns: [{ shell: x }, { shell: x, ask_model: y }]\nfinal: x\n",
            ScriptError::Turn(2),
        ),
    ] {
        assert_eq!(Script::parse(text).unwrap_err(), wanted);
    }
    for text in [
        "",
        "turns: []\n",
        "final: x\nmore: y\n",
        "turns: [{ sehll: x }]\nfinal: x\n",
        "final: x\nfinal: y\n",
    ] {
        assert!(
            matches!(Script::parse(text).unwrap_err(), ScriptError::Shape(_)),
            "{text}"
        );
    }
    assert!(matches!(
        Script::parse(&" ".repeat(1 << 21)).unwrap_err(),
        ScriptError::TooLarge(_)
    ));
    let long = format!("turns:\n{}final: x\n", "  - shell: x\n".repeat(1001));
    assert_eq!(Script::parse(&long).unwrap_err(), ScriptError::TooLong(1001));
}

//! What a stub saw, held against what the engine was to be given.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use cto_schema::{EngineTaskFiles, Report, Sha256Digest};
use serde_json::Value;

use super::stub::{Asked, SEEN};
use crate::engine::Engine;

/// What a check came to: what was seen, or what is wrong.
type Outcome = Result<String, String>;

/// Returns every check of what the engine was given, by name.
pub(super) fn checks(
    engine: &dyn Engine,
    report: &Report,
    bundle: &Path,
    asked: Option<&Asked>,
) -> Vec<(&'static str, Outcome)> {
    let Some(asked) = asked else {
        return vec![(
            "command_shape",
            Err("the engine was never asked what to start".to_owned()),
        )];
    };
    let task_files = engine
        .document()
        .map_or(EngineTaskFiles::None, |document| document.task_files);
    let place = bundle.join("backend").join(SEEN);
    let mut checks = vec![
        ("command_shape", command_shape(asked, &place, task_files)),
        ("environment", environment(asked, &place)),
        ("config_files", files(&asked.home, &place.join("home"), "./")),
        ("task_reaches_engine", task(bundle, asked)),
    ];
    if task_files == EngineTaskFiles::Case {
        checks.push(("task_file", task_file(asked, &place)));
    }
    if engine.manifest().wire.is_some() {
        checks.push(("model_reaches_engine", model(report, asked)));
    }
    checks
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let name = path.file_name().unwrap_or_default().display().to_string();
    std::fs::read(path).map_err(|error| format!("what the stub saw of its {name} is not there: {error}"))
}

fn command_shape(asked: &Asked, place: &Path, task_files: EngineTaskFiles) -> Outcome {
    let seen = read(&place.join("argv"))?;
    let mut wanted = Vec::new();
    for word in &asked.argv {
        wanted.extend_from_slice(word.as_bytes());
        wanted.push(0);
    }
    // The shell prints one empty word where there is none.
    let none = asked.argv.is_empty() && seen == [0];
    if seen != wanted && !none {
        return Err("the arguments that arrived are not those of the manifest".to_owned());
    }
    let shown = asked.shown.join(" ");
    let shape = format!(
        "run --task {}/.case/tasks/active/cto-task.task.json --mode unattended",
        cto_sandbox::WORKSPACE
    );
    if task_files == EngineTaskFiles::Case && shown != shape {
        return Err(format!("the command is '{shown}', not '{shape}'"));
    }
    Ok(if shown.is_empty() {
        "no arguments".to_owned()
    } else {
        shown
    })
}

fn environment(asked: &Asked, place: &Path) -> Outcome {
    let seen = read(&place.join("env"))?;
    let seen: BTreeSet<&[u8]> = seen.split(|byte| *byte == 0).collect();
    for (name, value) in &asked.env {
        let wanted = [name.as_bytes(), b"=", value.as_bytes()].concat();
        if !seen.contains(wanted.as_slice()) {
            return Err(format!("{} did not arrive as the manifest sets it", name.display()));
        }
    }
    Ok(format!("{} variables arrived", asked.env.len()))
}

/// Compares files by their digests, as `sha256sum` printed them.
fn files(wanted: &BTreeMap<PathBuf, Vec<u8>>, list: &Path, before: &str) -> Outcome {
    let seen = read(list)?;
    let seen = String::from_utf8_lossy(&seen).into_owned();
    for (path, content) in wanted {
        let digest = Sha256Digest::of(content).to_string();
        let line = format!("{}  {before}{}", digest.trim_start_matches("sha256:"), path.display());
        if !seen.lines().any(|found| found == line) {
            return Err(format!("{} did not arrive as it was written", path.display()));
        }
    }
    let names: Vec<String> = wanted.keys().map(|path| path.display().to_string()).collect();
    Ok(format!(
        "{} arrived",
        if names.is_empty() {
            "no file".to_owned()
        } else {
            names.join(", ")
        }
    ))
}

/// Everything that the engine can read: arguments, variables, files.
fn given(asked: &Asked) -> impl Iterator<Item = &[u8]> {
    let words = asked.argv.iter().map(|word| word.as_bytes());
    let values = asked.env.iter().map(|(_, value)| value.as_bytes());
    let files = asked.home.values().chain(asked.inputs.values()).map(Vec::as_slice);
    words.chain(values).chain(files)
}

fn holds(bytes: &[u8], text: &str) -> bool {
    !text.is_empty() && bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn task(bundle: &Path, asked: &Asked) -> Outcome {
    let contract = read(&bundle.join("contract.json"))?;
    let contract: Value = serde_json::from_slice(&contract).map_err(|error| format!("contract.json: {error}"))?;
    let brief = contract["brief"].as_str().unwrap_or_default().trim();
    if !given(asked).any(|bytes| holds(bytes, brief)) {
        return Err("the brief is in nothing that the engine is given".to_owned());
    }
    Ok(if asked.argv.iter().any(|word| holds(word.as_bytes(), brief)) {
        "the brief is an argument".to_owned()
    } else {
        "the brief is in a file or a variable, in no argument".to_owned()
    })
}

/// The brief of Case travels in its task file, never as an argument.
fn task_file(asked: &Asked, place: &Path) -> Outcome {
    let found = files(&asked.inputs, &place.join("inputs"), "")?;
    let task = asked
        .inputs
        .iter()
        .find(|(path, _)| path.to_string_lossy().ends_with(".task.json"));
    let (path, content) = task.ok_or("there is no task file")?;
    let document: Value = serde_json::from_slice(content).map_err(|error| format!("{}: {error}", path.display()))?;
    if document["status"] != "active" || document["mode"] != "unattended" {
        return Err(format!("{} is no active, unattended task", path.display()));
    }
    let text = asked.inputs.get(&path.with_extension("").with_extension("md"));
    let text = text.ok_or("the task file has no text beside it")?;
    for part in ["AGENT_RESULT", "filesChanged", "strings.py"] {
        if !holds(text, part) {
            return Err(format!("the task's text does not say {part}"));
        }
    }
    if asked.argv.iter().any(|word| holds(word.as_bytes(), "slugify")) {
        return Err("the brief is in an argument".to_owned());
    }
    Ok(found)
}

fn model(report: &Report, asked: &Asked) -> Outcome {
    let model = report.case_model.clone().unwrap_or_default();
    for (what, text) in [
        ("the admitted model", model.as_str()),
        ("the gateway's address", "127.0.0.1:8080"),
    ] {
        if !given(asked).any(|bytes| holds(bytes, text)) {
            return Err(format!("{what} is in nothing that the engine is given"));
        }
    }
    Ok(format!("it is told to use {model} behind the gateway"))
}

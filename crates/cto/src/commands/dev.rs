//! `cto dev`: what one needs to try an engine out; `scripted-model` stands in for a hosted model.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cto_evidence::{rfc3339, wall_now};
use cto_runner::Stop;
use cto_runner::scripted::{
    ENGINES, Fault, FaultPlan, Script, ScriptedError, ScriptedOptions, SeenRequest, run_foreground, setup_lines,
    write_admissions,
};
use cto_schema::{ExitClass, escape};
use serde_json::{Map, json};

use crate::cli_engines::{DevAction, ScriptedModelArgs};
use crate::error::CommandError;
use crate::output::{Exit, Output};

/// Longest script file that is read at all; the reader's own limit is lower and says so.
const MAX_BYTES: u64 = 2 << 20;

/// The variable from which a run takes the key of a scripted model.
const KEY_VARIABLE: &str = "CTO_SCRIPTED_KEY";

pub(super) fn dev(action: &DevAction, output: &Output) -> Result<Exit, CommandError> {
    match action {
        DevAction::ScriptedModel(args) => scripted_model(args, output),
    }
}

fn scripted_model(args: &ScriptedModelArgs, output: &Output) -> Result<Exit, CommandError> {
    let options = ScriptedOptions {
        listen: args.listen,
        script: args.script.as_deref().map(script).transpose()?,
        fault: args.fault.as_deref().map(fault).transpose()?,
        required_key: args.require_key.clone(),
        ..ScriptedOptions::default()
    };
    let admissions = match &args.setup {
        Some(directory) => write_admissions(directory, &rfc3339(wall_now()))
            .map_err(|error| CommandError::refused(crate::error::chain(&error)))?,
        None => vec![],
    };
    let stop = Stop::new().and_then(|stop| stop.on_signals().map(|()| stop));
    let stop = stop.map_err(|error| CommandError::failed(&error))?;
    let key = args.require_key.is_some().then_some(KEY_VARIABLE);
    let ready = |address| announce(address, &admissions, key, output);
    let seen = |request: &SeenRequest| output.note(&line(request));
    run_foreground(options, ready, seen, || stop.asked()).map_err(|error| match error {
        ScriptedError::NotLoopback(_) => CommandError::usage(crate::error::chain(&error)),
        ScriptedError::Listen(..) => CommandError::refused(crate::error::chain(&error)),
        ScriptedError::Thread(_) => CommandError::failed(&error),
    })?;
    Ok(Exit(ExitClass::Pass))
}

fn script(path: &Path) -> Result<Script, CommandError> {
    let shown = escape(path.as_os_str().as_encoded_bytes(), 200);
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
        .map_err(|error| CommandError::refused(format!("failed to read the script {shown}: {error}")))?;
    Script::parse(&text).map_err(|error| CommandError::usage(format!("{} ({shown})", crate::error::chain(&error))))
}

fn fault(text: &str) -> Result<FaultPlan, CommandError> {
    text.parse().map_err(|error| {
        let names: Vec<&str> = Fault::ALL.iter().map(|(_, name, _)| *name).collect();
        CommandError::usage(crate::error::chain(&error)).hint(format!("faults are {}", names.join(", ")))
    })
}

/// Says where it listens and what to set for each engine.
fn announce(address: SocketAddr, admissions: &[PathBuf], key: Option<&str>, output: &Output) {
    let lines = |index: usize, engine: &str| setup_lines(engine, address, admissions.get(index).map(PathBuf::as_path));
    if output.json() {
        let engines: Map<String, serde_json::Value> = ENGINES
            .iter()
            .enumerate()
            .map(|(index, engine)| {
                let variables: Map<String, serde_json::Value> = lines(index, engine)
                    .into_iter()
                    .map(|(name, value)| (name, json!(value)))
                    .collect();
                ((*engine).to_owned(), json!(variables))
            })
            .collect();
        output.document(&json!({
            "address": address.to_string(),
            "openai_base_url": format!("http://{address}/v1"),
            "anthropic_base_url": format!("http://{address}"),
            "credential_variable": key,
            "engines": engines,
        }));
        return;
    }
    output.print(&format!(
        "# A scripted model listens on http://{address} until Ctrl-C.\n"
    ));
    for (index, engine) in ENGINES.iter().enumerate() {
        let exports = lines(index, engine)
            .into_iter()
            .map(|(name, value)| format!("export {name}={}\n", quoted(&value)));
        output.print(&format!("\n# {engine}\n{}", exports.collect::<String>()));
    }
}

/// Quotes a value for a shell.
fn quoted(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-:".contains(&b);
    if value.bytes().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', "'\\''"))
}

/// Returns one line about a request, for people.
fn line(request: &SeenRequest) -> String {
    let what = request.model.as_ref().map_or_else(String::new, |model| {
        format!(" model={model} results={}", request.results)
    });
    let fault = request
        .fault
        .map_or_else(String::new, |fault| format!(" fault={fault}"));
    let line = format!(
        "{} {} {}{what}{fault} -> {}",
        request.number, request.method, request.path, request.status
    );
    escape(line.as_bytes(), 400)
}

//! `cto watch`: a run under way, event by event, until it ends; or the summary where none is.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use cto_evidence::{BegunRun, Home, begun_runs};
use cto_runner::{Stop, summarise};
use cto_schema::{Event, ExitClass, Report, RunId};
use serde_json::json;

use super::show::event_line;
use crate::cli::Global;
use crate::cli_panel::WatchArgs;
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};

/// How often is looked.
const LOOK: Duration = Duration::from_millis(200);
/// Most bytes of a stream that are read at a time.
const PIECE: u64 = 4 << 20;

pub(super) fn watch(global: &Global, args: &WatchArgs, output: &Output) -> Result<Exit, CommandError> {
    let home = installation::open_home(global)?;
    let begun = begun_runs(&home).map_err(|error| CommandError::failed(&error))?;
    let live: Vec<&BegunRun> = begun.iter().filter(|run| run.lives).collect();
    let picked = match &args.run {
        Some(part) => {
            let named: Vec<_> = live.iter().filter(|run| run.run_id.as_str().contains(part)).collect();
            match named.as_slice() {
                [one] => Some((**one).clone()),
                _ => {
                    let shown = cto_schema::escape(part.as_bytes(), 80);
                    let text = format!("{} runs under way have '{shown}' in their name", named.len());
                    return Err(
                        CommandError::refused(text).hint("cto watch alone takes the newest; cto runs lists them")
                    );
                }
            }
        }
        None => live.first().map(|run| (*run).clone()),
    };
    match picked {
        Some(run) => follow(&home, &run, output),
        None => nothing(global, output),
    }
}

/// Nothing is under way: what is, is in the summary.
fn nothing(global: &Global, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open_without_git(global)?;
    let summary = summarise(&harness, cto_runner::CANDIDATE, 1).map_err(|error| CommandError::failed(&error))?;
    if output.json() {
        output.document(&json!({ "run_id": null, "state": "none", "events": 0, "status": null }));
    } else {
        output.note("no run is under way");
        output.print(&super::summary::text(&summary, output));
    }
    Ok(Exit(ExitClass::Pass))
}

fn follow(home: &Home, run: &BegunRun, output: &Output) -> Result<Exit, CommandError> {
    let stop = Stop::new().and_then(|stop| stop.on_signals().map(|()| stop));
    let stop = stop.map_err(|error| CommandError::failed(&error))?;
    let bundle = home.run(&run.run_id);
    if !output.json() {
        let info = run.info.as_ref();
        let word = |text: &str| cto_schema::escape(text.as_bytes(), 80);
        let engine = info.map(|info| word(&info.opened.backend)).unwrap_or_default();
        let case = info.map(|info| word(&info.opened.case_id)).unwrap_or_default();
        output.note(&format!(
            "run {}: {case} by {engine}; Ctrl-C leaves it running",
            run.run_id
        ));
    }
    let mut stream = Stream::default();
    // Nobody ever speaks on it: it is a wait that ends by itself.
    let (_keep, wait) = mpsc::channel::<()>();
    let state = loop {
        let now = standing(home, &run.run_id)?;
        // What was written before it ended is told before its end is.
        for event in stream.read(&bundle.join("events.normalized.jsonl")) {
            if !output.json() {
                output.print(&event_line(&event));
            }
        }
        if now != "running" || stop.asked() {
            break now;
        }
        wait.recv_timeout(LOOK).unwrap_or_default();
    };
    let report: Option<Report> = std::fs::read(bundle.join("report.json"))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let status = report.filter(|_| state == "sealed").map(|report| report.status.word());
    if output.json() {
        output.document(&json!({ "run_id": run.run_id, "state": state, "events": stream.events, "status": status }));
    } else {
        match (state, status) {
            ("running", _) => output.note("it is still under way"),
            ("sealed", Some(status)) => output.note(&format!("it ended: {status}\nnext: cto show {}", run.run_id)),
            _ => output.note("its process is dead and it is not sealed; cto recover closes it as blocked"),
        }
    }
    Ok(Exit(ExitClass::Pass))
}

fn standing(home: &Home, run_id: &RunId) -> Result<&'static str, CommandError> {
    let begun = begun_runs(home).map_err(|error| CommandError::failed(&error))?;
    Ok(match begun.iter().find(|run| run.run_id == *run_id) {
        Some(run) if run.lives => "running",
        Some(_) => "dead",
        None => "sealed",
    })
}

/// A stream of events that grows.
#[derive(Default)]
struct Stream {
    offset: u64,
    rest: Vec<u8>,
    events: u64,
}

impl Stream {
    /// Returns the events that were written since the last time. A half-written line waits for its end.
    fn read(&mut self, path: &Path) -> Vec<Event> {
        let mut piece = Vec::new();
        let opened = std::fs::File::open(path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.offset))?;
            file.take(PIECE).read_to_end(&mut piece)
        });
        // It is not there yet, or no more: what is known stays known.
        let Ok(bytes) = opened else { return vec![] };
        self.offset += u64::try_from(bytes).unwrap_or(0);
        self.rest.append(&mut piece);
        let mut found = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            if let Ok(event) = serde_json::from_slice(&line) {
                self.events += 1;
                found.push(event);
            }
        }
        found
    }
}

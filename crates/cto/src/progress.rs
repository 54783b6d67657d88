//! Live progress of a run on a terminal: stage, elapsed time, last activity.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use cto_runner::{PlannedCell, RunObserver, Stage, TrialsObserver};
use cto_schema::Status;
use indicatif::{ProgressBar, ProgressStyle};

/// A line on standard error that is redrawn while the run lasts; nothing when that is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new(visible: bool) -> Self {
        if !visible || !std::io::stderr().is_terminal() {
            return Self {
                bar: ProgressBar::hidden(),
            };
        }
        let bar = ProgressBar::new_spinner();
        // The template is fixed; the default stands in should it ever be refused.
        let style = ProgressStyle::with_template("{spinner} {elapsed_precise} {prefix:.bold}  {wide_msg:.dim}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar }
    }

    pub(crate) fn set(&self, prefix: &str, message: &str) {
        self.bar.set_prefix(prefix.to_owned());
        self.bar.set_message(message.to_owned());
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl RunObserver for Progress {
    fn stage(&self, stage: Stage, _bundle: &Path) {
        self.set(stage.word(), "");
    }

    fn activity(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }
}

/// How far a matrix is: a bar with the time left on a terminal, a line for each cell elsewhere, nothing under `--json`.
#[derive(Debug)]
pub(crate) struct MatrixProgress {
    bar: ProgressBar,
    lines: bool,
}

impl MatrixProgress {
    pub(crate) fn new(visible: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if visible && terminal {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        } else {
            ProgressBar::hidden()
        };
        Self {
            bar,
            lines: visible && !terminal,
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn style(&self, template: &str) {
        // The templates are fixed; the default stands in should one ever be refused.
        let style = ProgressStyle::with_template(template);
        self.bar
            .set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    }

    fn line(&self, text: &str) {
        if self.lines {
            // Whoever reads standard error may have gone away; the report does not depend on it.
            drop(writeln!(std::io::stderr(), "{text}"));
        }
    }
}

impl TrialsObserver for MatrixProgress {
    fn asked(&self, engine: &str, case: &str) {
        self.bar.set_message(format!("asking the gates: {engine} on {case}"));
    }

    fn planned(&self, cells: u32, finished: u32, blocked: u32) {
        self.style("{spinner} {pos}/{len} [{bar:24}] {elapsed_precise}, about {eta_precise} left  {wide_msg:.dim}");
        self.bar.set_length((cells - finished - blocked).into());
        self.bar.reset_eta();
        self.line(&format!(
            "{cells} cells: {finished} finished before, {blocked} cannot run"
        ));
    }

    fn started(&self, cell: PlannedCell<'_>) {
        let lane = cell.lane;
        self.bar
            .set_message(format!("{} on {}, repeat {}", lane.engine, lane.case_id, cell.repeat));
    }

    fn ended(&self, cell: PlannedCell<'_>, status: Option<Status>, took: Duration) {
        self.bar.inc(1);
        let (lane, word) = (cell.lane, status.map_or("stopped", Status::word));
        let seconds = took.as_secs_f64();
        self.line(&format!(
            "{word:<8} {} on {}, repeat {}, {seconds:.2} s",
            lane.engine, lane.case_id, cell.repeat
        ));
    }

    fn verified(&self, done: usize, all: usize) {
        if done == 1 {
            self.style("{spinner} verifying {wide_msg:.dim}");
            self.line("verifying every bundle for the report");
        }
        self.bar.set_message(format!("{done} of {all}"));
    }
}

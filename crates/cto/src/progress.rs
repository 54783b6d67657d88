//! Live progress of a run on a terminal: stage, elapsed time, last activity.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use cto_runner::{RunObserver, Stage};
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

//! Where words go: data on standard output, everything else on standard error.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use cto_schema::ExitClass;
use serde::Serialize;

use crate::error::CommandError;

/// What a command ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) ExitClass);

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0.code())
    }
}

/// Prints data and messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    color: bool,
}

impl Output {
    pub(crate) fn new(json: bool, color: bool) -> Self {
        Self { json, color }
    }

    /// Whether standard output must hold one JSON document and nothing else.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Prints lines of data for people; a reader that went away is no error.
    pub(crate) fn print(&self, text: &str) {
        let mut out = io::stdout().lock();
        // The reader of a pipe may close it early; nothing is lost by that.
        drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    }

    /// Prints one JSON document.
    pub(crate) fn document<T: Serialize>(&self, value: &T) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.print(&format!("{}\n", cto_schema::inert_json(text))),
            Err(error) => self.note(&format!("error: failed to express the result as JSON: {error}")),
        }
    }

    /// Prints a line for people on standard error.
    pub(crate) fn note(&self, text: &str) {
        drop(writeln!(io::stderr(), "{text}"));
    }

    /// Prints an error with its hints; returns its exit.
    pub(crate) fn fail(&self, error: &CommandError) -> Exit {
        let paint = |code: &str, text: &str| self.paint_err(code, text);
        self.note(&format!("{} {}", paint("1;31", "error:"), error.text));
        if !error.hints.is_empty() {
            self.note("");
        }
        for hint in &error.hints {
            self.note(&format!("{} {hint}", paint("1;36", "hint:")));
        }
        Exit(error.class)
    }

    /// Colours text for standard output.
    pub(crate) fn paint(&self, code: &str, text: &str) -> String {
        if self.color && io::stdout().is_terminal() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn paint_err(&self, code: &str, text: &str) -> String {
        if self.color && io::stderr().is_terminal() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

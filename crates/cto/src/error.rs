//! The one error that reaches a person: what failed, why, and what to do.

use std::error::Error;

use cto_schema::ExitClass;

/// An error with its exit class and hints.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) class: ExitClass,
    pub(crate) text: String,
    pub(crate) hints: Vec<String>,
}

impl CommandError {
    /// The command line asks for something that does not exist or cannot be combined.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self {
            class: ExitClass::Usage,
            text: text.into(),
            hints: vec![],
        }
    }

    /// The machine or the installation is in the way; `error` is told with all its causes.
    pub(crate) fn failed(error: &dyn Error) -> Self {
        Self {
            class: ExitClass::Internal,
            text: chain(error),
            hints: vec![],
        }
    }

    /// Something that was named is not there or cannot be used.
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self {
            class: ExitClass::BlockedBefore,
            text: text.into(),
            hints: vec![],
        }
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// Returns "failed to …" with every cause, escaped, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = format!("failed to {error}");
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some libraries repeat their source in their own text.
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    let lines: Vec<String> = text
        .lines()
        .map(|line| cto_schema::escape(line.as_bytes(), 2000))
        .collect();
    lines.join("\n")
}

//! Writing findings down: one file at a time, every text escaped.

use cto_schema::{RuleId, WorkspaceFinding, escape};

/// Longest message.
const MESSAGE_BYTES: usize = 1200;
/// Longest quotation of a document in a message.
const SHOWN_BYTES: usize = 120;

/// The findings of one file.
#[derive(Clone, Debug)]
pub(crate) struct Notes {
    file: String,
    found: Vec<WorkspaceFinding>,
}

impl Notes {
    pub(crate) fn new(file: &str) -> Self {
        Self {
            file: escape(file.as_bytes(), 400),
            found: vec![],
        }
    }

    /// Adds a finding; `line` is 0 where the file as a whole is meant.
    pub(crate) fn add(&mut self, rule: RuleId, line: u32, message: impl AsRef<str>, mend: impl AsRef<str>) {
        self.found.push(WorkspaceFinding {
            file: self.file.clone(),
            line: Some(line).filter(|line| *line > 0),
            rule,
            message: escape(message.as_ref().as_bytes(), MESSAGE_BYTES),
            mend: escape(mend.as_ref().as_bytes(), MESSAGE_BYTES),
        });
    }

    pub(crate) fn into_findings(self) -> Vec<WorkspaceFinding> {
        self.found
    }
}

/// Shows a piece of a document in a message.
pub(crate) fn shown(text: &str) -> String {
    escape(text.trim().as_bytes(), SHOWN_BYTES)
}

/// `a, b and c`, for messages.
pub(crate) fn listed<S: AsRef<str>>(words: &[S]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => one.as_ref().to_owned(),
        [most @ .., last] => {
            let most: Vec<&str> = most.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", most.join(", "), last.as_ref())
        }
    }
}

/// How many known names are compared: a board may have twenty thousand ids, and as many slips.
const COMPARED: usize = 100;

/// ` (did you mean 'x'?)`, or nothing.
pub(crate) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    cto_schema::nearest(name, known.into_iter().take(COMPARED))
        .map_or_else(String::new, |near| format!(" (did you mean '{near}'?)"))
}

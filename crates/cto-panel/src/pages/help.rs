//! Help: keys, words, codes, version.

use askama::Template;
use cto_schema::BlockerCode;

use crate::view::{Drawn, Shell, Site, page};

/// Words that the pages use, each in one sentence.
const WORDS: [(&str, &str); 12] = [
    (
        "bundle",
        "the sealed directory of one run: report, events, patch, tests, digests, signature",
    ),
    (
        "verified",
        "this panel's process recomputed every check just now; anything else is recorded, not checked here",
    ),
    (
        "pass",
        "the harness observed that every bound held and the named commands exited 0 on exactly this patch",
    ),
    (
        "blocked",
        "a gate or a bound said no, or the harness could not tell; nothing is a warning",
    ),
    ("gone", "the ledger lists a run and its bundle is not there"),
    (
        "stage",
        "a rung of the proof ladder, 1 to 6; a later one never reads an earlier pass as a wider permission",
    ),
    ("lane", "an engine as a participant: ready, or blocked with the reason"),
    (
        "packet",
        "text that asks an operator to approve one run; it approves nothing and runs nothing",
    ),
    ("consumed", "an approval that a run has used; it never works again"),
    (
        "candidate default",
        "an engine that may be proposed as the default, apart from being it",
    ),
    (
        "runtime default",
        "always false here: no code path makes an engine the default",
    ),
    (
        "core promotion",
        "always not-promoted here: promotion is Core's decision",
    ),
];

#[derive(Template)]
#[template(path = "help.html")]
struct Help {
    shell: Shell,
    words: [(&'static str, &'static str); 12],
    codes: Vec<(String, &'static str)>,
}

pub(crate) fn help(site: &Site<'_>) -> Drawn {
    let codes = BlockerCode::all()
        .iter()
        .map(|code| (code.name(), cto_evidence::mend(*code)));
    page(&Help {
        shell: site.shell("Help", "help"),
        words: WORDS,
        codes: codes.collect(),
    })
}

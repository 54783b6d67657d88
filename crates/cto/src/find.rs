//! Finding a bundle by what a person types: an id, a unique part of one, or `last`.

use std::path::{Path, PathBuf};

use cto_evidence::{Home, Ledger, LedgerFilter, document_path};
use cto_schema::{DocumentKind, RunId};

use crate::error::CommandError;

/// Returns the directory of the run that is meant, of this installation or imported.
pub(crate) fn bundle_of(home: &Home, typed: &str) -> Result<PathBuf, CommandError> {
    find(home, typed, true)
}

/// Returns the directory of the run of this installation that is meant: about those of others nobody here decides.
pub(crate) fn own_bundle_of(home: &Home, typed: &str) -> Result<PathBuf, CommandError> {
    find(home, typed, false)
}

fn find(home: &Home, typed: &str, imported_too: bool) -> Result<PathBuf, CommandError> {
    let shown = cto_schema::escape(typed.as_bytes(), 80);
    if typed == "last" {
        let ledger = Ledger::open(home).map_err(|error| CommandError::failed(&error))?;
        let filter = LedgerFilter {
            limit: Some(1),
            ..LedgerFilter::default()
        };
        let newest = ledger
            .list(&filter)
            .map_err(|error| CommandError::failed(&error))?
            .into_iter()
            .next();
        return newest
            .map(|entry| home.run(&entry.run_id))
            .ok_or_else(|| CommandError::refused("there is no run yet").hint("start with: cto run r1-string-slugify"));
    }
    let names = std::fs::read_dir(home.runs()).map_err(|error| CommandError::failed(&error))?;
    let is_meant = |name: &str| name == typed || (typed.len() >= 4 && name.contains(typed));
    let mut found: Vec<PathBuf> = names
        .filter_map(Result::ok)
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .filter(|name| !name.ends_with(".outcome"))
                .is_some_and(is_meant)
        })
        .map(|entry| entry.path())
        .collect();
    if imported_too && home.ledger().exists() {
        let imports = Ledger::open(home).and_then(|ledger| ledger.imports());
        let imports = imports.map_err(|error| CommandError::failed(&error))?;
        let meant = imports.iter().filter(|entry| is_meant(entry.run_id.as_str()));
        found.extend(meant.map(|entry| home.imported().join(entry.run_id.as_str())));
    }
    found.sort();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(CommandError::usage(format!(
            "'{shown}' names more than one run; type more of the id"
        ))),
        (None, _) => Err(CommandError::refused(format!("failed to find run '{shown}'")).hint("cto runs lists the ids")),
    }
}

/// Returns a warning for a bundle without a seal.
pub(crate) fn sealed_note(bundle: &Path) -> Option<String> {
    (!bundle.join("attestation.dsse.json").exists())
        .then(|| "warning: this run is not sealed; what it says is not evidence yet (cto recover closes it)".to_owned())
}

/// Returns the document of a kind that is meant by an id or a unique part of one.
pub(crate) fn document_id(home: &Home, typed: &str, kind: DocumentKind) -> Result<RunId, CommandError> {
    let shown = cto_schema::escape(typed.as_bytes(), 80);
    let mut found = document_path(home, typed);
    found.retain(|(of, _, _)| *of == kind);
    match (found.pop(), found.is_empty()) {
        (Some((_, id, _)), true) => Ok(id),
        (Some(_), false) => Err(CommandError::usage(format!(
            "'{shown}' names more than one {}; type more of the id",
            kind.word()
        ))),
        (None, _) => Err(
            CommandError::refused(format!("failed to find {} '{shown}'", kind.word())).hint(format!(
                "they lie in {}",
                cto_schema::escape(home.root().join(kind.directory()).as_os_str().as_encoded_bytes(), 300)
            )),
        ),
    }
}

//! Finding sealed documents of an installation.

use std::io;
use std::path::PathBuf;

use cto_schema::{DocumentKind, RunId};

use crate::home::Home;

/// Returns the ids of an installation's documents of one kind, newest first. What is read there is not yet believed.
pub fn documents(home: &Home, kind: DocumentKind) -> io::Result<Vec<RunId>> {
    let entries = match std::fs::read_dir(home.root().join(kind.directory())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        // Temporary names and an operator's word beside a document are no ids.
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(|name| name.parse::<RunId>().ok()));
    }
    // An id starts with the time at which it was drawn.
    found.sort();
    found.reverse();
    Ok(found)
}

/// Returns the directories of the documents that are meant by an id or by a part of one, of whichever kind.
pub fn document_path(home: &Home, typed: &str) -> Vec<(DocumentKind, RunId, PathBuf)> {
    let mut found = Vec::new();
    for kind in DocumentKind::ALL {
        let ids = documents(home, kind).unwrap_or_default();
        let meant = ids
            .into_iter()
            .filter(|id| id.as_str() == typed || (typed.len() >= 4 && id.as_str().contains(typed)));
        found.extend(meant.map(|id| {
            let path = home.document(kind, &id);
            (kind, id, path)
        }));
    }
    // A whole id is that document and no other.
    if let Some(at) = found.iter().position(|(_, id, _)| id.as_str() == typed) {
        return vec![found.swap_remove(at)];
    }
    found
}

//! `cto cases check`: everything that is wrong with a case directory, as text for people.

use std::error::Error as _;
use std::path::Path;

use super::{CaseError, load};

/// Returns every problem of a case directory; none means that it can be run.
pub fn check(directory: &Path) -> Vec<String> {
    match load(directory) {
        // A Harbor task has the name of its directory.
        Ok(found) if found.harbor.is_some() => Vec::new(),
        Ok(found) => {
            let name = directory
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            if name == found.case.case_id || name.is_empty() {
                Vec::new()
            } else {
                vec![format!(
                    "the directory is not named after case_id '{}'; rename one of them",
                    found.case.case_id
                )]
            }
        }
        Err(CaseError::Invalid { problems, .. }) => problems,
        Err(error) => vec![match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        }],
    }
}

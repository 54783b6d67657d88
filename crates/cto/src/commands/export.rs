//! `cto export`: one run as one file.

use std::path::PathBuf;

use cto_schema::ExitClass;
use serde_json::json;

use crate::cli::{ExportArgs, Global};
use crate::error::CommandError;
use crate::find::bundle_of;
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn export(global: &Global, args: &ExportArgs, output: &Output) -> Result<Exit, CommandError> {
    let home = installation::open_home(global)?;
    let bundle = bundle_of(&home, &args.run)?;
    let name = bundle.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let target = args
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{name}.tar.zst")));
    let exported = cto_evidence::export(&bundle, &target, args.force).map_err(|error| {
        CommandError::refused(crate::error::chain(&error)).hint("--force replaces an existing file")
    })?;
    let beside = cto_evidence::export_outcome(&bundle, &target, args.force).map_err(|error| {
        CommandError::refused(crate::error::chain(&error))
            .hint("the archive is written; --force replaces what is beside it as well")
    })?;
    if output.json() {
        output.document(&json!({
            "file": target, "sha256": exported.digest, "bytes": exported.size_bytes, "outcome": beside,
        }));
    } else {
        output.print(&format!("{}  {}\n", exported.digest, target.display()));
        if let Some(beside) = beside {
            output.note(&format!(
                "give {} along: it has what the operator said",
                beside.display()
            ));
        }
    }
    Ok(Exit(ExitClass::Pass))
}

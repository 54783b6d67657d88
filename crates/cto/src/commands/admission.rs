//! `cto admission check`: judges one record.

use cto_runner::check_file;
use cto_schema::{ExitClass, RecordKind};
use serde_json::json;

use crate::cli_admissions::AdmissionAction;
use crate::error::CommandError;
use crate::output::{Exit, Output};

pub(super) fn admission(action: &AdmissionAction, output: &Output) -> Result<Exit, CommandError> {
    let AdmissionAction::Check { file, kind } = action;
    let checked = check_file(file, kind.map(crate::cli_admissions::KindChoice::kind));
    let shown = cto_schema::escape(file.as_os_str().as_encoded_bytes(), 400);
    if output.json() {
        output.document(&json!({
            "file": shown,
            "kind": checked.kind.map(RecordKind::word),
            "status": checked.status,
            "admits": checked.admits,
            "reasons": checked.reasons,
        }));
    } else {
        let kind = checked.kind.map_or("record", RecordKind::word);
        output.print(&format!("{shown}: {kind}: {}\n", checked.status));
        for reason in &checked.reasons {
            output.print(&format!("    {reason}\n"));
        }
        if checked.kind.is_none() {
            output.note("hint: name its kind with --kind");
        }
    }
    Ok(Exit(match (checked.admits, checked.kind) {
        (true, _) => ExitClass::Pass,
        (false, Some(_)) => ExitClass::BlockedBefore,
        (false, None) => ExitClass::Usage,
    }))
}

//! `cto cases`: what can be run by name.

use cto_runner::{check_case, embedded_cases, find_case};
use cto_schema::ExitClass;
use serde_json::json;

use crate::cli::{CasesAction, Global};
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn cases(global: &Global, action: Option<&CasesAction>, output: &Output) -> Result<Exit, CommandError> {
    match action {
        Some(CasesAction::Check { dirs }) => {
            let results: Vec<_> = dirs.iter().map(|dir| (dir, check_case(dir))).collect();
            let bad = results.iter().any(|(_, problems)| !problems.is_empty());
            if output.json() {
                let rows: Vec<_> = results
                    .iter()
                    .map(|(dir, problems)| json!({ "dir": dir, "problems": problems }))
                    .collect();
                output.document(&json!({ "ok": !bad, "checked": rows }));
            } else {
                for (dir, problems) in &results {
                    let shown = cto_schema::escape(dir.as_os_str().as_encoded_bytes(), 400);
                    let verdict = if problems.is_empty() {
                        "ok".to_owned()
                    } else {
                        problems.join("\n    ")
                    };
                    output.print(&format!("{shown}: {verdict}\n"));
                }
            }
            Ok(Exit(if bad { ExitClass::Fail } else { ExitClass::Pass }))
        }
        None => {
            let harness = installation::open(global)?;
            let mut rows = Vec::new();
            for embedded in embedded_cases() {
                let loaded = find_case(embedded.id, &[]).map_err(|error| CommandError::failed(&error))?;
                rows.push((loaded.case, "embedded".to_owned()));
            }
            for dir in cto_runner::case_directories(&harness.settings.cases) {
                match cto_runner::load_case(&dir) {
                    Ok(loaded) => rows.push((loaded.case, loaded.origin.to_string())),
                    Err(error) => output.note(&crate::error::chain(&error)),
                }
            }
            if output.json() {
                let rows: Vec<_> = rows
                    .iter()
                    .map(|(case, origin)| json!({ "case": case, "origin": origin }))
                    .collect();
                output.document(&json!({ "cases": rows }));
            } else {
                for (case, origin) in &rows {
                    output.print(&format!(
                        "{:<26} {:<11} {}  ({origin})\n",
                        case.case_id, case.language, case.title
                    ));
                }
            }
            Ok(Exit(ExitClass::Pass))
        }
    }
}

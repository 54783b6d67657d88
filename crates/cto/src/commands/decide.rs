//! `cto decide`: who may run a contract, and why not.

use cto_runner::{RunRequest, Task, decide_only};
use cto_schema::{EligibilityDecision, ExitClass};

use crate::cli::{DecideArgs, Global};
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn decide(global: &Global, args: &DecideArgs, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    let bytes = super::run::read_contract(&args.contract)?;
    let names: Vec<String> = match &args.engine {
        Some(name) => vec![name.clone()],
        None => harness
            .engines
            .all()
            .map(|engine| engine.manifest().name.clone())
            .collect(),
    };
    let decisions: Vec<EligibilityDecision> = names
        .into_iter()
        .map(|engine| {
            let request = RunRequest::of(
                Task::Contract {
                    path: args.contract.clone(),
                    bytes: bytes.clone(),
                },
                engine,
            );
            decide_only(&harness, &request)
        })
        .collect();
    let any = decisions.iter().any(|decision| decision.selected_backend != "none");
    if output.json() {
        output.document(&serde_json::json!({ "decisions": decisions }));
    } else {
        for decision in &decisions {
            let backend = decision
                .denied_backends
                .first()
                .map_or(&decision.selected_backend, |denied| &denied.backend);
            let verdict = if decision.selected_backend == "none" {
                "may not run"
            } else {
                "may run"
            };
            output.print(&format!("{}: {verdict}\n", output.paint("1", backend)));
            for reason in &decision.reasons {
                output.print(&format!("    {reason}\n"));
            }
        }
    }
    Ok(Exit(if any { ExitClass::Pass } else { ExitClass::BlockedBefore }))
}

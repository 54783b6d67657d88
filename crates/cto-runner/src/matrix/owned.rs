//! Rows about approvals and owned repositories: an approved run that may change a repository, with one change.

use std::path::Path;

use cto_evidence::{AllowedSigners, Home};
use cto_schema::{
    ApprovalPacket, ApprovalSource, BaselineExpectation, DEFAULT_FORBIDDEN_PATHS, FORBIDDEN_ACTIONS, MutationMode,
    RecordKind, TaskContract,
};
use serde_json::{Value, json};

use super::change::{TargetChange, Throwaway, contract_bytes};
use crate::approval::{PacketOptions, Saying, Signing, ephemeral, make_packet, say};
use crate::cases::LoadedCase;
use crate::ground::write;
use crate::model::Variables;
use crate::request::{Harness, RunRequest, Task};
use crate::run::chain;

/// Who the harness is to itself while it proves itself.
const VALIDATOR: &str = "validator@localhost";

/// What is different from an approved run on an owned repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnedChange {
    /// Nothing; a run on it is blocked only by the operator's silence.
    Nothing,
    Denied,
    Unowned,
    Critical,
    OtherContract,
    TargetMoved,
}

/// How the ground is laid.
#[derive(Clone, Debug)]
pub(crate) struct Lay<'a> {
    pub(crate) engine: &'a str,
    pub(crate) stage: u8,
    pub(crate) change: OwnedChange,
    /// Whether the repository still has what the task is about.
    pub(crate) unfixed: bool,
    /// A command that verification runs besides; the run is then on a repository of its own at stage 4, too.
    pub(crate) verify_also: Option<Vec<String>>,
}

impl<'a> Lay<'a> {
    pub(crate) fn of(engine: &'a str, stage: u8, change: OwnedChange) -> Self {
        Self {
            engine,
            stage,
            change,
            unfixed: false,
            verify_also: None,
        }
    }
}

/// A repository that may be changed, the record that says so, and a validator who may approve.
pub(crate) struct OwnedGround {
    pub(crate) harness: Harness,
    pub(crate) request: RunRequest,
    /// `None` at stage 4, where a disposable repository is made.
    target: Option<Throwaway>,
    signing: Signing,
    #[expect(dead_code, reason = "the records serve as long as it lives")]
    place: tempfile::TempDir,
}

impl OwnedGround {
    /// Lays it for an engine: gates of its stage, records, a key that lives as long as this.
    pub(crate) fn lay(harness: &Harness, case: &LoadedCase, lay: &Lay<'_>) -> Result<Self, String> {
        let failed = |error: std::io::Error| error.to_string();
        let place = tempfile::tempdir_in(harness.home.work()).map_err(failed)?;
        let (found, _) = harness.engines.find(lay.engine).map_err(|error| chain(&error))?;
        let manifest = found.manifest();
        let mut environment = harness.environment.clone();
        environment.insert(manifest.allow_gate(), "1".to_owned());
        environment.insert(manifest.stage_gate(), lay.stage.to_string());
        let on_target = lay.stage == 5 || lay.verify_also.is_some();
        let mut request = RunRequest::of(Task::Case(Box::new(case.clone())), lay.engine.to_owned());
        request.mode = Some(MutationMode::SandboxRepo);
        let mut target = None;
        if on_target {
            let made = if lay.unfixed {
                Throwaway::unfixed(harness, case)?
            } else {
                Throwaway::new(harness, case)?
            };
            let contract = contract(case, &made.path(), lay);
            let record = place.path().join("repository.json");
            write(&record, &admission(&made.path(), &contract.allowed_paths, lay.change)).map_err(failed)?;
            let variable = Variables::of(manifest).record(RecordKind::Repository);
            environment.insert(variable, record.display().to_string());
            request = of_contract(&contract, lay.engine);
            target = Some(made);
        }
        let home = Home::open(harness.home.root()).map_err(|error| chain(&error))?;
        let mut own = harness.beside(home, environment).map_err(|error| chain(&error))?;
        let signing = ephemeral(place.path()).map_err(|error| chain(&error))?;
        let key = signing.public_key().map_err(|error| chain(&error))?;
        let line = format!("{VALIDATOR} namespaces=\"{}\" {key}", cto_schema::APPROVAL_NAMESPACE);
        own.validator = Some(AllowedSigners::read(&line).map_err(|error| error.to_string())?);
        Ok(Self {
            harness: own,
            request,
            target,
            signing,
            place,
        })
    }

    /// Leaves an uncommitted change in the repository.
    pub(crate) fn dirty(&mut self) -> Result<(), String> {
        let target = self.target.as_mut().ok_or("there is no repository to make dirty")?;
        target
            .change(TargetChange::Uncommitted)
            .map_err(|error| error.to_string())
    }

    /// Asks for an approval of the run as it stands, and says yes or no to it.
    pub(crate) fn settle(&mut self, change: OwnedChange) -> Result<(), String> {
        let missing = self.request.engine.ends_with(":provider-unavailable");
        if missing || matches!(change, OwnedChange::Unowned | OwnedChange::Critical) {
            // There is nothing to approve.
            return Ok(());
        }
        let packet = make_packet(&self.harness, &self.request, &PacketOptions::default());
        let packet = packet.map_err(|error| format!("{}: {error:?}", chain(&error)))?;
        self.answer(&packet, change == OwnedChange::Denied)?;
        self.request.approval = Some(packet.packet_id);
        match change {
            OwnedChange::OtherContract => self.change_contract(),
            OwnedChange::TargetMoved => {
                let target = self.target.as_ref().ok_or("there is no repository to move on")?;
                target.commit_more(&self.harness)
            }
            _ => Ok(()),
        }
    }

    fn answer(&self, packet: &ApprovalPacket, deny: bool) -> Result<(), String> {
        let saying = if deny {
            Saying::Deny {
                reason: "the fixture says no".to_owned(),
            }
        } else {
            Saying::Approve {
                sentence: packet.sentence.clone(),
            }
        };
        let said = say(
            &self.harness,
            &packet.packet_id,
            &saying,
            &self.signing,
            Some(VALIDATOR),
            ApprovalSource::Validator,
        );
        said.map(drop).map_err(|error| chain(&error))
    }

    fn change_contract(&mut self) -> Result<(), String> {
        let Task::Contract { bytes, .. } = &mut self.request.task else {
            return Err("the run has no contract file".to_owned());
        };
        let mut contract: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        contract["title"] = json!("something else");
        *bytes = contract.to_string().into_bytes();
        Ok(())
    }
}

fn of_contract(contract: &TaskContract, engine: &str) -> RunRequest {
    let task = Task::Contract {
        path: "contract.json".into(),
        bytes: contract_bytes(contract, false),
    };
    RunRequest::of(task, engine.to_owned())
}

/// The contract of a case on a repository of its own.
fn contract(case: &LoadedCase, target: &Path, lay: &Lay<'_>) -> TaskContract {
    let mut contract = crate::choice::contract_in_view(case, &[]);
    contract.mutation_mode = if lay.stage == 5 {
        MutationMode::OwnedNoncriticalRepo
    } else {
        MutationMode::SandboxRepo
    };
    contract.target_repository = Some(target.display().to_string());
    contract.baseline_expectation = if lay.unfixed {
        BaselineExpectation::Red
    } else {
        BaselineExpectation::Green
    };
    contract.verification_commands.extend(lay.verify_also.clone());
    contract
}

fn admission(target: &Path, allowed: &[String], change: OwnedChange) -> Value {
    json!({
        "admission_status": "admitted",
        "allowed_paths": allowed,
        "approval_source": "a proof",
        "approval_timestamp": "2026-01-01",
        "forbidden_actions": FORBIDDEN_ACTIONS,
        "forbidden_paths": DEFAULT_FORBIDDEN_PATHS,
        "noncritical_rationale": "made for one run, and removed with it",
        "operator_outcome_required": true,
        "ownership_evidence": if change == OwnedChange::Unowned { "" } else { "the harness made it" },
        "repository_owner": if change == OwnedChange::Unowned { "" } else { "the harness" },
        "review_trigger": "never: it serves one run",
        "risk_classification": if change == OwnedChange::Critical { "critical" } else { "low_risk_noncritical" },
        "target_repository_path": target,
    })
}

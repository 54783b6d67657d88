//! Rows about approvals and owned repositories: an approved run that may change a repository, with one change.

use std::path::Path;

use cto_evidence::{AllowedSigners, Home};
use cto_schema::{
    ApprovalPacket, ApprovalSource, BaselineExpectation, DEFAULT_FORBIDDEN_PATHS, FORBIDDEN_ACTIONS, MutationMode,
    RecordKind, TaskContract,
};
use serde_json::{Value, json};

use super::change::{Throwaway, contract_bytes};
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

/// A repository that may be changed, the record that says so, and a validator who may approve.
pub(crate) struct OwnedGround {
    pub(crate) harness: Harness,
    pub(crate) target: Throwaway,
    pub(crate) request: RunRequest,
    signing: Signing,
    #[expect(dead_code, reason = "the records serve as long as it lives")]
    place: tempfile::TempDir,
}

impl OwnedGround {
    /// Lays it for an engine: gates of stage 5, records, a key that lives as long as this.
    pub(crate) fn lay(harness: &Harness, case: &LoadedCase, engine: &str, change: OwnedChange) -> Result<Self, String> {
        let failed = |error: std::io::Error| error.to_string();
        let place = tempfile::tempdir_in(harness.home.work()).map_err(failed)?;
        let target = Throwaway::new(harness, case)?;
        let contract = owned_contract(case, &target.path());
        let (found, _) = harness.engines.find(engine).map_err(|error| chain(&error))?;
        let manifest = found.manifest();
        let record = place.path().join("repository.json");
        write(&record, &admission(&target.path(), &contract.allowed_paths, change)).map_err(failed)?;
        let mut environment = harness.environment.clone();
        environment.extend([
            (manifest.allow_gate(), "1".to_owned()),
            (manifest.stage_gate(), "5".to_owned()),
            (
                Variables::of(manifest).record(RecordKind::Repository),
                record.display().to_string(),
            ),
        ]);
        let home = Home::open(harness.home.root()).map_err(|error| chain(&error))?;
        let mut own = Harness::new(
            home,
            harness.settings.clone(),
            harness.git.clone(),
            environment,
            harness.secrets.clone(),
        )
        .map_err(|error| chain(&error))?;
        let signing = ephemeral(place.path()).map_err(|error| chain(&error))?;
        let key = signing.public_key().map_err(|error| chain(&error))?;
        let line = format!("{VALIDATOR} namespaces=\"{}\" {key}", cto_schema::APPROVAL_NAMESPACE);
        own.validator = Some(AllowedSigners::read(&line).map_err(|error| error.to_string())?);
        let request = request(&contract, engine);
        Ok(Self {
            harness: own,
            target,
            request,
            signing,
            place,
        })
    }

    /// Asks for an approval of the run as it stands, and says yes or no to it.
    pub(crate) fn settle(&mut self, change: OwnedChange) -> Result<(), String> {
        if matches!(change, OwnedChange::Unowned | OwnedChange::Critical) {
            // There is nothing to approve.
            return Ok(());
        }
        let packet = make_packet(&self.harness, &self.request, &PacketOptions::default());
        let packet = packet.map_err(|error| format!("{}: {error:?}", chain(&error)))?;
        self.answer(&packet, change == OwnedChange::Denied)?;
        self.request.approval = Some(packet.packet_id);
        match change {
            OwnedChange::OtherContract => self.change_contract(),
            OwnedChange::TargetMoved => self.target.commit_more(&self.harness),
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

fn request(contract: &TaskContract, engine: &str) -> RunRequest {
    let task = Task::Contract {
        path: "contract.json".into(),
        bytes: contract_bytes(contract, false),
    };
    RunRequest::of(task, engine.to_owned())
}

/// The contract of a case on a repository of its own.
fn owned_contract(case: &LoadedCase, target: &Path) -> TaskContract {
    let mut contract = crate::choice::contract_in_view(case, &[]);
    contract.mutation_mode = MutationMode::OwnedNoncriticalRepo;
    contract.target_repository = Some(target.display().to_string());
    contract.baseline_expectation = BaselineExpectation::Green;
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

//! Generated schemas: what is committed is what the types say.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests read and write the repository's files"
)]

use std::path::{Path, PathBuf};

use cto_schema as s;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

fn schema<T: JsonSchema>() -> String {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>();
    let mut text = serde_json::to_string_pretty(&schema).unwrap();
    text.push('\n');
    text
}

fn documents() -> Vec<(&'static str, String)> {
    vec![
        ("admission-build", schema::<s::BuildAdmission>()),
        ("admission-decision", schema::<s::ProviderDecision>()),
        ("admission-model", schema::<s::ModelAdmission>()),
        ("admission-repository", schema::<s::RepositoryAdmission>()),
        ("admission-source", schema::<s::SourceAdmission>()),
        ("apply-done", schema::<s::ApplyDone>()),
        ("apply-plan", schema::<s::ApplyPlan>()),
        ("approval", schema::<s::ApprovalStatement>()),
        ("approval-packet", schema::<s::ApprovalPacket>()),
        ("attestation-envelope", schema::<s::Envelope>()),
        ("audit", schema::<s::Audit>()),
        ("candidate-comparison", schema::<s::CandidateComparison>()),
        ("case", schema::<s::Case>()),
        ("core-promotion-decision-packet", schema::<s::DecisionPacket>()),
        ("contract", schema::<s::TaskContract>()),
        ("core-conflicts", schema::<s::ConflictList>()),
        ("core-route", schema::<s::RouteRecord>()),
        ("control-summary", schema::<s::ControlSummary>()),
        ("decision", schema::<s::EligibilityDecision>()),
        ("enforcement", schema::<s::Enforcement>()),
        ("engine", schema::<s::EngineDocument>()),
        ("event", schema::<s::Event>()),
        ("journal-record", schema::<s::JournalRecord>()),
        ("matrix", schema::<s::Matrix>()),
        ("matrix-cell", schema::<s::MatrixMark>()),
        ("matrix-plan", schema::<s::MatrixPlan>()),
        ("operator-outcome", schema::<s::OutcomeStatement>()),
        ("proof-approval", schema::<s::ApprovalProof>()),
        ("proof-branch-policy", schema::<s::BranchPolicy>()),
        ("proof-operator-outcome", schema::<s::OutcomeProof>()),
        ("proof-repository-stage", schema::<s::RepositoryStageProof>()),
        ("proof-sandbox-disposition", schema::<s::SandboxDisposition>()),
        ("proof-target-admission", schema::<s::TargetAdmissionProof>()),
        ("proof-allowed-paths", schema::<s::AllowedPathsProof>()),
        ("proof-forbidden-actions", schema::<s::ForbiddenActionsProof>()),
        ("proof-no-target-inspection", schema::<s::NoTargetInspection>()),
        ("proof-source-non-mutation", schema::<s::SourceNonMutation>()),
        ("proof-tree", schema::<s::TreeProof>()),
        ("repeatability-refresh", schema::<s::RepeatabilityRefresh>()),
        ("report", schema::<s::Report>()),
        ("route-guard", schema::<s::CoreRouteGuard>()),
        ("statement", schema::<s::Statement>()),
        ("statement-document", schema::<s::DocumentStatement>()),
        ("statement-outcome-heard", schema::<s::HeardStatement>()),
        ("statement-rollback", schema::<s::RollbackStatement>()),
        ("trace-span", schema::<s::Span>()),
        ("workspace-board", schema::<s::WorkspaceBoard>()),
        ("workspace-rules", schema::<s::WorkspaceRules>()),
        ("workspace-validation", schema::<s::WorkspaceValidation>()),
        ("write-set", schema::<s::WriteSet>()),
    ]
}

fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

/// Run with `CTO_UPDATE=1` to write them anew.
#[test]
fn committed_schemas_are_what_the_types_say() {
    let update = std::env::var_os("CTO_UPDATE").is_some();
    let mut names = Vec::new();
    for (name, text) in documents() {
        let path = place().join(format!("{name}.json"));
        if update {
            std::fs::create_dir_all(place()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "schemas/{name}.json is stale: CTO_UPDATE=1 cargo nextest run -p cto-schema"
        );
        names.push(format!("{name}.json"));
    }
    let found = std::fs::read_dir(place())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for file in found {
        assert!(names.contains(&file), "schemas/{file} belongs to no type");
    }
}

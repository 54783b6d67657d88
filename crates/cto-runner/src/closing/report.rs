//! `report.json` and the predicate, from what is known at the end.

use std::collections::BTreeMap;

use cto_evidence::{RunDir, StreamDigests};
use cto_policy::{Scope, failure_reason};
use cto_schema::{
    Blocker, BlockerCode, Freshness, Observations, Report, ReportDigest, RunLabel, SchemaId, Sha256Digest, Status,
    TaskContract, Usage, VerificationLine,
};

use super::{Ending, claims};

/// Artifacts that every run has, or explains the lack of.
const REQUIRED: [&str; 12] = [
    "report.json",
    "report.html",
    "report.md",
    "journal.jsonl",
    "write-set.json",
    "events.normalized.jsonl",
    "trace.jsonl",
    "patch.diff",
    "test.log",
    "contract.json",
    "decision.json",
    "enforcement.json",
];

/// Builds the report without the digests of the reports themselves; [`index`] adds those.
pub(super) fn report(
    dir: &RunDir,
    ending: &Ending<'_>,
    streams: &StreamDigests,
    status: Status,
    blockers: Vec<Blocker>,
) -> Report {
    let contract = ending.contract;
    let observed = &ending.observations;
    let engine = observed.engine.as_ref();
    let clock = dir.clock();
    let (allowed, not_forbidden) = scope_verdicts(ending);
    let exit_code = engine.and_then(|engine| engine.exit_code);
    let mut report = Report {
        schema: SchemaId::REPORT.to_string(),
        case_id: ending.case_id.to_owned(),
        run_id: dir.run_id().to_string(),
        status,
        backend: ending.backend.to_owned(),
        harness_version: dir.opened().harness_version.clone(),
        stage: contract.map(|c| c.mutation_mode.stage()),
        mutation_mode: contract.map(|c| c.mutation_mode),
        allowed_mutation_scope: contract.map_or("none", |c| c.mutation_mode.scope()).to_owned(),
        run_started_at: clock.started_ts(),
        run_finished_at: clock.ts(),
        backend_exit_code: exit_code,
        case_process_started: engine.is_some_and(|engine| engine.started),
        artifacts_dir: dir.run_id().to_string(),
        runtime_workspace_root: cto_sandbox::WORKSPACE.to_owned(),
        run_artifact_dir: dir.run_id().to_string(),
        baseline_commit: ending.baseline.map(|(commit, _)| commit.to_owned()),
        baseline_tree: ending.baseline.map(|(_, tree)| tree.to_owned()),
        contract_digest: contract_digest(dir, contract),
        changed_files: ending.write_set.map(|set| set.changed_files()).unwrap_or_default(),
        allowed_writes_passed: allowed,
        forbidden_paths_passed: not_forbidden,
        forbidden_actions_attempted: observed.forbidden_attempts(),
        approval_status: cto_policy::approval_status(contract, observed, &blockers),
        verification: verification_lines(ending),
        clean_room: observed.verification.clone(),
        tests_passed: tests_passed(ending, &blockers),
        required_events_passed: !blockers.iter().any(|b| b.code == BlockerCode::MissingRequiredEvent)
            && cto_policy::missing_events(&observed.events, contract.is_some_and(cto_policy::needs_approval))
                .is_empty(),
        failure_reason: failure_reason(&blockers, ending.backend, exit_code),
        blockers,
        artifact_paths: BTreeMap::new(),
        artifact_digests: BTreeMap::new(),
        report_digest_rule: ReportDigest::default(),
        freshness: Freshness {
            nonce: dir.nonce_hex(),
            event_chain_head: streams.event_chain_head,
            written_at_ns: BTreeMap::new(),
            clock_step_ms: clock.step_ms(),
        },
        source_admission_status: "not-required".to_owned(),
        case_model_provider: None,
        case_model: None,
        case_model_admission_status: "not-required".to_owned(),
        case_runtime_model_provider: None,
        model_fallback_used: observed.model.as_ref().is_some_and(|model| !model.fallbacks.is_empty()),
        model: observed.model.clone(),
        egress: ending.facts.admissions.model.egress.clone(),
        masked_paths: engine.map(|engine| engine.masked.clone()).unwrap_or_default(),
        not_applicable: BTreeMap::new(),
        enforcement: ending.enforcement.cloned(),
        claims: vec![],
        usage: usage(ending, clock.mono_ns()),
        forbidden_path_exceptions: contract
            .map(|c| {
                c.forbidden_path_exceptions
                    .iter()
                    .map(|e| (e.path.clone(), e.reason.clone()))
                    .collect()
            })
            .unwrap_or_default(),
        source_repository_mutated: mutated(observed),
        governed: cto_policy::governed_report(contract, ending.facts, ending.decision, observed, dir.run_id().as_str()),
        runtime_default_activation: false,
        core_promotion_status: "not-promoted".to_owned(),
    };
    super::model::fill(&mut report, ending);
    index(&mut report, dir);
    report.claims = claims::claims(ending, &report.artifact_paths);
    report.not_applicable = not_applicable(&report, ending);
    report
}

/// Whether the source was changed; where the harness put the change in, what it became is in `governed`.
fn mutated(observed: &Observations) -> Option<bool> {
    if observed
        .applied
        .as_ref()
        .is_some_and(|applied| applied.target_commit.is_some())
    {
        return None;
    }
    let after = observed.target_after.as_ref()?;
    after.state.as_ref().map(|_| !after.unchanged)
}

/// A hidden target's contract is not the one that was asked for; the journal has the digest of that.
fn contract_digest(dir: &RunDir, contract: Option<&TaskContract>) -> Option<Sha256Digest> {
    let contract = contract?;
    if contract.target_is_hidden() {
        dir.opened().contract_digest
    } else {
        Some(contract.digest())
    }
}

/// Fills in path, digest and time of every artifact that exists now.
pub(super) fn index(report: &mut Report, dir: &RunDir) {
    for (name, artifact) in dir.artifacts() {
        report.artifact_paths.insert(name.clone(), name.clone());
        report.artifact_digests.insert(name.clone(), artifact.digest);
        report
            .freshness
            .written_at_ns
            .insert(name.clone(), artifact.mono_ns.to_string());
    }
    report
        .artifact_paths
        .insert("report.json".to_owned(), "report.json".to_owned());
}

fn scope_verdicts(ending: &Ending<'_>) -> (Option<bool>, Option<bool>) {
    let judged = ending
        .contract
        .zip(ending.write_set)
        .and_then(|(contract, set)| Scope::of(contract).ok().map(|scope| scope.violations(&set.changes)));
    judged.map_or((None, None), |(outside, forbidden)| {
        (Some(outside.is_empty()), Some(forbidden.is_empty()))
    })
}

fn verification_lines(ending: &Ending<'_>) -> Vec<VerificationLine> {
    let patched = ending
        .observations
        .verification
        .as_ref()
        .and_then(|v| v.run(RunLabel::Patched));
    let line = |command: &cto_schema::CommandResult| VerificationLine {
        argv: command.argv.clone(),
        exit_code: command.exit_code,
        duration_ms: command.duration_ms,
        passed: command.passed,
    };
    patched
        .map(|run| run.commands.iter().map(line).collect())
        .unwrap_or_default()
}

/// `None` when nothing was run on the patch; true only when nothing speaks against the result.
fn tests_passed(ending: &Ending<'_>, blockers: &[Blocker]) -> Option<bool> {
    let patched = ending.observations.verification.as_ref()?.run(RunLabel::Patched)?;
    let distrusted = blockers.iter().any(|b| b.code == BlockerCode::VerificationUntrusted);
    Some(patched.passed() && !distrusted)
}

fn usage(ending: &Ending<'_>, total_ns: u64) -> Usage {
    let total_ms = total_ns / 1_000_000;
    let engine_ms = ending
        .observations
        .engine
        .as_ref()
        .map_or(0, |engine| engine.duration_ms);
    Usage {
        total_ms,
        engine_ms,
        verification_ms: ending.verification_ms,
        harness_ms: total_ms.saturating_sub(engine_ms + ending.verification_ms),
        engine_output_bytes: ending.engine_output_bytes.to_string(),
    }
}

fn not_applicable(report: &Report, ending: &Ending<'_>) -> BTreeMap<String, String> {
    let mut reasons = BTreeMap::new();
    let mut add = |name: &str, reason: &str| reasons.insert(name.to_owned(), reason.to_owned());
    for name in REQUIRED
        .iter()
        .filter(|name| !report.artifact_digests.contains_key(**name))
    {
        match *name {
            "report.json" | "report.md" | "report.html" => {}
            "contract.json" => drop(add(name, "the contract could not be read")),
            _ => drop(add(name, "the run ended before it could be made")),
        }
    }
    if report.backend_exit_code.is_none() {
        add(
            "backend_exit_code",
            if report.case_process_started {
                "a signal ended the engine"
            } else {
                "no engine process started"
            },
        );
    }
    if report.tests_passed.is_none() {
        let rationale = ending
            .contract
            .and_then(|contract| contract.no_test_rationale.as_deref());
        add(
            "tests_passed",
            rationale.map_or("no verification command was run on the patch", |_| "no_test_rationale"),
        );
    }
    for (name, reason) in super::model::not_applicable(report, ending) {
        add(name, reason);
    }
    reasons
}

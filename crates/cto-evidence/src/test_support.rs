//! A small run for tests: played to its seal, broken anywhere, recovered, and judged by independent means.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cto_policy::RunState;
use cto_schema::{
    ApprovalStatus, Blocker, BlockerCode, Event, EventType, Facts, Freshness, JournalEvent, JournalRecord,
    Observations, Report, ReportDigest, RunId, SchemaId, Sha256Digest, Status, Usage,
};
use serde_json::json;

use crate::home::Home;
use crate::keys::Keys;
use crate::ledger::Ledger;
use crate::live::{OpenedInfo, unfinished};
use crate::reopen::{Interrupted, Reopened, reopen};
use crate::run_dir::RunDir;
use crate::{RunClock, Sealed};

pub(crate) const LIMITS: &str = "proves that this harness said so, not that its host was sound";
pub(crate) const RUN: &str = "20261120t090000z-case-aaaaaaaaaa";

/// A directory in memory where there is one: these tests sync thousands of times.
pub(crate) fn place() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

pub(crate) fn run_id() -> RunId {
    RUN.parse().unwrap()
}

pub(crate) fn opened() -> OpenedInfo {
    OpenedInfo {
        case_id: "case".into(),
        backend: "fake".into(),
        harness_version: "0.1.0".into(),
        contract_digest: Some(Sha256Digest::of(b"contract")),
        ledger_head: None,
        cgroup_prefix: format!("cto-{RUN}"),
    }
}

pub(crate) fn create(home: &Home, run_id: &RunId) -> Result<RunDir, Box<dyn std::error::Error>> {
    Ok(RunDir::create(home, run_id.clone(), opened(), RunClock::start())?)
}

/// Plays a run that passes, from its directory to its seal.
pub(crate) fn play(home: &Home, run_id: &RunId) -> Result<Sealed, Box<dyn std::error::Error>> {
    let signer = Keys::open(home)?.ensure_signing_key()?;
    let ledger = Ledger::open(home)?;
    let mut run = create(home, run_id)?;
    let nonce = run.nonce_hex();
    run.event(EventType::RunStarted, json!({ "nonce": nonce }))?;
    run.journal(JournalEvent::FactsGathered {
        facts: Box::new(Facts::default()),
    })?;
    run.write("contract.json", b"{}")?;
    run.event(EventType::TaskContractCreated, json!({}))?;
    let decision_digest = run.write("decision.json", b"{\"admitted\":true}")?;
    run.journal(JournalEvent::Decided {
        decision_digest,
        admitted: true,
    })?;
    let mut stdout = String::new();
    for number in 0..50 {
        run.event(EventType::EngineMessage, json!({ "text": format!("line {number}") }))?;
        stdout.extend(["line ", &number.to_string(), "\n"]);
    }
    run.write_redacted("backend/stdout.log", stdout.as_bytes())?;
    run.span("engine", 0, "ok", "fake")?;
    run.write("patch.diff", b"")?;
    run.write("test.log", b"ran\n")?;
    conclude(run, Status::Pass, Vec::new(), &signer, &ledger)
}

/// Writes the verdict, the report and the seal.
pub(crate) fn conclude(
    mut run: RunDir,
    status: Status,
    blockers: Vec<Blocker>,
    signer: &crate::Signer,
    ledger: &Ledger,
) -> Result<Sealed, Box<dyn std::error::Error>> {
    run.release_reserve();
    run.journal(JournalEvent::Observed {
        observations: Box::new(Observations::default()),
    })?;
    run.event(EventType::RunCompleted, json!({ "status": status.word() }))?;
    run.journal(JournalEvent::Concluded {
        status,
        blockers: blockers.clone(),
    })?;
    run.close_streams()?;
    let report = report(&run, status, blockers);
    run.write("report.json", &serde_json::to_vec(&report)?)?;
    run.write("report.md", b"# report\n")?;
    Ok(run.seal(LIMITS, signer, ledger)?)
}

/// Recovers whatever is unfinished, as `cto recover` does.
pub(crate) fn recover(home: &Home) -> Result<Vec<Sealed>, Box<dyn std::error::Error>> {
    let keys = Keys::open(home)?;
    let signer = keys.ensure_signing_key()?;
    let ledger = Ledger::open(home)?;
    let mut sealed = Vec::new();
    for marker in unfinished(home)? {
        match reopen(home, marker, &keys, &ledger)? {
            Reopened::Nothing => {}
            Reopened::AlreadySealed(done) => sealed.push(*done),
            Reopened::Interrupted(interrupted) => {
                let Interrupted { mut run_dir, .. } = *interrupted;
                let last = run_dir.last_record().to_owned();
                run_dir.journal(JournalEvent::RecoveryIntent { last: last.clone() })?;
                if run_dir.required_events().is_empty() {
                    let nonce = run_dir.nonce_hex();
                    run_dir.event(EventType::RunStarted, json!({ "nonce": nonce }))?;
                }
                let blocker = Blocker {
                    code: BlockerCode::HarnessInterrupted,
                    detail: format!("the harness died after '{last}'"),
                    event: EventType::RunCompleted,
                };
                sealed.push(conclude(run_dir, Status::Blocked, vec![blocker], &signer, &ledger)?);
            }
        }
    }
    Ok(sealed)
}

/// Recovers a run that this process itself dropped. A test beside us that is just starting a child shares our locks
/// until the child's `exec`, so the lock of a dropped run may be free a moment later only.
pub(crate) fn recover_dropped(home: &Home) -> Vec<Sealed> {
    let mut sealed = Vec::new();
    for _ in 0..10_000 {
        sealed.extend(recover(home).unwrap());
        if std::fs::read_dir(home.live()).unwrap().count() == 0 {
            break;
        }
        std::thread::yield_now();
    }
    sealed
}

/// What an outsider can say about a home after recovery: everything is closed, and every bundle holds.
pub(crate) fn judge(home: &Home, run_id: &RunId) -> Option<Status> {
    assert_eq!(std::fs::read_dir(home.live()).unwrap().count(), 0, "a marker is left");
    let ledger = Ledger::open(home).unwrap();
    ledger.check().unwrap();
    let entry = ledger.find(run_id).unwrap();
    let path = home.run(run_id);
    if !path.exists() {
        assert_eq!(entry, None);
        return None;
    }
    let entry = entry.expect("a sealed run is listed");
    let report: Report = serde_json::from_slice(&std::fs::read(path.join("report.json")).unwrap()).unwrap();
    let sums = std::fs::read_to_string(path.join("SHA256SUMS")).unwrap();
    assert_eq!(entry.manifest_digest, Sha256Digest::of(sums.as_bytes()));
    let listed: BTreeMap<String, String> = sums
        .lines()
        .map(|line| (line[66..].to_owned(), line[..64].to_owned()))
        .collect();
    let found = files(&path, "");
    assert_eq!(listed.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (name, file) in &found {
        assert_eq!(
            listed[name],
            Sha256Digest::of(&std::fs::read(file).unwrap()).hex(),
            "{name}"
        );
        assert!(!name.contains(".tmp-"), "{name}");
    }
    judge_journal(&path);
    judge_form(home, &path);
    judge_events(&path, &report);
    Some(report.status)
}

/// The reader's checks of form, which need no real contract, hold for every bundle that we seal.
fn judge_form(home: &Home, path: &Path) {
    let keys = Keys::open(home).unwrap().verifying_keys().unwrap();
    let keys = keys
        .into_iter()
        .map(|(_, key)| crate::KnownKey::new("here", key))
        .collect();
    let bundle = crate::Bundle::open(path).unwrap();
    let outcome = crate::verify_bundle(&bundle, &crate::TrustedKeys::new(keys), None);
    for name in FORM {
        let check = outcome.checks.iter().find(|check| check.name == *name).unwrap();
        assert_eq!(check.state, crate::CheckState::Passed, "{name}: {}", check.detail);
    }
}

const FORM: &[&str] = &[
    "files",
    "manifest",
    "digests",
    "envelope",
    "signature",
    "subject",
    "run-id",
    "journal",
    "nonce",
    "event-chain",
    "trace",
    "freshness",
    "agreement",
    "no-promotion",
];

fn judge_journal(path: &Path) {
    let text = std::fs::read_to_string(path.join("journal.jsonl")).unwrap();
    let mut state = RunState::default();
    for (number, line) in text.lines().enumerate() {
        let record: JournalRecord = serde_json::from_str(line).unwrap();
        assert_eq!(record.seq as usize, number);
        state = state.next(&record.event).unwrap();
    }
    assert_eq!(state, RunState::Concluded);
    assert!(text.ends_with('\n'));
}

/// Recomputes the chain from the bytes alone.
fn judge_events(path: &Path, report: &Report) {
    let text = std::fs::read(path.join("events.normalized.jsonl")).unwrap();
    let nonce = data_encoding::HEXLOWER
        .decode(report.freshness.nonce.as_bytes())
        .unwrap();
    let mut prev = Sha256Digest::of(&nonce);
    let mut last_ns = 0_u64;
    let lines: Vec<&[u8]> = text.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n').collect();
    for (number, line) in lines.into_iter().enumerate() {
        let event: Event = serde_json::from_slice(line).unwrap();
        assert_eq!((event.seq as usize, event.prev), (number, prev));
        let mono_ns: u64 = event.mono_ns.parse().unwrap();
        assert!(mono_ns >= last_ns);
        (prev, last_ns) = (Sha256Digest::of(line), mono_ns);
    }
    assert_eq!(prev, report.freshness.event_chain_head);
}

pub(crate) fn files(dir: &Path, prefix: &str) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path(), &format!("{name}/")));
        } else if name != "SHA256SUMS" && name != "attestation.dsse.json" {
            found.insert(name, entry.path());
        }
    }
    found
}

pub(crate) fn report(run: &RunDir, status: Status, blockers: Vec<Blocker>) -> Report {
    let written_at_ns = run
        .artifacts()
        .iter()
        .map(|(name, a)| (name.clone(), a.mono_ns.to_string()))
        .collect();
    Report {
        schema: SchemaId::REPORT.to_string(),
        case_id: run.opened().case_id.clone(),
        run_id: run.run_id().to_string(),
        status,
        backend: run.opened().backend.clone(),
        harness_version: "0.1.0".into(),
        stage: Some(2),
        mutation_mode: None,
        allowed_mutation_scope: "fixture copy".into(),
        run_started_at: run.clock().started_ts(),
        run_finished_at: run.clock().ts(),
        backend_exit_code: Some(0),
        case_process_started: true,
        artifacts_dir: run.run_id().to_string(),
        runtime_workspace_root: "/workspace".into(),
        run_artifact_dir: run.run_id().to_string(),
        baseline_commit: None,
        baseline_tree: None,
        contract_digest: run.opened().contract_digest,
        changed_files: Vec::new(),
        allowed_writes_passed: Some(true),
        forbidden_paths_passed: Some(true),
        forbidden_actions_attempted: Vec::new(),
        approval_status: ApprovalStatus::NotRequired,
        verification: Vec::new(),
        clean_room: None,
        tests_passed: Some(true),
        required_events_passed: true,
        failure_reason: None,
        blockers,
        artifact_paths: BTreeMap::new(),
        artifact_digests: run
            .artifacts()
            .iter()
            .map(|(name, a)| (name.clone(), a.digest))
            .collect(),
        report_digest_rule: ReportDigest::default(),
        freshness: Freshness {
            nonce: run.nonce_hex(),
            event_chain_head: run.event_chain_head(),
            written_at_ns,
            clock_step_ms: run.clock().step_ms(),
        },
        source_admission_status: "not-required".into(),
        case_model_provider: None,
        case_model: None,
        case_model_admission_status: "not-required".into(),
        case_runtime_model_provider: None,
        model_fallback_used: false,
        model: None,
        masked_paths: vec![],
        egress: vec![],
        not_applicable: BTreeMap::new(),
        enforcement: None,
        claims: Vec::new(),
        usage: Usage::default(),
        forbidden_path_exceptions: BTreeMap::new(),
        source_repository_mutated: Some(false),
        governed: None,
        runtime_default_activation: false,
        core_promotion_status: "not-promoted".into(),
    }
}

/// A ledger entry for a run that never was.
pub(crate) fn entry(run_id: &str) -> crate::NewEntry {
    crate::NewEntry {
        run_id: run_id.parse().unwrap(),
        case_id: "case".into(),
        backend: "fake".into(),
        stage: Some(2),
        mutation_mode: None,
        status: Status::Pass,
        first_blocker: None,
        started_at: "2026-11-20T09:00:00.000000Z".into(),
        finished_at: "2026-11-20T09:00:01.000000Z".into(),
        duration_ms: 1000,
        manifest_digest: Sha256Digest::of(run_id.as_bytes()),
        attestation_digest: Sha256Digest::of(b"attestation"),
    }
}

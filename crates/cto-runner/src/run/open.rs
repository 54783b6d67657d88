//! Stops 1 to 3: read the bytes, parse them, and open the evidence before any gate is asked.

use cto_evidence::{
    HomeError, KeyError, Keys, Ledger, LedgerError, OpenedInfo, Redactor, RunClock, RunDir, RunDirError, fresh_run_id,
};
use cto_schema::{EventType, MutationMode, Observations, RunId, TaskContract, parse_contract};
use serde_json::json;

use super::{Halt, Journey, Watch, secrets};
use crate::request::{Harness, RunRequest, Task};
use crate::watch::Stage;

/// The evidence of a run could not be opened, so nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The home directory.
    #[error("use the home directory")]
    Home(#[from] HomeError),
    /// The signing key.
    #[error("use the signing key")]
    Keys(#[from] KeyError),
    /// The ledger.
    #[error("read the run ledger")]
    Ledger(#[from] LedgerError),
    /// The run directory.
    #[error("create the run directory")]
    RunDir(#[from] RunDirError),
}

/// Stands for the name of a task that cannot be read or shown.
const UNREADABLE: &str = "unreadable";

/// Returns the part of a run id that no other run has; names of cages and cgroups start with it.
pub(crate) fn unique_part(run_id: &RunId) -> &str {
    let text = run_id.as_str();
    text.rsplit('-').next().unwrap_or(text)
}

impl<'a> Journey<'a> {
    /// Opens the run's evidence: marker, directory, journal, nonce.
    pub(super) fn open(harness: &'a Harness, request: &'a RunRequest, watch: Watch<'a>) -> Result<Self, OpenError> {
        let (case_id, contract) = read_task(harness, request);
        let secrets = secrets::known(harness, request);
        let backend = secrets::clean(&Redactor::with_known(&secrets), &request.engine);
        let clock = RunClock::start();
        let signer = Keys::open(&harness.home)?.ensure_signing_key()?;
        let ledger = Ledger::open(&harness.home)?;
        let run_id = fresh_run_id(&clock, &case_id)?;
        let opened = OpenedInfo {
            case_id: case_id.clone(),
            backend: backend.clone(),
            harness_version: env!("CARGO_PKG_VERSION").to_owned(),
            contract_digest: contract.as_ref().ok().map(TaskContract::digest),
            ledger_head: ledger.head()?.map(|head| head.digest),
            cgroup_prefix: unique_part(&run_id).to_owned(),
        };
        let mut dir = RunDir::create(&harness.home, run_id, opened, clock)?;
        dir.know_secrets(&secrets);
        let journey = Self {
            harness,
            request,
            watch,
            dir,
            signer,
            ledger,
            case_id,
            backend,
            contract,
            decision: None,
            source: None,
            target_lock: None,
            facts: cto_schema::Facts::default(),
            baseline: None,
            enforcement: None,
            clean_start: None,
            write_set: None,
            patch: Vec::new(),
            test_log: Vec::new(),
            spans: Vec::new(),
            engine_output_bytes: 0,
            verification_ms: 0,
            seen: Observations::default(),
            kept_workspace: None,
            fixture_objects: None,
            disposable: None,
            branch: None,
            disposition: None,
            outcome: None,
            engine_binds: vec![],
        };
        journey.stage(Stage::Opened);
        Ok(journey)
    }

    /// Writes the first events: the run exists, and this is its contract.
    pub(super) fn announce(&mut self) -> Result<(), Halt> {
        let nonce = self.dir.nonce_hex();
        let started = json!({
            "nonce": nonce,
            "harness_version": env!("CARGO_PKG_VERSION"),
            "backend": self.backend,
            "case_id": self.case_id,
        });
        self.dir.event(EventType::RunStarted, started)?;
        let data = match &self.contract {
            Ok(contract) => {
                // Where a refusal must not show the target, nothing is written before the gates were asked.
                if contract.mutation_mode != MutationMode::OwnedNoncriticalRepo {
                    self.dir.write("contract.json", &contract.canonical())?;
                }
                json!({
                    "readable": true,
                    "task_id": contract.task_id,
                    "contract_digest": contract.digest(),
                    "mutation_mode": contract.mutation_mode,
                    "allowed_paths": contract.allowed_paths,
                })
            }
            Err(reason) => json!({ "readable": false, "reason": reason }),
        };
        self.dir.event(EventType::TaskContractCreated, data)?;
        Ok(())
    }
}

/// Returns the case id and the contract as executed, or why it cannot be read.
pub(crate) fn read_task(harness: &Harness, request: &RunRequest) -> (String, Result<TaskContract, String>) {
    let (case_id, contract) = match &request.task {
        Task::Case(case) => (
            case.case.case_id.clone(),
            Ok(in_mode(
                crate::choice::contract_in_view(case, &request.toolchains),
                request,
            )),
        ),
        Task::Contract { path, bytes } => match parse_contract(bytes) {
            Ok(contract) => (contract.task_id.clone(), Ok(contract)),
            Err(error) => {
                let name = cto_schema::escape(path.as_os_str().as_encoded_bytes(), 400);
                (UNREADABLE.to_owned(), Err(format!("{name}: {error}")))
            }
        },
    };
    let contract = contract.and_then(|contract| Ok((contract, timeout(harness, request)?)));
    let contract = contract.map(|(mut contract, timeout)| {
        if let Some(seconds) = timeout {
            contract.timeouts.engine_seconds = seconds;
        }
        let stricter = |own: Option<u32>, asked: Option<u32>| own.into_iter().chain(asked).min();
        contract.budget.tokens = stricter(contract.budget.tokens, request.budget.tokens);
        contract.budget.cost_micro_usd = stricter(contract.budget.cost_micro_usd, request.budget.cost_micro_usd);
        admit_target(harness, request, &mut contract);
        if harness.validator.is_some() {
            fit_engine(harness, request, &mut contract);
        }
        contract
    });
    let redactor = Redactor::with_known(&secrets::known(harness, request));
    let contract = contract
        .map_err(|reason| secrets::clean(&redactor, &reason))
        .and_then(|contract| without_credential(&redactor, contract));
    let is_shown = redactor.scan("", case_id.as_bytes()).is_empty();
    let case_id = if is_shown { case_id } else { UNREADABLE.to_owned() };
    (case_id, contract)
}

/// A contract is shown to the agent and sealed as it is.
fn without_credential(redactor: &Redactor, contract: TaskContract) -> Result<TaskContract, String> {
    match redactor.scan("contract.json", &contract.canonical()).first() {
        None => Ok(contract),
        Some(finding) => Err(format!(
            "the contract holds what looks like a credential ({}); no secret belongs in a contract",
            finding.rule
        )),
    }
}

/// On ground that the harness makes to prove an engine, the limits are not below what that engine needs.
fn fit_engine(harness: &Harness, request: &RunRequest, contract: &mut TaskContract) {
    let Ok((engine, _)) = harness.engines.find(&request.engine) else {
        return;
    };
    let (limits, needs) = (&mut contract.limits, &engine.manifest().minimum);
    limits.memory_mib = limits.memory_mib.max(needs.memory_mib);
    limits.processes = limits.processes.max(needs.processes);
}

/// What a target's admission forbids is forbidden in the contract as executed, too.
fn admit_target(harness: &Harness, request: &RunRequest, contract: &mut TaskContract) {
    let Some(record) = crate::facts::target_admission(harness, request, contract).record else {
        return;
    };
    let more = |own: &mut Vec<String>, named: Vec<String>| {
        let missing = named.into_iter().filter(|name| !own.contains(name)).collect::<Vec<_>>();
        own.extend(missing);
    };
    let text = |lines: &[cto_schema::Line]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    more(&mut contract.forbidden_paths, text(&record.forbidden_paths));
    let actions = record.forbidden_actions.iter().map(ToString::to_string).collect();
    more(&mut contract.forbidden_actions, actions);
}

/// Returns a case's contract with the mode that is asked for.
fn in_mode(mut contract: TaskContract, request: &RunRequest) -> TaskContract {
    if let Some(mode) = request.mode {
        contract.mutation_mode = mode;
    }
    contract
}

/// Returns the time that is asked for beside the contract: by the caller, else by the engine's variable.
fn timeout(harness: &Harness, request: &RunRequest) -> Result<Option<u32>, String> {
    if request.timeout_seconds.is_some() {
        return Ok(request.timeout_seconds);
    }
    // An engine that nobody knows is refused by its own gate.
    let Ok((engine, _)) = harness.engines.find(&request.engine) else {
        return Ok(None);
    };
    let variable = engine.manifest().timeout_variable();
    let Some(text) = harness.environment.get(&variable).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(0) | Err(_) => {
            let shown = cto_schema::escape(text.as_bytes(), 40);
            Err(format!(
                "{variable} is '{shown}'; set it to a whole number of seconds from 1, or unset it"
            ))
        }
        Ok(seconds) => Ok(Some(seconds)),
    }
}

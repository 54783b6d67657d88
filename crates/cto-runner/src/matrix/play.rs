//! Playing one row and judging it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::Duration;

use cto_evidence::{Bundle, Keys, KnownKey, TrustedKeys, verify_bundle};
use cto_schema::{Blocker, Event, ExitClass, MutationMode, Report, RunId, Status};
use rustix::event::{Timespec, poll};

use super::change::{ContractChange, Interference, Meddler, RequestChange, Throwaway, change_case, contract_bytes};
use super::model::{AGENT, lay};
use super::owned::{Lay, OwnedGround};
use super::{Played, Row, Way};
use crate::cases::{LoadedCase, find};
use crate::recover::recover;
use crate::request::{Harness, RunRequest, Task};
use crate::run::{Watch, chain, run};
use crate::watch::Stop;

/// The case whose accepted run every row starts from.
pub(crate) const ACCEPTED: &str = "r1-string-slugify";
/// The engine's time limit where a row is about time.
const BRIEF_SECONDS: u32 = 2;
/// How long a killed run may take to get to its engine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Plays a row and compares what came of it with the matrix.
pub fn play(harness: &Harness, row: &'static Row) -> Played {
    let mut played = Played {
        row,
        problems: vec![],
        run_id: None,
        bundle: None,
    };
    match perform(harness, row) {
        Ok(run_id) => {
            let bundle = harness.home.run(&run_id);
            played.problems = judge(harness, row, &bundle);
            played.run_id = Some(run_id);
            played.bundle = Some(bundle);
        }
        Err(problem) => played.problems.push(problem),
    }
    played
}

#[expect(clippy::too_many_lines, reason = "one arm for each way in which a row differs")]
fn perform(harness: &Harness, row: &Row) -> Result<RunId, String> {
    let stop = Stop::new().map_err(|error| error.to_string())?;
    let mut case = find(ACCEPTED, &[]).map_err(|error| chain(&error))?;
    let mut meddler = Meddler::new(None, &stop);
    let mut throwaway = None;
    let mut ground = None;
    let mut request = RunRequest::of(Task::Case(Box::new(case.clone())), "fake".to_owned());
    match row.way {
        Way::Play(play) => request.engine = format!("fake:{play}"),
        Way::PlayBriefly(play) => {
            request.engine = format!("fake:{play}");
            request.timeout_seconds = Some(BRIEF_SECONDS);
        }
        Way::Contract(ContractChange::UnknownField) => {
            let contract = crate::choice::contract_in_view(&case, &request.toolchains);
            request.task = Task::Contract {
                path: "contract.json".into(),
                bytes: contract_bytes(&contract, true),
            };
        }
        Way::Contract(ContractChange::CommandThatWrites) => {
            let (made, contract) = on_repository(harness, &case, &request)?;
            let mut contract = contract;
            let write = ["sh", "-c", "echo '# left behind' >> strings.py"].map(str::to_owned);
            contract.verification_commands.push(write.to_vec());
            request.task = Task::Contract {
                path: "contract.json".into(),
                bytes: contract_bytes(&contract, false),
            };
            throwaway = Some(made);
        }
        Way::Contract(change) => {
            change_case(&mut case, change);
            request.task = Task::Case(Box::new(case.clone()));
        }
        Way::Target(change) => {
            let (mut made, contract) = on_repository(harness, &case, &request)?;
            made.change(change).map_err(|error| error.to_string())?;
            request.task = Task::Contract {
                path: "contract.json".into(),
                bytes: contract_bytes(&contract, false),
            };
            request.clean_start = true;
            throwaway = Some(made);
        }
        Way::Interfere(way) => {
            if matches!(way, Interference::CommitInTarget) {
                let (made, contract) = on_repository(harness, &case, &request)?;
                request.task = Task::Contract {
                    path: "contract.json".into(),
                    bytes: contract_bytes(&contract, false),
                };
                meddler.repository = Some(made.path());
                throwaway = Some(made);
            }
            if matches!(way, Interference::Cancel) {
                request.engine = "fake:timeout".to_owned();
            }
            meddler.way = Some(way);
        }
        Way::Request(RequestChange::CommandWithoutSandbox) => {
            request.engine = "command".to_owned();
            request.command = vec!["/usr/bin/true".into()];
            request.provider = Some("none".to_owned());
        }
        Way::Model(change) => {
            request.engine = AGENT.to_owned();
            if change.mode() == MutationMode::CopiedRepo {
                let (made, contract) = on_repository(harness, &case, &request)?;
                request.task = Task::Contract {
                    path: "contract.json".into(),
                    bytes: contract_bytes(&contract, false),
                };
                throwaway = Some(made);
            }
            ground = Some(lay(harness, &case, change)?);
        }
        Way::Owned(change) => {
            let mut owned = OwnedGround::lay(harness, &case, &Lay::of("fake", 5, change))?;
            owned.settle(change)?;
            let watch = Watch {
                observer: &meddler,
                stop: &stop,
            };
            let outcome = run(&owned.harness, &owned.request, watch).map_err(|error| chain(&error))?;
            return Ok(outcome.run_id);
        }
        Way::Kill => return kill(harness),
    }
    let outcome = run(
        ground.as_ref().map_or(harness, |ground| &ground.harness),
        &request,
        Watch {
            observer: &meddler,
            stop: &stop,
        },
    )
    .map_err(|error| chain(&error))?;
    drop(throwaway);
    Ok(outcome.run_id)
}

/// Returns a throwaway repository that holds the accepted result, and the contract of a run on it.
fn on_repository(
    harness: &Harness,
    case: &LoadedCase,
    request: &RunRequest,
) -> Result<(Throwaway, cto_schema::TaskContract), String> {
    let throwaway = Throwaway::new(harness, case)?;
    let mut contract = crate::choice::contract_in_view(case, &request.toolchains);
    contract.mutation_mode = MutationMode::CopiedRepo;
    contract.target_repository = Some(throwaway.path().display().to_string());
    contract.baseline_expectation = cto_schema::BaselineExpectation::Green;
    Ok((throwaway, contract))
}

/// Kills a harness whose engine runs, and recovers.
fn kill(harness: &Harness) -> Result<RunId, String> {
    let before: Vec<RunId> = live(harness)?;
    let mut child = child(harness).spawn().map_err(|error| error.to_string())?;
    let found = wait_for_engine(harness, &before);
    let killed = child.kill().and_then(|()| child.wait());
    killed.map_err(|error| error.to_string())?;
    let run_id = found?;
    let recovered = recover(harness).map_err(|error| chain(&error))?;
    let ours = recovered.runs.iter().any(|run| run.run_id == run_id);
    if ours {
        Ok(run_id)
    } else {
        Err("the killed run was not recovered".to_owned())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this row is about killing a whole harness, so it needs one"
)]
fn child(harness: &Harness) -> std::process::Command {
    let mut command = std::process::Command::new(&harness.reexec.program);
    command
        .arg("--home")
        .arg(harness.home.root())
        .args(["run", ACCEPTED, "--engine", "fake:timeout", "--json"]);
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    command
}

fn live(harness: &Harness) -> Result<Vec<RunId>, String> {
    let entries = std::fs::read_dir(harness.home.live()).map_err(|error| error.to_string())?;
    Ok(entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect())
}

fn wait_for_engine(harness: &Harness, before: &[RunId]) -> Result<RunId, String> {
    let tick = Timespec {
        tv_sec: 0,
        tv_nsec: 10_000_000,
    };
    let ticks = PATIENCE.as_millis() / 10;
    for _ in 0..ticks {
        for run_id in live(harness)?.into_iter().filter(|id| !before.contains(id)) {
            let journal = std::fs::read_to_string(harness.home.run(&run_id).join("journal.jsonl")).unwrap_or_default();
            if journal.contains("\"engine_intent\"") {
                return Ok(run_id);
            }
        }
        // A signal only makes the next look come sooner.
        let _early = poll(&mut [], Some(&tick)).is_err();
    }
    Err("the run to be killed never came to its engine".to_owned())
}

pub(super) fn judge(harness: &Harness, row: &Row, bundle: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    let report: Report = match std::fs::read(bundle.join("report.json")).map(|bytes| serde_json::from_slice(&bytes)) {
        Ok(Ok(report)) => report,
        _ => return vec!["report.json cannot be read".to_owned()],
    };
    if report.status != row.status {
        problems.push(format!("status is {}, not {}", report.status.word(), row.status.word()));
    }
    if report.status == Status::Pass {
        problems.push("the run passed".to_owned());
    }
    let exact = |blocker: &Blocker| blocker.code == row.blocker && blocker.event == row.event;
    if !(report.blockers.len() == 1 && report.blockers.iter().all(exact)) {
        let seen: Vec<String> = report
            .blockers
            .iter()
            .map(|b| format!("{} at {} ({})", b.code.name(), b.event, b.detail))
            .collect();
        problems.push(format!(
            "blockers are [{}], not {} at {} alone",
            seen.join("; "),
            row.blocker.name(),
            row.event
        ));
    }
    if report.case_process_started != row.starts {
        problems.push(format!(
            "the engine was {}started",
            if report.case_process_started { "" } else { "not " }
        ));
    }
    let exit = ExitClass::of_run(report.status, report.case_process_started);
    if exit != row.exit() {
        problems.push(format!("cto run exits {}, not {}", exit.code(), row.exit().code()));
    }
    if !row.starts && !report.changed_files.is_empty() {
        problems.push("something changed although nothing was started".to_owned());
    }
    if !has_event(bundle, row) {
        problems.push(format!("event {} is missing", row.event));
    }
    problems.extend(verification_problems(harness, bundle));
    problems
}

fn has_event(bundle: &Path, row: &Row) -> bool {
    let Ok(file) = std::fs::File::open(bundle.join("events.normalized.jsonl")) else {
        return false;
    };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    lines
        .filter_map(|line| serde_json::from_str::<Event>(&line).ok())
        .any(|event| event.kind == row.event)
}

/// Returns what is wrong with a bundle.
pub(crate) fn verification_problems(harness: &Harness, bundle: &Path) -> Vec<String> {
    let keys = match Keys::open(&harness.home).and_then(|keys| keys.list()) {
        Ok(keys) => keys,
        Err(error) => return vec![chain(&error)],
    };
    let known = keys
        .into_iter()
        .map(|key| KnownKey::new(key.keyid.clone(), key.key))
        .collect();
    match Bundle::open(bundle) {
        Ok(read) => {
            let outcome = verify_bundle(&read, &TrustedKeys::new(known), None);
            outcome
                .failed()
                .map(|check| format!("check {} failed: {}", check.name, check.detail))
                .collect()
        }
        Err(error) => vec![chain(&error)],
    }
}

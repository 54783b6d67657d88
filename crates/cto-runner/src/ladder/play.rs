//! Playing one fixture of a stage: the stage's own accepted run with one change, on ground that the harness makes.

use std::ffi::OsString;

use cto_schema::{MutationMode, RunId};

use super::validate::Who;
use crate::cases::{LoadedCase, find};
use crate::matrix::{
    ACCEPTED, Interference, Lay, Meddler, OwnedChange, OwnedGround, TargetChange, Throwaway, contract_bytes,
};
use crate::request::{Harness, RunRequest, Task};
use crate::run::{Watch, chain, run};
use crate::watch::{RunObserver, Stop};

/// The engine's time limit where a fixture is about time.
const BRIEF_SECONDS: u32 = 2;

/// Plays a need of a stage by name, and returns the run. What it ended with is for the ladder to judge.
pub(crate) fn play_need(harness: &Harness, who: Who<'_>, stage: u8, name: &str) -> Result<RunId, String> {
    let case = find(ACCEPTED, &[]).map_err(|error| chain(&error))?;
    let own = matches!(name, "pass" | "runs-nothing");
    let engine = match name {
        _ if own => who.engine.to_owned(),
        "no-diff"
        | "disallowed-file"
        | "failed-tests"
        | "missing-event"
        | "provider-unavailable"
        | "timeout"
        | "reviewer-reject" => format!("fake:{name}"),
        _ => "fake".to_owned(),
    };
    let stage = if stage == 1 && !own { 2 } else { stage };
    let command = if own { who.command } else { &[] };
    let fixture = Fixture {
        engine: &engine,
        command,
        name,
    };
    match stage {
        1 => nothing(harness, &case, fixture),
        2 => copied_fixture(harness, case, fixture),
        3 => copied_repository(harness, &case, fixture),
        4 | 5 => changed_repository(harness, &case, fixture, stage),
        other => Err(format!("stage {other} runs nothing")),
    }
}

/// What is played, and by whom.
#[derive(Clone, Copy)]
struct Fixture<'a> {
    engine: &'a str,
    command: &'a [OsString],
    name: &'a str,
}

/// The mode of stage 1, in which nothing runs.
fn nothing(harness: &Harness, case: &LoadedCase, fixture: Fixture<'_>) -> Result<RunId, String> {
    let mut request = of_case(case, fixture);
    request.mode = Some(MutationMode::None);
    go(harness, &request, None)
}

fn of_case(case: &LoadedCase, fixture: Fixture<'_>) -> RunRequest {
    let mut request = RunRequest::of(Task::Case(Box::new(case.clone())), fixture.engine.to_owned());
    request.command = fixture.command.to_vec();
    request
}

fn copied_fixture(harness: &Harness, mut case: LoadedCase, fixture: Fixture<'_>) -> Result<RunId, String> {
    if fixture.name == "missing-test-command" {
        case.case.verification.clear();
    }
    go(harness, &of_case(&case, fixture), interference(fixture.name))
}

fn interference(name: &str) -> Option<Interference> {
    (name == "artifact-write-failure").then_some(Interference::ObstructPatch)
}

fn copied_repository(harness: &Harness, case: &LoadedCase, fixture: Fixture<'_>) -> Result<RunId, String> {
    let Fixture { engine, command, name } = fixture;
    let is_unfixed = name == "failed-tests" || !engine.starts_with("fake");
    let mut target = if is_unfixed {
        Throwaway::unfixed(harness, case)?
    } else {
        Throwaway::new(harness, case)?
    };
    let mut contract = crate::choice::contract_in_view(case, &[]);
    contract.mutation_mode = MutationMode::CopiedRepo;
    contract.target_repository = Some(target.path().display().to_string());
    contract.baseline_expectation = expectation(is_unfixed);
    if name == "dirty-ending-tree" {
        contract.verification_commands.push(littering());
    }
    let mut request = RunRequest::of(
        Task::Contract {
            path: "contract.json".into(),
            bytes: contract_bytes(&contract, false),
        },
        engine.to_owned(),
    );
    request.command = command.to_vec();
    request.clean_start = true;
    if name == "dirty-starting-tree" {
        target
            .change(TargetChange::Uncommitted)
            .map_err(|error| error.to_string())?;
    }
    if name == "timeout" {
        request.timeout_seconds = Some(BRIEF_SECONDS);
    }
    go(harness, &request, interference(name))
}

fn expectation(is_unfixed: bool) -> cto_schema::BaselineExpectation {
    if is_unfixed {
        cto_schema::BaselineExpectation::Red
    } else {
        cto_schema::BaselineExpectation::Green
    }
}

/// A verification command that leaves something behind.
fn littering() -> Vec<String> {
    ["sh", "-c", "echo '# left behind' >> strings.py"]
        .map(str::to_owned)
        .to_vec()
}

fn changed_repository(harness: &Harness, case: &LoadedCase, fixture: Fixture<'_>, stage: u8) -> Result<RunId, String> {
    let Fixture { engine, command, name } = fixture;
    let change = match name {
        "approval-denied" => OwnedChange::Denied,
        "unowned-repository" => OwnedChange::Unowned,
        _ => OwnedChange::Nothing,
    };
    let is_unfixed = name == "failed-tests" || !engine.starts_with("fake");
    let lay = Lay {
        unfixed: is_unfixed,
        verify_also: (name == "dirty-ending-tree").then(littering),
        ..Lay::of(engine, stage, change)
    };
    let mut ground = OwnedGround::lay(harness, case, &lay)?;
    ground.request.command = command.to_vec();
    if name == "timeout" {
        ground.request.timeout_seconds = Some(BRIEF_SECONDS);
    }
    if name == "pass" && stage == 5 {
        return Err("a pass at stage 5 needs an operator's word, which no validator says".to_owned());
    }
    ground.settle(change)?;
    if name == "dirty-starting-tree" {
        ground.dirty()?;
    }
    go(&ground.harness, &ground.request, None)
}

fn go(harness: &Harness, request: &RunRequest, way: Option<Interference>) -> Result<RunId, String> {
    let stop = Stop::new().map_err(|error| error.to_string())?;
    let meddler = Meddler::new(way, &stop);
    let observer: &dyn RunObserver = &meddler;
    let watch = Watch { observer, stop: &stop };
    run(harness, request, watch)
        .map(|outcome| outcome.run_id)
        .map_err(|error| chain(&error))
}

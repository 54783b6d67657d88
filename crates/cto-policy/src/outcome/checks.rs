//! What the clean room says.

use cto_schema::{
    BaselineExpectation, BlockerCode, CanaryOutcome, CanaryState, RunLabel, TaskContract, Verification, VerificationRun,
};

use super::Reasons;
use super::change::list;

pub(super) fn judge(contract: &TaskContract, verification: &Verification, cause_known: bool, reasons: &mut Reasons) {
    integrity(verification, reasons);
    for attempt in &verification.forbidden {
        let detail = format!("during verification: {}: {}", attempt.action, attempt.detail);
        reasons.add(BlockerCode::ForbiddenAction, detail);
    }
    if !verification.left_behind.is_empty() {
        reasons.add(
            BlockerCode::DirtyEndingTree,
            format!("verification changed: {}", list(&verification.left_behind)),
        );
    }
    if contract.no_test_rationale.is_some() || reasons.has(BlockerCode::NoDiff) {
        return;
    }
    let Some(patched) = verification.run(RunLabel::Patched) else {
        if !cause_known && reasons.is_empty() {
            let why = verification
                .not_run
                .as_deref()
                .unwrap_or("no verification command was run on the patch");
            reasons.add(BlockerCode::VerificationUntrusted, why);
        }
        return;
    };
    if timed_out(patched) {
        reasons.add(BlockerCode::Timeout, "a verification command exceeded its limit");
    } else if !patched.passed() {
        judge_failure(patched, verification, cause_known, reasons);
    } else {
        judge_success(contract, verification, reasons);
    }
}

fn timed_out(run: &VerificationRun) -> bool {
    run.commands.iter().any(|command| command.timed_out)
}

fn judge_failure(patched: &VerificationRun, verification: &Verification, cause_known: bool, reasons: &mut Reasons) {
    if verification.passes_in_engine_tree == Some(true) {
        reasons.add(
            BlockerCode::VerificationUntrusted,
            "it passes only in the engine's own tree, not on the patch",
        );
    } else if !cause_known {
        reasons.add(BlockerCode::VerificationFailed, failing(patched));
    }
}

fn failing(run: &VerificationRun) -> String {
    let failed: Vec<String> = run
        .commands
        .iter()
        .filter(|command| !command.passed)
        .map(
            |command| match (command.exit_code, command.signal, &command.start_error) {
                (_, _, Some(error)) => {
                    format!("'{}' could not be started: {error}", command.argv.join(" "))
                }
                (Some(code), _, _) => format!("'{}' exited {code}", command.argv.join(" ")),
                (None, signal, _) => format!("'{}' ended by signal {}", command.argv.join(" "), signal.unwrap_or(0)),
            },
        )
        .collect();
    list(&failed)
}

/// Exit status 0 alone is never evidence.
fn judge_success(contract: &TaskContract, verification: &Verification, reasons: &mut Reasons) {
    let mut distrust = |detail: String| reasons.add(BlockerCode::VerificationUntrusted, detail);
    if !contract.verification_inputs.is_empty() {
        match verification.run(RunLabel::RestoredInputs) {
            Some(run) if run.passed() => {}
            Some(run) => distrust(format!(
                "with the baseline's verification_inputs it fails: {}",
                failing(run)
            )),
            None => distrust("the run with restored verification_inputs is missing".to_owned()),
        }
    }
    match (contract.baseline_expectation, verification.run(RunLabel::Baseline)) {
        (_, None) => distrust("the baseline's own result is missing".to_owned()),
        (BaselineExpectation::Red, Some(run)) if run.passed() => {
            distrust("the baseline passes already, and the contract says that it must fail".to_owned());
        }
        (BaselineExpectation::Green, Some(run)) if !run.passed() => {
            distrust(format!(
                "the baseline fails, and the contract says that it must pass: {}",
                failing(run)
            ));
        }
        (BaselineExpectation::Any | BaselineExpectation::Red | BaselineExpectation::Green, Some(_)) => {}
    }
    for canary in &verification.canaries {
        match canary.state {
            CanaryState::FailedAsItMust | CanaryState::NotGenerated => {}
            CanaryState::Passed => distrust(format!(
                "a test that must fail did not fail the command: {}",
                canary.detail
            )),
            CanaryState::Unusable => {
                distrust(format!("the canary could not be used: {}", canary.detail));
            }
        }
    }
    let none = |canary: &CanaryOutcome| canary.state == CanaryState::NotGenerated;
    if verification.canaries.iter().all(none) {
        let why: Vec<String> = verification
            .canaries
            .iter()
            .map(|canary| canary.detail.clone())
            .collect();
        distrust(format!(
            "no test that must fail could be made for any command ({}); add canary_patch to the contract",
            list(&why)
        ));
    }
}

fn integrity(verification: &Verification, reasons: &mut Reasons) {
    let foreign: Vec<String> = verification
        .integrity
        .iter()
        .filter(|fact| !fact.allowed)
        .map(|fact| format!("{} {}", fact.kind, fact.path))
        .collect();
    if !foreign.is_empty() {
        reasons.add(
            BlockerCode::VerificationUntrusted,
            format!("changed outside the contract: {}", list(&foreign)),
        );
    }
}

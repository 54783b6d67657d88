//! The words of a report: one sentence for each verdict, check, blocker and bound.

use cto_schema::{
    ApprovalStatus, BlockerCode, BoundState, CanaryOutcome, CanaryState, ClaimBasis, ModelObservation, OperatorOutcome,
    Report, RunLabel, Status, VerificationRun,
};

/// What the signature does not prove; every report ends with it.
pub(super) const LIMIT: &str = "The signature proves that this harness said so, not that its host was sound. \
A passing run says that the named commands exited 0 on exactly this patch; whether the change is what you want is \
for a person to judge.";

/// Returns the verdict in words, without text of the run.
pub(super) fn headline(report: &Report) -> String {
    let ran = report.case_process_started;
    let what = match (report.status, ran) {
        (Status::Pass, _) => return passed(report),
        (Status::Fail, true) => "The engine ran and its work is not accepted.",
        (Status::Fail, false) => "The run failed before the engine was started.",
        (Status::Blocked, true) if waits_for_the_word(report) && was_rejected(report) => {
            "The change was verified and committed to the target, and the operator rejected it."
        }
        (Status::Blocked, true) if waits_for_the_word(report) => {
            "The change was verified and committed to the target; the operator's word on it is missing."
        }
        (Status::Blocked, true) => {
            "The engine was started, and the run was stopped before there was a verdict on its work."
        }
        (Status::Blocked, false) => "The run was refused before the engine was started, so nothing of it was executed.",
    };
    let committed = commit_of(report).is_some();
    let target = match report.source_repository_mutated {
        Some(false) if committed => " Apart from that commit the target is as it was before the run.",
        Some(false) => " The target is as it was before the run.",
        Some(true) => " The target is NOT as it was before the run.",
        None => "",
    };
    format!("{what}{target} The reasons are below, each with what to do next.")
}

/// Returns the one commit that the target got.
pub(super) fn commit_of(report: &Report) -> Option<&str> {
    report.governed.as_ref()?.target_commit.as_deref()
}

/// Returns whether the word on the commit was said, and is no.
fn was_rejected(report: &Report) -> bool {
    let said = report.governed.as_ref().map(|governed| governed.operator_outcome);
    said == Some(OperatorOutcome::Rejected)
}

/// Returns whether nothing is missing but the operator's yes to the commit.
fn waits_for_the_word(report: &Report) -> bool {
    let only = matches!(report.blockers.as_slice(), [one] if one.code == BlockerCode::MissingOperatorOutcome);
    only && commit_of(report).is_some()
}

fn passed(report: &Report) -> String {
    let files = report.changed_files.len();
    let change = match files {
        0 => "nothing changed, which the contract allows".to_owned(),
        1 => "the one changed file is allowed by the contract".to_owned(),
        _ => format!("all {files} changed files are allowed by the contract"),
    };
    let checked = match &report.clean_room {
        Some(room) if !report.verification.is_empty() => {
            let canary = if room.canaries.iter().any(|c| c.state == CanaryState::FailedAsItMust) {
                "; a canary failed as it must"
            } else {
                ""
            };
            format!("the verification commands exited 0 on this patch in a clean room{canary}")
        }
        _ => "no verification command ran, and the contract says why".to_owned(),
    };
    format!("Accepted: {change}, and {checked}.")
}

/// Returns the word and what it means for one clean-room run.
pub(super) fn run_words(label: RunLabel) -> (&'static str, &'static str) {
    match label {
        RunLabel::Baseline => ("Baseline", "the commands on the tree before the change"),
        RunLabel::Patched => (
            "Patched",
            "the commands on a fresh copy of the baseline with this patch applied",
        ),
        RunLabel::RestoredInputs => (
            "Restored inputs",
            "the patched tree with tests and their configuration as in the baseline",
        ),
        RunLabel::Canary => ("Canary", "the patched tree and one test that must fail"),
        RunLabel::EngineTree => (
            "Engine's tree",
            "the engine's own final tree, tried only to explain a failure",
        ),
    }
}

/// Returns what a clean-room run says, in words.
pub(super) fn run_result(run: &VerificationRun) -> String {
    let total = run.commands.len();
    let passed = run.commands.iter().filter(|command| command.passed).count();
    let cached = match (run.cached, run.label) {
        (false, _) => "",
        (true, RunLabel::RestoredInputs) => " (the patch changes none of them, so the patched result holds)",
        (true, _) => " (result kept from an earlier run on the same baseline)",
    };
    match (total, passed) {
        (0, _) => "no command ran".to_owned(),
        (1, 1) => format!("the command exited 0{cached}"),
        (1, _) => format!("the command did not exit 0{cached}"),
        _ => format!("{passed} of {total} commands exited 0{cached}"),
    }
}

/// Returns what a canary says, in words.
pub(super) fn canary_words(canary: &CanaryOutcome) -> &'static str {
    match canary.state {
        CanaryState::FailedAsItMust => "with a test that must fail, the command failed as it must",
        CanaryState::Passed => "with a test that must fail, the command still exited 0: its success is no evidence",
        CanaryState::NotGenerated => "no test that must fail could be made for this command",
        CanaryState::Unusable => "the test that must fail could not be applied or run",
    }
}

/// Returns why no command ran, without text of the run.
pub(super) fn nothing_ran(report: &Report) -> &'static str {
    let interrupted = report
        .blockers
        .iter()
        .any(|b| b.code == BlockerCode::HarnessInterrupted);
    match &report.clean_room {
        None if interrupted => {
            "No result of the clean room is on record: the harness was interrupted. What was written until then is in test.log."
        }
        None => "The clean room was not reached.",
        Some(_) => "No command ran in the clean room.",
    }
}

pub(super) fn bound_word(state: BoundState) -> &'static str {
    match state {
        BoundState::Enforced => "enforced",
        BoundState::Weaker => "weaker",
        BoundState::Absent => "absent",
    }
}

pub(super) fn basis_words(basis: ClaimBasis) -> (&'static str, &'static str) {
    match basis {
        ClaimBasis::Verified => ("verified", "the harness observed it"),
        ClaimBasis::SelfReported => ("self-reported", "the engine said so"),
        ClaimBasis::Inferred => ("inferred", "it follows from other facts"),
        ClaimBasis::Absent => ("absent", "nothing shows it"),
    }
}

pub(super) fn approval_word(approval: ApprovalStatus) -> &'static str {
    match approval {
        ApprovalStatus::NotRequired => "not required",
        ApprovalStatus::Requested => "requested, not given",
        ApprovalStatus::Granted => "granted",
        ApprovalStatus::Denied => "denied",
    }
}

pub(super) fn yes_no(value: Option<bool>) -> &'static str {
    match value {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not judged",
    }
}

/// Returns the commands with which a stranger checks the bundle, one shell script by purpose.
pub(super) fn verify_scripts(run_id: &str) -> [(&'static str, String); 3] {
    // A run id that is not one must not reach a shell.
    let run = if run_id.parse::<cto_schema::RunId>().is_ok() {
        run_id
    } else {
        "RUN"
    };
    let signature = format!(
        "work=$(mktemp -d)
python3 - {run}/attestation.dsse.json \"$work\" <<'END'
import base64, json, sys
envelope = json.load(open(sys.argv[1]))
kind, payload = envelope[\"payloadType\"].encode(), base64.b64decode(envelope[\"payload\"])
open(sys.argv[2] + \"/signed\", \"wb\").write(b\"DSSEv1 %d %s %d %s\" % (len(kind), kind, len(payload), payload))
open(sys.argv[2] + \"/signature\", \"wb\").write(base64.b64decode(envelope[\"signatures\"][0][\"sig\"]))
subject = json.loads(payload)[\"subject\"][0]
open(sys.argv[2] + \"/subject\", \"w\").write(\"%s  %s\\n\" % (subject[\"digest\"][\"sha256\"], subject[\"name\"]))
END
openssl pkeyutl -verify -pubin -inkey KEY.pem -rawin -in \"$work/signed\" -sigfile \"$work/signature\" &&
(cd {run} && sha256sum -c \"$work/subject\")"
    );
    [
        (
            "Everything, with cto (KEY.pem is the public key of the harness, from its owner and not from this bundle):",
            format!("cto verify --key KEY.pem {run}"),
        ),
        (
            "That no file changed, with coreutils:",
            format!("(cd {run} && sha256sum -c SHA256SUMS)"),
        ),
        (
            "That the harness signed SHA256SUMS, with Python and OpenSSL 3:",
            signature,
        ),
    ]
}

/// What the gateway counted, as one line.
pub(super) fn model_line(model: &ModelObservation) -> String {
    let failed = model.failed_calls();
    let refused = model.refused_calls();
    let usage = &model.usage;
    let mut line = format!(
        "{} answered, {failed} failed, {refused} refused; tokens: {} in ({} cached), {} out",
        model.completed, usage.input_tokens, usage.cached_input_tokens, usage.output_tokens
    );
    if usage.calls_without_usage > 0 {
        let without = format!("; calls that stated no usage: {}", usage.calls_without_usage);
        line.push_str(&without);
    }
    if let Some(cost) = usage.cost_micro_usd.as_ref().and_then(|cost| cost.parse::<u64>().ok()) {
        let cost = format!("; cost {}.{:06} US dollars", cost / 1_000_000, cost % 1_000_000);
        line.push_str(&cost);
    }
    line
}

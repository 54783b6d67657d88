//! What a person does next about a blocker: one sentence for each code.

use cto_schema::BlockerCode;

/// Returns what a person does next about a blocker, as one sentence.
pub fn mend(code: BlockerCode) -> &'static str {
    use BlockerCode as C;
    match code {
        C::NoDiff => {
            "Make the brief say what has to change, or set requires_diff: false if no change is a valid answer."
        }
        C::DisallowedFileChange => {
            "Look at the named paths in patch.diff; widen allowed_paths only if they belong to the task, and run again."
        }
        C::VerificationFailed => {
            "Read test.log for the failing command, then run again with a clearer brief or another engine."
        }
        C::MissingTestCommand => {
            "Add verification_commands to the contract, or no_test_rationale with the reason why there is no test."
        }
        C::MissingRequiredEvent => {
            "Run again; if it happens twice, the engine's version does not speak the protocol that its manifest declares."
        }
        C::ReviewerRejected => {
            "Read the reviewer's words in the engine's log below backend/, mend the brief, and run again."
        }
        C::ApprovalDenied => "Ask the operator for an approval of this very contract; each approval serves one run.",
        C::Timeout => "Raise the limit in timeouts, or make the task smaller; trace.jsonl shows where the time went.",
        C::DirtyStartingTree => "Commit or stash what the detail names, and run again.",
        C::DirtyEndingTree => {
            "Make the verification commands leave no files behind, or list what they generate in scratch_paths."
        }
        C::ArtifactWriteFailure => {
            "Make room or mend permissions where CTO_HOME lies, and run again; this bundle may be incomplete."
        }
        C::ProviderUnavailable => {
            "Mend what the detail names: the provider and its endpoint (cto status shows the chain of the configured model, not of one named with --model), or the program (cto engines shows what is looked for)."
        }
        C::TargetNotAdmitted => "Admit the target repository first, or choose a copied mode, which needs no admission.",
        C::MissingOperatorOutcome => {
            "Let the operator accept or reject the outcome of the run; what was rejected is taken back with cto rollback."
        }
        C::ModelNotAdmitted => "Use the admitted model, or have the operator admit the one that the detail names.",
        C::ProviderResponseShape => {
            "Try another admitted model; this one gave no assistant text at a realistic budget."
        }
        C::ProviderAuthUnavailable => "Give the gateway the provider's credential; it is never passed in a contract.",
        C::ProviderLocalConfigUnavailable => {
            "Start the local model endpoint, or mend its address in the gateway's configuration."
        }
        C::AgentProtocol => {
            "Check the engine's version: its result could not be read; its raw output lies below backend/."
        }
        C::ForbiddenAction => "Treat this engine with care: it tried what the contract forbids; the detail says what.",
        C::GateMissing => {
            "Set the gate that the detail names, once you have decided that this engine may run at this stage."
        }
        C::SourceNotAdmitted => "Admit the engine's source for this mode, or use an engine that is admitted.",
        C::BuildMismatch => "Reinstall the admitted build of the engine, or admit the new one.",
        C::SandboxUnavailable => "Run cto doctor: it names the bound that cannot be enforced here and how to get it.",
        C::ContractInvalid => "Mend the contract at the place that the detail names.",
        C::TargetBusy => "Wait until the other run has ended; its progress names the run.",
        C::TargetModified => "Find out who changed the target while the run went on; then run again.",
        C::UnsafeFile => {
            "Look at the named entries; links that leave the tree, special files and set-id bits are never accepted."
        }
        C::PatchRoundtripFailed => "Keep this bundle and report it: the patch does not reproduce what the engine left.",
        C::Cancelled => "Run again when you want the result; somebody stopped this run.",
        C::SecretDetected => "Rotate the secret that the detail names: it was redacted here, but the engine had it.",
        C::VerificationUntrusted => {
            "Read the detail: the check could not fail or its tests were changed; mend the contract's verification and run again."
        }
        C::SurvivingProcess => {
            "Make the engine stop what it starts; a process that outlives it can change what was checked."
        }
        C::ResourceLimit => "Raise the limit that the detail names, or make the task smaller.",
        C::HarnessInterrupted => "Run again; what was durable before the interruption is in this bundle.",
        C::EngineFailed => "Read the engine's own log below backend/ for the cause, mend it, and run again.",
        C::ApprovalStale => "Ask for a new approval: what was approved differs from what would have run.",
    }
}

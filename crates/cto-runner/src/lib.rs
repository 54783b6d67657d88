//! One governed run end to end: facts, workspace, engine, supervision, collection, clean room, recovery.
//!
//! The crate never prints and never exits; what it has to say is in the values that it returns.

mod admit;
mod apply;
mod approval;
mod authority;
mod baseline;
mod cache;
mod cage;
mod capture;
mod cases;
mod choice;
mod clean_room;
mod closing;
mod collect;
mod comparison;
mod control;
mod engine;
mod facts;
mod fixture;
mod ground;
mod guard;
mod harness;
mod health;
mod keep;
#[cfg(test)]
mod lacks;
mod ladder;
mod layers;
mod leftovers;
mod matrix;
mod model;
mod model_calls;
mod package;
mod patch;
#[cfg(test)]
mod real_tool;
mod recover;
mod refusals;
mod request;
mod run;
mod sandbox_facts;
mod settings;
mod source;
mod supervise;
mod sweep;
mod tool;
mod toolchains;
mod trials;
mod validate;
mod watch;
mod workspace;
mod write_set;

pub use admit::{
    BuildRequest, ChainState, ChainStep, Checked, EngineChain, WriteRecordError, Written, check_file, check_model,
    engine_chain, judge_made_build, make_build, write_record,
};
pub use apply::{
    Applied, ApplyError, ApplyOrder, ApplyOutcome, ApplyRecovery, CommitError, CommitText, Expected, MadeCommit,
    Person, RecoveredApply, Refusal, RevertOrder, apply, make_commit, recover_applies, revert,
};
pub use approval::{
    OutcomeRefused, PacketError, PacketOptions, RollbackError, Rolled, SIGNERS_MAX, SaidOutcome, SayError, Saying,
    SignError, Signing, allowed_signers_path, approval_needed, decision_problem, make_packet, outcome_statement,
    rollback, say, say_outcome, ssh_keygen,
};
pub use authority::{AuthorityError, Distrust, Links, read_authority};
pub use baseline::{
    Baseline, BaselineError, BaselineKey, BaselineStore, GarbageReport, ObjectFormat, ObjectSource, TreeCheck,
};
pub use cases::{
    CaseError, CaseFile, CaseFileKind, CaseOrigin, EmbeddedCase, HarborTask, LoadedCase, case_directories,
    check as check_case, embedded as embedded_cases, find as find_case, load as load_case,
};
pub use closing::CloseError;
pub use comparison::{
    CheckedDocument, CollectedRows, CompareRequest, DecideError, Decided, DocumentWordError, PacketRefused,
    PacketRequest, PinRequest, ReadError, RefreshRequest, audit, collect_missing, compare, make_decision_packet,
    newest_comparison, prose_of, read_checked, refresh, say_about_document,
};
pub use control::{SummaryError, believed_operators, stage_needs, summarise};
pub use cto_gateway::{GATEWAY_ARGUMENT, gateway_main, scripted};
pub use cto_policy::CANDIDATE;
pub use cto_policy::PlannedCell;
pub use cto_sandbox::{Ability, INNER_ARGUMENT, MachineReport, probe_machine};
pub use engine::{
    Engine, EngineError, EngineManifest, EngineOutput, EngineStatus, EngineTask, Engines, HomeFile, InputFile,
    Installation, Invocation, Keep, LogFile, Marker, MinimumLimits, ModelEndpoint, Normalized, PLAYS, Package, Places,
    Play, Search, Wire,
};
pub use facts::decide_only;
pub use fixture::{FixtureBaseline, FixtureError, FixtureFile, FixtureSource};
pub use guard::{GuardError, GuardRequest, guard_core_route};
pub use health::{Health, HealthLine, HealthState, health};
pub use ladder::{
    EngineLadder, LadderError, StageCheck, StageComparison, StageField, StageValidation, Who, engine_ladder,
    status_with_the_word, validate_stage,
};
pub use layers::{
    FreezeRequest, Frozen, LayerError, StoredLayer, check as check_layer, freeze as freeze_layer, list as list_layers,
};
pub use matrix::{Played, ROWS, Row, find_row, play, play_by, rows_about_engines};
pub use model::{
    Endpoint, GatewaySettings, InvalidEndpoint, ModelPlan, ProfileLimits, ProfileSettings, ProviderKind,
    ProviderSettings, RecordPlace, RequestedModel, Variables, look_at_binary, may_use_a_model, own_place,
    provider_classes, read_fact, record_place, requested_model,
};
pub use package::{InstalledPackage, installed_package};
pub use patch::{PatchError, RoundTrip, TreeChange, TreeEntry, make_patch, round_trip};
pub use recover::{RecoverError, Recovered, Recovery, RecoveryOutcome, recover};
pub use request::{Harness, RunOutcome, RunRequest, Task};
pub use run::{OpenError, RunError, Watch, run};
pub use sandbox_facts::{CageTest, DEFAULT_PROVIDER, cage_test, find_provider};
pub use settings::{ApprovalSettings, EngineSettings, SandboxSettings, Settings, SettingsError, WorkspaceKind};
pub use source::{DirtyPaths, Head, SourceError, SourceLock, SourceRepository};
pub use supervise::SuperviseError;
pub use sweep::{SweepError, Swept, sweep};
pub use tool::{GIT_DIRECTORIES, Git, GitError, OLDEST_GIT};
pub use toolchains::{Toolchain, discover as discover_toolchains};
pub use trials::{
    Lanes, TrialsError, TrialsObserver, TrialsRequest, TrialsWork, check_places, make_plan, matrix_report, seal_matrix,
    work as work_on_matrix, write_inspect, write_matrix,
};
pub use validate::{EngineCheck, Validation, validate_engine};
pub use watch::{RunObserver, Stage, Stop, Unwatched};
pub use workspace::{
    LoadedRules, RULES_FILE, WatchError, WorkspaceError, WorkspaceRequest, dot, load_rules, mermaid,
    validate_workspace, watch_workspace, workspace_board, workspace_template,
};
pub use write_set::{CollectLimits, CollectOptions, Collected, FinalContent, WorkspaceView, WriteSetError, collect};

/// Runs the inner stage of a sandbox; `main` calls it when the first argument is [`INNER_ARGUMENT`].
pub fn inner_stage() -> std::process::ExitCode {
    cto_sandbox::inner_main(&[cto_sandbox::Embedded {
        name: "fake",
        run: engine::play_fake,
    }])
}

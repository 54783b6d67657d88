//! Every document that crosses the edge of `cto`, as a type.
//!
//! The crate does no IO and decides nothing, so that a third party can compile it to read our evidence.
//! What *authorises* (a contract) refuses unknown fields; what is *read back* (a bundle) tolerates new minors.

mod admission;
mod apply;
mod approval;
mod attestation;
mod audit;
mod beside;
mod blocker;
mod bundle_facts;
mod candidate;
mod case;
mod contract;
mod control;
mod decision;
mod digest;
mod enforcement;
mod engine;
mod event;
mod facts;
mod fixed;
mod guard;
mod ids;
mod journal;
mod model;
mod nearest;
mod observation;
mod paths;
mod planning;
mod promotion;
mod proof;
mod refresh;
mod report;
mod sealed;
mod strict;
mod trace;
mod trials;
mod untrusted;
mod verification;
mod version;
mod write_set;

pub use admission::{
    AdmissionFacts, BinaryFacts, BranchName, BuildAdmission, CommitId, DecisionStatus, IdentityCheck, Integrity,
    InvalidText, LicenceNote, LicenceStatus, Line, ModelAdmission, ModelFacts, ModelName, ModelPair, Moment,
    PackageName, PackagePin, PackageVersion, ProviderClass, ProviderDecision, ProviderName, ProviderReach,
    RECORD_MAX_BYTES, Record, RecordError, RecordFact, RecordKind, RecordedPath, RepositoryAdmission, RepositoryStatus,
    SourceAdmission, TagName, WebAddress, Word, looks_like_a_secret, read_object, read_record,
};
pub use apply::{ApplyDone, ApplyEnd, ApplyEntry, ApplyKind, ApplyPath, ApplyPlan, ApplyRef, ApplyTarget};
pub use approval::{
    APPROVAL_NAMESPACE, ApprovalDecision, ApprovalFacts, ApprovalObservation, ApprovalPacket, ApprovalSource,
    ApprovalStatement, BoundValues, CLOCK_SKEW_SECONDS, EXECUTION_SCOPE, OperatorOutcome, OutcomeStatement,
    SignedStatement,
};
pub use attestation::{
    Envelope, EnvelopeSignature, PAYLOAD_TYPE, PREDICATE_TYPE, RunPredicate, STATEMENT_TYPE, Statement, Subject,
    pre_authentication_encoding,
};
pub use audit::{Audit, AuditKind, AuditLine, AuditProof, AuditStatus, CompletionStatus};
pub use beside::{
    CommitDigest, CommitSubject, HEARD_PREDICATE_TYPE, HeardPredicate, HeardStatement, ROLLBACK_PREDICATE_TYPE,
    RollbackPredicate, RollbackStatement,
};
pub use blocker::{Blocker, BlockerCode, ExitClass, Status, StatusContext};
pub use bundle_facts::{ApprovalProvenance, BundleFacts, OperatorWord, StageProofShown, TargetShown};
pub use candidate::{
    CandidateCheck, CandidateComparison, CandidateFacts, CandidateVerdict, Dimension, DimensionVerdict, LaneNow,
    LaneState, LaneVerdict, RowState, RowVerdict, Standing, TargetWatch,
};
pub use case::Case;
pub use contract::{
    BaselineExpectation, Budget, ContractError, DEFAULT_FORBIDDEN_PATHS, DEFAULT_SCRATCH_PATHS, DependencyLayer,
    Enforce, FORBIDDEN_ACTIONS, ForbiddenPathException, HIDDEN_PATH, History, LimitName, Limits, MutationMode,
    RiskClass, TaskContract, Timeouts, parse_contract,
};
pub use control::{
    AlwaysFalse, AlwaysTrue, ApprovalCommand, ApprovalPosture, BundleSource, BundleState, ControlAttention,
    ControlPacket, ControlSummary, ControlText, EngineProof, EvidenceState, GovernedExecution, GovernedState,
    InvalidControlText, LaneReadiness, LaneStep, LaneSummary, NextAction, ProofStage, ProofState, ReplayPath,
    SUMMARY_MAX_BYTES, SUMMARY_VERSION, TargetReadOnly, check_summary,
};
pub use decision::{BackendDenial, EligibilityDecision, Escalation, GateOutcome};
pub use digest::Sha256Digest;
pub use enforcement::{Bound, BoundState, Enforcement};
pub use engine::{
    EngineDialect, EngineDocument, EngineFailure, EngineFind, EngineHomeFile, EngineIdentity, EngineJsonl,
    EngineJsonlEvent, EngineJsonlKind, EngineJsonlSuccess, EngineKeep, EngineMinimum, EngineModel, EngineNative,
    EngineNpm, EngineParser, EnginePypi, EngineStream, EngineTaskFiles,
};
pub use event::{Event, EventType};
pub use facts::{
    EngineFacts, Facts, LadderFacts, RepositoryState, RunsRootFacts, SandboxFacts, TargetFacts, VerificationFacts,
};
pub use fixed::{NotActivated, NotPromoted};
pub use guard::{
    Conflict, ConflictHit, ConflictList, CoreProcess, CoreRouteAdmission, CoreRouteFacts, CoreRouteGuard, CoreSnapshot,
    CoreWorkTree, GUARD_FILE_MAX_BYTES, GuardBlock, GuardFile, GuardFinding, GuardStatus, NextCoreAction, ProcessScan,
    RouteRecord, RouteStatus,
};
pub use ids::{InvalidId, RunId};
pub use journal::{JournalEvent, JournalRecord};
pub use model::{ModelEnd, ModelObservation, ModelOutcome, ModelRefusal, ModelUsage, RefusedCalls};
pub use nearest::{explain_yaml, nearest};
pub use observation::{
    AppliedObservation, ArtifactFailure, EndedBy, EngineObservation, ForbiddenAttempt, LimitHit, Observations,
    OutcomeObservation, ProviderFailure, SecretFinding, StreamFacts, TargetAfter,
};
pub use paths::PathText;
pub use planning::{
    BoardEntry, DEFAULT_WORKSPACE_RULES, DocumentClass, DriftRules, ExternalValidator, FieldKind, FrontMatterField,
    FrontMatterRules, LevelChoice, PageKind, PlanRules, RuleId, RuleLevel, RulesError, TreeLimits, ValidationCounts,
    ValidationRules, WorkboardRules, WorkspaceBoard, WorkspaceFinding, WorkspaceRules, WorkspaceValidation,
};
pub use promotion::{
    DecisionPacket, DecisionState, NextDecision, PacketComparison, PacketEvidence, PacketFacts, PacketRefresh,
    PromotionBlocker, PromotionDecision, PromotionNeed, RecommendationStatus,
};
pub use proof::{
    AllowedPathsProof, ApprovalProof, BranchPolicy, ForbiddenActionsProof, NoTargetInspection, OutcomeProof,
    RepositoryStageProof, SandboxDisposition, SourceNonMutation, TargetAdmissionProof, TreeProof,
};
pub use refresh::{
    ComparedLane, ComparisonFacts, FreshnessWord, Pin, PinFacts, PinLane, PinProvenance, PinSource, ProseMismatch,
    ProseStatement, REPEATABILITY_REQUIRED, ReadOnlyCheck, RefreshFacts, RefreshPass, RefreshType, Rejection,
    RejectionCode, RepeatabilityRefresh,
};
pub use report::{
    ApprovalStatus, Claim, ClaimBasis, Freshness, GovernedReport, Report, ReportDigest, Usage, VerificationLine,
};
pub use sealed::{DOCUMENT_PREDICATE_TYPE, DocumentKind, DocumentPredicate, DocumentStatement};
pub use strict::{StrictError, StrictLimits, parse_strict};
pub use trace::Span;
pub use trials::{
    Amount, AtK, BlockerCount, CellCounts, CellState, CellTimes, CellTokens, FlakyLane, Interval, Matrix, MatrixCell,
    MatrixMark, MatrixMethods, MatrixOptions, MatrixPlan, PairedComparison, PlannedLane, Spread, TrialSummary,
};
pub use untrusted::{Untrusted, escape, inert_json};
pub use verification::{
    CanaryOutcome, CanaryState, CommandResult, IntegrityFact, RunLabel, Verification, VerificationRun,
};
pub use version::{SchemaError, SchemaId, check_schema};
pub use write_set::{Change, ChangeKind, EntryKind, EntryState, GitFact, IgnoredArtifact, UnsafeEntry, WriteSet};

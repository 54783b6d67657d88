//! Run directory, journal, seal, verification and ledger: the only writer of evidence.
//!
//! No other crate may write in a run directory, and this one never overwrites a file in it.

mod apply_journal;
mod approvals;
mod bundle;
mod clock;
mod document;
mod durable;
mod export;
mod home;
mod import;
mod keys;
mod ledger;
mod live;
mod live_look;
mod manifest;
mod matrices;
mod outcome;
mod redact;
mod render;
mod reopen;
mod run_dir;
mod seal;
mod shown;
mod signed_beside;
#[cfg(test)]
mod test_child;
#[cfg(test)]
mod test_support;
mod timeline;
mod verify;
mod workspace;

pub use apply_journal::{
    ApplyDraft, ApplyJournal, ApplyJournalError, Side, apply_record, committed_revert, unfinished_applies,
};
pub use approvals::{
    AllowedSigners, ApprovalError, ApprovalStore, CheckedSignature, Consumption, SignersError, StoredApproval,
    check_signature,
};
pub use bundle::{Bundle, BundleError, BundleFile, ReadLimits};
pub use clock::{ClockError, RunClock, boot_id, canonical_time, rfc3339, wall_now};
pub use document::{
    DocumentDraft, DocumentError, DocumentName, DocumentSeen, Reach, SealedDocument, document_path, document_predicate,
    documents, read_document,
};
pub use export::{ExportError, Exported, export};
pub use home::{Home, HomeError};
pub use import::{ImportError, Imported, import, imported_run, sweep_imports};
pub use keys::{KeyError, Keys, Signer, TrustedKey, public_key};
pub use ledger::{
    ImportEntry, Ledger, LedgerEntry, LedgerError, LedgerFilter, LedgerHead, NewEntry, RunOrder, RunPage, RunPlace,
    RunQuery,
};
pub use live::{LiveError, LiveMarker, MarkerInfo, OpenedInfo, is_live, unfinished, unfinished_run};
pub use live_look::{BegunRun, begun_runs};
pub use manifest::ManifestError;
pub use matrices::{
    CellMarks, MatrixDir, MatrixError, check_new_file, check_report_place, list_matrices, write_new_file, write_report,
};
pub use outcome::{
    OutcomeError, check_outcome, export_outcome, hear_outcome, read_outcome, read_outcome_beside,
    write_document_outcome, write_outcome,
};
pub use redact::{KnownSecret, Redactor};
pub use render::{
    DiffFile, DiffLine, DrawError, DrawnMatrix, InspectError, MatrixView, ReportView, comparison_markdown,
    decision_markdown, diff, draw_matrix, html, inspect_log, line_text, markdown, mend, packet_text, percent,
    refresh_markdown, runs_reference,
};
pub use reopen::{Interrupted, ReopenError, Reopened, reopen};
pub use run_dir::name::is_artifact_name;
pub use run_dir::{Artifact, RunDir, RunDirError, StreamDigests, fresh_run_id};
pub use seal::{SealError, Sealed};
pub use shown::bundle_facts;
pub use signed_beside::{has_rollback_beside, taken_back, write_rollback};
pub use timeline::{Lane, Timeline, TimelineRow, duration_text, timeline};
pub use verify::{
    Check, CheckState, KnownKey, LedgerLine, LedgerSnapshot, LedgerView, OutcomeSeen, PatchScan, PatchedPath,
    SnapshotError, TrustedKeys, VerificationOutcome, Verified, keyid_of, verify_bundle, verify_many,
};
pub use workspace::{
    BundlePlaces, CreateError, TreeError, WorkspaceFile, WorkspaceTree, create_workspace, look_at_bundle,
};

//! `cto refresh`: pinned runs checked again. It starts no engine, writes in no repository, and seals what it found.

use std::path::{Path, PathBuf};

use cto_evidence::{
    Bundle, DocumentDraft, DocumentName, Keys, SealedDocument, read_outcome_beside, refresh_markdown, wall_now,
};
use cto_policy::{comparison_facts, judge_refresh, read_prose};
use cto_schema::{
    BundleFacts, CandidateComparison, ComparisonFacts, DocumentKind, OutcomeProof, OutcomeStatement, Pin, PinFacts,
    PinSource, RefreshFacts, RepeatabilityRefresh, RunId, Sha256Digest, escape,
};

use super::gather::Belief;
use super::now::{Watched, lane_now, packet_of};
use super::read::{CheckedDocument, newest_comparison, read_checked};
use super::{DecideError, Decided};
use crate::request::Harness;

/// A pin as the caller states it; what is left out the operator's signatures state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinRequest {
    /// The bundle: a directory, or an archive.
    pub path: PathBuf,
    /// The case or task.
    pub case_id: Option<String>,
    /// The commit that the target got.
    pub target_commit: Option<String>,
    /// What it changed; empty when the caller does not say.
    pub changed_files: Vec<String>,
}

/// What is to be refreshed.
#[derive(Clone, Debug, Default)]
pub struct RefreshRequest {
    /// The pins, in order.
    pub pins: Vec<PinRequest>,
    /// The candidate; the first pin's engine when absent.
    pub candidate: Option<String>,
    /// The comparison; the newest accepted one of the candidate when absent.
    pub comparison: Option<RunId>,
    /// A text that says something about approvals.
    pub prose: Option<String>,
}

/// Checks pinned runs again, compares them, and seals what was found.
pub fn refresh(
    harness: &Harness,
    request: &RefreshRequest,
    progress: &dyn Fn(&str, &str),
) -> Result<Decided<RepeatabilityRefresh>, DecideError> {
    let belief = Belief::of(harness)?;
    // Every target is looked at before anything else is done, and again after everything else.
    let mut opened: Vec<Opened> = Vec::new();
    for (at, pin) in request.pins.iter().enumerate() {
        progress("reading pins", &format!("{} of {}", at + 1, request.pins.len()));
        opened.push(open(harness, &belief, pin));
    }
    let first = opened
        .iter()
        .find_map(|one| one.bundle.as_ref().map(|(facts, _)| facts.engine.clone()));
    let candidate = request.candidate.clone().or(first).unwrap_or_else(|| "none".to_owned());
    progress("reading the comparison", "");
    let comparison = match &request.comparison {
        Some(id) => read_checked::<CandidateComparison>(harness, DocumentKind::Comparison, id).ok(),
        None => newest_comparison(harness, &candidate),
    };
    let comparison = comparison.as_ref().map(shown);
    progress("looking at the targets again", "");
    let name = DocumentName::fresh(DocumentKind::Refresh).map_err(DecideError::Name)?;
    let facts = RefreshFacts {
        judged_at_seconds: wall_now().as_second(),
        harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        pins: opened.into_iter().map(Opened::close).collect(),
        comparison,
        prose: request.prose.as_deref().map(read_prose).unwrap_or_default(),
    };
    let document = judge_refresh(name.id.as_str(), &name.made_at, &candidate, facts);
    progress("sealing", "");
    let bundles = document.facts.pins.iter().filter_map(|pin| pin.bundle.as_ref());
    let named = bundles.map(|bundle| (bundle.run_id.clone(), bundle.manifest_digest));
    let comparison = document.facts.comparison.as_ref();
    let draft = DocumentDraft {
        name: &name,
        document: &document,
        markdown: &refresh_markdown(&document),
        more: &[],
        rests_on: named
            .chain(comparison.map(|one| (one.comparison_id.clone(), one.manifest_digest)))
            .collect(),
    };
    let signer = Keys::open(&harness.home)?.ensure_signing_key()?;
    let sealed = SealedDocument::seal(&harness.home, &signer, &draft)?;
    Ok(Decided { document, sealed })
}

fn shown(found: &CheckedDocument<CandidateComparison>) -> ComparisonFacts {
    // What has no digest is no document; its problem says so.
    let digest = found.outcome.manifest_digest.unwrap_or_else(|| Sha256Digest::of(b""));
    comparison_facts(&found.document, digest, found.problem(), found.seen.accepted)
}

/// A pinned run with its target held.
struct Opened {
    pin: Pin,
    problem: Option<String>,
    bundle: Option<(BundleFacts, Bundle)>,
    now: cto_schema::LaneNow,
    watched: Option<Watched>,
    commit_is_in_history: Option<bool>,
}

fn open(harness: &Harness, belief: &Belief, request: &PinRequest) -> Opened {
    let shown = request.path.file_name().unwrap_or_default();
    let (bundle, problem) = match belief.look(&request.path) {
        Ok(found) => (Some(found), None),
        Err(problem) => (None, Some(problem)),
    };
    let pin = pin_of(request, bundle.as_ref(), &escape(shown.as_encoded_bytes(), 80));
    let Some((facts, found)) = &bundle else {
        return Opened {
            pin,
            problem,
            bundle: None,
            now: cto_schema::LaneNow::default(),
            watched: None,
            commit_is_in_history: None,
        };
    };
    let watched = Watched::begin(harness, &facts.engine, found);
    let commit = facts.target.as_ref().and_then(|target| target.target_commit.as_deref());
    let commit_is_in_history = watched
        .as_ref()
        .zip(commit)
        .and_then(|(watched, commit)| watched.has_in_history(harness, commit));
    Opened {
        now: lane_now(harness, &facts.engine, Some(found)),
        pin,
        problem,
        watched,
        commit_is_in_history,
        bundle,
    }
}

impl Opened {
    fn close(self) -> PinFacts {
        PinFacts {
            pin: self.pin,
            problem: self.problem,
            bundle: self.bundle.map(|(facts, _)| facts),
            now: self.now,
            target: self.watched.map(Watched::end),
            commit_is_in_history: self.commit_is_in_history,
        }
    }
}

/// What the caller leaves out, the operator stated: the case by approving the packet, commit and patch by accepting.
fn pin_of(request: &PinRequest, bundle: Option<&(BundleFacts, Bundle)>, name: &str) -> Pin {
    let mut files = request.changed_files.clone();
    files.sort();
    let by_caller = request.case_id.is_some() && request.target_commit.is_some() && !files.is_empty();
    let mut pin = Pin {
        run_id: bundle.map_or_else(|| name.to_owned(), |(facts, _)| facts.run_id.clone()),
        case_id: request.case_id.clone(),
        target_commit: request.target_commit.clone(),
        expected_changed_files: (!files.is_empty()).then_some(files),
        stated_by: if by_caller {
            PinSource::Caller
        } else {
            PinSource::OperatorSignature
        },
    };
    let Some((facts, found)) = bundle else {
        return pin;
    };
    if pin.case_id.is_none() {
        pin.case_id = packet_of(found).map(|packet| packet.contract.task_id);
    }
    let said = accepted(found);
    if pin.target_commit.is_none() {
        pin.target_commit = said.as_ref().and_then(|said| said.target_commit.clone());
    }
    if pin.expected_changed_files.is_none() {
        let patch = found.files().get("patch.diff").map(|file| file.digest);
        let same_patch = said.is_some_and(|said| said.patch_digest.is_some() && said.patch_digest == patch);
        pin.expected_changed_files = same_patch.then(|| {
            let mut files = facts.changed_files.clone();
            files.sort();
            files
        });
    }
    pin
}

/// What the operator signed about a run; whether it counts is among the bundle's facts.
fn accepted(bundle: &Bundle) -> Option<OutcomeStatement> {
    let signed = match read_outcome_beside(bundle.path()) {
        Ok(Some(signed)) => signed,
        _ => {
            serde_json::from_slice::<OutcomeProof>(bundle.document("operator-outcome.json")?)
                .ok()?
                .signed
        }
    };
    serde_json::from_str(&signed.statement).ok()
}

/// Reads a prose within a limit.
pub fn prose_of(path: &Path) -> Result<String, String> {
    const LONGEST: u64 = 1 << 20;
    let shown = escape(path.as_os_str().as_encoded_bytes(), 400);
    let size = std::fs::metadata(path).map_err(|error| format!("failed to read prose {shown}: {error}"))?;
    if !size.is_file() || size.len() > LONGEST {
        return Err(format!(
            "failed to read prose {shown}: it is no file of at most {LONGEST} bytes"
        ));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("failed to read prose {shown}: {error}"))?;
    String::from_utf8(bytes).map_err(|_| format!("failed to read prose {shown}: it is not UTF-8"))
}

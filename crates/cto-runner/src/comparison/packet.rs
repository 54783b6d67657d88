//! `cto packet`: what is put before Core, built from documents that verify with all that they rest on.

use cto_evidence::{DocumentDraft, DocumentName, Keys, SealedDocument, decision_markdown, documents};
use cto_policy::{decision_packet, packet_comparison, packet_refresh};
use cto_schema::{
    CandidateComparison, DecisionPacket, DocumentKind, PacketFacts, PromotionDecision, RepeatabilityRefresh, RunId,
    Sha256Digest,
};

use super::gather::Belief;
use super::read::{CheckedDocument, ReadError, read_believing};
use super::{DecideError, Decided};
use crate::request::Harness;

/// What is to be put into a packet.
#[derive(Clone, Debug, Default)]
pub struct PacketRequest {
    /// The refresh; the newest when absent.
    pub refresh: Option<RunId>,
    /// The comparison; the refresh's own when absent.
    pub comparison: Option<RunId>,
    /// Who decides.
    pub resolver: String,
    /// What was decided so far.
    pub decision: PromotionDecision,
}

/// Why there is no packet.
#[derive(Debug, thiserror::Error)]
pub enum PacketRefused {
    /// There is no such document.
    #[error("make a decision packet: there is no {what}; {how}")]
    Missing {
        /// Which document.
        what: &'static str,
        /// How to make it.
        how: &'static str,
    },
    /// A document does not verify.
    #[error("make a decision packet: {} {id} does not verify: {problem}", .kind.word())]
    NotVerified {
        /// What it is.
        kind: DocumentKind,
        /// Its id.
        id: RunId,
        /// What is wrong.
        problem: String,
    },
    /// The evidence does not carry what is to be written.
    #[error("make a decision packet: {reason}")]
    NotCarried {
        /// What is missing.
        reason: String,
    },
    /// A document cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The packet could not be made.
    #[error(transparent)]
    Decide(#[from] DecideError),
}

/// Makes a packet and seals it.
pub fn make_decision_packet(
    harness: &Harness,
    request: &PacketRequest,
    progress: &dyn Fn(&str, &str),
) -> Result<Decided<DecisionPacket>, PacketRefused> {
    let belief = Belief::of(harness)?;
    let newest = || documents(&harness.home, DocumentKind::Refresh).ok()?.into_iter().next();
    let refresh_id = request.refresh.clone().or_else(newest).ok_or(PacketRefused::Missing {
        what: "refresh",
        how: "cto refresh --pin RUN --pin RUN makes one",
    })?;
    progress("reading the refresh", "");
    let refresh: CheckedDocument<RepeatabilityRefresh> =
        verified(harness, &belief, DocumentKind::Refresh, &refresh_id)?;
    let own = refresh.document.comparison_id.as_ref().and_then(|id| id.parse().ok());
    let comparison_id = request.comparison.clone().or(own).ok_or(PacketRefused::Missing {
        what: "comparison",
        how: "cto compare makes one, and a refresh after it names it",
    })?;
    progress("reading the comparison", "");
    let comparison: CheckedDocument<CandidateComparison> =
        verified(harness, &belief, DocumentKind::Comparison, &comparison_id)?;
    let digest = |found: Option<Sha256Digest>| found.unwrap_or_else(|| Sha256Digest::of(b""));
    let facts = PacketFacts {
        comparison: packet_comparison(
            &comparison.document,
            digest(comparison.outcome.manifest_digest),
            comparison.seen.accepted,
        ),
        refresh: packet_refresh(&refresh.document, digest(refresh.outcome.manifest_digest)),
    };
    let rests_on = [
        (facts.comparison.comparison_id.clone(), facts.comparison.manifest_digest),
        (facts.refresh.refresh_id.clone(), facts.refresh.manifest_digest),
    ];
    let name = DocumentName::fresh(DocumentKind::Packet).map_err(DecideError::Name)?;
    let document = decision_packet(
        name.id.as_str(),
        &name.made_at,
        &request.resolver,
        request.decision,
        facts,
    )
    .map_err(|reason| PacketRefused::NotCarried { reason })?;
    let draft = DocumentDraft {
        name: &name,
        document: &document,
        markdown: &decision_markdown(&document),
        more: &[],
        rests_on: rests_on.into(),
    };
    let keys = Keys::open(&harness.home).map_err(DecideError::from)?;
    let signer = keys.ensure_signing_key().map_err(DecideError::from)?;
    let sealed = SealedDocument::seal(&harness.home, &signer, &draft).map_err(DecideError::from)?;
    Ok(Decided { document, sealed })
}

fn verified<T: serde::de::DeserializeOwned>(
    harness: &Harness,
    belief: &Belief,
    kind: DocumentKind,
    id: &RunId,
) -> Result<CheckedDocument<T>, PacketRefused> {
    let found = read_believing(harness, belief, kind, id)?;
    match found.problem() {
        None => Ok(found),
        Some(problem) => Err(PacketRefused::NotVerified {
            kind,
            id: id.clone(),
            problem,
        }),
    }
}

//! What an operator says: yes or no to a packet, and what became of a run.

use std::path::PathBuf;

use cto_evidence::{AllowedSigners, ApprovalError, ApprovalStore, StoredApproval, check_signature, rfc3339, wall_now};
use cto_schema::{
    ApprovalDecision, ApprovalPacket, ApprovalSource, ApprovalStatement, EXECUTION_SCOPE, Moment, OperatorOutcome,
    OutcomeStatement, SchemaId, SignedStatement,
};

use super::packet::LONGEST_SECONDS;
use super::sign::{SignError, Signing, sign};
use crate::authority::{AuthorityError, Links, read_authority};
use crate::request::Harness;

/// Longest file of allowed signers.
pub const SIGNERS_MAX: u64 = 256 << 10;

/// What is said about a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saying {
    /// Yes, in exactly these words.
    Approve {
        /// The sentence.
        sentence: String,
    },
    /// No.
    Deny {
        /// Why.
        reason: String,
    },
}

/// Why nothing was said.
#[derive(Debug, thiserror::Error)]
pub enum SayError {
    /// The packet.
    #[error(transparent)]
    Store(#[from] ApprovalError),
    /// Who may say it cannot be read.
    #[error("read who may approve")]
    Signers(#[from] AuthorityError),
    /// Who may say it cannot be understood.
    #[error("read who may approve in {}: {reason}", .path.display())]
    SignersText {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The sentence is another one.
    #[error("approve packet {packet_id}: the sentence differs from the packet's, which must be said to the byte")]
    Sentence {
        /// The packet.
        packet_id: String,
    },
    /// The packet has ended.
    #[error("approve packet {packet_id}: it expired at {expires_at}; make a new one with cto request")]
    Expired {
        /// The packet.
        packet_id: String,
        /// When.
        expires_at: Moment,
    },
    /// What the packet shows is not what its contract says.
    #[error("decide on packet {packet_id}: its {what} is not what its contract says; make a new one with cto request")]
    Inconsistent {
        /// The packet.
        packet_id: String,
        /// What differs.
        what: &'static str,
    },
    /// The packet was made elsewhere.
    #[error("decide on packet {packet_id}: it is another installation's")]
    Foreign {
        /// The packet.
        packet_id: String,
    },
    /// The key is nobody's who may approve.
    #[error("use the key: {reason}")]
    NotAllowed {
        /// What is wrong.
        reason: String,
    },
    /// Nothing was signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The clock or the installation cannot be read.
    #[error("{0}")]
    Unknown(String),
}

/// Returns the file that says who may approve.
pub fn allowed_signers_path(harness: &Harness) -> PathBuf {
    let named = harness.settings.approvals.allowed_signers.clone();
    named.unwrap_or_else(|| harness.home.root().join("allowed_signers"))
}

/// Reads who may say what became of a run: an operator, and nobody else.
pub(crate) fn operators(harness: &Harness) -> Result<AllowedSigners, SayError> {
    read_signers(harness, ApprovalSource::Operator)
}

/// Reads who may approve. A validator's keys are known to the process that validates, and to nobody else.
pub(super) fn read_signers(harness: &Harness, source: ApprovalSource) -> Result<AllowedSigners, SayError> {
    if source == ApprovalSource::Validator {
        let own = harness.validator.clone();
        return own.ok_or_else(|| SayError::Unknown("believe a validator: nothing is being validated".to_owned()));
    }
    let path = allowed_signers_path(harness);
    let bytes = read_authority(&path, Links::Followed, SIGNERS_MAX)?;
    let broken = |reason: String| SayError::SignersText {
        path: path.clone(),
        reason,
    };
    let text = String::from_utf8(bytes).map_err(|_| broken("it is not UTF-8".to_owned()))?;
    AllowedSigners::read(&text).map_err(|error| broken(error.to_string()))
}

/// Says yes or no to a packet, signed with the operator's key, and puts it on record; the first word stays.
pub fn say(
    harness: &Harness,
    packet_id: &str,
    saying: &Saying,
    signing: &Signing,
    actor: Option<&str>,
    source: ApprovalSource,
) -> Result<ApprovalStatement, SayError> {
    let store = ApprovalStore::open(&harness.home);
    let stored = store.read(packet_id)?;
    let result = try_say(harness, &store, &stored, saying, signing, actor, source);
    if let Err(error) = &result {
        // A refusal is evidence too; that it could not be written down is not worse than the refusal.
        drop(store.note_refusal(packet_id, &crate::run::chain(error)));
    }
    result
}

fn try_say(
    harness: &Harness,
    store: &ApprovalStore<'_>,
    stored: &StoredApproval,
    saying: &Saying,
    signing: &Signing,
    actor: Option<&str>,
    source: ApprovalSource,
) -> Result<ApprovalStatement, SayError> {
    let packet = &stored.packet;
    let packet_id = packet.packet_id.clone();
    if stored.decision.is_some() {
        return Err(ApprovalError::Decided { packet_id }.into());
    }
    if let Some(what) = inconsistent(packet) {
        return Err(SayError::Inconsistent { packet_id, what });
    }
    let own = harness
        .home
        .installation_id()
        .map_err(|error| SayError::Unknown(error.to_string()))?;
    if packet.installation_id != own {
        return Err(SayError::Foreign { packet_id });
    }
    let now = now()?;
    let judged_at = super::judged_at(harness).max(now.unix_seconds());
    let (decision, sentence, reason) = match saying {
        Saying::Approve { sentence } => {
            if judged_at >= packet.expires_at.unix_seconds() {
                return Err(SayError::Expired {
                    packet_id,
                    expires_at: packet.expires_at.clone(),
                });
            }
            if *sentence != packet.sentence {
                return Err(SayError::Sentence { packet_id });
            }
            (ApprovalDecision::Approved, Some(sentence.clone()), None)
        }
        Saying::Deny { reason } => (ApprovalDecision::Denied, None, Some(reason.clone())),
    };
    let signers = read_signers(harness, source)?;
    let actor = principal(&signers, signing, actor, judged_at)?;
    let statement = ApprovalStatement {
        schema: SchemaId::APPROVAL.to_string(),
        decision,
        packet_id: packet_id.clone(),
        packet_digest: stored.packet_digest,
        sentence,
        reason,
        actor,
        decided_at: now,
        expires_at: packet.expires_at.clone(),
        stage: packet.stage,
        mutation_mode: packet.mutation_mode,
        execution_scope: EXECUTION_SCOPE.to_owned(),
        approval_source: source,
    };
    let bytes = statement.canonical();
    let signature = sign_and_check(signing, &bytes, &statement.actor, &signers, judged_at)?;
    store.decide(&packet_id, &signed(bytes, signature))?;
    Ok(statement)
}

/// What an operator reads must follow from the contract that would run; the first thing that does not is named.
fn inconsistent(packet: &ApprovalPacket) -> Option<&'static str> {
    let contract = &packet.contract;
    let mode = contract.mutation_mode;
    let lifetime = packet.expires_at.unix_seconds() - packet.created_at.unix_seconds();
    [
        (
            "forbidden paths",
            packet.forbidden_paths == contract.effective_forbidden_paths(),
        ),
        (
            "forbidden actions",
            packet.forbidden_actions == contract.effective_forbidden_actions(),
        ),
        ("stage", packet.stage == mode.stage() && packet.mutation_mode == mode),
        (
            "scope",
            packet.allowed_mutation_scope == mode.scope() && packet.execution_scope == EXECUTION_SCOPE,
        ),
        ("risk class", packet.risk_class == contract.risk_class),
        (
            "rollback expectation",
            packet.rollback_expectation == contract.rollback_expectation,
        ),
        ("lifetime", (1..=LONGEST_SECONDS).contains(&lifetime)),
        (
            "posture",
            packet.approval_required && !packet.approval_granted && !packet.execution_allowed && !packet.executable,
        ),
    ]
    .into_iter()
    .find_map(|(what, holds)| (!holds).then_some(what))
}

/// An operator's word after a run, ready to be put on record.
#[derive(Clone, Debug)]
pub struct SaidOutcome {
    /// What was said.
    pub statement: OutcomeStatement,
    /// The exact text and its signature.
    pub signed: SignedStatement,
}

/// Signs what became of a run. `about` holds everything but actor and time.
pub fn say_outcome(
    harness: &Harness,
    about: OutcomeStatement,
    signing: &Signing,
    actor: Option<&str>,
) -> Result<SaidOutcome, SayError> {
    if about.outcome == OperatorOutcome::Pending {
        return Err(SayError::Unknown("say accept or reject".to_owned()));
    }
    let now = now()?;
    let signers = read_signers(harness, ApprovalSource::Operator)?;
    let actor = principal(&signers, signing, actor, now.unix_seconds())?;
    let statement = OutcomeStatement {
        actor,
        decided_at: now.clone(),
        ..about
    };
    let bytes = statement.canonical();
    let signature = sign_and_check(signing, &bytes, &statement.actor, &signers, now.unix_seconds())?;
    Ok(SaidOutcome {
        statement,
        signed: signed(bytes, signature),
    })
}

fn signed(bytes: Vec<u8>, signature: String) -> SignedStatement {
    SignedStatement {
        // Canonical JSON is UTF-8.
        statement: String::from_utf8(bytes).unwrap_or_default(),
        signature,
    }
}

fn now() -> Result<Moment, SayError> {
    let text = rfc3339(wall_now());
    text.parse()
        .map_err(|_| SayError::Unknown(format!("the time {text} cannot be written down")))
}

/// Whose name goes into the statement: the key's first principal, or the one that is asked for.
fn principal(
    signers: &AllowedSigners,
    signing: &Signing,
    actor: Option<&str>,
    at_seconds: i64,
) -> Result<String, SayError> {
    let key = signing.public_key()?;
    let names = signers.principals_of(&key, at_seconds);
    let names = names.map_err(|reason| SayError::NotAllowed { reason })?;
    let found = match actor {
        Some(asked) => names.into_iter().find(|name| name == asked),
        None => names.into_iter().next(),
    };
    found.ok_or_else(|| SayError::NotAllowed {
        reason: "it is not among the allowed signers, or not under that name or at this time".to_owned(),
    })
}

fn sign_and_check(
    signing: &Signing,
    bytes: &[u8],
    actor: &str,
    signers: &AllowedSigners,
    at_seconds: i64,
) -> Result<String, SayError> {
    let signature = sign(signing, bytes)?;
    check_signature(bytes, &signature)
        .and_then(|checked| checked.belongs_to(actor, signers, at_seconds))
        .map_err(|reason| SayError::NotAllowed { reason })?;
    Ok(signature)
}

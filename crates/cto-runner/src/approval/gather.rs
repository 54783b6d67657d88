//! What a run finds of the approval that it names.

use cto_evidence::{AllowedSigners, ApprovalStore, Ledger, StoredApproval, check_signature, wall_now};
use cto_schema::{
    ApprovalDecision, ApprovalFacts, ApprovalSource, ApprovalStatement, Facts, Moment, SchemaId, SignedStatement,
    StrictLimits, TaskContract,
};
use cto_schema::{check_schema, escape, parse_strict};

use super::bound::bound_now;
use super::say::read_signers;
use crate::model::ModelPlan;
use crate::request::{Harness, RunRequest};
use crate::run::chain;

/// Longest statement.
const STATEMENT: StrictLimits = StrictLimits { bytes: 64 << 10 };

/// Gathers everything about the named approval that needs no look at the target.
pub(crate) fn gather_approval(
    harness: &Harness,
    request: &RunRequest,
    contract: &TaskContract,
    facts: &Facts,
    model: Option<&ModelPlan>,
) -> ApprovalFacts {
    let mut found = ApprovalFacts {
        judged_at_seconds: facts.approval.judged_at_seconds,
        ..ApprovalFacts::default()
    };
    match bound_now(harness, request, contract, facts, model) {
        Ok(now) => found.now = now,
        Err(problem) => found.problem = Some(problem),
    }
    let Some(named) = &request.approval else {
        return found;
    };
    found.named = Some(escape(named.as_bytes(), 80));
    match ApprovalStore::open(&harness.home).read(named) {
        Ok(stored) => fill(harness, stored, &mut found),
        Err(error) => found.problem = Some(chain(&error)),
    }
    found
}

/// Returns the time that approvals are judged at: a clock that was set back makes nothing valid again.
pub(crate) fn judged_at(harness: &Harness) -> i64 {
    let wall = wall_now().as_second();
    let newest = Ledger::open(&harness.home).ok().and_then(|ledger| {
        let filter = cto_evidence::LedgerFilter {
            limit: Some(1),
            ..cto_evidence::LedgerFilter::default()
        };
        let newest = ledger.list(&filter).ok()?.into_iter().next()?;
        newest.finished_at.parse::<Moment>().ok().map(|at| at.unix_seconds())
    });
    newest.map_or(wall, |newest| wall.max(newest))
}

fn fill(harness: &Harness, stored: StoredApproval, found: &mut ApprovalFacts) {
    let packet = stored.packet;
    found.packet_digest = Some(stored.packet_digest);
    // A packet was made at some time; no clock of this run may say that it is earlier.
    found.judged_at_seconds = found.judged_at_seconds.max(packet.created_at.unix_seconds());
    found.packet_created_at_seconds = Some(packet.created_at.unix_seconds());
    found.expires_at_seconds = packet.expires_at.unix_seconds();
    found.sentence = Some(packet.sentence);
    found.bound = packet.bound;
    let consumed = stored.consumed.map(|consumed| consumed.run_id.to_string());
    // A home that was restored has forgotten it; the runs that are on record have not.
    found.consumed_by = consumed.or_else(|| on_record(harness, &packet.packet_id));
    let Some(signed) = stored.decision else { return };
    match read_statement(&signed) {
        Ok(statement) => {
            match read_signers(harness, statement.approval_source) {
                Ok(signers) => signature(&signed, &statement, &signers, found),
                Err(error) => found.signature_problem = Some(chain(&error)),
            }
            found.statement = Some(statement);
        }
        Err(problem) => found.problem = Some(format!("the decision on the packet cannot be read: {problem}")),
    }
}

/// Says why what was said about a packet does not count here: nobody who may approve has signed it, or it is about another
/// packet. `None` when it counts, or when nothing was said. A validator's word is known to its own process alone.
pub fn decision_problem(harness: &Harness, stored: &StoredApproval) -> Option<String> {
    let signed = stored.decision.as_ref()?;
    let statement = match read_statement(signed) {
        Ok(statement) => statement,
        Err(problem) => return Some(format!("it cannot be read: {problem}")),
    };
    if statement.packet_id != stored.packet.packet_id || statement.packet_digest != stored.packet_digest {
        return Some("it is about another packet".to_owned());
    }
    let bytes = signed.statement.as_bytes();
    let checked = match check_signature(bytes, &signed.signature) {
        Ok(checked) => checked,
        Err(problem) => return Some(problem),
    };
    if statement.approval_source == ApprovalSource::Validator {
        return None;
    }
    let said_yes = statement.decision == ApprovalDecision::Approved;
    if said_yes && statement.sentence.as_ref() != Some(&stored.packet.sentence) {
        return Some("it is in other words than the packet's".to_owned());
    }
    match read_signers(harness, statement.approval_source) {
        Ok(signers) => checked
            .belongs_to(&statement.actor, &signers, statement.decided_at.unix_seconds())
            .err(),
        Err(error) => Some(chain(&error)),
    }
}

/// Returns a run of this installation whose bundle says that it consumed a packet.
fn on_record(harness: &Harness, packet_id: &str) -> Option<String> {
    let runs = std::fs::read_dir(harness.home.runs()).ok()?.filter_map(Result::ok);
    let consumed = |entry: &std::fs::DirEntry| {
        let bytes = std::fs::read(entry.path().join("approval.json")).ok()?;
        let proof: cto_schema::ApprovalProof = serde_json::from_slice(&bytes).ok()?;
        (proof.packet_id == packet_id).then_some(proof.consumed_by)
    };
    runs.into_iter().find_map(|entry| consumed(&entry))
}

/// The exact text that was signed is what is read, and it must be the statement's own form.
fn read_statement(signed: &SignedStatement) -> Result<ApprovalStatement, String> {
    let bytes = signed.statement.as_bytes();
    let statement: ApprovalStatement = parse_strict(bytes, STATEMENT).map_err(|error| error.to_string())?;
    check_schema(&statement.schema, SchemaId::APPROVAL).map_err(|error| error.to_string())?;
    if statement.canonical() != bytes {
        return Err("it is not in canonical form".to_owned());
    }
    Ok(statement)
}

fn signature(
    signed: &SignedStatement,
    statement: &ApprovalStatement,
    signers: &AllowedSigners,
    found: &mut ApprovalFacts,
) {
    let at = statement.decided_at.unix_seconds();
    match check_signature(signed.statement.as_bytes(), &signed.signature) {
        Ok(checked) => {
            found.signature_problem = checked.belongs_to(&statement.actor, signers, at).err();
            found.signer_key = Some(checked.fingerprint);
        }
        Err(problem) => found.signature_problem = Some(problem),
    }
}

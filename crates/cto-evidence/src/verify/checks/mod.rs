//! The checks, as a table of functions.

mod approval;
mod chain;
mod change;
mod documents;
mod form;
mod freshness;
mod governed;
mod model;
mod outcome;
mod proofs;
mod readable;
mod seal;
mod stages;
mod verdict;

use super::{Context, Finding};

pub(super) use approval::consumed_packet;
pub(super) use outcome::said_in_time;
#[cfg(test)]
pub(crate) use readable::passive;
pub(super) use verdict::recomputed_status;

/// One check.
type CheckFunction = fn(&Context<'_>) -> Finding;

/// Every check, in the order in which they are reported.
pub(super) const CHECKS: &[(&str, CheckFunction)] = &[
    ("files", form::files),
    ("manifest", form::manifest),
    ("digests", form::digests),
    ("envelope", seal::envelope),
    ("signature", seal::signature),
    ("subject", seal::subject),
    ("predicate", seal::predicate),
    ("schemas", documents::schemas),
    ("contract", documents::contract),
    ("run-id", documents::run_id),
    ("journal", chain::journal),
    ("journey", chain::journey),
    ("journal-digests", chain::journal_digests),
    ("nonce", chain::nonce),
    ("event-chain", chain::event_chain),
    ("event-order", chain::event_order),
    ("trace", chain::trace),
    ("freshness", freshness::freshness),
    ("report-digest", freshness::report_digest),
    ("artifacts", freshness::artifacts),
    ("patch-paths", change::patch_paths),
    ("patch-content", change::patch_content),
    ("write-set", change::write_set),
    ("scope", change::scope),
    ("decision", verdict::decision),
    ("approval", approval::approval),
    ("verdict", verdict::verdict),
    ("agreement", verdict::agreement),
    ("observations", verdict::observations),
    ("model", model::model),
    ("attempts", verdict::attempts),
    ("proofs", proofs::proofs),
    ("governed", governed::governed),
    ("stage-proofs", stages::stage_proofs),
    ("outcome", outcome::outcome),
    ("claims", verdict::claims),
    ("no-promotion", verdict::no_promotion),
    ("readable", readable::readable),
    ("ledger", seal::ledger),
];

//! Approvals: packets for runs, what an operator says about them, and what a run finds of that.

mod bound;
mod gather;
mod outcome;
mod packet;
mod say;
mod sign;

pub(crate) use bound::bound_target;
pub use gather::decision_problem;
pub(crate) use gather::{gather_approval, judged_at};
pub(crate) use outcome::undated;
pub use outcome::{OutcomeRefused, RollbackError, Rolled, outcome_statement, rollback};
pub(crate) use outcome::{note_rollback, sweep_rollbacks};
pub use packet::{PacketError, PacketOptions, approval_needed, make_packet};
pub(crate) use say::operators;
pub use say::{SIGNERS_MAX, SaidOutcome, SayError, Saying, allowed_signers_path, say, say_outcome};
pub(crate) use sign::ephemeral;
pub use sign::{SignError, Signing, ssh_keygen};

//! Approvals: packets for runs, what an operator says about them, and what a run finds of that.

mod bound;
mod gather;
mod packet;
mod say;
mod sign;

pub(crate) use bound::bound_target;
pub(crate) use gather::{gather_approval, judged_at};
pub use packet::{PacketError, PacketOptions, make_packet};
pub use say::{SaidOutcome, SayError, Saying, allowed_signers_path, say, say_outcome};
pub use sign::{SignError, Signing};

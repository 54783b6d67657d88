//! Run directory, journal, seal, verification and ledger: the only writer of evidence.
//!
//! No other crate may write in a run directory, and this one never overwrites a file in it.

//! Statistics of repeated trials: pure formulae, each with the paper that it is from.
//!
//! All of it is plain IEEE arithmetic in a fixed order, so the same cells give the same numbers on every machine.

mod bootstrap;
mod mcnemar;
mod pass_at;
mod quantile;
mod split_mix;
mod wilson;

pub use bootstrap::{Cluster, REPLICATES, clustered_interval, resampled};
pub use mcnemar::{holm, mcnemar_exact};
pub use pass_at::{pass_all_k, pass_at_k};
pub use quantile::{quantile, spread};
pub use split_mix::SplitMix64;
pub use wilson::wilson;

/// Coverage that every interval aims at.
pub const CONFIDENCE: f64 = 0.95;

/// Returns a number with six decimals, which is more than any of these estimates deserves.
pub fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

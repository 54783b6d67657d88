//! Every provider against the same claims, judged from the host.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test code: a surprise must be loud"
)]

mod conformance;
mod ending;
#[path = "../../../cto-runner/src/lacks.rs"]
mod lacks;
mod limits;
mod native;
mod observation;
mod ordinary_user;
mod recovery;
mod seams;
mod world;

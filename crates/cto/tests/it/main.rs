//! The real binary on real repositories, seen from the host.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "tests drive the program from outside and may fail loudly"
)]

mod admissions;
mod agents;
mod approvals;
mod bad_input;
mod bound_reach;
mod browser;
mod case_engine;
mod decide;
mod dev;
mod engines;
mod evidence;
mod faults;
mod full_disk;
mod guides;
mod harbor;
mod hostile;
mod import;
#[path = "../../../cto-runner/src/lacks.rs"]
mod lacks;
mod ladder;
mod layers;
mod lifecycle;
mod matrix;
mod model;
mod observed_verification;
mod operator;
mod ordinary_user;
mod owned;
mod owned_hostile;
mod panel;
mod recovery;
mod repository;
mod route_guard;
mod run;
mod secrets;
mod slow_git;
mod support;
mod taken_back;
mod tidy;
mod trials;
mod workspace;

//! The real binary on real repositories, seen from the host.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "tests drive the program from outside and may fail loudly"
)]

mod bad_input;
mod evidence;
mod faults;
mod hostile;
mod layers;
mod matrix;
mod ordinary_user;
mod recovery;
mod repository;
mod run;
mod support;
mod tidy;

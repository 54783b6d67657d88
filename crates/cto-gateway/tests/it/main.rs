//! The gateway as a process, between a raw engine and a raw upstream.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test code: a surprise must be loud"
)]

mod accounts;
mod calls;
mod cuts;
mod faults;
mod life;
mod refusals;
mod streams;
mod tls;
mod tunnels;
mod upstream;
mod wire;
mod world;

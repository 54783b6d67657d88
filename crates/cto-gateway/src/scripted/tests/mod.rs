//! Tests over real sockets, with parsers that share nothing with the code under test.

mod client;
mod faults;
mod load;
mod requests;
mod routes;
mod streams;

use std::time::Duration;

use super::{ScriptedModel, ScriptedOptions};

/// The three wire formats, by path.
const PATHS: [&str; 3] = ["/v1/chat/completions", "/v1/responses", "/v1/messages"];

fn start(options: ScriptedOptions) -> ScriptedModel {
    ScriptedModel::start(ScriptedOptions {
        longest_answer: Duration::from_secs(30),
        ..options
    })
    .unwrap()
}

fn plain() -> ScriptedModel {
    start(ScriptedOptions::default())
}

//! Readers of streams: raw bytes in, quoted events and facts out. Nothing here can make a run pass.

mod case;
mod claude;
mod codex;
mod jsonl;
mod lines;
mod opencode;
mod pi;
mod quoted;
mod sample;
#[cfg(test)]
mod tests;

use cto_schema::{EngineParser, EngineStream, StreamFacts};

use super::{EngineOutput, Normalized};
use quoted::Quoted;
pub(crate) use sample::sample;

/// Longest line that is parsed; a longer one is known by its first bytes at most.
const MAX_LINE: usize = 1 << 20;

/// Reads what an engine left behind.
pub(super) fn read(stream: &EngineStream, output: &EngineOutput<'_>) -> Normalized {
    let mut quoted = Quoted::default();
    let mut facts = match (stream.parser, &stream.jsonl) {
        (EngineParser::Lines, _) => lines::read(stream.final_event.as_deref(), output, &mut quoted),
        (EngineParser::Jsonl, Some(meaning)) => {
            jsonl::read(meaning, stream.final_event.as_deref(), output, &mut quoted)
        }
        // The reader of manifests refuses it; without a meaning nothing is success.
        (EngineParser::Jsonl, None) => StreamFacts::default(),
        (EngineParser::Codex, _) => codex::read(output, &mut quoted),
        (EngineParser::Pi, _) => pi::read(output, &mut quoted),
        (EngineParser::Claude, _) => claude::read(output, &mut quoted),
        (EngineParser::Opencode, _) => opencode::read(output, &mut quoted),
        (EngineParser::Case, _) => case::read(output, &mut quoted),
    };
    facts.final_event.clone_from(&stream.final_event);
    let wrong = [&facts.failure, &facts.reviewer_rejection, &facts.protocol_error];
    facts.claims_success = facts.final_event_seen && wrong.iter().all(|stated| stated.is_none());
    Normalized {
        events: quoted.finish(),
        stream: facts,
        markers: vec![],
    }
}

/// Returns the event that ends a complete stream, where the parser knows it.
pub(super) fn final_event(parser: EngineParser) -> Option<&'static str> {
    match parser {
        EngineParser::Lines | EngineParser::Jsonl => None,
        EngineParser::Codex => Some(codex::FINAL_EVENT),
        EngineParser::Pi => Some(pi::FINAL_EVENT),
        EngineParser::Claude => Some(claude::FINAL_EVENT),
        EngineParser::Opencode => Some(opencode::FINAL_EVENT),
        EngineParser::Case => Some(case::FINAL_EVENT),
    }
}

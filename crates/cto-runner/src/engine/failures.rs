//! Known failures: texts that a manifest gives a meaning. They can fail a run, and never make one pass.

use cto_schema::{BlockerCode, EngineDocument, EngineFailure, EngineParser, ProviderFailure, Untrusted};

use super::{EngineOutput, Marker, Normalized};

/// Longest line that is quoted.
const MAX_TEXT: usize = 400;

/// Notes the first sight of each known failure, unless the stream ends well.
pub(super) fn note(document: &EngineDocument, output: &EngineOutput<'_>, normalized: &mut Normalized) {
    if normalized.stream.claims_success {
        return;
    }
    for failure in &document.failures {
        let Some(line) = seen(document, failure, output, normalized) else {
            continue;
        };
        let detail = Untrusted::new(&line).escaped(MAX_TEXT);
        if !normalized.markers.iter().any(|marker| marker.name == failure.marker) {
            normalized.markers.push(Marker {
                name: failure.marker.clone(),
                text: format!("{}: {detail}", failure.blocker.name()),
            });
        }
        let stream = &mut normalized.stream;
        match failure.blocker {
            BlockerCode::AgentProtocol => stream.protocol_error.get_or_insert(detail),
            BlockerCode::ReviewerRejected => stream.reviewer_rejection.get_or_insert(detail),
            BlockerCode::EngineFailed => stream.failure.get_or_insert(detail),
            code => {
                let known = ProviderFailure { code, detail };
                &mut stream.provider_failure.get_or_insert(known).detail
            }
        };
    }
}

/// Returns the line that holds the text: in what the stream states, on standard error, with `lines` on both outputs.
fn seen(
    document: &EngineDocument,
    failure: &EngineFailure,
    output: &EngineOutput<'_>,
    normalized: &Normalized,
) -> Option<Vec<u8>> {
    let wanted = failure.text.as_bytes();
    let stream = &normalized.stream;
    let stated = [&stream.failure, &stream.protocol_error];
    let stated = stated.into_iter().flatten().map(String::as_bytes);
    let plain = document.stream.parser == EngineParser::Lines;
    let printed = [Some(output.stderr), plain.then_some(output.stdout)];
    let printed = printed
        .into_iter()
        .flatten()
        .flat_map(|bytes| bytes.split(|byte| *byte == b'\n'));
    stated
        .chain(printed)
        .find(|line| holds(line, wanted))
        .map(<[u8]>::to_vec)
}

fn holds(line: &[u8], wanted: &[u8]) -> bool {
    line.windows(wanted.len()).any(|window| window == wanted)
}

//! `lines`: each line of output is a message.

use cto_schema::StreamFacts;

use super::MAX_LINE;
use super::quoted::Quoted;
use crate::engine::EngineOutput;

/// Reads both outputs; a final line is known by its beginning, and only on standard output.
pub(super) fn read(final_line: Option<&str>, output: &EngineOutput<'_>, quoted: &mut Quoted) -> StreamFacts {
    let mut facts = StreamFacts::default();
    for (stream, bytes) in [("stdout", output.stdout), ("stderr", output.stderr)] {
        let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        for line in lines.filter(|line| !line.is_empty()) {
            if line.len() > MAX_LINE {
                quoted.too_long();
            }
            quoted.line(stream, line);
            let is_final = final_line.is_some_and(|start| line.starts_with(start.as_bytes()));
            facts.final_event_seen |= is_final && stream == "stdout";
        }
    }
    facts
}

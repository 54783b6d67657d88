//! The event chain: each event holds the digest of the one before it.

use cto_schema::{Event, Sha256Digest};

use super::{fitting, put, svg_text};

const WIDE: u64 = 168;
const HIGH: u64 = 62;
const ACROSS: u64 = 6;
/// Most events that are drawn; the table has all.
const EVENTS: usize = 60;

/// Draws the chain. A link that does not hold is drawn broken.
pub(crate) fn chain(events: &[Event], holds: &[bool]) -> String {
    let shown = u64::try_from(events.len().min(EVENTS)).unwrap_or(0);
    let rows = shown.div_ceil(ACROSS);
    let height = rows * (HIGH + 26) + 10;
    let mut svg = format!(
        "<svg class=\"chain\" viewBox=\"0 0 1120 {height}\" role=\"img\" aria-label=\"Chain of {} events, each bound to the \
         one before; the table below has the same events\">",
        events.len()
    );
    for ((at, event), held) in (0_u64..).zip(events.iter().take(EVENTS)).zip(holds) {
        let (x, y) = (6 + at % ACROSS * (WIDE + 18), 6 + at / ACROSS * (HIGH + 26));
        let (class, sign) = if *held { ("ok", "✓") } else { ("no", "✗") };
        let name = svg_text(&fitting(&event.kind.name(), 22));
        put(
            &mut svg,
            format_args!(
                "<rect class=\"link {class}\" x=\"{x}\" y=\"{y}\" width=\"{WIDE}\" height=\"{HIGH}\"></rect>\
             <text class=\"strong\" x=\"{}\" y=\"{}\">{}</text>\
             <text class=\"small\" x=\"{}\" y=\"{}\">{name}</text>\
             <text class=\"soft small mono\" x=\"{}\" y=\"{}\">{sign} {}…</text>",
                x + 8,
                y + 18,
                event.seq,
                x + 8,
                y + 36,
                x + 8,
                y + 53,
                short(&event.prev),
            ),
        );
        if at + 1 < shown && at % ACROSS + 1 < ACROSS {
            let (from, middle) = (x + WIDE, y + HIGH / 2);
            put(
                &mut svg,
                format_args!("<path class=\"arrow\" d=\"M{from} {middle}h18m-5 -4l5 4l-5 4\"></path>"),
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

fn short(digest: &Sha256Digest) -> String {
    digest.hex().chars().take(12).collect()
}

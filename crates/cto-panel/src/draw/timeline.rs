//! The timeline of a run: a bar for each span, waits folded, so that what happened is what one sees.

use cto_evidence::{Timeline, duration_text};

use super::{fitting, put, svg_text};

/// A wait longer than this, in nanoseconds, is folded.
const IDLE_NS: u64 = 30_000_000_000;
/// Width of a fold, and of the whole chart beside its names.
const FOLD: u64 = 48;
const WIDTH: u64 = 760;
const NAMES: u64 = 190;
const ROW: u64 = 22;
/// Most rows that are drawn; the table has all.
const ROWS: usize = 150;

/// A stretch of time that is drawn in proportion, and where it starts on the chart.
struct Stretch {
    from_ns: u64,
    to_ns: u64,
}

/// Draws a timeline.
pub(crate) fn timeline(line: &Timeline) -> String {
    let rows: Vec<_> = line.rows.iter().take(ROWS).collect();
    let stretches = stretches(line);
    let folds = u64::try_from(stretches.len().saturating_sub(1)).unwrap_or(0);
    let busy: u64 = stretches.iter().map(|one| one.to_ns - one.from_ns).sum();
    let room = WIDTH.saturating_sub(folds * FOLD).max(WIDTH / 4);
    let height = u64::try_from(rows.len()).unwrap_or(0) * ROW + 30;
    let total = NAMES + room + folds * FOLD + 90;
    let place = |ns: u64| NAMES + position(&stretches, busy, room, ns);
    let mut svg = format!(
        "<svg class=\"timeline\" viewBox=\"0 0 {total} {height}\" role=\"img\" aria-label=\"Timeline of {} rows over {}; the \
         table below has the same rows\">",
        rows.len(),
        duration_text(line.total_ns)
    );
    for pair in stretches.windows(2) {
        let [before, after] = pair else { continue };
        let x = place(before.to_ns);
        let wait = duration_text(after.from_ns - before.to_ns);
        put(
            &mut svg,
            format_args!(
                "<rect class=\"fold\" x=\"{x}\" y=\"22\" width=\"{FOLD}\" height=\"{}\"></rect>\
             <text class=\"soft small\" x=\"{x}\" y=\"14\">{wait} idle</text>",
                height.saturating_sub(24),
            ),
        );
    }
    for (at, row) in (0_u64..).zip(rows) {
        let y = 26 + at * ROW;
        let (from, to) = (place(row.start_ns), place(row.end_ns));
        let name = svg_text(&fitting(&row.name, 26));
        let took = duration_text(row.end_ns - row.start_ns);
        let class = if row.ok { "ok" } else { "no" };
        let sign = if row.ok { "" } else { "✗ " };
        put(
            &mut svg,
            format_args!(
                "<text class=\"small\" x=\"2\" y=\"{}\">{name}</text>\
             <rect class=\"bar {class}\" x=\"{from}\" y=\"{y}\" width=\"{}\" height=\"14\"></rect>\
             <text class=\"soft small\" x=\"{}\" y=\"{}\">{sign}{took}</text>",
                y + 11,
                (to - from).max(2),
                to.max(from + 2) + 5,
                y + 11,
            ),
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Joins the spans into stretches between which nothing happened for long.
fn stretches(line: &Timeline) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    for row in &line.rows {
        match found.last_mut() {
            Some(last) if row.start_ns <= last.to_ns.saturating_add(IDLE_NS) => {
                last.to_ns = last.to_ns.max(row.end_ns);
            }
            _ => found.push(Stretch {
                from_ns: row.start_ns,
                to_ns: row.end_ns,
            }),
        }
    }
    found
}

/// Returns where an instant lies on the chart.
fn position(stretches: &[Stretch], busy: u64, room: u64, ns: u64) -> u64 {
    let scaled = |length: u64| {
        let scaled = u128::from(length) * u128::from(room) / u128::from(busy.max(1));
        u64::try_from(scaled).unwrap_or(room)
    };
    let (mut before, mut folds) = (0_u64, 0_u64);
    for stretch in stretches {
        if ns <= stretch.to_ns {
            return scaled(before + ns.saturating_sub(stretch.from_ns)) + folds * FOLD;
        }
        before += stretch.to_ns - stretch.from_ns;
        folds += 1;
    }
    scaled(before) + folds.saturating_sub(1) * FOLD
}

#[cfg(test)]
mod tests {
    use cto_schema::Span;

    use super::*;

    fn span(name: &str, start: u64, end: u64) -> Span {
        Span {
            name: name.to_owned(),
            start_ns: (start * 1_000_000_000).to_string(),
            end_ns: (end * 1_000_000_000).to_string(),
            outcome: "ok".to_owned(),
            detail: String::new(),
        }
    }

    #[test]
    fn a_long_wait_is_folded_and_a_short_one_is_not() {
        let folded = timeline(&cto_evidence::timeline(&[span("a", 0, 2), span("b", 100, 102)], &[]));
        assert_eq!(folded.matches("class=\"fold\"").count(), 1);
        assert!(folded.contains("98.0 s idle"), "{folded}");
        let whole = timeline(&cto_evidence::timeline(&[span("a", 0, 2), span("b", 20, 22)], &[]));
        assert!(!whole.contains("fold"));
    }

    #[test]
    fn every_bar_lies_on_the_chart_whatever_the_times_say() {
        let hostile = [
            Span {
                end_ns: u64::MAX.to_string(),
                ..span("x", 0, 0)
            },
            Span {
                start_ns: "-1".to_owned(),
                ..span("<script>", 5, 1)
            },
        ];
        let svg = timeline(&cto_evidence::timeline(&hostile, &[]));
        assert!(!svg.contains("<script") && svg.contains("&lt;script"));
        for part in svg.split(" x=\"").skip(1) {
            let x: u64 = part.split('"').next().unwrap().parse().unwrap();
            assert!(x <= NAMES + WIDTH + 100, "{x}");
        }
    }
}

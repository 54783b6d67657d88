//! The small drawings that stand in rows of tables; every number in them is in the same row as text.

use cto_schema::{Interval, Spread};

/// Width of a drawing, in its own units.
pub(super) const WIDTH: f64 = 320.0;
/// Space at both sides, so that a dot at an end is whole.
const MARGIN: f64 = 8.0;

/// A value between two others, with its intervals, on a scale.
pub(super) struct Dot {
    /// Where the value is.
    pub(super) x: String,
    /// The thick line: Wilson.
    pub(super) thick: Option<(String, String)>,
    /// The thin line with ends: resampled cases.
    pub(super) thin: Option<(String, String)>,
    /// Where the scale's marks are.
    pub(super) ticks: Vec<String>,
}

/// How a quantity is spread, on a scale from 0.
pub(super) struct Box {
    pub(super) min: String,
    pub(super) q1: String,
    pub(super) width: String,
    pub(super) median: String,
    pub(super) p95: String,
    pub(super) max: String,
}

/// Places a value of a scale.
fn place(value: f64, low: f64, high: f64) -> f64 {
    let share = ((value - low) / (high - low)).clamp(0.0, 1.0);
    MARGIN + share * (WIDTH - 2.0 * MARGIN)
}

fn text(x: f64) -> String {
    format!("{x:.1}")
}

/// Draws a value with up to two intervals on a scale from `low` to `high`, with five marks.
pub(super) fn dot(value: f64, thick: Option<Interval>, thin: Option<Interval>, (low, high): (f64, f64)) -> Dot {
    let at = |value| text(place(value, low, high));
    let ends = |interval: Interval| (at(interval.low), at(interval.high));
    Dot {
        x: at(value),
        thick: thick.map(ends),
        thin: thin.map(ends),
        ticks: [0.0, 0.25, 0.5, 0.75, 1.0]
            .into_iter()
            .map(|share| at(low + share * (high - low)))
            .collect(),
    }
}

/// Draws a spread on a scale from 0 to `high`.
pub(super) fn spread_box(spread: Spread, high: f64) -> Box {
    let high = if high > 0.0 { high } else { 1.0 };
    let x = |value| place(value, 0.0, high);
    Box {
        min: text(x(spread.min)),
        q1: text(x(spread.q1)),
        // A box too narrow to see is drawn as a hairline.
        width: text((x(spread.q3) - x(spread.q1)).max(1.0)),
        median: text(x(spread.median)),
        p95: text(x(spread.p95)),
        max: text(x(spread.max)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_a_scale_are_inside_the_drawing() {
        let ends = |low, high| Some(Interval { low, high });
        let drawn = dot(1.0, ends(0.5, 1.0), ends(-3.0, 7.0), (0.0, 1.0));
        assert_eq!((drawn.x.as_str(), drawn.ticks[0].as_str()), ("312.0", "8.0"));
        assert_eq!(drawn.thick, Some(("160.0".to_owned(), "312.0".to_owned())));
        assert_eq!(
            drawn.thin,
            Some(("8.0".to_owned(), "312.0".to_owned())),
            "nothing leaves the drawing"
        );
    }

    #[test]
    fn a_spread_of_one_value_is_a_hairline() {
        let same = Spread {
            n: 1,
            min: 0.0,
            q1: 0.0,
            median: 0.0,
            q3: 0.0,
            p95: 0.0,
            max: 0.0,
        };
        let drawn = spread_box(same, 0.0);
        assert_eq!(
            (drawn.q1.as_str(), drawn.width.as_str(), drawn.max.as_str()),
            ("8.0", "1.0", "8.0")
        );
    }
}

//! The ladder: six steps, each with its state, and every engine on the step on which it stands.

use cto_schema::{ControlSummary, ProofState};

use super::{fitting, put, svg_text};

/// What each stage is, in few words.
pub(crate) const STAGES: [&str; 6] = [
    "runs nothing",
    "copied fixture",
    "copied repository",
    "disposable sandbox",
    "owned repository",
    "compared",
];

const STEP: u32 = 156;
const RISE: u32 = 30;
const FOOT: u32 = 300;
const LEFT: u32 = 110;
/// Most names above one step.
const NAMES: usize = 9;

/// Draws the ladder; `highest` is the state of each step over all engines.
pub(crate) fn ladder(summary: &ControlSummary) -> String {
    let width = LEFT + 6 * STEP + 10;
    let top = top(summary);
    let height = 330 - top;
    let mut svg = format!(
        "<svg class=\"ladder\" viewBox=\"0 {top} {width} {height}\" role=\"img\" aria-label=\"The proof ladder: six stages, each \
         engine on the stage on which it stands; the table below says the same\">"
    );
    put(
        &mut svg,
        format_args!(
            "<path class=\"ground\" d=\"M0 {FOOT}H{LEFT}\"></path><text class=\"soft\" x=\"4\" y=\"320\">on the ground</text>"
        ),
    );
    for (at, name) in (0..6_u32).zip(STAGES) {
        let stage = at + 1;
        let (x, y) = (LEFT + at * STEP, FOOT - stage * RISE);
        let states = summary
            .proof_ladder
            .iter()
            .filter_map(|one| one.stages.get(usize::try_from(at).ok()?))
            .map(|stage| stage.status);
        let best = states.min_by_key(|state| match state {
            ProofState::Passed => 0,
            ProofState::Partial => 1,
            ProofState::NotReached => 2,
        });
        let (class, symbol) = match best {
            Some(ProofState::Passed) => ("good", "✓"),
            Some(ProofState::Partial) => ("part", "◐"),
            Some(ProofState::NotReached) | None => ("none", "–"),
        };
        let tall = FOOT - y;
        put(
            &mut svg,
            format_args!(
                "<rect class=\"step {class}\" x=\"{x}\" y=\"{y}\" width=\"{STEP}\" height=\"{tall}\"></rect>\
             <text class=\"{class} strong\" x=\"{}\" y=\"{}\">{symbol} {stage}</text>\
             <text x=\"{}\" y=\"320\">{name}</text>",
                x + 10,
                y + 21,
                x + 8,
            ),
        );
    }
    standing(summary, &mut svg);
    svg.push_str("</svg>");
    svg
}

/// Returns where the picture starts: above the highest step, and above the names that stand on one.
fn top(summary: &ControlSummary) -> u32 {
    let names = (0..=6_u32).map(|stage| {
        let here = summary.proof_ladder.iter();
        let count = here.filter(|one| u32::from(one.highest_passed_stage) == stage).count();
        FOOT - stage * RISE - 10 - 20 * u32::try_from(count.min(NAMES)).unwrap_or(0)
    });
    names.min().unwrap_or(0).min(FOOT - 6 * RISE).saturating_sub(12)
}

/// Puts the engines' names above the step on which they stand, as many as there is room for.
fn standing(summary: &ControlSummary, svg: &mut String) {
    for stage in 0..=6_u32 {
        let here: Vec<&str> = summary
            .proof_ladder
            .iter()
            .filter(|one| u32::from(one.highest_passed_stage) == stage)
            .map(|one| one.engine.as_str())
            .collect();
        let x = if stage == 0 { 4 } else { LEFT + (stage - 1) * STEP + 10 };
        let foot = FOOT - stage * RISE - 10;
        let room = usize::try_from(foot / 20).unwrap_or(1).min(NAMES);
        let hidden = here.len().saturating_sub(room);
        let mut y = foot;
        if hidden > 0 {
            put(
                svg,
                format_args!("<text class=\"soft\" x=\"{x}\" y=\"{y}\">and {hidden} more</text>"),
            );
            y = y.saturating_sub(20);
        }
        for name in here.iter().take(room).rev() {
            let name = svg_text(&fitting(name, 12));
            put(
                svg,
                format_args!("<text class=\"engine\" x=\"{x}\" y=\"{y}\">● {name}</text>"),
            );
            y = y.saturating_sub(20);
        }
    }
}

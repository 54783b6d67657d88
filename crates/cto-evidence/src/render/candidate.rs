//! The Markdown twin of a stage 6 comparison.

use cto_schema::{CandidateComparison, LaneState, RowState};

use super::markdown::{Page, code};

/// Draws a comparison: what follows, each check, each lane, each row, and what it does not say.
pub fn comparison_markdown(comparison: &CandidateComparison) -> String {
    let verdict = &comparison.verdict;
    let mut page = Page::default();
    page.line(format_args!(
        "# Stage 6: {} as candidate default",
        code(&comparison.candidate)
    ));
    page.paragraph(if verdict.proof_holds {
        "The proof holds. The candidate is eligible once an operator accepts this comparison; it is not active, and nothing makes it active."
    } else {
        "The proof does not hold: the candidate is not eligible."
    });
    page.line(format_args!("| Fact | Value |\n|---|---|"));
    for (name, value) in [
        ("comparison", code(&comparison.comparison_id)),
        ("made", code(&comparison.created_at)),
        ("harness", code(&comparison.facts.harness_version)),
        (
            "candidate's accepted run",
            code(verdict.candidate_run.as_deref().unwrap_or("none")),
        ),
        ("candidate_default_eligible", code("false (until an operator accepts)")),
        (
            "runtime_default_activation",
            code(&comparison.runtime_default_activation.to_string()),
        ),
        (
            "core_promotion_status",
            code(&comparison.core_promotion_status.to_string()),
        ),
    ] {
        page.line(format_args!("| {name} | {value} |"));
    }
    page.paragraph("## Checks");
    page.line(format_args!("| Check | Holds | What was seen |\n|---|---|---|"));
    for check in &verdict.checks {
        let holds = if check.ok { "yes" } else { "**no**" };
        page.line(format_args!(
            "| {} | {holds} | {} |",
            code(&check.name),
            code(&check.detail)
        ));
    }
    lanes_and_rows(&mut page, comparison);
    page.paragraph("## How to check it");
    page.paragraph(&format!(
        "{} checks the seal, computes the verdict again from the facts, and reads the facts again out of the {} bundles that it names.",
        code(&format!("cto verify {}", comparison.comparison_id)),
        comparison.facts.bundles.len()
    ));
    page.paragraph("## What this does not prove");
    page.paragraph(
        "That a change is right, that the host was sound, or that the engine behaves the same tomorrow. An operator's word and Core's own route come after it; neither is in it.",
    );
    page.finish()
}

fn lanes_and_rows(page: &mut Page, comparison: &CandidateComparison) {
    let verdict = &comparison.verdict;
    page.paragraph("## Lanes");
    for lane in &verdict.lanes {
        page.paragraph(&format!("### {}", code(&lane.lane)));
        if lane.state == LaneState::Blocked {
            page.paragraph(&format!("Blocked: {}", code(&lane.rationale)));
            continue;
        }
        page.paragraph(&format!("Its run: {}", code(lane.run_id.as_deref().unwrap_or("none"))));
        page.line(format_args!(
            "| Dimension | The candidate | It lacks | The lane lacks |\n|---|---|---|---|"
        ));
        for one in &lane.dimensions {
            let (own, other) = (listed(&one.candidate_lacks), listed(&one.lane_lacks));
            page.line(format_args!(
                "| {} | {} | {own} | {other} |",
                code(one.dimension.word()),
                one.verdict.word()
            ));
        }
    }
    page.paragraph("## The failure matrix");
    page.paragraph(
        "Closed: the candidate's own run ended with exactly this row's blocker. Inherited: a run that shows what the harness does, whichever engine runs.",
    );
    page.line(format_args!("| Row | State | Run, or why none |\n|---|---|---|"));
    for row in &verdict.rows {
        let state = match row.state {
            RowState::Open => "**open**",
            known => known.word(),
        };
        let shown = row.run_id.as_deref().unwrap_or(&row.rationale);
        page.line(format_args!("| {} | {state} | {} |", code(&row.row), code(shown)));
    }
}

pub(super) fn listed(items: &[String]) -> String {
    if items.is_empty() {
        "nothing".to_owned()
    } else {
        code(&items.join(", "))
    }
}

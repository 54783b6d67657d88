//! The Markdown twin of a Core Promotion Decision Packet.

use cto_schema::DecisionPacket;

use super::markdown::{Page, code};

/// Draws a packet: what is asked, what may be decided, what stands before it, and what shows each fact.
pub fn decision_markdown(packet: &DecisionPacket) -> String {
    let mut page = Page::default();
    page.line(format_args!(
        "# Core Promotion Decision Packet: {}",
        code(&packet.candidate)
    ));
    page.paragraph(if packet.ready_for_core_review {
        "Ready for Core's review. It promotes nothing, activates nothing and opens no route."
    } else {
        "Not ready for Core's review: evidence is missing, as named below."
    });
    page.line(format_args!("| Fact | Value |\n|---|---|"));
    for (name, value) in [
        ("packet", code(&packet.packet_id)),
        ("made", code(&packet.created_at)),
        ("decision_status", code(packet.decision_status.word())),
        ("resolver", code(&packet.resolver)),
        ("ready_for_core_review", code(&packet.ready_for_core_review.to_string())),
        (
            "candidate_default_repeatability_eligible",
            code(&packet.candidate_default_repeatability_eligible.to_string()),
        ),
        ("repeatability_count", code(&packet.repeatability_count.to_string())),
        ("repeatability_status", code(packet.repeatability_status.word())),
        (
            "runtime_default_activation",
            code(&packet.runtime_default_activation.to_string()),
        ),
        ("core_promotion_status", code(&packet.core_promotion_status.to_string())),
        ("recommended_next_decision", code("open_governed_core_prd_route")),
        (
            "recommendation_status",
            code("candidate_only_until_core_route_admission_guard_passes"),
        ),
    ] {
        page.line(format_args!("| {name} | {value} |"));
    }
    page.paragraph("## What may be decided");
    let states = packet.allowed_decision_states.iter();
    let told: Vec<String> = states
        .map(|one| format!("{}: {}", code(one.state.word()), code(&one.consequence)))
        .collect();
    page.list(told.into_iter(), "the packet");
    page.paragraph("## What stands before a promotion");
    let blockers: Vec<String> = packet
        .blockers_before_promotion
        .iter()
        .map(|one| format!("{}: {}", code(&one.code), code(&one.detail)))
        .collect();
    page.list(blockers.into_iter(), "the packet");
    page.paragraph("## What a promotion requires");
    let needs: Vec<String> = packet
        .promotion_requires
        .iter()
        .map(|one| format!("{}: {}", code(&one.name), code(&one.what)))
        .collect();
    page.list(needs.into_iter(), "the packet");
    page.paragraph("## Evidence");
    page.line(format_args!("| Evidence | Shows | Path | Again |\n|---|---|---|---|"));
    for (name, one) in &packet.evidence {
        page.line(format_args!(
            "| {} | {} | {} | {} |",
            code(name),
            code(&one.shows),
            code(&one.path),
            code(&one.replay)
        ));
    }
    page.finish()
}

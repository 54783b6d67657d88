//! The Markdown twin of a repeatability refresh.

use cto_schema::RepeatabilityRefresh;

use super::candidate::listed;
use super::markdown::{Page, code};

/// Draws a refresh: what follows, each pinned run, everything that speaks against it.
pub fn refresh_markdown(refresh: &RepeatabilityRefresh) -> String {
    let mut page = Page::default();
    page.line(format_args!("# Repeatability of {}", code(&refresh.candidate)));
    page.paragraph(&format!(
        "**{}**: {} of {} accepted runs on owned repositories count. No engine was run, and nothing was changed.",
        refresh.repeatability_status.word(),
        refresh.repeatability_count,
        refresh.repeatability_required
    ));
    page.line(format_args!("| Fact | Value |\n|---|---|"));
    let or_none = |text: &Option<String>| code(text.as_deref().unwrap_or("none"));
    for (name, value) in [
        ("refresh", code(&refresh.refresh_id)),
        ("made", code(&refresh.created_at)),
        ("comparison", or_none(&refresh.comparison_id)),
        ("real_stage5_pass_report", or_none(&refresh.real_stage5_pass_report)),
        ("real_stage5_proof", or_none(&refresh.real_stage5_proof)),
        ("repeat_stage5_pass_report", or_none(&refresh.repeat_stage5_pass_report)),
        ("repeat_stage5_proof", or_none(&refresh.repeat_stage5_proof)),
        ("target_read_only_check", code(&refresh.target_read_only_check.detail)),
        (
            "failure_matrix_carry_forward",
            code(&refresh.failure_matrix_carry_forward.detail),
        ),
        (
            "runtime_default_activation",
            code(&refresh.runtime_default_activation.to_string()),
        ),
        (
            "core_promotion_status",
            code(&refresh.core_promotion_status.to_string()),
        ),
    ] {
        page.line(format_args!("| {name} | {value} |"));
    }
    if !refresh.rejections.is_empty() {
        page.paragraph("## What speaks against it");
        page.line(format_args!("| Code | Run | What was seen |\n|---|---|---|"));
        for one in &refresh.rejections {
            let run = one.run_id.as_deref().map_or_else(|| "all".to_owned(), code);
            page.line(format_args!(
                "| {} | {run} | {} |",
                code(&one.code.name()),
                code(&one.detail)
            ));
        }
    }
    runs(&mut page, refresh);
    provenance(&mut page, refresh);
    page.paragraph("## What this does not prove");
    page.paragraph(
        "That the engine will do it a third time, or that the changes are right. It activates nothing and promotes nothing.",
    );
    page.finish()
}

fn runs(page: &mut Page, refresh: &RepeatabilityRefresh) {
    page.paragraph("## Pinned runs");
    for pass in &refresh.real_stage5_passes {
        page.paragraph(&format!("### {}", code(&pass.run_id)));
        let counted = if pass.counted {
            "It counts."
        } else {
            "It does not count."
        };
        page.paragraph(&format!(
            "{counted} Task {}, commit {}, changed {}.",
            code(&pass.case_id),
            code(pass.target_commit.as_deref().unwrap_or("none")),
            listed(&pass.changed_files)
        ));
        for lane in &pass.lanes {
            let told: Vec<String> = lane
                .dimensions
                .iter()
                .map(|one| format!("{} {}", one.dimension.word(), one.verdict.word()))
                .collect();
            page.paragraph(&format!("Against {}: {}.", code(&lane.lane), told.join(", ")));
        }
    }
}

fn provenance(page: &mut Page, refresh: &RepeatabilityRefresh) {
    page.paragraph("## Where the approvals come from, as the proofs state it");
    page.line(format_args!(
        "| Run | Source | Actor | Packet | Key |\n|---|---|---|---|---|"
    ));
    for one in &refresh.approval_provenance {
        let run = code(&one.run_id);
        match &one.provenance {
            Some(from) => page.line(format_args!(
                "| {run} | {} | {} | {} | {} |",
                from.approval_source.word(),
                code(&from.actor),
                code(&from.packet_id),
                code(&from.signer_key)
            )),
            None => page.line(format_args!("| {run} | none | none | none | none |")),
        }
    }
    if !refresh.prose_mismatches.is_empty() {
        page.paragraph("## Where the prose says otherwise");
        page.paragraph("The proofs stand as they are.");
        page.line(format_args!(
            "| Line | About | The prose | The proofs |\n|---|---|---|---|"
        ));
        for one in &refresh.prose_mismatches {
            page.line(format_args!(
                "| {} | {} | {} | {} |",
                one.line,
                code(&one.field),
                code(&one.prose),
                listed(&one.proof)
            ));
        }
    }
}

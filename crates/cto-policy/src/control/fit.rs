//! Fitting a summary into its bound: lists are cut, the cuts are counted, nothing else changes.

use cto_schema::{ControlSummary, SUMMARY_MAX_BYTES};

/// Most entries of each list; chosen so that an installation with all embedded engines fits without a second cut.
const BUNDLES: usize = 40;
const EXECUTIONS: usize = 20;
const FAILURES: usize = 32;
const ATTENTION: usize = 20;
const LADDERS: usize = 16;
const STEPS: usize = 12;
const PACKET: usize = 32;

/// Room for the digest.
const BOUND: usize = SUMMARY_MAX_BYTES - 2048;

/// Cuts lists to their bounds, and then the longest ones further, until the summary fits.
pub(super) fn fitted(mut summary: ControlSummary) -> ControlSummary {
    cut(&mut summary, 1);
    let mut factor = 2;
    while size(&summary) > BOUND && factor <= 64 {
        cut(&mut summary, factor);
        factor *= 2;
    }
    summary
}

fn size(summary: &ControlSummary) -> usize {
    // As `cto summary --json` prints it, which is the longest form.
    serde_json::to_vec_pretty(summary).map_or(usize::MAX, |bytes| bytes.len())
}

fn cut(summary: &mut ControlSummary, factor: usize) {
    summary.bundles_omitted += shorten(&mut summary.bundles, BUNDLES / factor);
    summary.governed_execution_omitted += shorten(&mut summary.governed_execution, EXECUTIONS / factor);
    summary.failure_closure_omitted += shorten(&mut summary.failure_closure_report_paths, FAILURES / factor);
    summary.attention.truncate(ATTENTION / factor);
    if let Some(packet) = &mut summary.approval_packet {
        packet.allowed_paths.truncate(PACKET / factor);
        packet.blocked_actions.truncate(PACKET / factor);
        packet.evidence_paths.truncate(PACKET / factor);
    }
    // An installation may register any number of engines; the first ones and those that must be shown stay.
    let must = ["codex", "pi"];
    keep(&mut summary.lanes, LADDERS / factor, |lane| {
        must.contains(&lane.lane.as_str())
    });
    let candidate = summary.candidate_default_engine.clone();
    keep(&mut summary.proof_ladder, LADDERS / factor, |one| {
        must.contains(&one.engine.as_str()) || one.engine == candidate
    });
    for lane in &mut summary.lanes {
        lane.steps.truncate(STEPS / factor);
    }
}

fn shorten<T>(list: &mut Vec<T>, most: usize) -> u32 {
    let over = list.len().saturating_sub(most);
    list.truncate(most);
    u32::try_from(over).unwrap_or(u32::MAX)
}

fn keep<T>(list: &mut Vec<T>, most: usize, must: impl Fn(&T) -> bool) {
    let mut place = 0;
    list.retain(|one| {
        place += 1;
        place <= most || must(one)
    });
}

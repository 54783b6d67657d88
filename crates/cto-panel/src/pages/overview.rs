//! The overview: may anything execute, what is to be done, what is proven, and is the evidence sound.

use askama::Template;
use cto_schema::{ControlSummary, LaneReadiness};

use crate::draw;
use crate::view::{Drawn, Mark, Shell, Site, Time, page};

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview<'a> {
    shell: Shell,
    s: &'a ControlSummary,
    posture: Mark,
    ladder: String,
    rungs: Vec<super::ladder::LadderRow>,
    stages: [&'static str; 6],
    candidate: Mark,
    repeated: Mark,
    repeatability: Mark,
    target: Mark,
    chain: Mark,
    lanes: Vec<(String, Mark, String)>,
    computed: Time,
    replay: Vec<(&'static str, String)>,
    consumed: Vec<super::approvals::Course>,
}

pub(crate) fn overview(site: &Site<'_>) -> Drawn {
    let s = &site.snapshot.summary;
    let lanes = s.lanes.iter().map(|lane| {
        let mark = match lane.status {
            LaneReadiness::Ready => Mark::new("good", "ready"),
            LaneReadiness::Blocked => Mark::new("warn", "blocked"),
        };
        let why = match lane.status {
            LaneReadiness::Ready => lane.rationale.to_string(),
            LaneReadiness::Blocked => format!("Execution not attempted: {}", lane.rationale),
        };
        (lane.lane.to_string(), mark, why)
    });
    let or_none =
        |path: Option<&cto_schema::ReplayPath>| path.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let target = match s.target_repository_read_only_proof_status.as_str() {
        "proven" => Mark::new("good", "proven"),
        "failed" => Mark::new("bad", "failed"),
        _ => Mark::new("none", "no run has looked at a target"),
    };
    page(&Overview {
        shell: site.shell("Overview", "overview"),
        posture: if s.execution_allowed {
            Mark::new("good", "Execution allowed, once")
        } else {
            Mark::new("warn", "Execution not allowed")
        },
        ladder: draw::ladder(s),
        rungs: super::ladder::rows(s),
        stages: draw::STAGES,
        candidate: Mark::of_good(s.candidate_default_eligible, ("eligible", "not eligible")),
        repeated: Mark::of_good(s.candidate_default_repeatability_eligible, ("eligible", "not eligible")),
        repeatability: match s.repeatability_status.as_str() {
            "pass" => Mark::new("good", "pass"),
            "fail" => Mark::new("bad", "fail"),
            _ => Mark::new("warn", "blocked"),
        },
        target,
        chain: if s.evidence.ledger_chain_holds {
            Mark::new("good", "the chain holds")
        } else {
            Mark::new("bad", "the chain is broken")
        },
        lanes: lanes.collect(),
        computed: site.time(s.generated_at.as_str()),
        replay: vec![
            (
                "matrix_report",
                s.matrix_report_path.as_ref().map_or_else(
                    || "not read by this version".to_owned(),
                    |path| path.as_str().to_owned(),
                ),
            ),
            ("stage6_comparison", or_none(s.stage6_comparison_path.as_ref())),
            (
                "stage6_real_governed_refresh",
                or_none(s.stage6_real_governed_refresh_comparison_path.as_ref()),
            ),
            ("stage5_pass_report", or_none(s.real_stage5_pass_report.as_ref())),
            ("stage5_proof", or_none(s.real_stage5_proof.as_ref())),
        ],
        consumed: super::approvals::courses(site)
            .into_iter()
            .filter(|course| course.consumed && course.source == "operator")
            .take(5)
            .collect(),
        s,
    })
}

//! Engines and their admissions: which lane may run, which may not, and why.

use askama::Template;
use cto_schema::LaneReadiness;

use crate::view::{Drawn, Mark, Shell, Site, page};

struct Lane {
    name: String,
    mark: Mark,
    rationale: String,
    stage: String,
    next: String,
    steps: Vec<(Mark, String, String)>,
}

#[derive(Template)]
#[template(path = "lanes.html")]
struct Lanes {
    shell: Shell,
    lanes: Vec<Lane>,
}

pub(crate) fn lanes(site: &Site<'_>) -> Drawn {
    let lanes = site.snapshot.summary.lanes.iter().map(|lane| Lane {
        name: lane.lane.to_string(),
        mark: match lane.status {
            LaneReadiness::Ready => Mark::new("good", "ready"),
            LaneReadiness::Blocked => Mark::new("warn", "blocked"),
        },
        rationale: lane.rationale.to_string(),
        stage: lane
            .stage
            .map_or_else(|| "none open".to_owned(), |stage| format!("up to stage {stage}")),
        next: lane.next.to_string(),
        steps: lane
            .steps
            .iter()
            .map(|step| {
                let mark = match step.state.as_str() {
                    "holds" => Mark::new("good", "holds"),
                    "recorded" => Mark::new("part", "recorded"),
                    "missing" => Mark::new("bad", "missing"),
                    _ => Mark::new("none", "not needed"),
                };
                (mark, step.step.to_string(), step.detail.to_string())
            })
            .collect(),
    });
    page(&Lanes {
        shell: site.shell("Engines", "lanes"),
        lanes: lanes.collect(),
    })
}

//! The ladder, whole or one stage: what is required, what is on record, and where it lies.

use askama::Template;
use cto_schema::{ControlSummary, EngineProof, ProofStage, ProofState};

use crate::draw;
use crate::view::{Drawn, Mark, Problem, Shell, Site, Time, page};

/// One engine's row of the table that says what the picture shows.
pub(super) struct LadderRow {
    pub(super) engine: String,
    pub(super) stands: String,
    pub(super) gap: bool,
    pub(super) cells: Vec<Mark>,
}

/// Makes the rows of the table.
pub(super) fn rows(summary: &ControlSummary) -> Vec<LadderRow> {
    summary.proof_ladder.iter().map(row).collect()
}

fn row(proof: &EngineProof) -> LadderRow {
    LadderRow {
        engine: proof.engine.to_string(),
        stands: match proof.highest_passed_stage {
            0 => "the ground".to_owned(),
            stage => format!("stage {stage}"),
        },
        gap: proof.gap,
        cells: proof.stages.iter().map(mark).collect(),
    }
}

fn mark(stage: &ProofStage) -> Mark {
    match stage.status {
        ProofState::Passed => Mark::new("good", "passed"),
        ProofState::Partial => Mark::new("part", format!("{} of {}", stage.evidence_found, stage.evidence_needed)),
        ProofState::NotReached => Mark::new("none", "not reached"),
    }
}

/// One engine at one stage.
struct AtStage {
    engine: String,
    mark: Mark,
    missing: Vec<String>,
    run: Option<String>,
    proof: String,
    digest: String,
    finished: Option<Time>,
}

#[derive(Template)]
#[template(path = "ladder.html")]
struct Ladder {
    shell: Shell,
    picture: String,
    rungs: Vec<LadderRow>,
    stages: [&'static str; 6],
    stage: Option<(usize, &'static str)>,
    required: Vec<String>,
    at: Vec<AtStage>,
}

pub(crate) fn ladder(site: &Site<'_>, stage: Option<&str>) -> Drawn {
    let summary = &site.snapshot.summary;
    let picked = match stage {
        None => None,
        Some(text) => {
            let number = text.parse::<usize>().ok().filter(|number| (1..=6).contains(number));
            let number = number.ok_or_else(|| Problem::NotFound("stages are 1 to 6".to_owned()))?;
            Some((number, draw::STAGES[number - 1]))
        }
    };
    let at: Vec<AtStage> = match picked {
        None => vec![],
        Some((number, _)) => {
            let found = summary.proof_ladder.iter().filter_map(|one| {
                let stage = one.stages.get(number - 1)?;
                Some(at_stage(site, one, stage))
            });
            found.collect()
        }
    };
    let needs = picked.and_then(|(number, _)| site.snapshot.needs.get(number - 1));
    let required = needs.cloned().unwrap_or_default();
    let title = picked.map_or_else(
        || "Ladder".to_owned(),
        |(number, name)| format!("Stage {number}: {name}"),
    );
    page(&Ladder {
        shell: site.shell(title, "ladder"),
        picture: draw::ladder(summary),
        rungs: rows(summary),
        stages: draw::STAGES,
        stage: picked,
        required,
        at,
    })
}

fn at_stage(site: &Site<'_>, one: &EngineProof, stage: &ProofStage) -> AtStage {
    AtStage {
        engine: one.engine.to_string(),
        mark: mark(stage),
        missing: stage.missing.iter().map(ToString::to_string).collect(),
        // The sixth stage is shown by a document, which has no page of a run.
        run: stage
            .run_id
            .as_ref()
            .filter(|_| stage.stage < 6)
            .map(ToString::to_string),
        proof: stage
            .evidence_path
            .as_ref()
            .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned()),
        digest: stage
            .evidence_sha256
            .map_or_else(|| "none".to_owned(), |digest| digest.to_string()),
        finished: stage.finished_at.as_ref().map(|at| site.time(at.as_str())),
    }
}

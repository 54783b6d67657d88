//! `cto compare`: a candidate against its lanes, as a sealed document.

use cto_runner::{CollectedRows, CompareRequest, Decided, Stop, collect_missing, compare as compare_now};
use cto_schema::{CandidateComparison, ExitClass, LaneState, RowState};
use serde_json::json;

use crate::cli::Global;
use crate::cli_decide::CompareArgs;
use crate::error::{CommandError, chain};
use crate::installation;
use crate::output::{Exit, Output};
use crate::progress::Progress;

const LANES: [&str; 3] = ["fake", "codex", "pi"];

pub(super) fn compare(global: &Global, args: &CompareArgs, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    harness
        .engines
        .find(&args.candidate)
        .map_err(|error| CommandError::usage(chain(&error)).hint("cto engines lists the engines"))?;
    let against = lanes(args)?;
    let request = CompareRequest {
        candidate: args.candidate.clone(),
        against,
        blocked_rows: args.blocked_row.iter().cloned().collect(),
    };
    let progress = Progress::new(!output.json());
    let told = |what: &str, more: &str| progress.set(what, more);
    let mut collected = CollectedRows::default();
    if args.play_missing {
        super::recover::recover_quietly(&harness, output)?;
        let stop = Stop::new().map_err(|error| CommandError::failed(&error))?;
        collected = collect_missing(&harness, &request, &stop, &told).map_err(|error| CommandError::failed(&error))?;
    }
    let decided = compare_now(&harness, &request, &told);
    progress.finish();
    let decided = decided.map_err(|error| CommandError::failed(&error))?;
    if output.json() {
        output.document(&json!({
            "comparison": decided.document,
            "path": decided.sealed.path,
            "manifest_digest": decided.sealed.manifest_digest,
            "played": collected.played,
            "play_problems": collected.problems,
        }));
    } else {
        for problem in &collected.problems {
            output.note(&format!(
                "could not be played: {}",
                cto_schema::escape(problem.as_bytes(), 600)
            ));
        }
        print(&decided, output);
    }
    let holds = decided.document.verdict.proof_holds;
    Ok(Exit(if holds { ExitClass::Pass } else { ExitClass::Fail }))
}

fn lanes(args: &CompareArgs) -> Result<Vec<String>, CommandError> {
    if args.against.is_empty() {
        let others = LANES.iter().filter(|lane| **lane == "fake" || **lane != args.candidate);
        return Ok(others.map(|lane| (*lane).to_owned()).collect());
    }
    let mut lanes: Vec<String> = Vec::new();
    for lane in &args.against {
        let shown = cto_schema::escape(lane.as_bytes(), 80);
        if lanes.contains(lane) {
            return Err(CommandError::usage(format!("lane '{shown}' is named twice")));
        }
        // `fake` is compared with another run of itself: it is the default lane in any case.
        if lane == &args.candidate && lane != "fake" {
            return Err(CommandError::usage(format!(
                "'{shown}' is the candidate and cannot be its own lane"
            )));
        }
        lanes.push(shown);
    }
    Ok(lanes)
}

fn print(decided: &Decided<CandidateComparison>, output: &Output) {
    let document = &decided.document;
    let verdict = &document.verdict;
    let shown = |text: &str| cto_schema::escape(text.as_bytes(), 400);
    for check in &verdict.checks {
        let (mark, color) = if check.ok { ("✔", "32") } else { ("✘", "31") };
        output.print(&format!(
            "{} {:<32} {}\n",
            output.paint(color, mark),
            check.name,
            shown(&check.detail)
        ));
    }
    output.print("\n");
    for lane in &verdict.lanes {
        if lane.state == LaneState::Blocked {
            output.print(&format!(
                "{} {:<8} blocked: {}\n",
                output.paint("33", "▲"),
                lane.lane,
                shown(&lane.rationale)
            ));
            continue;
        }
        let told: Vec<String> = lane
            .dimensions
            .iter()
            .map(|one| format!("{} {}", one.dimension.word(), one.verdict.word()))
            .collect();
        output.print(&format!(
            "{} {:<8} {}\n",
            output.paint("32", "✔"),
            lane.lane,
            told.join(" · ")
        ));
    }
    let count = |state: RowState| verdict.rows.iter().filter(|row| row.state == state).count();
    output.print(&format!(
        "  rows of the failure matrix: {} closed by {} itself, {} by the harness's own conduct, {} blocked, {} open\n\n",
        count(RowState::Closed),
        document.candidate,
        count(RowState::Inherited),
        count(RowState::Blocked),
        count(RowState::Open),
    ));
    let id = &document.comparison_id;
    let holds = if verdict.proof_holds {
        format!(
            "the proof holds; {} is eligible once you accept it, and nothing makes it active",
            document.candidate
        )
    } else {
        format!("the proof does not hold: {} is not eligible", document.candidate)
    };
    output.print(&format!("{}\n  comparison {id}\n", output.paint("1", &holds)));
    let twin = decided
        .sealed
        .path
        .join(cto_schema::DocumentKind::Comparison.markdown_file());
    output.note(&format!(
        "to read: {}",
        cto_schema::escape(twin.as_os_str().as_encoded_bytes(), 400)
    ));
    if verdict.proof_holds {
        output.note(&format!("next: cto outcome {id} accept --reason WHY"));
    }
}

//! What validating a planning workspace costs: 2,000 documents, against reading and parsing them alone.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program for people that measures and makes its own files"
)]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cto_evidence::{BundlePlaces, TrustedKeys};
use cto_runner::{WorkspaceRequest, load_rules, validate_workspace, workspace_template};
use pulldown_cmark::{Options, Parser};

const DOCUMENTS: usize = 2000;
const ROUNDS: usize = 9;

/// Ordinary prose, a table, a list and code: what a plan holds.
fn filler(number: usize) -> String {
    let mut text = String::new();
    for part in 0..6 {
        text += "\n### Part\n\nThe harness records what it observed itself; the engine recommends, and never approves. Whoever reads\n";
        text += "this later must come to the same verdict without asking anybody, and with tools that we did not write.\n\n";
        text += "| What | Where | Why |\n|---|---|---|\n| the run | `runs/` | it is the evidence |\n| the plan | here | it is none |\n\n";
        text +=
            "- One thing that *matters*, and a [link](../CONTEXT.md).\n- Another that is not the default backend.\n\n";
        text += "```sh\ncto verify last\n```\n";
        text = format!("{text}\nSee document {number}, part {part}.\n");
    }
    text
}

fn make(place: &Path) -> Result<u64, Box<dyn Error>> {
    let template = workspace_template();
    let mut bytes = 0;
    for (name, text) in &template {
        let path = place.join(name);
        fs::create_dir_all(path.parent().unwrap_or(place))?;
        fs::write(path, text)?;
    }
    let evidence = template
        .iter()
        .find(|(name, _)| name.starts_with("evidence/"))
        .ok_or("no evidence template")?;
    for number in template.len()..DOCUMENTS {
        let text = format!(
            "{}{}",
            evidence.1.replace("source: prd/PRD-001.md", "source: CONTEXT.md"),
            filler(number)
        );
        bytes += text.len() as u64;
        fs::write(place.join(format!("evidence/EVIDENCE-{number:04}.md")), text)?;
    }
    Ok(bytes)
}

/// Reads and parses every document, and does nothing with what was read.
fn bare(place: &Path) -> Result<usize, Box<dyn Error>> {
    let mut events = 0;
    for entry in fs::read_dir(place.join("evidence"))? {
        let text = fs::read_to_string(entry?.path())?;
        let options = Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
        events += Parser::new_ext(&text, options).into_offset_iter().count();
    }
    Ok(events)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let bytes = make(place.path())?;
    let rules = load_rules(place.path(), None)?;
    let keys = TrustedKeys::new(vec![]);
    let request = WorkspaceRequest {
        path: place.path(),
        rules: &rules,
        strict: true,
        run_validators: false,
        git: None,
        places: BundlePlaces {
            workspace: place.path(),
            runs: None,
            keys: &keys,
            ledger: None,
        },
    };
    let (mut validated, mut parsed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let events = bare(place.path())?;
        parsed.push(begun.elapsed());
        let begun = Instant::now();
        let result = validate_workspace(&request)?;
        validated.push(begun.elapsed());
        if !result.ok || usize::try_from(result.checked)? != DOCUMENTS || events == 0 {
            return Err(format!("{} files, {:?}", result.checked, result.errors.first()).into());
        }
    }
    let (validated, parsed) = (median(validated), median(parsed));
    let rate = |time: Duration| DOCUMENTS as f64 / time.as_secs_f64();
    println!(
        "| {DOCUMENTS} documents, {:.1} MB, median of {ROUNDS} | Time | Documents a second |\n|---|---|---|",
        bytes as f64 / 1e6
    );
    println!(
        "| reading and parsing alone, one thread | {:.0} ms | {:.0} |",
        parsed.as_secs_f64() * 1e3,
        rate(parsed)
    );
    println!(
        "| `validate --strict` | {:.0} ms | {:.0} |",
        validated.as_secs_f64() * 1e3,
        rate(validated)
    );
    println!("| ratio | {:.1} × | |", validated.as_secs_f64() / parsed.as_secs_f64());
    Ok(())
}

//! A matrix report as an `.eval` log of Inspect (<https://inspect.aisi.org.uk>), so that `inspect view` opens it.
//!
//! An `.eval` log is a zip of JSON files: `header.json`, a file for each sample, and `summaries.json`; `_journal/` holds
//! what Inspect itself writes while an evaluation runs. Written after version 2 of the format, as inspect-ai 0.3 has it.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};

use cto_schema::{CellState, Matrix, MatrixCell, TrialSummary};
use serde_json::{Map, Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{MatrixView, words};

/// Version of Inspect's log format.
const VERSION: u32 = 2;
/// Name of the one score.
const SCORER: &str = "cto";

/// Why a log could not be made.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The zip.
    #[error("pack the Inspect log")]
    Zip(#[from] zip::result::ZipError),
    /// A file in it.
    #[error("write the Inspect log")]
    Write(#[from] std::io::Error),
}

/// Returns a log of one engine, or of all when none is named. A sample is a cell whose engine was tried; its id is the
/// case, and names the engine as well where there are several. What was blocked is no sample: it says nothing about a case.
pub fn inspect_log(view: MatrixView<'_>, engine: Option<&str>) -> Result<Vec<u8>, InspectError> {
    let log = Log { view, engine };
    let samples: Vec<&MatrixCell> = log.cells().collect();
    let summaries: Vec<Value> = samples.iter().map(|cell| log.sample(cell, false)).collect();
    let start = json!({ "version": VERSION, "eval": log.spec(), "plan": plan() });
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    put(&mut zip, "_journal/start.json", &start)?;
    for cell in &samples {
        let name = format!("samples/{}_epoch_{}.json", log.id(cell), cell.repeat);
        put(&mut zip, &name, &log.sample(cell, true))?;
    }
    let summaries = Value::Array(summaries);
    put(&mut zip, "_journal/summaries/1.json", &summaries)?;
    put(&mut zip, "summaries.json", &summaries)?;
    put(&mut zip, "header.json", &log.header())?;
    Ok(zip.finish()?.into_inner())
}

fn put(zip: &mut ZipWriter<Cursor<Vec<u8>>>, name: &str, document: &Value) -> Result<(), InspectError> {
    // Without a clock every file has the same date, so the same report gives the same bytes.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    zip.start_file(name, options)?;
    zip.write_all(document.to_string().as_bytes())?;
    Ok(())
}

struct Log<'a> {
    view: MatrixView<'a>,
    engine: Option<&'a str>,
}

impl<'a> Log<'a> {
    fn matrix(&self) -> &'a Matrix {
        self.view.matrix
    }

    /// Cells whose engine was tried, of this log's engines.
    fn cells(&self) -> impl Iterator<Item = &'a MatrixCell> {
        let engine = self.engine;
        self.matrix().cells.iter().filter(move |cell| {
            let tried = matches!(cell.state, CellState::Pass | CellState::Fail | CellState::Unverified);
            tried && engine.is_none_or(|engine| engine == cell.engine)
        })
    }

    fn rows(&self) -> impl Iterator<Item = &'a TrialSummary> {
        let engine = self.engine;
        let rows = self.matrix().engine_rows.iter();
        rows.filter(move |row| engine.is_none_or(|engine| engine == row.engine))
    }

    /// The name that Inspect shows as the model: the engine is what is evaluated.
    fn model(&self, engine: Option<&str>) -> String {
        format!("cto/{}", engine.unwrap_or("matrix"))
    }

    fn id(&self, cell: &MatrixCell) -> String {
        // The id is part of a file's name in the log.
        let case_id = cell.case_id.replace('/', "-");
        match self.engine {
            Some(_) => case_id,
            None => format!("{case_id}@{}", cell.engine),
        }
    }

    /// An id as long as Inspect's own, from what it is the id of.
    fn derived(&self, what: &str) -> String {
        let text = format!("{} {what} {}", self.matrix().matrix_id, self.engine.unwrap_or_default());
        cto_schema::Sha256Digest::of(text.as_bytes())
            .hex()
            .chars()
            .take(22)
            .collect()
    }

    fn spec(&self) -> Value {
        let matrix = self.matrix();
        let mut ids: Vec<String> = Vec::new();
        for cell in self.cells() {
            let id = self.id(cell);
            // Repeats of a case come in turns, so the ids of the first repeat are all of them.
            if cell.repeat == 1 || !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids.sort_unstable();
        ids.dedup();
        json!({
            "eval_id": self.derived("eval"),
            "run_id": self.derived("run"),
            "created": matrix.created_at,
            "task": "cto-matrix",
            "task_id": self.derived("task"),
            "task_version": 0,
            "dataset": { "name": "cases", "samples": ids.len(), "sample_ids": ids, "shuffled": false },
            "model": self.model(self.engine),
            "config": { "epochs": matrix.repeats },
            "packages": { "cto": matrix.harness_version },
            "scorers": [{ "name": SCORER, "options": {}, "metrics": [], "metadata": {} }],
            "metadata": {
                "matrix_id": matrix.matrix_id,
                "name": matrix.name,
                "plan_digest": matrix.plan_digest,
                "engines": self.rows().map(|row| row.engine.clone()).collect::<Vec<_>>(),
                "blocked": self.rows().map(|row| row.counts.blocked).sum::<u32>(),
                "not_run": self.rows().map(|row| row.counts.not_run).sum::<u32>(),
                "limits": matrix.limits_of_this_report,
            },
        })
    }

    fn header(&self) -> Value {
        let matrix = self.matrix();
        let not_run: u32 = self.rows().map(|row| row.counts.not_run).sum();
        json!({
            "version": VERSION,
            "status": if not_run == 0 { "success" } else { "cancelled" },
            "eval": self.spec(),
            "plan": plan(),
            "results": self.results(),
            "stats": {
                "started_at": matrix.created_at,
                "completed_at": matrix.reported_at,
                "model_usage": self.usage_of_all(),
                "role_usage": {},
            },
            "invalidated": false,
        })
    }

    fn results(&self) -> Value {
        let passes: u32 = self.rows().map(|row| row.counts.pass).sum();
        let judged: u32 = self.rows().map(|row| row.counts.judged()).sum();
        let planned: u32 = self.rows().map(|row| row.counts.cells).sum();
        let mut metrics = Map::new();
        if let Some(interval) = cto_policy::wilson(passes, judged) {
            let rate = f64::from(passes) / f64::from(judged);
            for (name, value) in [
                ("accuracy", rate),
                ("wilson_low", interval.low),
                ("wilson_high", interval.high),
            ] {
                let value = json!({ "name": name, "value": cto_policy::rounded(value), "params": {} });
                metrics.insert(name.to_owned(), value);
            }
        }
        json!({
            "total_samples": planned,
            "completed_samples": judged,
            "scores": [{
                "name": SCORER,
                "scorer": SCORER,
                "scored_samples": judged,
                "unscored_samples": 0,
                "params": {},
                "metrics": metrics,
            }],
        })
    }

    /// A sample, or what Inspect lists of it without opening it.
    fn sample(&self, cell: &MatrixCell, whole: bool) -> Value {
        let passed = cell.state == CellState::Pass;
        let seconds = |ms: u64| ms as f64 / 1000.0;
        let mut sample = json!({
            "id": self.id(cell),
            "epoch": cell.repeat,
            "input": format!("case {}", cell.case_id),
            "target": "pass",
            "metadata": {
                "engine": cell.engine,
                "case_id": cell.case_id,
                "state": cell.state.word(),
                "blockers": cell.blockers,
                "run_id": cell.run_id,
                "manifest_digest": cell.manifest_digest,
                "bundle": self.view.link(cell),
                "cost_micro_usd": cell.cost_micro_usd,
            },
            "scores": { SCORER: {
                // Inspect's own letters for correct and incorrect.
                "value": if passed { "C" } else { "I" },
                "answer": cell.state.word(),
                "explanation": if passed {
                    "the sealed bundle verifies and is a pass".to_owned()
                } else {
                    words::why(cell)
                },
            }},
            "model_usage": self.usage(cell),
            "role_usage": {},
            "uuid": self.derived(&format!("sample {}", cell.cell)),
        });
        if let Some(times) = &cell.times {
            sample["total_time"] = json!(seconds(times.total_ms));
            sample["working_time"] = json!(seconds(times.engine_ms));
        }
        if whole {
            sample["messages"] = json!([]);
            sample["output"] = json!({ "model": self.model(Some(&cell.engine)), "choices": [], "completion": "" });
            sample["store"] = json!({});
            sample["events"] = json!([]);
            sample["attachments"] = json!({});
        } else {
            sample["completed"] = json!(true);
        }
        sample
    }

    /// Tokens of every sample that knows them, by engine.
    fn usage_of_all(&self) -> Value {
        let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for cell in self.cells() {
            if let Some((input, output)) = tokens(cell) {
                let sum = sums.entry(&cell.engine).or_default();
                *sum = (sum.0.saturating_add(input), sum.1.saturating_add(output));
            }
        }
        let all = sums
            .into_iter()
            .map(|(engine, (input, output))| (self.model(Some(engine)), usage(input, output)));
        Value::Object(all.collect())
    }

    fn usage(&self, cell: &MatrixCell) -> Value {
        match tokens(cell) {
            None => json!({}),
            Some((input, output)) => json!({ self.model(Some(&cell.engine)): usage(input, output) }),
        }
    }
}

/// Returns input and output tokens of a cell that knows them.
fn tokens(cell: &MatrixCell) -> Option<(u64, u64)> {
    let tokens = cell.tokens.as_ref()?;
    Some((tokens.input.parse().ok()?, tokens.output.parse().ok()?))
}

fn usage(input: u64, output: u64) -> Value {
    json!({
        "input_tokens": input,
        "output_tokens": output,
        "total_tokens": input.saturating_add(output),
    })
}

fn plan() -> Value {
    json!({ "name": "plan", "steps": [], "config": {} })
}

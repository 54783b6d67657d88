//! What the harness adds to the run of a real agent: everything but the agent and the tests.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use cto_gateway::scripted::{ENGINES, ScriptedModel, ScriptedOptions, setup_lines, write_admissions};
use serde_json::Value;

use crate::measure::{Sample, median, run};
use crate::table::{Row, Table};
use crate::{CASE, Fallible, Options, PROGRAM};

/// The agents that are measured, of those that `scripts/test` installs.
const AGENTS: [&str; 2] = ["codex", "pi"];
const GOAL_MS: f64 = 150.0;
/// Spans that hold the agent's time or the tests' time; only the rest of them is the harness's.
const SHARED: [(&str, &str); 2] = [("engine", "engine_ms"), ("verify", "verification_ms")];

/// Measures each agent; without a directory of installed agents there is nothing to measure.
pub(crate) fn agents(options: &Options, table: &mut Table) -> Fallible<()> {
    let Some(toolchain) = &options.agents else {
        eprintln!("no agents: left out, as scripts/test has not installed them");
        return Ok(());
    };
    for agent in AGENTS {
        eprintln!("{agent}");
        measure(options, table, agent, toolchain)?;
    }
    Ok(())
}

fn measure(options: &Options, table: &mut Table, agent: &str, toolchain: &Path) -> Fallible<()> {
    let model = ScriptedModel::start(ScriptedOptions::default())?;
    let home = options.place.join(format!("home-{agent}"));
    let written = write_admissions(
        &options.place.join(format!("admissions-{agent}")),
        "2026-01-01T00:00:00Z",
    )?;
    let admission = ENGINES.iter().zip(&written).find(|(engine, _)| **engine == agent);
    let admission = admission.map(|(_, file)| file.as_path());
    let variables: Vec<(String, OsString)> = setup_lines(agent, model.address(), admission)
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    let mut environment: Vec<(&str, &OsStr)> = vec![("CTO_HOME", home.as_os_str())];
    environment.extend(variables.iter().map(|(name, value)| (name.as_str(), value.as_os_str())));
    let words: [&OsStr; 7] = [
        "--json".as_ref(),
        "run".as_ref(),
        CASE.as_ref(),
        "--engine".as_ref(),
        agent.as_ref(),
        "--toolchain".as_ref(),
        toolchain.as_os_str(),
    ];
    let mut spent = Spent::default();
    for number in 0..=options.repeats(10, 20) {
        let sample = run(Path::new(PROGRAM), &words, &options.place, &environment)?;
        // The first run makes the baseline, its result and the self-test.
        if number > 0 {
            spent.add(&home, &sample)?;
        }
    }
    let what = format!("{agent}: the harness's share of a run");
    table.add(Row::most(&what, "ms", GOAL_MS, spent.median("harness_ms")));
    for (name, what) in [
        ("gateway", "of it gateway's start and preflight"),
        ("outside", "of it program start, seal and exit beyond the report"),
        ("engine_ms", "the agent"),
        ("verification_ms", "the tests"),
    ] {
        table.add(Row::fact(&format!("{agent}: {what}"), "ms", spent.median(name)));
    }
    eprintln!("{agent}: {}", spent.parts());
    Ok(())
}

/// Milliseconds of each part, of each run.
#[derive(Default)]
struct Spent {
    parts: BTreeMap<String, Vec<f64>>,
}

impl Spent {
    fn add(&mut self, home: &Path, sample: &Sample) -> Fallible<()> {
        let report: Value = serde_json::from_str(&sample.output)?;
        if report["status"] != "pass" {
            return Err(format!("the run is no pass: {report:#}").into());
        }
        let mut note = |name: &str, ms: f64| self.parts.entry(name.to_owned()).or_default().push(ms);
        let usage = |name: &str| report["usage"][name].as_f64().unwrap_or_default();
        for name in ["engine_ms", "verification_ms"] {
            note(name, usage(name));
        }
        // What the report does not see, because it is written before, is the harness's all the same.
        let outside = sample.ms() - usage("total_ms");
        note("outside", outside);
        note("harness_ms", usage("harness_ms") + outside);
        let run_id = report["run_id"].as_str().ok_or("a report without a run")?;
        let trace = fs::read_to_string(home.join("runs").join(run_id).join("trace.jsonl"))?;
        for line in trace.lines() {
            let span: Value = serde_json::from_str(line)?;
            let at = |name: &str| span[name].as_str().and_then(|text| text.parse::<f64>().ok());
            let (Some(from), Some(to), Some(name)) = (at("start_ns"), at("end_ns"), span["name"].as_str()) else {
                return Err(format!("no span: {line}").into());
            };
            let others = SHARED.iter().find(|(shared, _)| *shared == name);
            let others = others.map_or(0.0, |(_, part)| usage(part));
            note(name, (to - from) / 1e6 - others);
        }
        Ok(())
    }

    fn median(&self, name: &str) -> f64 {
        self.parts.get(name).map_or(f64::NAN, |samples| median(samples))
    }

    /// The harness's own part of each span, longest first.
    fn parts(&self) -> String {
        let totals = ["harness_ms", "engine_ms", "verification_ms"];
        let names = self.parts.keys().filter(|name| !totals.contains(&name.as_str()));
        let mut parts: Vec<(f64, &String)> = names.map(|name| (self.median(name), name)).collect();
        parts.sort_by(|one, other| other.0.total_cmp(&one.0));
        let shown: Vec<String> = parts.iter().map(|(ms, name)| format!("{name} {ms:.1} ms")).collect();
        shown.join(", ")
    }
}

//! The result: a Markdown table with goals, and the machine that it was measured on.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::json;

/// One line.
pub(crate) struct Row {
    what: String,
    measured: f64,
    unit: &'static str,
    /// Against the bare sequence.
    ratio: Option<f64>,
    goal: String,
    ok: Option<bool>,
}

impl Row {
    /// A measure with an upper goal.
    pub(crate) fn most(what: &str, unit: &'static str, goal: f64, measured: f64) -> Self {
        Self {
            goal: format!("≤ {goal} {unit}").trim_end().to_owned(),
            ok: Some(measured <= goal),
            ..Self::fact(what, unit, measured)
        }
    }

    /// A measure with a lower goal.
    pub(crate) fn least(what: &str, unit: &'static str, goal: f64, measured: f64) -> Self {
        Self {
            goal: format!("≥ {goal} {unit}"),
            ok: Some(measured >= goal),
            ..Self::fact(what, unit, measured)
        }
    }

    /// A time whose ratio has the goal.
    pub(crate) fn ratio(what: &str, ms: f64, goal: f64, ratio: f64) -> Self {
        Self {
            goal: format!("≤ {goal} × bare"),
            ok: Some(ratio <= goal),
            ..Self::note(what, ms, ratio)
        }
    }

    /// A time and its ratio, without a goal.
    pub(crate) fn note(what: &str, ms: f64, ratio: f64) -> Self {
        Self {
            ratio: Some(ratio),
            ..Self::fact(what, "ms", ms)
        }
    }

    /// A measure without a goal.
    pub(crate) fn fact(what: &str, unit: &'static str, measured: f64) -> Self {
        Self {
            what: what.to_owned(),
            measured,
            unit,
            ratio: None,
            goal: "—".to_owned(),
            ok: None,
        }
    }
}

/// All lines and the machine.
pub(crate) struct Table {
    machine: String,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(place: &Path) -> Self {
        let first = |file: &str| fs::read_to_string(file).unwrap_or_default().trim_end().to_owned();
        let model = first("/proc/cpuinfo");
        let model = model.lines().find_map(|line| line.strip_prefix("model name"));
        let model = model.map_or("unknown processor", |text| text.trim_start_matches(['\t', ' ', ':']));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let machine = format!(
            "Linux {}, {cores} cores of {model}, {}, load {} at the start",
            first("/proc/sys/kernel/osrelease"),
            file_system(place).unwrap_or_else(|| "unknown file system".to_owned()),
            load(),
        );
        Self {
            machine,
            rows: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(crate) fn ok(&self) -> bool {
        self.rows.iter().all(|row| row.ok != Some(false))
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = "| what | goal | measured | × bare | |\n|---|---|---|---|---|\n".to_owned();
        for row in &self.rows {
            let ratio = row.ratio.map_or(String::new(), |ratio| format!("{ratio:.3}"));
            let verdict = match row.ok {
                Some(true) => "ok",
                Some(false) => "**over**",
                None => "",
            };
            let measured = format!("{} {}", number(row.measured), row.unit);
            // Writing to a string cannot fail.
            let _infallible = writeln!(
                text,
                "| {} | {} | {} | {ratio} | {verdict} |",
                row.what,
                row.goal,
                measured.trim_end()
            );
        }
        // Others who work on the machine meanwhile stretch what waits for both cores more than what waits for one.
        format!("{text}\n{}, {} at the end\n", self.machine, load())
    }

    pub(crate) fn json(&self) -> String {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "what": row.what, "goal": row.goal, "measured": row.measured, "unit": row.unit,
                    "ratio": row.ratio, "ok": row.ok,
                })
            })
            .collect();
        format!("{:#}\n", json!({ "machine": self.machine, "rows": rows }))
    }
}

/// Returns how many processes wanted to run in the last minute.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// Three digits are what a measurement is good for.
fn number(value: f64) -> String {
    if value.abs() >= 100.0 || value == value.trunc() {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// Returns the type of the file system that a directory is the root of.
fn file_system(place: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let at = left.split(' ').nth(4)?;
        (Path::new(at) == place).then(|| right.split(' ').next().map(str::to_owned))?
    })
}

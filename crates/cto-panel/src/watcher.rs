//! Looks whether anything changed, and has the writer compute a new snapshot; in a thread of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use cto_evidence::{Home, Ledger, RunQuery, begun_runs};
use cto_schema::RunId;

use crate::panel::Panel;
use crate::snapshot::{RowOfFailures, Snapshot, Writer};

/// How often is looked.
const LOOK: Duration = Duration::from_millis(700);
/// After how long everything is computed anew, also when nothing seems to have changed: approvals expire by themselves,
/// and a bundle can be damaged without a trace in the ledger.
const RENEW: Duration = Duration::from_secs(45);

/// What the file system says about parts of the installation: sizes and times, no content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stamp {
    settled: Vec<(String, u64, u128)>,
    live: Vec<(String, u64)>,
}

/// Watches until `stop` is dropped.
pub(crate) fn watch(panel: &Arc<Panel>, writer: &dyn Writer, stop: &Receiver<()>) {
    let mut before = Stamp::default();
    let mut made: Option<Instant> = None;
    loop {
        let now = Stamp::take(&panel.home);
        let due = made.is_none_or(|made| made.elapsed() >= RENEW);
        if due || now.settled != before.settled {
            panel.show(compute(panel, writer));
            made = Some(Instant::now());
        }
        if now.live != before.live {
            panel.live_changed();
        }
        before = now;
        match stop.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn compute(panel: &Panel, writer: &dyn Writer) -> Result<Snapshot, String> {
    let before = panel.last();
    let seq = before
        .as_ref()
        .map_or(1, |before| before.summary.snapshot_seq.saturating_add(1));
    let prepared = writer.prepare(seq)?;
    let ledger = Ledger::open_to_read(&panel.home).map_err(|error| error.to_string())?;
    let failures = with_runs(ledger.as_ref(), &prepared.failures)?;
    let words = ledger.as_ref().map(Ledger::words).transpose();
    let words = words.map_err(|error| error.to_string())?.unwrap_or_default();
    Snapshot::new(prepared, before.as_ref(), failures, words)
}

/// Finds the newest run that ended with each row's blocker.
fn with_runs(ledger: Option<&Ledger>, rows: &[RowOfFailures]) -> Result<Vec<(RowOfFailures, Option<RunId>)>, String> {
    let mut found = Vec::new();
    for row in rows {
        let query = RunQuery {
            blocker: Some(row.blocker.clone()),
            limit: 1,
            ..RunQuery::default()
        };
        let page = ledger.map(|ledger| ledger.page(&query)).transpose();
        let page = page.map_err(|error| error.to_string())?;
        let run = page
            .and_then(|page| page.entries.into_iter().next())
            .map(|entry| entry.run_id);
        found.push((row.clone(), run));
    }
    Ok(found)
}

impl Stamp {
    fn take(home: &Home) -> Self {
        let mut stamp = Self::default();
        let places = [
            home.ledger(),
            home.runs(),
            home.approvals(),
            home.applies(),
            home.live(),
            home.keys(),
            home.root().to_owned(),
            home.root().join("admissions"),
            home.root().join("matrices"),
            home.root().join("comparisons"),
            home.root().join("refreshes"),
            home.root().join("packets"),
        ];
        for place in places {
            stamp.settled(&place);
        }
        for place in [home.approvals(), home.root().join("admissions")] {
            let Ok(listed) = std::fs::read_dir(&place) else {
                continue;
            };
            // More than that changes the directory's own time as well, when it changes.
            for entry in listed.flatten().take(2_000) {
                stamp.settled(&entry.path());
            }
        }
        for run in begun_runs(home).unwrap_or_default() {
            let bundle = home.run(&run.run_id);
            let size = |name: &str| std::fs::metadata(bundle.join(name)).map_or(0, |meta| meta.len());
            let sizes = size("events.normalized.jsonl") + size("journal.jsonl") + size("trace.jsonl");
            stamp.live.push((run.run_id.to_string(), sizes));
            stamp.settled.push((run.run_id.to_string(), u64::from(run.lives), 0));
        }
        stamp.settled.sort();
        stamp
    }

    fn settled(&mut self, path: &Path) {
        let Ok(meta) = std::fs::symlink_metadata(path) else {
            return;
        };
        let changed = meta
            .modified()
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let changed = changed.map_or(0, |since| since.as_nanos());
        self.settled
            .push((path.to_string_lossy().into_owned(), meta.len(), changed));
    }
}

//! Looking at live markers without touching them: for those who only show.

use cto_schema::RunId;

use crate::clock::boot_id;
use crate::durable;
use crate::home::Home;
use crate::live::{LiveError, MarkerInfo};

/// A run that was begun and is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BegunRun {
    /// The run.
    pub run_id: RunId,
    /// What its marker says; `None` when that cannot be read.
    pub info: Option<MarkerInfo>,
    /// Whether the process that the marker names runs: same boot, same process id, same start.
    pub lives: bool,
}

/// Returns the runs that were begun and are not closed, by name. No lock is taken and nothing is removed.
///
/// A marker's lock says more than its process id, as a child may hold it, and a process of another PID namespace looks
/// dead from here; `cto recover` asks the lock.
pub fn begun_runs(home: &Home) -> Result<Vec<BegunRun>, LiveError> {
    let read = |source| LiveError::Read {
        place: home.live().display().to_string(),
        source,
    };
    let boot = boot_id().unwrap_or_default();
    let mut found = Vec::new();
    for name in durable::names(home.live_dir()).map_err(read)? {
        let Ok(run_id) = name.parse::<RunId>() else {
            continue;
        };
        // A marker that goes away while it is read belongs to a run that was closed just now.
        let Some(bytes) = durable::read_if_present_at(home.live_dir(), &name).map_err(read)? else {
            continue;
        };
        let info = serde_json::from_slice::<MarkerInfo>(&bytes).ok();
        let info = info.filter(|info| info.run_id == run_id);
        let lives = info
            .as_ref()
            .is_some_and(|info| info.boot_id == boot && start_of(info.pid) == Some(info.pid_start_ticks));
        found.push(BegunRun { run_id, info, lives });
    }
    found.sort_by(|a, b| b.run_id.cmp(&a.run_id));
    Ok(found)
}

/// Returns when a process started, in clock ticks since boot; nothing when there is none.
fn start_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    crate::live::start_ticks_of(&stat)
}

//! Live markers: `live/<run_id>` says that a run was begun, and its lock says whether its process still lives.
//!
//! The marker exists before the run directory and is removed after the seal and the ledger entry, so whatever a
//! crash leaves can be found by listing one small directory. The kernel releases the lock on any death. A child that
//! was forked and did not `exec` or close its descriptors shares the lock: to us the run lives as long as it does.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use cto_schema::{RunId, Sha256Digest};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::clock::RunClock;
use crate::durable;
use crate::home::Home;

/// A failure with a live marker.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The marker could not be written.
    #[error("write live marker '{marker}'")]
    Write {
        /// Name under `live/`.
        marker: String,
        /// The system's error.
        source: io::Error,
    },
    /// The markers could not be listed or read.
    #[error("read live markers in '{place}'")]
    Read {
        /// The directory or marker.
        place: String,
        /// The system's error.
        source: io::Error,
    },
    /// The marker could not be removed.
    #[error("remove live marker '{marker}'")]
    Remove {
        /// Name under `live/`.
        marker: String,
        /// The system's error.
        source: io::Error,
    },
}

/// What a run says about itself at its start; also what recovery opens a journal with when none became durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedInfo {
    /// The case, or the contract's task id, or `unreadable`.
    pub case_id: String,
    /// The selected backend.
    pub backend: String,
    /// Version of the harness.
    pub harness_version: String,
    /// Digest of the contract's canonical form; null when it could not be read.
    pub contract_digest: Option<Sha256Digest>,
    /// Head of the run ledger when the run started; null when there was none.
    pub ledger_head: Option<Sha256Digest>,
    /// Names of the run's cgroups start with this; empty when it has none.
    pub cgroup_prefix: String,
}

/// The content of a live marker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkerInfo {
    /// The run.
    pub run_id: RunId,
    /// Process id of the harness.
    pub pid: u32,
    /// Start of that process in clock ticks since boot (field 22 of `/proc/<pid>/stat`).
    pub pid_start_ticks: u64,
    /// Kernel boot id.
    pub boot_id: String,
    /// Wall clock at the start, RFC 3339 UTC.
    pub started_at: String,
    /// `CLOCK_BOOTTIME` at the start in nanoseconds, as decimal text.
    pub start_boottime_ns: String,
    /// What the run said about itself.
    pub opened: OpenedInfo,
}

/// The lock on a run's marker; held for the life of the run, released by the kernel on death.
#[derive(Debug)]
pub(crate) struct LiveLock {
    run_id: RunId,
    _file: File,
}

impl LiveLock {
    /// Writes the marker and takes its lock. The marker appears complete and locked, or not at all.
    pub(crate) fn create(home: &Home, info: &MarkerInfo) -> Result<Self, LiveError> {
        let fail = |source| LiveError::Write {
            marker: info.run_id.to_string(),
            source,
        };
        let text = serde_json::to_vec(info).map_err(|error| fail(error.into()))?;
        let mut last = io::Error::other("never tried");
        // Another process that tidies up may remove the temporary name before it is locked.
        for _ in 0..8 {
            match Self::try_create(home, &info.run_id, &text) {
                Ok(lock) => return Ok(lock),
                Err(error) if error.kind() == io::ErrorKind::NotFound => last = error,
                Err(error) => return Err(fail(error)),
            }
        }
        Err(fail(last))
    }

    fn try_create(home: &Home, run_id: &RunId, text: &[u8]) -> io::Result<Self> {
        let dir = home.live_dir();
        let (temporary, file) = durable::create_temporary(dir)?;
        let written = rustix::fs::flock(&file, FlockOperation::LockExclusive)
            .map_err(io::Error::from)
            .and_then(|()| durable::write_all(&file, text))
            .and_then(|()| durable::sync_file(&file))
            .and_then(|()| durable::rename_new(dir, &temporary, run_id.as_str()));
        if let Err(error) = written {
            durable::remove_at(dir, &temporary).unwrap_or_default();
            return Err(error);
        }
        durable::sync_dir(dir)?;
        Ok(Self {
            run_id: run_id.clone(),
            _file: file,
        })
    }

    /// Removes the marker, then releases the lock.
    pub(crate) fn finish(self, home: impl AsFd) -> Result<(), LiveError> {
        let dir = home.as_fd();
        let removed = durable::remove_at(dir, self.run_id.as_str()).and_then(|()| durable::sync_dir(dir));
        removed.map_err(|source| LiveError::Remove {
            marker: self.run_id.to_string(),
            source,
        })
    }
}

/// The marker of a run whose process is dead. It is locked by us, so no other process recovers the same run.
#[derive(Debug)]
pub struct LiveMarker {
    run_id: RunId,
    info: Option<MarkerInfo>,
    file: File,
}

impl LiveMarker {
    /// Returns the run.
    pub fn run_id(&self) -> &RunId {
        &self.run_id
    }

    /// Returns the marker's content; `None` when it is empty or unreadable.
    pub fn info(&self) -> Option<&MarkerInfo> {
        self.info.as_ref()
    }

    pub(crate) fn into_lock(self) -> LiveLock {
        LiveLock {
            run_id: self.run_id,
            _file: self.file,
        }
    }
}

/// Returns the markers of runs whose process is dead, each locked by us until it is dropped.
///
/// Costs one directory listing when no run is live. Temporary names that dead processes left are removed.
pub fn unfinished(home: &Home) -> Result<Vec<LiveMarker>, LiveError> {
    let read = |source| LiveError::Read {
        place: home.live().display().to_string(),
        source,
    };
    let mut found = Vec::new();
    for name in durable::names(home.live_dir()).map_err(read)? {
        if name.starts_with(durable::TEMPORARY_PREFIX) {
            sweep(home, &name);
            continue;
        }
        let Ok(run_id) = name.parse::<RunId>() else {
            continue;
        };
        if let Some(marker) = claim(home, &run_id)? {
            found.push(marker);
        }
    }
    found.sort_by(|a, b| a.run_id.cmp(&b.run_id));
    Ok(found)
}

/// Returns the marker of one run if its process is dead and nobody else recovers it.
pub fn unfinished_run(home: &Home, run_id: &RunId) -> Result<Option<LiveMarker>, LiveError> {
    claim(home, run_id)
}

/// True when the run's process lives: its marker exists and is locked by another.
pub fn is_live(home: &Home, run_id: &RunId) -> Result<bool, LiveError> {
    let exists = durable::exists_at(home.live_dir(), run_id.as_str()).map_err(|source| LiveError::Read {
        place: run_id.to_string(),
        source,
    })?;
    Ok(exists && claim(home, run_id)?.is_none())
}

fn claim(home: &Home, run_id: &RunId) -> Result<Option<LiveMarker>, LiveError> {
    let read = |source: io::Error| LiveError::Read {
        place: run_id.to_string(),
        source,
    };
    let file = match durable::open_append_at(home.live_dir(), run_id.as_str()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(read(error)),
    };
    if !lock_linked(&file).map_err(read)? {
        return Ok(None);
    }
    let bytes = durable::read_at(home.live_dir(), run_id.as_str()).map_err(read)?;
    let info = serde_json::from_slice::<MarkerInfo>(&bytes)
        .ok()
        .filter(|info| info.run_id == *run_id);
    Ok(Some(LiveMarker {
        run_id: run_id.clone(),
        info,
        file,
    }))
}

/// Takes a marker's lock; false when another holds it, or when it was finished while we opened it.
fn lock_linked(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(rustix::fs::fstat(file)?.st_nlink > 0),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes a temporary name if nobody holds its lock. A failure is not worth a word: the next command tries again.
fn sweep(home: &Home, name: &str) {
    let Ok(file) = durable::open_append_at(home.live_dir(), name) else {
        return;
    };
    if lock_linked(&file).unwrap_or(false) {
        durable::remove_at(home.live_dir(), name).unwrap_or_default();
    }
}

/// Returns a marker's content for this process.
pub(crate) fn describe(run_id: &RunId, opened: OpenedInfo, boot_id: String, clock: &RunClock) -> MarkerInfo {
    MarkerInfo {
        run_id: run_id.clone(),
        pid: std::process::id(),
        pid_start_ticks: start_ticks().unwrap_or(0),
        boot_id,
        started_at: clock.started_ts(),
        start_boottime_ns: clock.start_boottime_ns().to_string(),
        opened,
    }
}

fn start_ticks() -> Option<u64> {
    start_ticks_of(&std::fs::read("/proc/self/stat").ok()?)
}

/// Reads the start of a process from its `stat`.
pub(crate) fn start_ticks_of(stat: &[u8]) -> Option<u64> {
    // The second field, the program's name in parentheses, may itself hold spaces and parentheses.
    let after = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(&stat[after..]).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(run_id: &RunId) -> MarkerInfo {
        let opened = OpenedInfo {
            case_id: "case".into(),
            backend: "fake".into(),
            harness_version: "0.1.0".into(),
            contract_digest: None,
            ledger_head: None,
            cgroup_prefix: String::new(),
        };
        describe(run_id, opened, "boot".into(), &RunClock::start())
    }

    #[test]
    fn a_live_run_is_not_unfinished_and_a_dead_one_is_claimed_once() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(&place.path().join("home")).unwrap();
        let run_id: RunId = "20261120t090000z-case-aaaaaaaaaa".parse().unwrap();
        let lock = LiveLock::create(&home, &info(&run_id)).unwrap();
        assert!(unfinished(&home).unwrap().is_empty());
        assert!(is_live(&home, &run_id).unwrap());
        drop(lock);
        // A test beside us that is starting a child shares the lock until the child's exec.
        assert!((0..100_000).any(|_| !is_live(&home, &run_id).unwrap()));
        let claimed = unfinished(&home).unwrap();
        assert_eq!(claimed.len(), 1);
        assert_eq!(claimed[0].info().unwrap().pid, std::process::id());
        assert!(claimed[0].info().unwrap().pid_start_ticks > 0);
        assert!(unfinished(&home).unwrap().is_empty(), "claimed twice");
    }

    #[test]
    fn a_marker_is_never_taken_over() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(&place.path().join("home")).unwrap();
        let run_id: RunId = "20261120t090000z-case-aaaaaaaaaa".parse().unwrap();
        let _lock = LiveLock::create(&home, &info(&run_id)).unwrap();
        assert!(matches!(
            LiveLock::create(&home, &info(&run_id)),
            Err(LiveError::Write { .. })
        ));
        assert_eq!(durable::names(home.live_dir()).unwrap(), [run_id.as_str()]);
    }

    #[test]
    fn empty_and_corrupt_markers_are_claimed_without_content() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(&place.path().join("home")).unwrap();
        durable::write_new(home.live_dir(), "a", b"").unwrap();
        durable::write_new(home.live_dir(), "b", b"{\"run_id\":\"a\"}").unwrap();
        durable::write_new(home.live_dir(), ".tmp-1-1", b"left").unwrap();
        let markers = unfinished(&home).unwrap();
        assert_eq!(
            markers.iter().map(|m| m.info().is_none()).collect::<Vec<_>>(),
            [true, true]
        );
        assert_eq!(durable::names(home.live_dir()).unwrap().len(), 2);
    }
}

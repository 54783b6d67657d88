//! What all requests share: the home, the options, the snapshot of now, the sessions and the streams.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use cto_evidence::Home;
use tokio::sync::watch;

use crate::options::PanelOptions;
use crate::session::Sessions;
use crate::snapshot::Snapshot;

/// Most streams at a time; a browser needs one.
const STREAMS: usize = 32;

/// What changed, as numbers that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tick {
    /// Number of the snapshot.
    pub(crate) snapshot: u32,
    /// Grows when a run that is under way wrote something.
    pub(crate) live: u32,
}

/// Why there is no snapshot, and the last one that was good.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    /// Why the newest attempt failed; pages are then refused, and the older snapshot is not shown as current.
    pub(crate) problem: Option<String>,
}

/// The panel.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) home: Home,
    pub(crate) options: PanelOptions,
    pub(crate) port: u16,
    pub(crate) sessions: Sessions,
    pub(crate) ticks: watch::Sender<Tick>,
    shown: RwLock<Shown>,
    streams: AtomicUsize,
}

impl Panel {
    pub(crate) fn new(home: Home, options: PanelOptions, port: u16, sessions: Sessions) -> Self {
        Self {
            home,
            options,
            port,
            sessions,
            ticks: watch::Sender::new(Tick::default()),
            shown: RwLock::default(),
            streams: AtomicUsize::new(0),
        }
    }

    /// Returns the snapshot of now, or why there is none.
    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>, String> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        match (&shown.problem, &shown.snapshot) {
            (Some(problem), _) => Err(problem.clone()),
            (None, Some(snapshot)) => Ok(Arc::clone(snapshot)),
            (None, None) => Err("the first snapshot is still being computed".to_owned()),
        }
    }

    /// Returns the last good snapshot, which may be older than what is on disk.
    pub(crate) fn last(&self) -> Option<Arc<Snapshot>> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        shown.snapshot.clone()
    }

    pub(crate) fn show(&self, snapshot: Result<Snapshot, String>) {
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        match snapshot {
            Ok(snapshot) => {
                let seq = snapshot.summary.snapshot_seq;
                shown.snapshot = Some(Arc::new(snapshot));
                shown.problem = None;
                drop(shown);
                self.ticks.send_if_modified(|tick| {
                    let changed = tick.snapshot != seq;
                    tick.snapshot = seq;
                    changed
                });
            }
            Err(problem) => shown.problem = Some(problem),
        }
    }

    /// Tells that a run under way wrote something.
    pub(crate) fn live_changed(&self) {
        self.ticks.send_modify(|tick| tick.live = tick.live.wrapping_add(1));
    }

    /// Takes the place of one stream; `None` when all are taken.
    pub(crate) fn stream_place(self: &Arc<Self>) -> Option<StreamPlace> {
        let taken = self.streams.fetch_add(1, Ordering::Relaxed);
        let place = StreamPlace(Arc::clone(self));
        (taken < STREAMS).then_some(place)
    }
}

/// The place of one stream; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct StreamPlace(Arc<Panel>);

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

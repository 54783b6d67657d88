//! What every page shows of the installation: prepared by the writer, sealed and kept here as a value.

use std::sync::Arc;

use bytes::Bytes;
use cto_evidence::AllowedSigners;
use cto_schema::{ControlSummary, RunId};
use jiff::Timestamp;

/// What a writer computes from the installation.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The control summary.
    pub summary: ControlSummary,
    /// The rows of the failure matrix, in order.
    pub failures: Vec<RowOfFailures>,
    /// Who may approve; null when nobody is named, or the list cannot be read.
    pub signers: Option<AllowedSigners>,
    /// What each stage needs on record, by name; stages 1 to 6 in order.
    pub needs: Vec<Vec<String>>,
}

/// One row of the failure matrix, as specified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowOfFailures {
    /// Its name.
    pub row: String,
    /// What is different from the accepted run.
    pub trigger: String,
    /// The blocker that it must end with.
    pub blocker: String,
    /// The event at which that is seen.
    pub event: String,
    /// The status that it must end with.
    pub status: String,
    /// What to do about it.
    pub mend: String,
}

/// Computes what is shown. It may be slow: it is asked in a thread of its own, when something changed.
pub trait Writer: Send {
    /// Computes everything anew; the error is one line for people.
    fn prepare(&self, seq: u32) -> Result<Prepared, String>;
}

/// A snapshot: what all pages of one moment agree on.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) summary: ControlSummary,
    /// The summary as it is served.
    pub(crate) body: Bytes,
    pub(crate) etag: String,
    /// Rows of the failure matrix, each with the newest run that ended so.
    pub(crate) failures: Vec<(RowOfFailures, Option<RunId>)>,
    pub(crate) signers: Option<AllowedSigners>,
    pub(crate) needs: Vec<Vec<String>>,
    /// Blocker codes and engines that are on record, for the filter.
    pub(crate) words: (Vec<String>, Vec<String>),
    /// When it was computed.
    pub(crate) made_at: Timestamp,
}

impl Snapshot {
    /// Takes what was prepared. A summary that says the same as the one before keeps its number.
    pub(crate) fn new(
        prepared: Prepared,
        before: Option<&Arc<Self>>,
        failures: Vec<(RowOfFailures, Option<RunId>)>,
        words: (Vec<String>, Vec<String>),
    ) -> Result<Self, String> {
        let mut summary = prepared.summary;
        let same = before.is_some_and(|before| says_the_same(&before.summary, &summary));
        let last = before.map_or(0, |before| before.summary.snapshot_seq);
        summary.snapshot_seq = if same { last } else { last.saturating_add(1) };
        let summary = summary.sealed();
        let json = serde_json::to_string(&summary).map_err(|error| error.to_string())?;
        let body = Bytes::from(cto_schema::inert_json(json));
        // Whatever breaks a rule of the summary is not served, rather than shown as if it held.
        cto_schema::check_summary(&body).map_err(|problems| problems.join("; "))?;
        let digest = summary.snapshot_sha256.map(|digest| digest.hex()).unwrap_or_default();
        let etag = format!(
            "\"seq-{}-{}\"",
            summary.snapshot_seq,
            digest.get(..12).unwrap_or_default()
        );
        Ok(Self {
            summary,
            body,
            etag,
            failures,
            signers: prepared.signers,
            needs: prepared.needs,
            words,
            made_at: cto_evidence::wall_now(),
        })
    }
}

/// Compares what two summaries say, apart from when they say it.
fn says_the_same(a: &ControlSummary, b: &ControlSummary) -> bool {
    let bare = |summary: &ControlSummary| {
        let mut bare = summary.clone();
        bare.snapshot_seq = 0;
        bare.snapshot_sha256 = None;
        bare.generated_at = "".into();
        bare
    };
    bare(a) == bare(b)
}

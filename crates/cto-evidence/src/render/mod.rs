//! What people read: `report.md` and `report.html`, from the report and what stands beside it.
//!
//! Every text of the run is untrusted: it goes through `cto_schema::escape` and then through the quoting of the
//! format, in one place per format.

mod candidate;
mod decision;
mod diff;
mod html;
mod markdown;
mod mend;
mod packet;
mod refresh;
mod rows;
#[cfg(test)]
mod tests;
mod trials;
mod words;

use cto_schema::{Report, Span, Status, TaskContract, WriteSet};

pub use candidate::comparison_markdown;
pub use decision::decision_markdown;
pub use diff::{DiffFile, DiffLine, diff, line_text};
pub use html::html;
pub use markdown::markdown;
pub use mend::mend;
pub use packet::packet_text;
pub use refresh::refresh_markdown;
pub use trials::{DrawError, DrawnMatrix, InspectError, MatrixView, draw_matrix, inspect_log, percent, runs_reference};

/// What a report is drawn from. Neither form shows digests of files that are written after it.
#[derive(Clone, Copy, Debug)]
pub struct ReportView<'a> {
    /// The report; its own digests may still be missing.
    pub report: &'a Report,
    /// The contract, when it could be read.
    pub contract: Option<&'a TaskContract>,
    /// The write set, when one was collected.
    pub write_set: Option<&'a WriteSet>,
    /// The harness's own actions.
    pub spans: &'a [Span],
    /// `patch.diff`.
    pub patch: &'a [u8],
    /// `test.log`.
    pub test_log: &'a [u8],
}

/// Returns the text that ends the first heading of every report; a check holds reports to it.
pub(crate) fn verdict_line(status: Status) -> &'static str {
    match status {
        Status::Pass => "Verdict: PASS",
        Status::Fail => "Verdict: FAIL",
        Status::Blocked => "Verdict: BLOCKED",
    }
}

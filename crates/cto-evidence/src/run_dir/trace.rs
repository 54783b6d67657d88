//! Writer of `trace.jsonl`: what the harness itself did, as spans.

use std::io;
use std::os::fd::AsFd;

use cto_schema::{Sha256Digest, Span};

use crate::run_dir::lines::LineFile;

/// Name of the trace in a run directory.
pub(crate) const TRACE: &str = "trace.jsonl";

/// Appends spans. They reach the kernel at once, so a killed harness loses none, and the disk at the close.
#[derive(Debug)]
pub(crate) struct TraceWriter {
    lines: LineFile,
}

impl TraceWriter {
    pub(crate) fn create(dir: impl AsFd) -> io::Result<Self> {
        Ok(Self {
            lines: LineFile::create(dir, TRACE)?,
        })
    }

    pub(crate) fn resume(lines: LineFile) -> Self {
        Self { lines }
    }

    pub(crate) fn append(&mut self, span: &Span) -> io::Result<()> {
        self.lines
            .append(cto_schema::inert_json(serde_json::to_string(span)?).as_bytes(), false)
    }

    pub(crate) fn close(&mut self) -> io::Result<Sha256Digest> {
        self.lines.close()
    }
}

/// Returns the length of the longest prefix of whole lines that are spans.
pub(crate) fn whole_spans(bytes: &[u8]) -> usize {
    let mut len = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(text) = line.strip_suffix(b"\n") else {
            break;
        };
        if serde_json::from_slice::<Span>(text).is_err() {
            break;
        }
        len += line.len();
    }
    len
}

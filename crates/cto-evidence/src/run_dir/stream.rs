//! An artifact that is written while it happens: the start and the end are kept, the middle is cut when it is long.

use std::collections::VecDeque;
use std::fs::File;
use std::io;

use crate::durable;

/// The most that is held in memory for the end of a stream.
const TAIL_MAX_BYTES: u64 = 1024 * 1024;

/// What became of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSummary {
    /// Digest of the artifact's bytes.
    pub digest: cto_schema::Sha256Digest,
    /// Bytes that the source produced.
    pub bytes_seen: u64,
    /// Bytes cut from the middle; the artifact says so at the place.
    pub bytes_cut: u64,
    /// Secrets that were replaced.
    pub secrets: Vec<cto_schema::SecretFinding>,
}

/// Appends to one artifact from any thread, up to a cap. Handed back to
/// [`RunDir::close_stream`](crate::RunDir::close_stream) at the end.
///
/// The head reaches the kernel with each write; the tail, at most 1 MiB, stays in memory until the close and is
/// lost when the harness is killed.
#[derive(Debug)]
pub struct StreamWriter {
    pub(crate) name: String,
    pub(crate) file: File,
    head_cap: u64,
    tail_cap: usize,
    head_len: u64,
    tail: VecDeque<u8>,
    seen: u64,
    failed: Option<io::Error>,
}

impl StreamWriter {
    pub(crate) fn new(name: &str, file: File, cap_bytes: u64) -> Self {
        let tail_cap = (cap_bytes / 2).min(TAIL_MAX_BYTES);
        Self {
            name: name.to_owned(),
            file,
            head_cap: cap_bytes - tail_cap,
            tail_cap: usize::try_from(tail_cap).unwrap_or(0),
            head_len: 0,
            tail: VecDeque::new(),
            seen: 0,
            failed: None,
        }
    }

    /// Returns the artifact's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how many bytes the source produced so far.
    pub fn bytes_seen(&self) -> u64 {
        self.seen
    }

    /// Appends bytes. After the first failure nothing more is written, each call fails, and so does the close; the
    /// source can still be drained.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.seen += as_u64(bytes.len());
        if let Some(error) = &self.failed {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        let room = usize::try_from(self.head_cap - self.head_len)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let (head, rest) = bytes.split_at(room);
        if !head.is_empty() {
            self.append(head)?;
            self.head_len += as_u64(head.len());
        }
        let rest = &rest[rest.len().saturating_sub(self.tail_cap)..];
        let over = (self.tail.len() + rest.len()).saturating_sub(self.tail_cap);
        self.tail.drain(..over);
        self.tail.extend(rest);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = durable::write_all(&self.file, bytes) {
            self.failed = Some(io::Error::new(error.kind(), error.to_string()));
            return Err(error);
        }
        Ok(())
    }

    /// Writes the tail and returns bytes seen and bytes cut.
    pub(crate) fn finish(&mut self) -> io::Result<(u64, u64)> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let cut = self.seen - self.head_len - as_u64(self.tail.len());
        if cut > 0 {
            self.append(format!("\n[cto: {cut} bytes cut here]\n").as_bytes())?;
        }
        let tail = std::mem::take(&mut self.tail);
        if !tail.is_empty() {
            self.append(&Vec::from(tail))?;
        }
        durable::sync_file(&self.file)?;
        Ok((self.seen, cut))
    }
}

fn as_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

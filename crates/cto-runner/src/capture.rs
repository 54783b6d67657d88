//! Output of a cage: bytes as they came, bounded, keeping the head and the tail.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;

/// Bytes of one output: the first half of the cap as they came, and the last half.
#[derive(Debug)]
pub(crate) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half: usize,
    total: u64,
    open: bool,
}

impl Capture {
    /// Makes an empty capture that keeps at most `cap` bytes.
    pub(crate) fn new(cap: u64) -> Self {
        let half = usize::try_from(cap / 2).unwrap_or(usize::MAX).max(1);
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            half,
            total: 0,
            open: true,
        }
    }

    /// Reads what a non-blocking descriptor has now; returns how many bytes came.
    pub(crate) fn read(&mut self, from: impl AsFd) -> u64 {
        let mut buffer = [0u8; 65536];
        let before = self.total;
        while self.open {
            match rustix::io::read(&from, &mut buffer[..]) {
                Ok(0) => self.open = false,
                Ok(count) => self.push(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A pipe that cannot be read has nothing more to say.
                Err(_) => self.open = false,
            }
            // One reader must not starve the deadlines.
            if self.total - before > 4 << 20 {
                break;
            }
        }
        self.total - before
    }

    fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = self.half.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        let rest = &bytes[room..];
        let rest = &rest[rest.len().saturating_sub(self.half)..];
        let overflow = (self.tail.len() + rest.len()).saturating_sub(self.half);
        self.tail.drain(..overflow);
        self.tail.extend(rest);
    }

    /// Returns whether the writing side is still open.
    pub(crate) fn open(&self) -> bool {
        self.open
    }

    /// Returns how many bytes came in all.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Returns the kept bytes; where some are missing, a line says how many.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let kept = (self.head.len() + self.tail.len()) as u64;
        let mut bytes = self.head.clone();
        if self.total > kept {
            let note = format!("\n[cto: {} bytes of output were not kept here]\n", self.total - kept);
            bytes.extend_from_slice(note.as_bytes());
        }
        bytes.extend(self.tail.iter());
        bytes
    }

    /// Returns the last line that has any text, for progress.
    pub(crate) fn last_line(&self) -> Option<String> {
        let recent: Vec<u8> = if self.tail.is_empty() {
            self.head[self.head.len().saturating_sub(400)..].to_vec()
        } else {
            self.tail.iter().rev().take(400).rev().copied().collect()
        };
        let line = recent
            .split(|b| *b == b'\n')
            .rfind(|line| !line.trim_ascii().is_empty())?;
        Some(cto_schema::escape(line, 120))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_head_and_tail_and_says_what_is_missing() {
        let mut capture = Capture::new(8);
        capture.push(b"abcdefghij");
        capture.push(b"KLMN");
        let text = String::from_utf8(capture.bytes()).unwrap();
        assert!(
            text.starts_with("abcd") && text.ends_with("KLMN") && text.contains("6 bytes"),
            "{text}"
        );
        assert_eq!(capture.total(), 14);
    }

    #[test]
    fn short_output_is_kept_whole() {
        let mut capture = Capture::new(100);
        capture.push(b"one\ntwo\n\n");
        assert_eq!(capture.bytes(), b"one\ntwo\n\n");
        assert_eq!(capture.last_line().as_deref(), Some("two"));
    }
}

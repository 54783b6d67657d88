//! Taking files into a bundle: one pass over the bytes that digests, bounds and, where checks need it, keeps them.

use std::collections::BTreeMap;
use std::io::{self, Read};

use cto_schema::{Sha256Digest, escape};
use sha2::{Digest as _, Sha256};

use super::{BundleError, BundleFile, ReadLimits, name_problem};
use crate::bundle::unpack::Unpacking;
use crate::durable;
use crate::verify::PatchScan;

/// Collects files within limits.
#[derive(Debug)]
pub(crate) struct Taker {
    path: String,
    limits: ReadLimits,
    files: BTreeMap<String, BundleFile>,
    problems: Vec<String>,
    total_bytes: u64,
    kept_bytes: u64,
    seen: usize,
    buffer: Vec<u8>,
    unpacking: Option<Unpacking>,
}

const CHUNK_BYTES: usize = 256 * 1024;

impl Taker {
    pub(crate) fn new(path: String, limits: ReadLimits) -> Self {
        Self {
            path,
            limits,
            files: BTreeMap::new(),
            problems: Vec::new(),
            total_bytes: 0,
            kept_bytes: 0,
            seen: 0,
            buffer: vec![0; CHUNK_BYTES],
            unpacking: None,
        }
    }

    /// Also writes every file that is taken.
    pub(crate) fn unpacking(self, unpacking: Unpacking) -> Self {
        Self {
            unpacking: Some(unpacking),
            ..self
        }
    }

    /// Makes the names of what was written durable.
    pub(crate) fn settle(&self) -> Result<(), BundleError> {
        let settled = self.unpacking.as_ref().map_or(Ok(()), Unpacking::settle);
        settled.map_err(|source| self.write_error(source))
    }

    fn write_error(&self, source: io::Error) -> BundleError {
        BundleError::Write {
            path: self.path.clone(),
            source,
        }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn limits(&self) -> ReadLimits {
        self.limits
    }

    pub(crate) fn finish(self) -> (BTreeMap<String, BundleFile>, Vec<String>) {
        (self.files, self.problems)
    }

    /// Counts one entry of any kind, so that a flood of odd ones ends as well.
    pub(crate) fn count(&mut self) -> Result<(), BundleError> {
        self.seen += 1;
        if self.seen > self.limits.files {
            return Err(self.too_large(format!("more than {} entries", self.limits.files)));
        }
        Ok(())
    }

    pub(crate) fn problem(&mut self, name: &[u8], what: &str) {
        self.problems.push(format!("'{}' {what}", escape(name, 200)));
    }

    pub(crate) fn read_error(&self, source: &io::Error) -> BundleError {
        // The text may quote an archive's names.
        let text = escape(source.to_string().as_bytes(), 300);
        let source = io::Error::new(source.kind(), text);
        BundleError::Read {
            path: self.path.clone(),
            source,
        }
    }

    pub(crate) fn too_large(&self, what: String) -> BundleError {
        BundleError::TooLarge {
            path: self.path.clone(),
            what,
        }
    }

    /// Takes one regular file. A name that may not stand in a bundle is a problem, not a file.
    pub(crate) fn take(&mut self, name: &[u8], size_bytes: u64, reader: &mut dyn Read) -> Result<(), BundleError> {
        if let Some(what) = name_problem(name) {
            self.problem(name, what);
            return Ok(());
        }
        let name = String::from_utf8_lossy(name).into_owned();
        if self.files.contains_key(&name) {
            self.problem(name.as_bytes(), "is there twice");
            return Ok(());
        }
        let keep = self.keep(&name, size_bytes)?;
        let file = self.digest(&name, keep, reader)?;
        self.files.insert(name, file);
        Ok(())
    }

    /// Decides how many bytes are kept, and refuses sizes over a limit before reading.
    fn keep(&mut self, name: &str, size_bytes: u64) -> Result<u64, BundleError> {
        let limits = self.limits;
        if size_bytes > limits.file_bytes {
            let what = format!("{name} has {size_bytes} bytes, {} are allowed", limits.file_bytes);
            return Err(self.too_large(what));
        }
        let content = matches!(name, "patch.diff" | "test.log");
        if content {
            return Ok(if limits.keep_content { limits.document_bytes } else { 0 });
        }
        let base = name.strip_prefix("approval/").unwrap_or(name);
        let document = !base.contains('/')
            && (name == "SHA256SUMS"
                || [".json", ".jsonl", ".md", ".html", ".json.sig"]
                    .iter()
                    .any(|end| base.ends_with(end)));
        if !document {
            return Ok(0);
        }
        if size_bytes > limits.document_bytes {
            let what = format!(
                "{name} has {size_bytes} bytes, a document may have {}",
                limits.document_bytes
            );
            return Err(self.too_large(what));
        }
        self.kept_bytes += size_bytes;
        if self.kept_bytes > limits.memory_bytes {
            let what = format!("its documents have more than {} bytes", limits.memory_bytes);
            return Err(self.too_large(what));
        }
        Ok(limits.document_bytes)
    }

    fn digest(&mut self, name: &str, keep: u64, reader: &mut dyn Read) -> Result<BundleFile, BundleError> {
        let mut hasher = Sha256::new();
        let mut kept = Vec::new();
        let mut patch = (name == "patch.diff").then(Box::<PatchScan>::default);
        let mut size_bytes = 0_u64;
        let unpacked = self
            .unpacking
            .as_ref()
            .map(|unpacking| unpacking.file(name))
            .transpose();
        let unpacked = unpacked.map_err(|source| self.write_error(source))?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => break Err(self.read_error(&error)),
            };
            let chunk = &buffer[..read];
            size_bytes += read as u64;
            // A file that grows while it is read must not outgrow its limits either.
            if size_bytes > self.limits.file_bytes || self.total_bytes + size_bytes > self.limits.total_bytes {
                let what = format!("its files have more than {} bytes", self.limits.total_bytes);
                break Err(self.too_large(what));
            }
            hasher.update(chunk);
            if let Some(Err(source)) = unpacked.as_ref().map(|file| durable::write_all(file, chunk)) {
                break Err(self.write_error(source));
            }
            if let Some(patch) = &mut patch {
                patch.feed(chunk);
            }
            let room = usize::try_from(keep).unwrap_or(usize::MAX).saturating_sub(kept.len());
            kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        };
        self.buffer = buffer;
        result?;
        if let Some(file) = &unpacked {
            durable::sync_file(file).map_err(|source| self.write_error(source))?;
        }
        self.total_bytes += size_bytes;
        if let Some(patch) = &mut patch {
            patch.finish();
        }
        Ok(BundleFile {
            size_bytes,
            digest: Sha256Digest::from_bytes(hasher.finalize().into()),
            bytes: (keep > 0).then_some(kept),
            patch,
        })
    }
}

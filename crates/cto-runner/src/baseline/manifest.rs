//! The list of what a baseline holds: one line per entry, digested as a whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use cto_schema::{EntryKind, EntryState, Sha256Digest};
use sha2::Digest as _;

use crate::tool::quote_path;

/// The list while it is written.
pub(super) struct Manifest {
    out: BufWriter<File>,
    hasher: sha2::Sha256,
    bytes: u64,
}

impl Manifest {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            out: BufWriter::new(File::create_new(path)?),
            hasher: sha2::Sha256::new(),
            bytes: 0,
        })
    }

    /// Adds `<mode> <sha256> <size> "<path>"`.
    pub(super) fn add(&mut self, mode: &str, digest: Sha256Digest, size: u64, path: &[u8]) -> io::Result<()> {
        let mut line = format!("{mode} {} {size} ", digest.hex()).into_bytes();
        line.extend(quote_path(path));
        line.push(b'\n');
        self.hasher.update(&line);
        self.bytes += size;
        self.out.write_all(&line)
    }

    /// Returns the digest of the list and the sum of the sizes.
    pub(super) fn finish(mut self) -> io::Result<(Sha256Digest, u64)> {
        self.out.flush()?;
        Ok((Sha256Digest::from_bytes(self.hasher.finalize().into()), self.bytes))
    }
}

/// Reads a list whose digest is known; `None` when it is another or damaged. Submodule links have no state.
pub(super) fn parse(bytes: &[u8], digest: Sha256Digest) -> Option<BTreeMap<Vec<u8>, Option<EntryState>>> {
    if Sha256Digest::of(bytes) != digest {
        return None;
    }
    bytes
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(parse_line)
        .collect()
}

fn parse_line(line: &[u8]) -> Option<(Vec<u8>, Option<EntryState>)> {
    let mut words = line.splitn(4, |&byte| byte == b' ');
    let mut word = || std::str::from_utf8(words.next()?).ok();
    let kind = match word()? {
        "100644" => Some(EntryKind::File),
        "100755" => Some(EntryKind::Executable),
        "120000" => Some(EntryKind::Symlink),
        "160000" => None,
        _ => return None,
    };
    let digest = Sha256Digest::from_hex(word()?)?;
    let size_bytes = word()?.parse().ok()?;
    let path = unquote(words.next()?)?;
    Some((
        path,
        kind.map(|kind| EntryState {
            kind,
            digest,
            size_bytes,
        }),
    ))
}

/// The reverse of [`quote_path`].
fn unquote(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?.iter();
    let mut out = Vec::with_capacity(text.len());
    while let Some(&byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match *bytes.next()? {
            escaped @ (b'"' | b'\\') => out.push(escaped),
            first @ b'0'..=b'3' => {
                let (second, third) = (bytes.next()?, bytes.next()?);
                out.push((first - b'0') << 6 | (second.wrapping_sub(b'0') & 7) << 3 | (third.wrapping_sub(b'0') & 7));
            }
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_path_comes_back_and_a_changed_list_is_refused() {
        let path: Vec<u8> = (1..=255).collect();
        assert_eq!(unquote(&quote_path(&path)).unwrap(), path);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("manifest");
        let mut manifest = Manifest::create(&file).unwrap();
        manifest.add("100755", Sha256Digest::of(b"x"), 1, &path).unwrap();
        manifest.add("160000", Sha256Digest::of(b""), 0, b"link").unwrap();
        let (digest, bytes) = manifest.finish().unwrap();
        let mut text = std::fs::read(&file).unwrap();
        let read = parse(&text, digest).unwrap();
        assert_eq!((bytes, read.len(), &read[&b"link"[..]]), (1, 2, &None));
        assert_eq!(read[&path].as_ref().unwrap().kind, EntryKind::Executable);
        text[0] = b'2';
        assert!(parse(&text, digest).is_none());
    }
}

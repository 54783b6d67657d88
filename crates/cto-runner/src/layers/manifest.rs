//! The manifest of a layer: one line for each entry, sorted; its digest is the layer's name.
//!
//! ```text
//! cto-layer 1
//! d 755 - - bin
//! f 644 12 <sha256 hex> lib/a.py
//! l - - - bin/python python3
//! ```
//! Words are separated by one space: kind, mode, size, SHA-256, path and a link's target. In the last two every byte
//! outside `!` to `~`, and `%`, is written `%XX`. Modes are only what git keeps, so that an umask changes no digest.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use cto_schema::Sha256Digest;
use sha2::Digest as _;

use super::LayerError;

/// A manifest and the sums that are shown of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Manifest {
    pub(super) text: String,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Manifest {
    /// Returns the name of the layer.
    pub(super) fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(self.text.as_bytes())
    }

    /// Reads a whole tree, hashing every file.
    pub(super) fn of(root: &Path) -> Result<Self, LayerError> {
        let mut lines: Vec<(Vec<u8>, String)> = Vec::new();
        let mut sums = Self::default();
        let mut pending = vec![root.to_owned()];
        while let Some(directory) = pending.pop() {
            let entries = fs::read_dir(&directory).map_err(|error| LayerError::file("list", &directory, error))?;
            for entry in entries {
                let path = entry
                    .map_err(|error| LayerError::file("list", &directory, error))?
                    .path();
                let metadata = fs::symlink_metadata(&path).map_err(|error| LayerError::file("read", &path, error))?;
                let relative = path
                    .strip_prefix(root)
                    .map(|path| path.as_os_str().as_bytes().to_vec())
                    .unwrap_or_default();
                let name = encoded(&relative);
                let line = if metadata.is_dir() {
                    pending.push(path);
                    format!("d 755 - - {name}")
                } else if metadata.is_symlink() {
                    let target = fs::read_link(&path).map_err(|error| LayerError::file("read", &path, error))?;
                    format!("l - - - {name} {}", encoded(target.as_os_str().as_bytes()))
                } else if metadata.is_file() {
                    let (size, digest) = hash(&path)?;
                    sums.files += 1;
                    sums.bytes += size;
                    format!("f {:o} {size} {} {name}", plain_mode(metadata.mode()), digest.hex())
                } else {
                    return Err(special(&path));
                };
                lines.push((relative, line));
            }
        }
        lines.sort();
        sums.text = "cto-layer 1\n".to_owned();
        for (_, line) in lines {
            sums.text.push_str(&line);
            sums.text.push('\n');
        }
        Ok(sums)
    }
}

/// Returns the mode that git would keep.
pub(super) fn plain_mode(mode: u32) -> u32 {
    if mode & 0o111 == 0 { 0o644 } else { 0o755 }
}

/// Refuses what is neither file, directory nor link.
pub(super) fn special(path: &Path) -> LayerError {
    let problem = "it is a device, socket or named pipe; remove it from the directory".to_owned();
    LayerError::Entry {
        path: super::shown(path),
        problem,
    }
}

fn hash(path: &Path) -> Result<(u64, Sha256Digest), LayerError> {
    let fail = |error| LayerError::file("read", path, error);
    let mut file = fs::File::open(path).map_err(fail)?;
    let mut hasher = sha2::Sha256::new();
    let size = std::io::copy(&mut file, &mut hasher).map_err(fail)?;
    Ok((size, Sha256Digest::from_bytes(hasher.finalize().into())))
}

fn encoded(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_graphic() && *byte != b'%' {
            out.push(char::from(*byte));
        } else {
            out.push('%');
            out.push_str(&data_encoding::HEXUPPER.encode(&[*byte]));
        }
    }
    out
}

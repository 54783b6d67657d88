//! What the targets share: a place in memory, and the bundle that `fuzz/run` made.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use cto_schema::{StrictLimits, parse_strict};

/// Largest document that the targets read.
pub const LIMITS: StrictLimits = StrictLimits { bytes: 1 << 20 };

/// Returns a directory in memory that goes away with the process, unless that is killed.
pub fn scratch() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let root = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    tempfile::Builder::new()
        .prefix("cto-fuzz-")
        .tempdir_in(root)
        .unwrap()
        .keep()
}

/// Returns the installation that holds one sealed run.
pub fn made_home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("home")
}

/// Returns the bundle of that run.
pub fn made_bundle() -> PathBuf {
    let mut runs = fs::read_dir(made_home().join("runs")).expect("no bundle; start the target with: bash fuzz/run");
    runs.next().unwrap().unwrap().path()
}

/// Copies files and directories, nothing else.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// What can be read strictly must be written so that it reads as the same again.
pub fn round_trip<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<T> {
    let read: T = parse_strict(bytes, LIMITS).ok()?;
    let written = serde_json::to_vec(&read).unwrap();
    let again: T = parse_strict(&written, StrictLimits { bytes: usize::MAX }).expect("written, and not readable");
    assert_eq!(read, again);
    Some(read)
}

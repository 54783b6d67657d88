//! The provider that has the bubblewrap program build the view.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::{Build, Provider};
use crate::error::JailError;

/// Never `PATH`: a repository could bring its own.
const PLACES: [&str; 2] = ["/usr/bin/bwrap", "/usr/local/bin/bwrap"];

/// Needs bubblewrap 0.8 or newer.
#[derive(Debug)]
pub(crate) struct Bwrap;

impl Provider for Bwrap {
    fn name(&self) -> &'static str {
        "bwrap"
    }

    fn promises(&self) -> &'static [&'static str] {
        super::VIEW
    }

    fn build(&self) -> Result<Build, JailError> {
        let Some((program, version)) = find() else {
            return Err(JailError::Missing {
                what: "the bubblewrap program",
                mend: "install bubblewrap 0.8 or newer in /usr/bin",
            });
        };
        Ok(Build::Bubblewrap { program, version })
    }
}

/// Finds the program and its version, once per process.
pub(crate) fn find() -> Option<(PathBuf, String)> {
    static FOUND: OnceLock<Option<(PathBuf, String)>> = OnceLock::new();
    FOUND.get_or_init(search).clone()
}

#[expect(clippy::disallowed_methods, reason = "children start in this crate")]
fn search() -> Option<(PathBuf, String)> {
    let program = PLACES.iter().map(PathBuf::from).find(|place| place.is_file())?;
    let output = std::process::Command::new(&program)
        .arg("--version")
        .env_clear()
        .current_dir("/")
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let version = text.strip_prefix("bubblewrap ").unwrap_or(&text).to_owned();
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let recent = (numbers.next(), numbers.next()) >= (Some(0), Some(8));
    recent.then_some((program, version))
}

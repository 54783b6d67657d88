//! The real test runners of this machine, for tests whose subject they are.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Runs a command in a directory with a clean environment, to its end.
///
/// # Panics
///
/// When the program is not on this machine: `scripts/test` installs every one, so its absence must not pass for a proof.
#[expect(
    clippy::disallowed_methods,
    reason = "the real runner is the subject; no harness code is involved"
)]
pub(crate) fn run(directory: &Path, argv: &[String]) -> Output {
    let own_cargo = PathBuf::from(env!("CARGO"));
    let places = [
        own_cargo.parent().unwrap(),
        Path::new("/usr/local/bin"),
        Path::new("/usr/bin"),
        Path::new("/bin"),
        Path::new("/usr/local/go/bin"),
    ];
    let program = places
        .iter()
        .map(|place| place.join(&argv[0]))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{} is not in {places:?}; scripts/test installs it", argv[0]));
    Command::new(program)
        .args(&argv[1..])
        .current_dir(directory)
        .env_clear()
        .env("PATH", places.map(|place| place.to_str().unwrap()).join(":"))
        .env("HOME", directory)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

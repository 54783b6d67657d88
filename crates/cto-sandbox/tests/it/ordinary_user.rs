//! The whole suite again without root: the way most people run it.

use std::process::Command;

use crate::world::is_root;

/// Far from any real account of the machine.
const UID: &str = "54321";

#[test]
fn the_suite_passes_for_an_ordinary_user() {
    if !is_root() {
        // This is the inner run, or the developer is that user.
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(home.path(), Some(54321), Some(54321)).unwrap();
    let output = Command::new("/usr/bin/setpriv")
        .args(["--reuid", UID, "--regid", UID, "--clear-groups", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--test-threads", "2"])
        .env("TMPDIR", home.path())
        .env("CTO_TEST_LACKS", "root")
        .env_remove("CTO_TEST_UNPROVED")
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

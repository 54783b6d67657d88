//! Tools that we did not write agree, by the very commands that `report.md` prints.

use std::path::Path;
use std::process::Command;

use ed25519_dalek::pkcs8::EncodePublicKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;

use super::fixture::{World, key};

/// Returns the indented code blocks below "How to check it yourself".
fn scripts(report: &str) -> Vec<String> {
    let section = report
        .split("## How to check it yourself")
        .nth(1)
        .unwrap()
        .split("\n## ")
        .next()
        .unwrap();
    let mut scripts = vec![String::new()];
    for line in section.lines() {
        match line.strip_prefix("    ") {
            Some(code) => scripts.last_mut().unwrap().extend([code, "\n"]),
            None if line.is_empty() => {}
            None => scripts.push(String::new()),
        }
    }
    scripts.retain(|script| !script.is_empty());
    scripts
}

fn shell(script: &str, dir: &Path) -> (bool, String) {
    let output = Command::new("sh")
        .args(["-ec", script])
        .current_dir(dir)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn sha256sum_and_openssl_agree_by_the_printed_commands() {
    let made = World::accepted().make();
    let root = made.path.parent().unwrap();
    let pem = key().verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
    std::fs::write(root.join("KEY.pem"), pem).unwrap();
    let report = std::fs::read_to_string(made.path.join("report.md")).unwrap();
    let scripts = scripts(&report);
    assert_eq!(scripts.len(), 3, "{scripts:#?}");
    assert!(scripts[0].starts_with("cto verify --key KEY.pem "));
    for script in &scripts[1..] {
        let (ok, text) = shell(script, root);
        assert!(ok, "{script}\n{text}");
    }
    let (_, text) = shell(&scripts[2], root);
    assert!(
        text.contains("Signature Verified Successfully") && text.contains("SHA256SUMS: OK"),
        "{text}"
    );
    // The same commands refuse a changed file, a changed manifest and another key.
    let sums = made.path.join("SHA256SUMS");
    let original = std::fs::read(&sums).unwrap();
    std::fs::write(made.path.join("patch.diff"), "other").unwrap();
    assert!(!shell(&scripts[1], root).0);
    std::fs::write(&sums, [&original[..], b" "].concat()).unwrap();
    assert!(!shell(&scripts[2], root).0);
    std::fs::write(&sums, &original).unwrap();
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[9; 32]).verifying_key();
    std::fs::write(
        root.join("KEY.pem"),
        stranger.to_public_key_pem(LineEnding::LF).unwrap(),
    )
    .unwrap();
    assert!(!shell(&scripts[2], root).0);
}

#[test]
fn git_apply_reads_the_patch_as_the_checks_do() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("src")).unwrap();
    std::fs::write(root.path().join("notes.md"), "old\n").unwrap();
    std::fs::write(root.path().join("src/slug.py"), "def slug(s):\n    return s\n").unwrap();
    std::fs::write(root.path().join("p"), super::fixture::PATCH).unwrap();
    let (ok, text) = shell("git init -q . && git apply --whitespace=nowarn p", root.path());
    assert!(ok, "{text}");
    assert_eq!(
        std::fs::read(root.path().join("src/new.py")).unwrap(),
        b"print('new')\nx = 1"
    );
}

#[test]
fn gnu_tar_and_zstd_unpack_what_export_makes() {
    let made = World::accepted().make();
    let root = tempfile::tempdir().unwrap();
    crate::export::export(&made.path, &root.path().join("b.tar.zst"), false).unwrap();
    let (ok, text) = shell(
        "zstd -dc b.tar.zst | tar -xf - && cd 2026* && sha256sum -c SHA256SUMS",
        root.path(),
    );
    assert!(ok, "{text}");
}

//! Bundles against tools that we did not write, and against whoever edits them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Installation, snapshot, write};

fn accepted(installation: &Installation) -> (String, std::path::PathBuf) {
    let (exit, report) = installation.json(&["run", "r1-string-slugify"]);
    assert_eq!(exit, 0);
    (
        report["run_id"].as_str().unwrap().to_owned(),
        installation.bundle(&report),
    )
}

fn public_key(installation: &Installation) -> std::path::PathBuf {
    let output = installation.cto(&["key", "show"]);
    let path = installation.dir.path().join("key.pem");
    write(&path, &output.stdout);
    path
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn sha256sum_and_openssl_accept_the_bundle() {
    let installation = Installation::new();
    let (_, bundle) = accepted(&installation);
    let sums = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(&bundle)
        .output();
    assert!(sums.unwrap().status.success());
    let key = public_key(&installation);
    let script = r#"
import base64, json, sys
envelope = json.load(open(sys.argv[1]))
kind, payload = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
open(sys.argv[2] + "/signed", "wb").write(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
open(sys.argv[2] + "/signature", "wb").write(base64.b64decode(envelope["signatures"][0]["sig"]))
"#;
    let work = installation.dir.path();
    let python = Command::new("python3")
        .args(["-c", script])
        .arg(bundle.join("attestation.dsse.json"))
        .arg(work)
        .status();
    assert!(python.unwrap().success());
    let openssl = |signed: &str| {
        Command::new("openssl")
            .args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"])
            .arg(&key)
            .arg("-in")
            .arg(work.join(signed))
            .arg("-sigfile")
            .arg(work.join("signature"))
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(openssl("signed"));
    let mut changed = fs::read(work.join("signed")).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    write(&work.join("changed"), &changed);
    assert!(!openssl("changed"));
}

#[test]
fn securesystemslib_and_in_toto_attestation_accept_the_bundle() {
    let Some(python) = std::env::var_os("CTO_TEST_VERIFIERS") else {
        panic!("CTO_TEST_VERIFIERS names no Python with securesystemslib and in-toto-attestation: run scripts/test");
    };
    let installation = Installation::new();
    let (_, bundle) = accepted(&installation);
    let key = public_key(&installation);
    let script = r#"
import json, sys
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
from in_toto_attestation.v1.statement import Statement
from google.protobuf.json_format import Parse
from in_toto_attestation.v1 import statement_pb2

data = json.load(open(sys.argv[1]))
key = SSlibKey.from_crypto(load_pem_public_key(open(sys.argv[2], "rb").read()), keyid=data["signatures"][0]["keyid"])
envelope = Envelope.from_dict(data)
envelope.verify([key], 1)
message = Parse(envelope.payload, statement_pb2.Statement())
statement = Statement.copy_from_pb(message)
statement.validate()
assert [s.name for s in message.subject] == ["SHA256SUMS"]
data["payload"] = data["payload"][:-8] + "AAAAAAA="
try:
    Envelope.from_dict(data).verify([key], 1)
except Exception:
    print("verified")
else:
    raise SystemExit("a changed payload was accepted")
"#;
    let output = Command::new(python)
        .args(["-c", script])
        .arg(bundle.join("attestation.dsse.json"))
        .arg(&key)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && output.stdout == b"verified\n", "{text}");
}

#[test]
fn one_changed_byte_anywhere_is_refused() {
    let installation = Installation::new();
    let (id, bundle) = accepted(&installation);
    for (path, bytes) in snapshot(&bundle).into_iter().filter(|(path, _)| path.is_file()) {
        let positions = if bytes.is_empty() {
            vec![]
        } else {
            vec![0, bytes.len() / 2, bytes.len() - 1]
        };
        for at in positions {
            let mut changed = bytes.clone();
            changed[at] ^= 0x01;
            write(&path, &changed);
            let (exit, result) = installation.json(&["verify", &id]);
            assert_eq!(exit, 5, "{} byte {at}: {result:#}", path.display());
        }
        if bytes.is_empty() {
            write(&path, b"x");
            assert_eq!(installation.json(&["verify", &id]).0, 5, "{}", path.display());
        }
        write(&path, &bytes);
    }
    assert_eq!(installation.json(&["verify", &id]).0, 0, "put back, it verifies again");
}

#[test]
fn a_stranger_verifies_a_copy_or_an_export_with_the_key_alone() {
    let installation = Installation::new();
    let (id, bundle) = accepted(&installation);
    let key = public_key(&installation);
    let stranger = Installation::new();
    let elsewhere = stranger.dir.path().join(&id);
    copy(&bundle, &elsewhere);
    let key = key.to_str().unwrap();
    let (exit, result) = stranger.json(&["verify", elsewhere.to_str().unwrap(), "--key", key]);
    assert_eq!(exit, 0, "{result:#}");
    let (exit, _) = stranger.json(&["verify", elsewhere.to_str().unwrap()]);
    assert_eq!(exit, 5, "an unknown key proves nothing");
    assert!(
        stranger
            .cto(&["key", "trust", key, "--name", "colleague"])
            .status
            .success()
    );
    assert_eq!(stranger.json(&["verify", elsewhere.to_str().unwrap()]).0, 0);

    let file = stranger.dir.path().join("run.tar.zst");
    let again = stranger.dir.path().join("again.tar.zst");
    for target in [&file, &again] {
        assert!(
            installation
                .cto(&["export", "last", "--output", target.to_str().unwrap()])
                .status
                .success()
        );
    }
    assert_eq!(
        fs::read(&file).unwrap(),
        fs::read(&again).unwrap(),
        "an export is reproducible"
    );
    assert!(
        !installation
            .cto(&["export", "last", "--output", file.to_str().unwrap()])
            .status
            .success()
    );
    assert_eq!(stranger.json(&["verify", file.to_str().unwrap(), "--key", key]).0, 0);
    let mut cut = fs::read(&file).unwrap();
    cut.truncate(cut.len() - 20);
    write(&file, &cut);
    assert_eq!(stranger.json(&["verify", file.to_str().unwrap(), "--key", key]).0, 5);
}

#[test]
fn another_runs_files_and_another_name_are_refused() {
    let installation = Installation::new();
    let (first, one) = accepted(&installation);
    let (_, two) = accepted(&installation);
    for name in [
        "report.json",
        "journal.jsonl",
        "attestation.dsse.json",
        "SHA256SUMS",
        "test.log",
    ] {
        let kept = fs::read(one.join(name)).unwrap();
        write(&one.join(name), &fs::read(two.join(name)).unwrap());
        let same = kept == fs::read(one.join(name)).unwrap();
        assert_eq!(installation.json(&["verify", &first]).0 == 0, same, "{name}");
        write(&one.join(name), &kept);
    }
    let renamed = one.with_file_name("20200101t000000z-renamed-aaaaaaaaaa");
    fs::rename(&one, &renamed).unwrap();
    assert_eq!(installation.json(&["verify", renamed.to_str().unwrap()]).0, 5);
}

#[test]
fn a_rotated_key_keeps_old_bundles_verifiable() {
    let installation = Installation::new();
    let (first, _) = accepted(&installation);
    assert!(installation.cto(&["key", "rotate"]).status.success());
    let (second, _) = accepted(&installation);
    assert_eq!(installation.json(&["verify", &first, &second]).0, 0);
}

#[test]
fn a_removed_run_and_a_removed_ledger_show() {
    let installation = Installation::new();
    let (_, bundle) = accepted(&installation);
    accepted(&installation);
    assert_eq!(installation.json(&["verify", "--all"]).0, 0);
    fs::remove_dir_all(&bundle).unwrap();
    assert_eq!(installation.json(&["verify", "--all"]).0, 5);
    fs::remove_file(installation.home().join("ledger.sqlite")).unwrap();
    assert_eq!(installation.json(&["verify", "--all"]).0, 5);
}

#[test]
fn an_edited_report_moves_no_cursor() {
    let installation = Installation::new();
    let (_, bundle) = accepted(&installation);
    let mut text = fs::read(bundle.join("report.md")).unwrap();
    text.extend(b"\x1b]0;owned\x07\x1b[2J\n");
    write(&bundle.join("report.md"), &text);
    let shown = installation.cto(&["show", "last"]);
    assert!(!shown.stdout.contains(&0x1b) && !shown.stdout.contains(&0x07));
}

//! Tests of the run directory and its seal.

use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use cto_schema::{Envelope, EventType, JournalEvent, Sha256Digest, Status, pre_authentication_encoding};
use serde_json::json;

use crate::durable;
use crate::durable::fault::{self, Fault};
use crate::home::Home;
use crate::keys::Keys;
use crate::ledger::Ledger;
use crate::manifest::ManifestError;
use crate::redact::KnownSecret;
use crate::run_dir::{RunDir, RunDirError};
use crate::seal::SealError;
use crate::test_child::{order, start_on_small_disk};
use crate::test_support::{LIMITS, conclude, create, files, judge, place, play, recover_dropped, report, run_id};

fn open() -> (tempfile::TempDir, Home, RunDir) {
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    let run = create(&home, &run_id()).unwrap();
    (place, home, run)
}

#[test]
fn everything_is_private_and_the_first_record_is_durable_at_once() {
    let (_place, home, mut run) = open();
    run.write("backend/meta/engine.json", b"{}").unwrap();
    for (name, file) in files(&home.run(&run_id()), "") {
        assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o600, "{name}");
    }
    for dir in ["", "backend", "backend/meta"] {
        assert_eq!(
            home.run(&run_id()).join(dir).metadata().unwrap().mode() & 0o7777,
            0o700,
            "{dir}"
        );
    }
    let journal = std::fs::read_to_string(home.run(&run_id()).join("journal.jsonl")).unwrap();
    assert!(journal.contains("\"opened\"") && journal.contains(&run.nonce_hex()));
    assert!(home.live().join(run_id().as_str()).exists());
}

#[test]
fn what_could_not_be_written_is_not_there_and_can_be_written_again() {
    let (_place, home, mut run) = open();
    let names = |home: &Home| durable::names(durable::open_dir(&home.run(&run_id())).unwrap()).unwrap();
    let before = names(&home);
    for step in 0.. {
        fault::arm(Some((Fault::InputOutput, step)));
        let written = run.write_together(&[("write-set.json", b"{}"), ("patch.diff", b"p")]);
        fault::arm(None);
        if written.is_ok() {
            assert!(step > 6, "every step of both files failed once");
            break;
        }
        assert_eq!(names(&home), before, "after step {step}");
        assert!(!run.exists("patch.diff") && !run.exists("write-set.json"));
    }
    assert_eq!(names(&home).len(), before.len() + 2);
}

#[test]
fn a_directory_that_nothing_came_into_is_not_there() {
    let (_place, home, mut run) = open();
    let names = |home: &Home| durable::names(durable::open_dir(&home.run(&run_id())).unwrap()).unwrap();
    let before = names(&home);
    let mut failures = 0;
    for step in 0.. {
        fault::arm(Some((Fault::InputOutput, step)));
        let written = run.write("approval/deep/packet.json", b"{}");
        fault::arm(None);
        if written.is_ok() {
            break;
        }
        failures += 1;
        assert_eq!(names(&home), before, "after step {step}");
    }
    assert!(failures > 4, "{failures}");
    assert!(home.run(&run_id()).join("approval/deep/packet.json").exists());
    // What holds something stays.
    fault::arm(Some((Fault::InputOutput, 0)));
    assert!(run.write("approval/statement.json", b"{}").is_err());
    fault::arm(None);
    assert!(home.run(&run_id()).join("approval/deep").exists());
}

#[test]
fn nothing_is_overwritten_and_names_stay_inside() {
    let (_place, home, mut run) = open();
    run.write("patch.diff", b"first").unwrap();
    assert!(matches!(
        run.write("patch.diff", b"second"),
        Err(RunDirError::ArtifactWrite { .. })
    ));
    assert_eq!(run.read("patch.diff").unwrap().unwrap(), b"first");
    assert_eq!(
        (run.failures().len(), run.failures()[0].artifact.as_str()),
        (1, "patch.diff")
    );
    for name in [
        "",
        "../x",
        "a/../b",
        ".hidden",
        "/etc/x",
        "a//b",
        "SHA256SUMS",
        "journal.jsonl",
        "attestation.dsse.json",
    ] {
        assert!(matches!(run.write(name, b""), Err(RunDirError::Name { .. })), "{name}");
    }
    assert!(matches!(
        run.write_together(&[("a", b"1"), ("b/c", b"2")]),
        Err(RunDirError::Name { .. })
    ));
    run.write_together(&[("a", b"1"), ("b", b"2")]).unwrap();
    assert!(run.write_together(&[("c", b"1"), ("b", b"2"), ("d", b"3")]).is_err());
    assert!(files(&home.run(&run_id()), "").keys().all(|name| !name.contains("tmp")));
    std::os::unix::fs::symlink("/tmp", home.run(&run_id()).join("elsewhere")).unwrap();
    assert!(run.write("elsewhere/x", b"").is_err());
    assert!(matches!(create(&home, &run_id()), Err(error) if error.to_string().contains("live")));
}

#[test]
fn an_illegal_record_leaves_no_trace() {
    let (_place, home, mut run) = open();
    let before = std::fs::read(home.run(&run_id()).join("journal.jsonl")).unwrap();
    assert!(matches!(
        run.journal(JournalEvent::CollectIntent),
        Err(RunDirError::Illegal { .. })
    ));
    assert_eq!(
        std::fs::read(home.run(&run_id()).join("journal.jsonl")).unwrap(),
        before
    );
    run.close_streams().unwrap();
    assert!(matches!(
        run.event(EventType::PlanUpdated, json!({})),
        Err(RunDirError::Closed { .. })
    ));
    assert!(matches!(run.span("x", 0, "ok", ""), Err(RunDirError::Closed { .. })));
}

#[test]
fn known_secrets_reach_neither_files_nor_events() {
    let (_place, home, mut run) = open();
    let secret = ["canary", "-value-", "1234567"].concat();
    run.know_secrets(&[KnownSecret {
        name: "canary".into(),
        value: secret.clone().into_bytes(),
    }]);
    let (digest, findings) = run
        .write_redacted("test.log", format!("a {secret} b").as_bytes())
        .unwrap();
    assert_eq!(findings[0].rule, "known:canary");
    run.event(
        EventType::EngineMessage,
        json!({ "text": format!("\"{secret}\\n"), secret.clone(): [secret] }),
    )
    .unwrap();
    run.span("x", 0, "ok", &secret).unwrap();
    run.journal(JournalEvent::RecoveryIntent { last: secret.clone() })
        .unwrap();
    assert_eq!(run.secrets().len(), 6);
    assert_eq!(run.artifacts()["test.log"].digest, digest);
    for (name, file) in files(&home.run(&run_id()), "") {
        assert!(
            !String::from_utf8_lossy(&std::fs::read(file).unwrap()).contains(&secret),
            "{name}"
        );
    }
}

#[test]
fn tools_that_we_did_not_write_agree_with_a_sealed_bundle() {
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    let sealed = play(&home, &run_id()).unwrap();
    assert_eq!(judge(&home, &run_id()), Some(Status::Pass));
    assert_eq!(sealed.manifest_digest, sealed.entry.manifest_digest);
    tool(
        &sealed.path,
        "sha256sum",
        &["--check", "--strict", "--quiet", "SHA256SUMS"],
    );

    let envelope = std::fs::read(sealed.path.join("attestation.dsse.json")).unwrap();
    assert_eq!(sealed.attestation_digest, Sha256Digest::of(&envelope));
    let envelope: Envelope = serde_json::from_slice(&envelope).unwrap();
    let decode = |text: &str| data_encoding::BASE64.decode(text.as_bytes()).unwrap();
    let payload = decode(&envelope.payload);
    save(
        place.path(),
        "message",
        &pre_authentication_encoding(&envelope.payload_type, &payload),
    );
    save(place.path(), "signature", &decode(&envelope.signatures[0].sig));
    let public = home.keys().join("signing.pub");
    let mut arguments = vec![
        "pkeyutl",
        "-verify",
        "-rawin",
        "-pubin",
        "-inkey",
        public.to_str().unwrap(),
    ];
    arguments.extend(["-in", "message", "-sigfile", "signature"]);
    tool(place.path(), "openssl", &arguments);
    // OpenSSL also reads our private key, and derives the same public one.
    tool(
        place.path(),
        "openssl",
        &[
            "pkey",
            "-in",
            home.keys().join("signing.key").to_str().unwrap(),
            "-pubout",
            "-out",
            "derived",
        ],
    );
    assert_eq!(
        std::fs::read(place.path().join("derived")).unwrap(),
        std::fs::read(&public).unwrap()
    );
    let der = pem_body(&std::fs::read_to_string(public).unwrap());
    assert_eq!(envelope.signatures[0].keyid, Sha256Digest::of(&decode(&der)).hex());

    let statement: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(statement["subject"][0]["name"], "SHA256SUMS");
    assert_eq!(
        statement["subject"][0]["digest"]["sha256"],
        sealed.manifest_digest.hex()
    );
    assert_eq!(statement["predicate"]["status"], "pass");
    let decision = Sha256Digest::of(&std::fs::read(sealed.path.join("decision.json")).unwrap());
    assert_eq!(statement["predicate"]["decision_digest"], decision.to_string());
}

fn pem_body(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with("-----")).collect()
}

#[expect(clippy::disallowed_methods, reason = "a scratch file of a test")]
fn save(dir: &std::path::Path, name: &str, bytes: &[u8]) {
    std::fs::write(dir.join(name), bytes).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "the tool has to judge for itself")]
fn tool(dir: &std::path::Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).current_dir(dir).output().unwrap();
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_sealed_run_is_never_begun_again() {
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    play(&home, &run_id()).unwrap();
    let error = RunDir::create(&home, run_id(), crate::test_support::opened(), crate::RunClock::start()).unwrap_err();
    assert!(matches!(error, RunDirError::Create { .. }));
    assert_eq!(judge(&home, &run_id()), Some(Status::Pass));
}

#[test]
fn the_seal_refuses_what_is_not_what_was_written() {
    type Harm = fn(&std::path::Path);
    let harms: [(&str, Harm); 5] = [
        ("changed", |path| save(path, "patch.diff", b"other")),
        ("gone", |path| {
            std::fs::remove_file(path.join("patch.diff")).unwrap();
        }),
        ("link", |path| {
            std::os::unix::fs::symlink("patch.diff", path.join("link")).unwrap();
        }),
        ("name", |path| save(path, "a name", b"")),
        ("report", |path| save(path, "report.json", b"{}")),
    ];
    for (name, harm) in harms {
        let (_place, home, mut run) = open();
        let (signer, ledger) = (
            Keys::open(&home).unwrap().ensure_signing_key().unwrap(),
            Ledger::open(&home).unwrap(),
        );
        run.write("patch.diff", b"").unwrap();
        run.close_streams().unwrap();
        let text = serde_json::to_vec(&report(&run, Status::Pass, Vec::new())).unwrap();
        run.write("report.json", &text).unwrap();
        harm(run.path());
        let error = run.seal(LIMITS, &signer, &ledger).unwrap_err();
        let expected = match name {
            "report" => matches!(error, SealError::Report { .. }),
            "changed" => matches!(
                error,
                SealError::Manifest {
                    source: ManifestError::Changed { .. },
                    ..
                }
            ),
            "gone" => matches!(
                error,
                SealError::Manifest {
                    source: ManifestError::Gone { .. },
                    ..
                }
            ),
            _ => matches!(
                error,
                SealError::Manifest {
                    source: ManifestError::Foreign { .. },
                    ..
                }
            ),
        };
        assert!(expected, "{name}: {error:?}");
        assert_eq!(ledger.head().unwrap(), None);
        assert!(!home.run(&run_id()).join("attestation.dsse.json").exists());
    }
}

#[test]
fn the_seal_needs_closed_streams_and_a_report_of_this_run() {
    let (_place, home, run) = open();
    let (signer, ledger) = (
        Keys::open(&home).unwrap().ensure_signing_key().unwrap(),
        Ledger::open(&home).unwrap(),
    );
    assert!(matches!(
        run.seal(LIMITS, &signer, &ledger),
        Err(SealError::Open { .. })
    ));
    recover_dropped(&home);
    assert_eq!(judge(&home, &run_id()), Some(Status::Blocked));

    let other: cto_schema::RunId = "20261120t090001z-case-bbbbbbbbbb".parse().unwrap();
    let mut run = create(&home, &other).unwrap();
    run.close_streams().unwrap();
    let mut foreign = report(&run, Status::Pass, Vec::new());
    foreign.freshness.nonce = "0".repeat(64);
    run.write("report.json", &serde_json::to_vec(&foreign).unwrap())
        .unwrap();
    assert!(matches!(
        run.seal(LIMITS, &signer, &ledger),
        Err(SealError::Report { .. })
    ));
}

#[test]
fn a_fault_of_the_ledger_after_the_seal_is_finished_by_recovery() {
    let (_place, home, mut run) = open();
    let signer = Keys::open(&home).unwrap().ensure_signing_key().unwrap();
    let ledger = Ledger::open(&home).unwrap();
    let raw = rusqlite::Connection::open(home.ledger()).unwrap();
    raw.execute_batch("CREATE TRIGGER stop BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'no'); END")
        .unwrap();
    let nonce = run.nonce_hex();
    run.event(EventType::RunStarted, json!({ "nonce": nonce })).unwrap();
    let error = conclude(run, Status::Pass, Vec::new(), &signer, &ledger).unwrap_err();
    assert!(error.to_string().contains("ledger"), "{error}");
    raw.execute_batch("DROP TRIGGER stop").unwrap();
    assert_eq!(recover_dropped(&home).len(), 1);
    assert_eq!(judge(&home, &run_id()), Some(Status::Pass));
}

#[test]
fn a_run_that_fills_its_disk_is_sealed_as_a_failure_or_was_never_begun() {
    let mut outcomes = Vec::new();
    for kilobytes in (100..=2000).step_by(100) {
        let place = place();
        let mount_point = place.path().join("disk");
        std::fs::create_dir(&mount_point).unwrap();
        let order = order(&Home::open(&place.path().join("unused")).unwrap(), "fill", "none", 0)
            .replace("/unused", "/disk/home");
        let output = start_on_small_disk(&order, &mount_point, &format!("{kilobytes}k"))
            .wait_with_output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{kilobytes} KiB: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        outcomes.push(text.contains("outcome=sealed"));
        assert_ne!(outcomes.last(), Some(&text.contains("outcome=refused")), "{text}");
    }
    assert!(outcomes.contains(&true) && outcomes.contains(&false), "{outcomes:?}");
}

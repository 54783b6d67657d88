//! Approvals: the operator's signature under one sentence and one contract, for one run.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::operator::{Operator, approve, climbed, gated, say};
use crate::support::{Installation, codes, write};

const MODE: [&str; 3] = ["r1-string-slugify", "--mode", "sandbox-repo"];

fn request(installation: &Installation) -> Value {
    let (code, packet) = gated(installation, "fake", 4, &[&["request"][..], &MODE].concat());
    assert_eq!(code, 0, "{packet:#}");
    packet
}

fn run_with(installation: &Installation, id: &str) -> (i32, Value) {
    gated(
        installation,
        "fake",
        4,
        &[&["run", "--approval", id][..], &MODE].concat(),
    )
}

fn id(packet: &Value) -> &str {
    packet["packet_id"].as_str().unwrap()
}

fn denied(installation: &Installation, id: &str, code: &str, why: &str) {
    let (exit, report) = run_with(installation, id);
    assert_eq!((exit, codes(&report)), (3, vec![code.to_owned()]), "{why}: {report:#}");
    assert_eq!(report["approval_status"], "denied", "{why}");
    assert_eq!(report["case_process_started"], false, "{why}");
    let kinds: Vec<Value> = installation
        .events(&report)
        .into_iter()
        .map(|event| event["type"].clone())
        .collect();
    assert_eq!(
        kinds,
        [
            "run.started",
            "task.contract.created",
            "approval.requested",
            "approval.denied",
            "run.completed"
        ],
        "{why}"
    );
    let bundle = installation.bundle(&report);
    assert_eq!(installation.json(&["verify", bundle.to_str().unwrap()]).0, 0, "{why}");
}

#[test]
fn a_packet_says_everything_and_allows_nothing() {
    let (installation, _) = climbed();
    let packet = request(&installation);
    for flag in ["approval_granted", "execution_allowed", "executable"] {
        assert_eq!(packet[flag], false);
    }
    assert!(
        packet["sentence"]
            .as_str()
            .unwrap()
            .starts_with("I approve r1-string-slugify against ")
    );
    denied(
        &installation,
        id(&packet),
        "approval_denied",
        "nobody has said anything",
    );
    let (_, report) = gated(&installation, "fake", 4, &[&["run"][..], &MODE].concat());
    assert_eq!(codes(&report), ["approval_denied"], "no packet is named");
    denied(
        &installation,
        "ap-aaaaaaaaaaaaaaaa",
        "approval_denied",
        "no such packet",
    );
    denied(&installation, "../../etc", "approval_denied", "no packet's name");
    let (code, text) = (
        installation.cto(&["request", "r1-string-slugify"]).status.code(),
        "needs none",
    );
    assert_eq!(code, Some(2), "{text}");
}

#[test]
fn only_the_exact_sentence_signed_by_an_allowed_key_counts_and_refusals_are_on_record() {
    let (installation, operator) = climbed();
    let stranger = Operator::stranger(&installation, "stranger");
    let packet = request(&installation);
    let sentence = packet["sentence"].as_str().unwrap();
    for wrong in [
        "",
        "yes",
        &format!("{sentence} "),
        &sentence.to_lowercase(),
        &sentence.replace(' ', "\u{a0}"),
    ] {
        let (code, said) = say(&installation, &operator, &["approve", id(&packet), "--sentence", wrong]);
        assert_eq!(code, 3, "{wrong:?}: {said}");
    }
    let (code, said) = approve(&installation, &stranger, &packet);
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains("not among the allowed signers") && said.contains("allowed_signers"),
        "{said}"
    );
    let place = installation.home().join("approvals").join(id(&packet));
    let refusals = fs::read_dir(&place).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("refused-")
    });
    assert_eq!(refusals.count(), 6);
    denied(&installation, id(&packet), "approval_denied", "still nobody");
    let (code, said) = say(&installation, &operator, &["approve", id(&packet)]);
    assert_eq!(code, 3, "no terminal, no sentence: {said}");
    let output = installation.cto(&["approve", id(&packet), "--sentence", sentence]);
    assert_eq!(output.status.code(), Some(3), "no key");
    assert_eq!(approve(&installation, &operator, &packet).0, 0);
    let (code, again) = approve(&installation, &operator, &packet);
    assert_eq!(code, 3, "the first word stays: {again}");
    let (_, one) = installation.json(&["approvals", id(&packet)]);
    assert_eq!(one["state"], "approved");
    let (_, all) = installation.json(&["approvals"]);
    assert_eq!(
        all["approvals"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["state"] == "approved")
            .count(),
        1
    );
}

#[test]
fn a_strangers_tools_agree_with_the_signature_in_the_bundle() {
    let (installation, operator) = climbed();
    let packet = request(&installation);
    approve(&installation, &operator, &packet);
    let (code, report) = run_with(&installation, id(&packet));
    assert_eq!(code, 0, "{report:#}");
    let place = installation.bundle(&report).join("approval");
    let check = |statement: &[u8], namespace: &str| {
        let mut child = Command::new("ssh-keygen")
            .args(["-Y", "verify", "-n", namespace, "-I", operator.name, "-f"])
            .arg(installation.home().join("allowed_signers"))
            .arg("-s")
            .arg(place.join("statement.json.sig"))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), statement).unwrap();
        child.wait().unwrap().success()
    };
    let statement = fs::read(place.join("statement.json")).unwrap();
    assert!(check(&statement, "cto-approval@v1"));
    assert!(!check(&statement, "git"));
    assert!(!check(&[&statement[..], b" "].concat(), "cto-approval@v1"));
    let sums = Command::new("sha256sum")
        .arg(place.join("packet.json"))
        .output()
        .unwrap();
    let digest = String::from_utf8_lossy(&sums.stdout)[..64].to_owned();
    let said: Value = serde_json::from_slice(&statement).unwrap();
    assert_eq!(said["packet_digest"], format!("sha256:{digest}"));
    let (_, all) = installation.json(&["approvals", id(&packet)]);
    assert_eq!(all["state"], "consumed_by_pass_evidence");
    // A list of signers that others may write says nothing, to verify as little as to a run.
    let signers = installation.home().join("allowed_signers");
    fs::set_permissions(&signers, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let verified = installation.cto(&["verify", "last"]);
    let told = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(!verified.status.success() && told.contains("chmod go-w"), "{told}");
}

#[test]
fn a_denied_an_expired_and_a_consumed_approval_never_work() {
    let (installation, operator) = climbed();
    let packet = request(&installation);
    let (code, said) = say(
        &installation,
        &operator,
        &["deny", id(&packet), "--reason", "not today"],
    );
    assert_eq!(code, 0, "{said}");
    denied(&installation, id(&packet), "approval_denied", "denied");
    assert_eq!(approve(&installation, &operator, &packet).0, 3, "a no stays");
    let packet = request(&installation);
    approve(&installation, &operator, &packet);
    assert_eq!(run_with(&installation, id(&packet)).0, 0);
    denied(&installation, id(&packet), "approval_denied", "consumed");
}

#[test]
fn whatever_is_not_as_it_was_approved_is_stale() {
    let (installation, operator) = climbed();
    let packet = request(&installation);
    approve(&installation, &operator, &packet);
    let stale = |words: &[&str], why: &str| {
        let (code, report) = gated(&installation, "fake", 4, words);
        assert_eq!(
            (code, codes(&report)),
            (3, vec!["approval_stale".to_owned()]),
            "{why}: {report:#}"
        );
    };
    let run = ["run", "--approval", id(&packet)];
    stale(&[&run[..], &MODE, &["--timeout", "7"]].concat(), "contract");
    stale(&[&run[..], &MODE, &["--engine", "fake:no-diff"]].concat(), "engine");
    stale(&[&run[..], &MODE, &["--workspace", "copied"]].concat(), "workspace");
    stale(&[&run[..], &MODE, &["--toolchain", "/usr"]].concat(), "toolchains");
    stale(
        &[&run[..], &["r1-node-slugify", "--mode", "sandbox-repo"]].concat(),
        "case",
    );
    // Another program under the same name: the harness itself.
    let other = installation.dir.path().join("cto");
    let mut bytes = fs::read(crate::support::program()).unwrap();
    bytes.extend_from_slice(b"one more byte");
    write(&other, &bytes);
    fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new(&other);
    let output = command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("CTO_HOME", installation.home())
        .envs(crate::operator::gates("fake", 4))
        .args(["--json", "run", "--approval", id(&packet)])
        .args(MODE)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(codes(&report), ["approval_stale"]);
    assert!(
        report["blockers"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("harness_program")
    );
    // A stale try consumes nothing.
    assert_eq!(run_with(&installation, id(&packet)).0, 0);
}

#[test]
fn an_approval_of_another_installation_or_another_stage_is_none() {
    let ((installation, operator), (other, _)) = (climbed(), climbed());
    let id_file = other.home().join("installation-id");
    fs::write(&id_file, format!("{}\n", "0".repeat(32))).unwrap();
    fs::remove_file(other.home().join("allowed_signers")).unwrap();
    fs::remove_file(other.dir.path().join("operator")).unwrap();
    Operator::of(&other);
    let packet = request(&installation);
    approve(&installation, &operator, &packet);
    let from = installation.home().join("approvals").join(id(&packet));
    let to = other.home().join("approvals").join(id(&packet));
    gated(&other, "fake", 4, &["approvals"]);
    fs::create_dir(&to).unwrap();
    for name in ["packet.json", "decision.json"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let (code, report) = run_with(&other, id(&packet));
    assert_eq!(code, 3);
    assert_eq!(
        codes(&report),
        ["approval_denied"],
        "the key is a stranger there: {report:#}"
    );
    fs::copy(
        installation.home().join("allowed_signers"),
        other.home().join("allowed_signers"),
    )
    .unwrap();
    let (_, report) = run_with(&other, id(&packet));
    assert_eq!(codes(&report), ["approval_stale"]);
    assert!(
        report["blockers"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("installation")
    );
    // A contract below stage 4 that asks for an approval is not served by one for stage 4.
    let mut contract = crate::support::contract("STAGE-3", &installation.scripted("target"));
    contract["approval_required"] = json!(true);
    let path = installation.contract(&contract);
    let words = ["run", "--contract", path.to_str().unwrap(), "--approval", id(&packet)];
    let (code, report) = gated(&installation, "fake", 4, &words);
    assert_eq!((code, codes(&report)), (3, vec!["approval_denied".to_owned()]));
}

#[test]
fn of_two_runs_that_race_for_one_approval_exactly_one_runs() {
    let (installation, operator) = climbed();
    let rounds = if crate::support::all() { 200 } else { 4 };
    for round in 0..rounds {
        let packet = request(&installation);
        approve(&installation, &operator, &packet);
        let results: Vec<(i32, Value)> = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..2)
                .map(|_| scope.spawn(|| run_with(&installation, id(&packet))))
                .collect();
            tries.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let passed = results.iter().filter(|(code, _)| *code == 0).count();
        let denied = results
            .iter()
            .filter(|(code, report)| *code == 3 && codes(report) == ["approval_denied"])
            .count();
        assert_eq!((passed, denied), (1, 1), "round {round}: {results:#?}");
        for (_, report) in &results {
            let bundle = installation.bundle(report);
            assert_eq!(installation.json(&["verify", bundle.to_str().unwrap()]).0, 0);
        }
    }
}

#[test]
fn a_forged_decision_and_a_widened_packet_are_found() {
    let (installation, operator) = climbed();
    let packet = request(&installation);
    approve(&installation, &operator, &packet);
    let place = installation.home().join("approvals").join(id(&packet));
    let decision = fs::read_to_string(place.join("decision.json")).unwrap();
    let put = |name: &str, text: &str| write(&place.join(name), text.as_bytes());
    for (from, to, why) in [
        ("\\\"stage\\\":4", "\\\"stage\\\":5", "another stage"),
        ("operator@cto.invalid", "somebody@cto.invalid", "another actor"),
        ("SSH SIGNATURE", "SSH SIGNATUR", "a broken signature"),
        ("\\\"approved\\\"", "\\\"denied\\\"", "another decision"),
    ] {
        assert!(decision.contains(from), "{from}");
        put("decision.json", &decision.replace(from, to));
        denied(&installation, id(&packet), "approval_denied", why);
    }
    put("decision.json", &decision);
    let whole = fs::read_to_string(place.join("packet.json")).unwrap();
    put("packet.json", &whole.replace("strings.py", "strings*py"));
    denied(&installation, id(&packet), "approval_denied", "a widened contract");
    let digest = packet["bound"]["harness_program"].as_str().unwrap();
    put("packet.json", &whole.replace(digest, &digest.replace('a', "b")));
    denied(&installation, id(&packet), "approval_denied", "another binding");
    put("packet.json", &whole);
    assert_eq!(run_with(&installation, id(&packet)).0, 0);
}

#[test]
fn a_packet_that_shows_something_else_than_its_contract_is_not_approved() {
    let (installation, operator) = climbed();
    let packet = request(&installation);
    let path = installation
        .home()
        .join("approvals")
        .join(id(&packet))
        .join("packet.json");
    let whole = fs::read_to_string(&path).unwrap();
    for (from, to) in [
        (
            "\"allowed_mutation_scope\":\"disposable repository only\"",
            "\"allowed_mutation_scope\":\"none: only reads\"",
        ),
        ("\"forbidden_paths\":[\".env\"", "\"forbidden_paths\":[\"**\",\".env\""),
        ("\"expires_at\":\"20", "\"expires_at\":\"21"),
        (
            "\"risk_class\":\"low\",\"rollback_expectation\":\"none: the fixture is a copy\",\"run_command\"",
            "\"risk_class\":\"high\",\"rollback_expectation\":\"none: the fixture is a copy\",\"run_command\"",
        ),
    ] {
        assert!(whole.contains(from), "{from}: {whole}");
        // The last one is the packet's own; the contract in it comes before.
        let at = whole.rfind(from).unwrap();
        let forged = format!("{}{to}{}", &whole[..at], &whole[at + from.len()..]);
        fs::write(&path, forged).unwrap();
        let (code, said) = approve(&installation, &operator, &packet);
        assert_eq!(code, 3, "{to}: {said}");
    }
    fs::write(&path, whole).unwrap();
    assert_eq!(approve(&installation, &operator, &packet).0, 0);
}

/// A file that somebody put there is no decision.
#[test]
fn what_a_stranger_signed_is_shown_as_not_counting() {
    let (installation, operator) = climbed();
    let (asked, said) = (request(&installation), request(&installation));
    assert_eq!(approve(&installation, &operator, &said).0, 0);
    let shown = || {
        let (_, row) = installation.json(&["approvals", id(&asked)]);
        (
            row["state"].clone(),
            row["execution_allowed"].clone(),
            row["problem"].clone(),
        )
    };
    assert_eq!(shown(), (json!("requested"), json!(false), Value::Null));
    // The operator's statement, about the other packet, under a stranger's signature and under none of the approvals.
    let place = |packet: &Value| installation.home().join("approvals").join(id(packet));
    let decision: Value = serde_json::from_slice(&fs::read(place(&said).join("decision.json")).unwrap()).unwrap();
    let mut statement: Value = serde_json::from_str(decision["statement"].as_str().unwrap()).unwrap();
    let sums = Command::new("sha256sum")
        .arg(place(&asked).join("packet.json"))
        .output()
        .unwrap();
    let digest = String::from_utf8_lossy(&sums.stdout)[..64].to_owned();
    statement["packet_id"] = asked["packet_id"].clone();
    statement["packet_digest"] = json!(format!("sha256:{digest}"));
    statement["expires_at"] = asked["expires_at"].clone();
    let text = statement.to_string();
    let stranger = Operator::stranger(&installation, "stranger");
    for (key, namespace, counts) in [
        (&stranger.key, "cto-approval@v1", false),
        (&operator.key, "git", false),
        (&operator.key, "cto-approval@v1", true),
    ] {
        let file = installation.dir.path().join("statement");
        write(&file, text.as_bytes());
        let sig = file.with_extension("sig");
        drop(fs::remove_file(&sig));
        let signed = Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
            .arg(key)
            .arg(&file)
            .status();
        assert!(signed.unwrap().success());
        let signature = fs::read_to_string(&sig).unwrap();
        let forged = json!({ "statement": text, "signature": signature });
        write(&place(&asked).join("decision.json"), forged.to_string().as_bytes());
        let (state, allowed, problem) = shown();
        assert_eq!((&allowed, problem.is_null()), (&json!(counts), counts), "{problem}");
        assert_eq!(state, if counts { "approved" } else { "requested" });
        let text = String::from_utf8_lossy(&installation.cto(&["approvals", id(&asked)]).stderr).into_owned();
        assert_eq!(text.contains("run it with"), counts, "{text}");
        assert_eq!(text.contains("does not count"), !counts, "{text}");
        fs::remove_file(place(&asked).join("decision.json")).unwrap();
    }
}

#[test]
fn an_approval_for_a_run_that_needs_none_is_not_ignored() {
    let installation = Installation::new();
    let words = ["run", "r1-string-slugify", "--approval", "ap-aaaaaaaaaaaaaaaa"];
    let output = installation.cto(&words);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("needs none"), "{told}");
    assert_eq!(installation.cto(&words[..2]).status.code(), Some(0));
}

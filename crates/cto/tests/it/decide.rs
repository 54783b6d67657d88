//! Stage 6 and what follows it, on real accepted runs: compare, accept, refresh, packet, audit; then each with one change.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::operator::{Operator, admit, approve, say, with_every_row};
use crate::owned::{SCRIPT, ask, head, run};
use crate::support::{Installation, git, snapshot, write};

/// Runs of a candidate on its own repository, accepted by an operator.
struct World {
    installation: Installation,
    operator: Operator,
    repository: PathBuf,
    runs: Vec<String>,
}

impl World {
    /// Has `count` changes of one repository accepted.
    fn with_runs(count: usize) -> Self {
        let (installation, operator) = with_every_row();
        let repository = installation.scripted("target");
        admit(&installation, &repository, "command");
        let mut world = Self {
            installation,
            operator,
            repository,
            runs: vec![],
        };
        for number in 0..count {
            world.change(&format!("OWN-{number}"));
        }
        world
    }

    fn change(&mut self, task: &str) {
        if fs::read_to_string(self.repository.join("value.txt")).unwrap() != "bad\n" {
            write(&self.repository.join("value.txt"), b"bad\n");
            git(&self.repository, &["commit", "--quiet", "--all", "--message=bad again"]);
        }
        let asked = ask(&self.installation, &self.repository, task, &SCRIPT);
        assert_eq!(approve(&self.installation, &self.operator, &asked.packet).0, 0);
        let (code, report) = run(&self.installation, &asked, &[], &SCRIPT);
        assert_eq!(code, 4, "{report:#}");
        let id = report["run_id"].as_str().unwrap().to_owned();
        self.says(&["outcome", &id, "accept", "--reason", "looked at it"], 0);
        self.runs.push(id);
    }

    fn says(&self, words: &[&str], code: i32) {
        let (found, said) = say(&self.installation, &self.operator, words);
        assert_eq!(found, code, "{words:?}: {said}");
    }

    fn compare(&self, more: &[&str]) -> (i32, Value) {
        let words = [&["compare", "--candidate", "command"][..], more].concat();
        let (code, found) = self.installation.json(&words);
        (code, found["comparison"].clone())
    }

    fn refresh(&self, pins: &[&str]) -> (i32, Value) {
        let mut words = vec!["refresh"];
        for pin in pins {
            words.extend(["--pin", pin]);
        }
        let (code, found) = self.installation.json(&words);
        (code, found["refresh"].clone())
    }

    fn accepted_comparison(&self) -> String {
        let (code, comparison) = self.compare(&[]);
        assert_eq!(code, 0, "{:#}", comparison["verdict"]["checks"]);
        let id = comparison["comparison_id"].as_str().unwrap().to_owned();
        self.says(&["outcome", &id, "accept", "--reason", "read the comparison"], 0);
        id
    }

    fn stands_on(&self) -> (u64, Value) {
        let (code, found) = self.installation.json(&["ladder", "--engine", "command"]);
        assert_eq!(code, 0, "{found:#}");
        let engine = &found["engines"][0];
        (engine["stands_on"].as_u64().unwrap(), engine.clone())
    }

    fn verify(&self, id: &str) -> (i32, Value) {
        let (code, found) = self.installation.json(&["verify", id]);
        (code, found["bundles"][0].clone())
    }

    fn home(&self, place: &str) -> PathBuf {
        self.installation.home().join(place)
    }
}

fn codes(refresh: &Value) -> Vec<&str> {
    let rejections = refresh["rejections"].as_array().unwrap();
    rejections.iter().map(|one| one["code"].as_str().unwrap()).collect()
}

fn named<'a>(list: &'a Value, field: &str, name: &str) -> &'a Value {
    let found = list.as_array().unwrap().iter().find(|one| one[field] == name);
    found.unwrap_or_else(|| panic!("no {name} in {list:#}"))
}

fn never_the_default(document: &Value) {
    assert_eq!(document["runtime_default_activation"], json!(false), "{document:#}");
    assert_eq!(document["core_promotion_status"], json!("not-promoted"), "{document:#}");
}

/// A change of a file that is taken back.
fn with_changed(path: &Path, change: impl Fn(&str) -> String, look: impl FnOnce()) {
    let text = fs::read_to_string(path).unwrap();
    let changed = change(&text);
    assert_ne!(changed, text);
    write(path, changed.as_bytes());
    look();
    write(path, text.as_bytes());
}

#[test]
#[expect(clippy::too_many_lines, reason = "one way, from the first comparison to the audit")]
fn a_candidate_goes_the_whole_way_and_is_never_the_default() {
    let mut world = World::with_runs(0);
    // Without an accepted run there is nothing to compare, and that is a sealed document as well.
    let (code, early) = world.compare(&[]);
    assert_eq!(code, 1, "{early:#}");
    never_the_default(&early);
    let checks = &early["verdict"]["checks"];
    assert_eq!(named(checks, "name", "case_lane_passes")["ok"], false);
    let early = early["comparison_id"].as_str().unwrap().to_owned();
    world.says(&["outcome", &early, "accept", "--reason", "too early"], 3);
    world.change("OWN-1");
    world.change("OWN-2");
    // Reading changes nothing but the document that it writes.
    let (target, runs) = (
        snapshot(&world.repository),
        fs::read_dir(world.home("runs")).unwrap().count(),
    );
    let (code, comparison) = world.compare(&[]);
    assert_eq!(code, 0, "{:#}", comparison["verdict"]["checks"]);
    assert_eq!(fs::read_dir(world.home("runs")).unwrap().count(), runs);
    assert_eq!(snapshot(&world.repository), target);
    never_the_default(&comparison);
    assert_eq!(comparison["candidate_default_eligible"], false);
    let lanes = &comparison["verdict"]["lanes"];
    let fake = named(lanes, "lane", "fake");
    assert_eq!(fake["state"], "compared");
    for dimension in fake["dimensions"].as_array().unwrap() {
        assert_ne!(dimension["verdict"], "falls_short", "{dimension:#}");
    }
    for lane in ["codex", "pi"] {
        let lane = named(lanes, "lane", lane);
        assert_eq!(lane["state"], "blocked");
        assert!(lane["rationale"].as_str().unwrap().contains("on record"), "{lane:#}");
    }
    let rows = comparison["verdict"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 40);
    assert!(rows.iter().all(|row| row["run_id"].is_string()), "{rows:#?}");
    // A row whose bundle is gone is open, and the proof does not hold; with a reason it is blocked.
    let leak = named(&comparison["verdict"]["rows"], "row", "secret-leak")["run_id"]
        .as_str()
        .unwrap();
    let away = world.home("secret-leak");
    fs::rename(world.home("runs").join(leak), &away).unwrap();
    let (code, open) = world.compare(&[]);
    assert_eq!(code, 1, "{open:#}");
    assert!(
        open["verdict"]["rows"]
            .to_string()
            .contains("cto fixtures run secret-leak")
    );
    let (code, blocked) = world.compare(&["--blocked-row", "secret-leak=there is no secret on this machine"]);
    assert_eq!(code, 0, "{blocked:#}");
    assert_eq!(
        named(&blocked["verdict"]["rows"], "row", "secret-leak")["state"],
        "blocked"
    );
    fs::rename(&away, world.home("runs").join(leak)).unwrap();
    // Eligible is an operator's word, said once.
    let id = comparison["comparison_id"].as_str().unwrap();
    assert_eq!(world.stands_on().0, 5);
    assert_eq!(
        world.stands_on().1["rungs"][5]["missing"],
        json!(["operator-acceptance"])
    );
    assert_eq!(world.verify(id).1["candidate_default_eligible"], false);
    let stranger = Operator::stranger(&world.installation, "stranger");
    let accept = ["outcome", id, "accept", "--reason", "read the comparison"];
    assert_eq!(say(&world.installation, &stranger, &accept).0, 3);
    world.says(&accept, 0);
    world.says(&["outcome", id, "reject", "--reason", "changed my mind"], 3);
    let (code, seen) = world.verify(id);
    assert_eq!(
        (code, &seen["candidate_default_eligible"]),
        (0, &json!(true)),
        "{seen:#}"
    );
    never_the_default(&seen);
    assert_eq!(world.stands_on().0, 6);
    let (code, report) = world.installation.json(&["run", "r1-string-slugify"]);
    assert_eq!(
        (code, &report["backend"]),
        (0, &json!("fake")),
        "no engine is the default"
    );
    // Two accepted runs are a repetition.
    let pins: Vec<&str> = world.runs.iter().map(String::as_str).collect();
    let (code, refresh) = world.refresh(&pins);
    assert_eq!(code, 0, "{:#}", refresh["rejections"]);
    never_the_default(&refresh);
    assert_eq!(snapshot(&world.repository), target);
    assert_eq!(
        (
            &refresh["repeatability_count"],
            &refresh["repeatability_status"],
            &refresh["refresh_type"]
        ),
        (&json!(2), &json!("pass"), &json!("stage6-real-governed-read-only"))
    );
    for (field, run, file) in [
        ("real_stage5_pass_report", pins[0], "report.json"),
        ("real_stage5_proof", pins[0], "stage5-owned-repo-proof.json"),
        ("repeat_stage5_pass_report", pins[1], "report.json"),
        ("repeat_stage5_proof", pins[1], "stage5-owned-repo-proof.json"),
    ] {
        assert_eq!(refresh[field], format!("runs/{run}/{file}"));
        assert!(world.home(refresh[field].as_str().unwrap()).is_file());
    }
    let from = &refresh["approval_provenance"][0]["provenance"];
    assert_eq!(
        (&from["approval_source"], &from["consumed_by"]),
        (&json!("operator"), &json!(pins[0]))
    );
    // A packet is put before Core, and the audit names what is proven and what is not.
    let (code, packet) = world
        .installation
        .json(&["packet", "create", "--decision", "core-promotion-requested"]);
    assert_eq!(code, 0, "{packet:#}");
    let packet = &packet["packet"];
    never_the_default(packet);
    assert_eq!(
        (&packet["ready_for_core_review"], &packet["recommended_next_decision"]),
        (&json!(true), &json!("open_governed_core_prd_route"))
    );
    let (code, shown) = world.installation.json(&["packet", "show"]);
    assert_eq!((code, &shown["verifies"]), (0, &json!(true)), "{shown:#}");
    let (code, audit) = world.installation.json(&["audit"]);
    assert_eq!(
        (code, &audit["completion_status"]),
        (1, &json!("incomplete")),
        "{audit:#}"
    );
    never_the_default(&audit);
    let lines = &audit["lines"];
    assert_eq!(lines.as_array().unwrap().len(), 19);
    for proven in [
        "law_9_three_facts",
        "candidate_default_evidence",
        "default_status_is_earned",
        "cortex_governs",
    ] {
        let line = named(lines, "id", proven);
        assert_eq!(line["status"], "proven", "{line:#}");
        let path = line["proven_by"][0]["path"].as_str().unwrap();
        assert!(path.is_empty() || world.home(path).is_dir(), "{path}");
    }
    let vendor = named(lines, "id", "transportable_stack_without_vendor_edits");
    assert_eq!(vendor["status"], "not_proven", "no agent ran here: {vendor:#}");
    // Every bundle and every document verifies, also the comparison that came too early.
    let (code, all) = world.installation.json(&["verify", "--all"]);
    assert_eq!(code, 0, "{all:#}");
    assert!(all.to_string().contains(&early));
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "each rejection is the accepted case with one change"
)]
fn a_refresh_rejects_each_change_of_the_accepted_case() {
    let world = World::with_runs(2);
    let comparison = world.accepted_comparison();
    let [first, second] = [world.runs[0].as_str(), world.runs[1].as_str()];
    let refused = |pins: &[&str], code: &str, exit: i32| {
        let (found, refresh) = world.refresh(pins);
        assert!(codes(&refresh).contains(&code), "{pins:?}: {:#}", refresh["rejections"]);
        assert_eq!(found, exit, "{code}: {:#}", refresh["rejections"]);
        never_the_default(&refresh);
        assert_eq!(refresh["repeatability_passed"], false);
        // A refusal is a sealed document as well.
        let (verifies, seen) = world.verify(refresh["refresh_id"].as_str().unwrap());
        assert_eq!(verifies, 0, "{code}: {seen:#}");
    };
    let (code, refresh) = world.refresh(&[first, second]);
    assert_eq!(code, 0, "{:#}", refresh["rejections"]);
    let commit = head(&world.repository);
    let stated = format!("{second},case=OWN-1,commit={commit},file=value.txt");
    let (code, refresh) = world.refresh(&[first, &stated]);
    assert_eq!(code, 0, "{:#}", refresh["rejections"]);
    assert_eq!(refresh["facts"]["pins"][1]["pin"]["stated_by"], "caller");
    // Pins.
    refused(&[first, first], "duplicate_pin", 1);
    refused(&[second], "too_few_passes", 3);
    // Pinned alone, the first run is not where its target stands.
    refused(&[first], "target_moved", 1);
    refused(&[second, "no-such-run"], "bundle_missing", 3);
    refused(&[first, &format!("{second},case=OWN-7")], "pin_mismatch", 1);
    refused(
        &[first, &format!("{second},commit={}", "a".repeat(40))],
        "pin_mismatch",
        1,
    );
    refused(&[first, &format!("{second},file=other.txt")], "pin_mismatch", 1);
    // Bundles: a copy under another name, without its seal, of another installation, edited.
    let copy = world.installation.dir.path().join("copy").join(second);
    let copied = |name: &str, change: &dyn Fn(&Path)| {
        let place = world.installation.dir.path().join("copy").join(name);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let done = std::process::Command::new("cp")
            .arg("-a")
            .arg(world.home("runs").join(second))
            .arg(&place)
            .status();
        assert!(done.unwrap().success());
        change(&place);
        place.display().to_string()
    };
    refused(&[first, second, &copied(second, &|_| {})], "duplicate_pin", 1);
    fs::remove_dir_all(&copy).unwrap();
    let unsigned = copied(second, &|place| {
        fs::remove_file(place.join("attestation.dsse.json")).unwrap();
    });
    refused(&[first, &unsigned], "not_verified", 1);
    fs::remove_dir_all(&copy).unwrap();
    let without = copied(second, &|place| fs::remove_file(place.join("approval.json")).unwrap());
    refused(&[first, &without], "missing_approval_provenance", 1);
    refused(&[first, &without], "missing_artifact", 1);
    let other = Installation::new();
    let (code, report) = other.json(&["run", "r1-string-slugify"]);
    assert_eq!(code, 0);
    refused(&[first, other.bundle(&report).to_str().unwrap()], "not_verified", 1);
    let (code, report) = world.installation.json(&["run", "r1-string-slugify"]);
    assert_eq!(code, 0);
    refused(&[first, report["run_id"].as_str().unwrap()], "not_stage_five", 1);
    let edited = world.home("runs").join(second).join("report.json");
    with_changed(
        &edited,
        |text| text.replace("\"tests_passed\": true", "\"tests_passed\": true "),
        || {
            let (code, refresh) = world.refresh(&[first, second]);
            assert_eq!(code, 1);
            assert!(codes(&refresh).contains(&"not_verified"), "{:#}", refresh["rejections"]);
            // The comparison rests on that very bundle, and falls with it; so does the rung.
            assert_eq!(world.verify(&comparison).0, 5);
            assert!(world.stands_on().0 < 6);
        },
    );
    assert_eq!(world.stands_on().0, 6);
    // The target.
    git(
        &world.repository,
        &["commit", "--quiet", "--allow-empty", "--message=moved on"],
    );
    refused(&[first, second], "target_moved", 1);
    git(&world.repository, &["reset", "--quiet", "--hard", &commit]);
    with_changed(
        &world.repository.join("other.txt"),
        |text| format!("{text}more\n"),
        || refused(&[first, second], "target_dirty", 1),
    );
    git(&world.repository, &["checkout", "--quiet", "-b", "another"]);
    refused(&[first, second], "target_moved", 1);
    git(&world.repository, &["checkout", "--quiet", "main"]);
    let away = world.repository.with_file_name("away");
    fs::rename(&world.repository, &away).unwrap();
    refused(&[first, second], "target_unreadable", 3);
    fs::rename(&away, &world.repository).unwrap();
    // The comparison.
    let words = ["refresh", "--pin", first, "--pin", second, "--candidate", "fake"];
    let (code, found) = world.installation.json(&words);
    assert_eq!(code, 1, "{found:#}");
    assert!(
        codes(&found["refresh"]).contains(&"comparison_missing") && codes(&found["refresh"]).contains(&"other_engine")
    );
    // A prose that says otherwise is told, and the proofs stay.
    let prose = world.installation.dir.path().join("closeout.md");
    write(
        &prose,
        b"# Closeout\n\napproval_source: validator\nApproved by operator@cto.invalid.\n",
    );
    let words = [
        "refresh",
        "--pin",
        first,
        "--pin",
        second,
        "--prose",
        prose.to_str().unwrap(),
    ];
    let (code, found) = world.installation.json(&words);
    assert_eq!(code, 0, "{found:#}");
    let mismatches = &found["refresh"]["prose_mismatches"];
    assert_eq!(mismatches.as_array().unwrap().len(), 1, "{mismatches:#}");
    assert_eq!(
        (&mismatches[0]["line"], &mismatches[0]["field"]),
        (&json!(3), &json!("approval_source"))
    );
    let from = &found["refresh"]["approval_provenance"][0]["provenance"];
    assert_eq!(from["approval_source"], "operator");
    // What was taken back counts no more, neither for the refresh nor for the comparison.
    let (code, rolled) = world.installation.json(&["rollback", second]);
    assert_eq!(code, 0, "{rolled:#}");
    let (code, refresh) = world.refresh(&[first, second]);
    assert_eq!(code, 1);
    assert!(codes(&refresh).contains(&"not_accepted"), "{:#}", refresh["rejections"]);
    assert_eq!(
        world.installation.cto(&["packet", "show"]).status.code(),
        Some(3),
        "there is none"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "each edit is of the accepted case")]
fn a_document_that_was_edited_or_rejected_carries_nothing() {
    let world = World::with_runs(2);
    let (code, comparison) = world.compare(&[]);
    assert_eq!(code, 0, "{:#}", comparison["verdict"]["checks"]);
    let id = comparison["comparison_id"].as_str().unwrap();
    let pins: Vec<&str> = world.runs.iter().map(String::as_str).collect();
    let (code, refresh) = world.refresh(&pins);
    assert_eq!((code, codes(&refresh)), (3, vec!["comparison_not_accepted"]));
    // A request that the evidence does not carry cannot be written; a packet without it says what is missing.
    let requested = ["packet", "create", "--decision", "core-promotion-requested"];
    assert_eq!(world.installation.cto(&requested).status.code(), Some(3));
    let (code, packet) = world.installation.json(&["packet", "create"]);
    assert_eq!(
        (code, &packet["packet"]["ready_for_core_review"]),
        (0, &json!(false)),
        "{packet:#}"
    );
    world.says(&["outcome", id, "accept", "--reason", "read the comparison"], 0);
    let (code, refresh) = world.refresh(&pins);
    assert_eq!(code, 0, "{:#}", refresh["rejections"]);
    // What was said since takes nothing back that earlier documents say.
    assert_eq!(world.installation.json(&["verify", "--all"]).0, 0);
    let document = world
        .home("comparisons")
        .join(id)
        .join("stage6-candidate-default-comparison.json");
    let edits = [
        (
            "\"runtime_default_activation\": false",
            "\"runtime_default_activation\": true",
        ),
        (
            "\"core_promotion_status\": \"not-promoted\"",
            "\"core_promotion_status\": \"promoted\"",
        ),
        (
            "\"candidate_default_eligible\": false",
            "\"candidate_default_eligible\": true",
        ),
        ("\"default_lane\": \"fake\"", "\"default_lane\": \"command\""),
    ];
    for (from, to) in edits {
        with_changed(
            &document,
            |text| text.replace(from, to),
            || {
                let (code, seen) = world.verify(id);
                assert_eq!(code, 5, "{to}");
                assert_ne!(seen["candidate_default_eligible"], true, "{to}");
                assert_eq!(world.stands_on().0, 5, "{to}");
                assert_eq!(world.installation.cto(&requested).status.code(), Some(5), "{to}");
            },
        );
    }
    let word = world
        .home("comparisons")
        .join(format!("{id}.outcome/operator-outcome.json"));
    with_changed(
        &word,
        |text| text.replace("accepted", "rejected"),
        || {
            assert_eq!(world.verify(id).1["candidate_default_eligible"], false);
            assert_eq!(world.stands_on().0, 5);
        },
    );
    // Another comparison's word is no word about this one.
    let (_, other) = world.compare(&[]);
    let other = other["comparison_id"].as_str().unwrap();
    world.says(&["outcome", other, "reject", "--reason", "one is enough"], 0);
    let (code, seen) = world.verify(other);
    assert_eq!((code, &seen["candidate_default_eligible"]), (0, &json!(false)));
    let beside = world
        .home("comparisons")
        .join(format!("{other}.outcome/operator-outcome.json"));
    fs::copy(&word, &beside).unwrap();
    let (_, seen) = world.verify(other);
    assert_eq!(seen["candidate_default_eligible"], false);
    assert!(
        seen["operator_outcome"]["problem"]
            .as_str()
            .unwrap()
            .contains("another document"),
        "{seen:#}"
    );
    // A stranger with the public key and the operators checks a document by itself, and says what is not in reach.
    let (_, key) = world.installation.json(&["key", "show"]);
    let pem = world.installation.dir.path().join("key.pem");
    write(
        &pem,
        fs::read_to_string(world.home("keys/signing.pub")).unwrap().as_bytes(),
    );
    assert!(key.is_object());
    let away = world.installation.dir.path().join("away").join(id);
    fs::create_dir_all(away.parent().unwrap()).unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(world.home("comparisons").join(id))
        .arg(&away)
        .status();
    assert!(copied.unwrap().success());
    let other = Installation::new();
    let (code, seen) = other.json(&["verify", away.to_str().unwrap(), "--key", pem.to_str().unwrap()]);
    assert_eq!(code, 0, "{seen:#}");
    let evidence = named(&seen["bundles"][0]["checks"], "name", "evidence");
    assert_eq!(evidence["state"], "not applicable", "{evidence:#}");
    let (code, _) = other.json(&["verify", away.to_str().unwrap()]);
    assert_eq!(code, 5, "nobody here trusts the key");
}

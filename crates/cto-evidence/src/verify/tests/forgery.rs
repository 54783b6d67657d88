//! Lies by somebody who holds the key: what can be recomputed is recomputed, so signing it does not help.
#![expect(clippy::semicolon_if_nothing_returned, reason = "each edit is one expression")]

use std::path::Path;

use cto_schema::*;
use serde_json::{Value, json};

use super::fixture::{World, key, repair, reseal, sign};
use super::{failed, outcome};

type Edit = fn(&mut World);
type FileEdit = fn(&Path);

/// Lies in what the run saw or in what the report says of it, each with the check that must see it.
const WORLDS: &[(&str, Edit)] = &[
    ("verdict", |w| {
        *w = World::outside();
        w.lie = true;
        w.set_last_status("pass");
    }),
    ("verdict", |w| {
        *w = World::refused();
        w.lie = true;
        w.set_last_status("pass");
    }),
    ("verdict", |w| {
        *w = World::interrupted();
        w.lie = true;
        w.set_last_status("pass");
    }),
    ("event-order", |w| drop(w.events.remove(4))),
    ("event-order", |w| w.events.swap(4, 5)),
    ("event-order", |w| drop(w.events.pop())),
    ("event-order", |w| {
        let again = w.events[0].clone();
        w.events.insert(1, again);
    }),
    ("event-order", |w| {
        w.lie = true;
        w.events.remove(5);
        w.observations.events.remove(5);
    }),
    ("attempts", |w| {
        let data = json!({"act": "exec", "action": "push", "during": "verification", "run": "patched"});
        w.events.insert(5, (EventType::ForbiddenActionAttempted, data));
    }),
    ("attempts", |w| {
        let attempt = ForbiddenAttempt {
            action: "push".to_owned(),
            detail: "git push".to_owned(),
        };
        w.observations.engine.as_mut().unwrap().forbidden.push(attempt);
        let data = json!({"act": "exec", "action": "push", "during": "verification"});
        w.events.insert(5, (EventType::ForbiddenActionAttempted, data));
    }),
    ("agreement", |w| w.set_last_status("fail")),
    ("nonce", |w| w.events[0].1 = json!({"nonce": "00"})),
    ("journal", |w| drop(w.journal.remove(4))),
    ("journal", |w| w.journal.swap(6, 7)),
    ("journey", |w| w.journal.clear()),
    ("journey", |w| w.journal.truncate(7)),
    ("journey", |w| {
        w.journal
            .insert(10, JournalEvent::RecoveryIntent { last: String::new() })
    }),
    ("journal", |w| w.journal.push(JournalEvent::CollectIntent)),
    ("patch-paths", |w| {
        w.patch = super::fixture::PATCH
            .split("diff --git a/src/slug")
            .next()
            .unwrap()
            .into();
    }),
    ("patch-paths", |w| {
        w.patch = super::fixture::PATCH.replace("100755", "100644").into();
    }),
    ("patch-paths", |w| {
        w.patch = super::fixture::PATCH.replace("src/slug.py", "src/../../x").into();
    }),
    ("patch-content", |w| {
        w.patch = super::fixture::PATCH.replace("print('new')", "print('evil')").into();
    }),
    ("patch-content", |w| {
        w.patch = super::fixture::PATCH.replace("-old", "-other").into();
    }),
    ("patch-paths", |w| {
        w.write_set.as_mut().unwrap().changes.swap(0, 1);
    }),
    ("write-set", |w| {
        w.write_set.as_mut().unwrap().changes[2].before = None;
    }),
    ("write-set", |w| w.observations.patch_exists = false),
    ("artifacts", |w| {
        w.edit_report = |r| r.artifact_digests.retain(|name, _| name != "test.log");
    }),
    ("artifacts", |w| {
        w.edit_report = |r| *r.artifact_digests.get_mut("test.log").unwrap() = Sha256Digest::of(b"");
    }),
    ("artifacts", |w| {
        w.edit_report = |r| drop(r.artifact_paths.insert("x".into(), "../x".into()));
    }),
    ("freshness", |w| {
        w.edit_report = |r| drop(r.freshness.written_at_ns.insert("test.log".into(), "-5".into()));
    }),
    ("freshness", |w| {
        w.edit_report = |r| drop(r.freshness.written_at_ns.insert("test.log".into(), "9".repeat(18)));
    }),
    ("freshness", |w| {
        w.edit_report = |r| r.run_finished_at = "2025-11-20T09:00:00.000000Z".into();
    }),
    ("freshness", |w| {
        w.edit_report = |r| r.run_started_at = "yesterday".into();
    }),
    ("nonce", |w| {
        w.edit_report = |r| r.freshness.nonce = "11".repeat(32);
    }),
    ("event-chain", |w| {
        w.edit_report = |r| r.freshness.event_chain_head = Sha256Digest::of(b"");
    }),
    ("scope", |w| {
        w.edit_report = |r| r.allowed_writes_passed = None;
    }),
    ("scope", |w| {
        w.edit_report = |r| r.forbidden_paths_passed = Some(false);
    }),
    ("scope", |w| {
        *w = World::outside();
        w.edit_report = |r| r.allowed_writes_passed = Some(true);
    }),
    ("patch-paths", |w| {
        w.edit_report = |r| drop(r.changed_files.pop());
    }),
    ("verdict", |w| w.edit_report = |r| r.status = Status::Fail),
    ("verdict", |w| {
        *w = World::outside();
        w.edit_report = |r| {
            r.status = Status::Pass;
            r.blockers.clear();
            r.failure_reason = None;
            r.allowed_writes_passed = Some(true);
        };
    }),
    ("verdict", |w| {
        *w = World::outside();
        w.edit_report = |r| r.blockers[0].detail = "nothing to see".into();
    }),
    ("verdict", |w| {
        *w = World::outside();
        w.edit_report = |r| r.failure_reason = None;
    }),
    ("observations", |w| {
        w.edit_report = |r| r.backend_exit_code = Some(3);
    }),
    ("observations", |w| {
        w.edit_report = |r| r.case_process_started = false;
    }),
    ("observations", |w| {
        w.edit_report = |r| r.tests_passed = None;
    }),
    ("observations", |w| {
        w.edit_report = |r| r.verification[0].duration_ms = 1;
    }),
    ("observations", |w| w.edit_report = |r| r.clean_room = None),
    ("observations", |w| w.edit_report = |r| r.enforcement = None),
    ("observations", |w| {
        w.edit_report = |r| r.source_repository_mutated = Some(true);
    }),
    ("approval", |w| {
        w.edit_report = |r| r.approval_status = ApprovalStatus::Granted;
    }),
    ("claims", |w| w.edit_report = |r| r.claims.clear()),
    ("claims", |w| {
        w.edit_report = |r| r.claims[0].evidence = vec!["nowhere.json".into()];
    }),
    ("no-promotion", |w| {
        w.edit_report = |r| r.runtime_default_activation = true;
    }),
    ("no-promotion", |w| {
        w.edit_report = |r| r.core_promotion_status = "promoted".into();
    }),
    ("run-id", |w| w.edit_report = |r| r.run_id = "other".into()),
    ("run-id", |w| {
        w.edit_report = |r| r.artifacts_dir = "/etc".into();
    }),
    ("contract", |w| w.edit_report = |r| r.contract_digest = None),
    ("contract", |w| w.edit_report = |r| r.stage = Some(5)),
    ("schemas", |w| {
        w.edit_report = |r| r.schema = "cto/report/2.0".into();
    }),
    ("journal", |w| {
        w.edit_report = |r| r.backend = "codex".into();
    }),
    ("journal-digests", |w| {
        w.edit_report = |r| r.baseline_tree = None;
    }),
    ("trace", |w| w.spans[1].end_ns = "0".into()),
    ("proofs", |w| {
        let proof = json!({"schema": "cto/proof/1.0", "proof": "allowed_paths", "holds": true, "allowed_paths": ["**"],
            "forbidden_paths": [], "outside_allowed": [], "inside_forbidden": []});
        w.extra
            .insert("allowed-paths.json".into(), proof.to_string().into_bytes());
    }),
];

#[test]
fn a_lie_that_is_signed_is_still_one() {
    for (index, (check, edit)) in WORLDS.iter().enumerate() {
        let mut world = World::accepted();
        edit(&mut world);
        let outcome = outcome(&world.make());
        assert!(
            failed(&outcome).contains(check),
            "{index} {check}: {:?}",
            failed(&outcome)
        );
    }
}

fn edit_json(path: &Path, name: &str, edit: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&std::fs::read(path.join(name)).unwrap()).unwrap();
    edit(&mut value);
    std::fs::write(path.join(name), serde_json::to_vec(&value).unwrap()).unwrap();
}

fn append(path: &Path, name: &str, text: &str) {
    let old = std::fs::read_to_string(path.join(name)).unwrap();
    std::fs::write(path.join(name), old + text).unwrap();
}

fn replace(path: &Path, name: &str, from: &str, to: &str) {
    let old = std::fs::read_to_string(path.join(name)).unwrap();
    assert!(old.contains(from), "{name} holds no {from:?}");
    std::fs::write(path.join(name), old.replace(from, to)).unwrap();
}

/// Edits of finished files, after which digests and seal are made to fit.
const FILES: &[(&str, FileEdit)] = &[
    ("decision", |p| {
        edit_json(p, "decision.json", |v| v["approval_required"] = true.into())
    }),
    ("decision", |p| {
        edit_json(p, "decision.json", |v| v["reasons"] = json!([]))
    }),
    ("decision", |p| {
        replace(p, "journal.jsonl", "\"registered\":true", "\"registered\":false")
    }),
    ("contract", |p| replace(p, "contract.json", "\"src/\"", "\"**\"")),
    ("contract", |p| append(p, "contract.json", " ")),
    ("contract", |p| replace(p, "contract.json", "{", "{ ")),
    ("journal-digests", |p| append(p, "test.log", "one more line\n")),
    ("event-chain", |p| {
        replace(p, "events.normalized.jsonl", "\"files\":3", "\"files\":1")
    }),
    ("run-id", |p| {
        replace(p, "events.normalized.jsonl", super::fixture::RUN_ID, "other")
    }),
    ("event-chain", |p| append(p, "events.normalized.jsonl", "{}\n")),
    ("event-chain", |p| append(p, "events.normalized.jsonl", "\n")),
    ("journal", |p| append(p, "journal.jsonl", "{\"seq\":0}")),
    ("journal", |p| replace(p, "journal.jsonl", "\"seq\":3", "\"seq\":4")),
    ("journal", |p| {
        replace(p, "journal.jsonl", "\"mono_ns\":\"3000000\"", "\"mono_ns\":\"1\"")
    }),
    ("journal", |p| {
        replace(
            p,
            "journal.jsonl",
            "\"mono_ns\":\"3000000\"",
            "\"mono_ns\":\"+3000000\"",
        )
    }),
    ("observations", |p| {
        edit_json(p, "enforcement.json", |v| v["bounds"] = json!([]))
    }),
    ("readable", |p| append(p, "report.md", "\u{1b}[2J")),
    ("readable", |p| append(p, "report.md", "\u{202e}")),
    ("readable", |p| append(p, "report.md", "\r")),
    ("readable", |p| {
        replace(p, "report.md", "Verdict: PASS", "Verdict: FAIL")
    }),
    ("readable", |p| replace(p, "report.md", super::fixture::RUN_ID, "other")),
    ("readable", |p| append(p, "report.html", "<script>1</script>")),
    ("readable", |p| append(p, "report.html", "<IMG src=x>")),
    ("readable", |p| {
        append(p, "report.html", "<a href=\"javascript:1\">x</a>")
    }),
    ("readable", |p| append(p, "report.html", "<p onclick=\"x()\">x</p>")),
    ("readable", |p| {
        replace(p, "report.html", "color-scheme: light dark;", "background:url(//x);")
    }),
    ("readable", |p| {
        replace(p, "report.html", "Verdict: PASS</h1>", "Verdict: FAIL</h1>")
    }),
    ("report-digest", |p| append(p, "report.json", " ")),
];

#[test]
fn an_edited_file_is_seen_although_digests_and_seal_were_made_to_fit() {
    for (index, (check, edit)) in FILES.iter().enumerate() {
        let made = World::accepted().make();
        edit(&made.path);
        if *check == "report-digest" {
            edit_json(&made.path, "report.json", |v| v["unknown_field"] = 1.into());
            reseal(&made.path, &key(), |_| {});
        } else {
            repair(&made.path);
        }
        let outcome = outcome(&made);
        assert!(
            failed(&outcome).contains(check),
            "{index} {check}: {:?}",
            failed(&outcome)
        );
    }
}

#[test]
fn no_field_of_the_statement_can_differ_from_the_files() {
    let made = World::accepted().make();
    let mut fields = Vec::new();
    reseal(&made.path, &key(), |statement| {
        let value = serde_json::to_value(&statement.predicate).unwrap();
        fields = value.as_object().unwrap().keys().cloned().collect();
    });
    for field in fields.iter().filter(|field| *field != "limits_of_this_statement") {
        reseal(&made.path, &key(), |statement| {
            let mut value = serde_json::to_value(&statement.predicate).unwrap();
            value[field] = match &value[field] {
                Value::String(text) if text.starts_with("sha256:") => {
                    json!(Sha256Digest::of(b"other"))
                }
                Value::String(text) if text == "pass" => json!("fail"),
                Value::String(_) => json!("other"),
                Value::Null => json!(Sha256Digest::of(b"other")),
                _ if field == "enforcement" => Value::Null,
                _ => json!([]),
            };
            if field == "blockers" {
                value[field] = json!([{"code": "no_diff", "detail": "", "event": "git.diff.checked"}]);
            }
            statement.predicate = serde_json::from_value(value).unwrap();
        });
        assert!(failed(&outcome(&made)).contains(&"predicate"), "{field}");
    }
    let subjects: [fn(&mut Statement); 5] = [
        |s| s.subject.clear(),
        |s| s.subject.push(s.subject[0].clone()),
        |s| s.subject[0].name = "report.json".into(),
        |s| s.kind = "https://in-toto.io/Statement/v0.1".into(),
        |s| s.predicate_type = "https://slsa.dev/provenance/v1".into(),
    ];
    for edit in subjects {
        reseal(&made.path, &key(), edit);
        assert_eq!(failed(&outcome(&made)), ["subject"]);
    }
    sign(&made.path, &key(), b"{\"_type\":1}");
    assert!(failed(&outcome(&made)).contains(&"subject"));
}

#[test]
fn an_envelope_has_one_signature_and_nothing_else() {
    let made = World::accepted().make();
    let file = made.path.join("attestation.dsse.json");
    let original = std::fs::read_to_string(&file).unwrap();
    let edits: [fn(&mut Value); 5] = [
        |v| v["payloadType"] = "application/json".into(),
        |v| v["signatures"] = json!([]),
        |v| v["signatures"] = json!([v["signatures"][0], v["signatures"][0]]),
        |v| v["note"] = "x".into(),
        |v| v["signatures"][0]["note"] = "x".into(),
    ];
    for (index, edit) in edits.iter().enumerate() {
        let mut value: Value = serde_json::from_str(&original).unwrap();
        edit(&mut value);
        std::fs::write(&file, value.to_string()).unwrap();
        assert!(failed(&outcome(&made)).contains(&"envelope"), "{index}");
    }
    for text in [
        format!("{original} "),
        format!(" {original}"),
        format!("\u{feff}{original}"),
        String::new(),
    ] {
        std::fs::write(&file, text).unwrap();
        assert!(failed(&outcome(&made)).contains(&"envelope"));
    }
}

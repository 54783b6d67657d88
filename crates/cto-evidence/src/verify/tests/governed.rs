//! Lies about runs that change an owned repository, each sealed again by somebody who holds a trusted key.
#![expect(clippy::semicolon_if_nothing_returned, reason = "each edit is one expression")]

use std::path::Path;

use cto_schema::*;
use serde_json::{Value, json};

use super::fixture::owned::{Said, operator, signed, signers, statement};
use super::fixture::{Made, World, repair};
use super::{failed, outcome, trusted};
use crate::bundle::Bundle;
use crate::verify::{CheckState, VerificationOutcome, Verified, verify_bundle, verify_many};

fn with_signers(made: &Made, seed: u8, options: &str) -> VerificationOutcome {
    let keys = trusted().with_signers(signers(seed, options));
    verify_bundle(&Bundle::open(&made.path).unwrap(), &keys, None)
}

#[test]
fn an_honest_run_on_an_owned_repository_passes_with_the_word_inside_and_with_the_word_beside() {
    let made = World::owned().make();
    for outcome in [outcome(&made), with_signers(&made, 1, "")] {
        assert_eq!(failed(&outcome), Vec::<&str>::new(), "{outcome:#?}");
        assert_eq!(
            (outcome.status, outcome.effective_status),
            (Some(Status::Pass), Some(Status::Pass))
        );
        let skipped: Vec<&str> = outcome
            .checks
            .iter()
            .filter(|c| c.state == CheckState::NotApplicable)
            .map(|c| c.name)
            .collect();
        assert_eq!(skipped, ["model", "ledger", "outcome-beside"]);
    }
    let made = World::owned_as(pending()).make();
    let outcome = with_signers(&made, 1, "");
    assert_eq!(failed(&outcome), Vec::<&str>::new(), "{outcome:#?}");
    assert_eq!(outcome.effective_status, Some(Status::Blocked));
    say_beside(&made, 1, |_| {});
    assert_eq!(with_signers(&made, 1, "").effective_status, Some(Status::Pass));
}

#[test]
fn an_honest_run_that_was_interrupted_after_its_approval_verifies_as_what_it_is() {
    for record in ["engine_intent", "apply_intent", "applied"] {
        let mut world = World::owned();
        let at = world.journal.iter().position(|e| e.name() == record).unwrap();
        world.journal.truncate(at + 1);
        world.journal.push(JournalEvent::RecoveryIntent { last: record.into() });
        world.observations.interrupted = Some(format!("harness died after '{record}'"));
        world.observations.outcome = None;
        world.set_last_status("blocked");
        if record != "applied" {
            world
                .extra
                .retain(|name, _| !name.starts_with("stage5") && !name.starts_with("operator"));
            world.events.retain(|(kind, _)| *kind != EventType::OperatorOutcome);
        }
        if record == "engine_intent" {
            world.observations.applied = None;
        }
        let outcome = outcome(&world.make());
        assert_eq!(failed(&outcome), Vec::<&str>::new(), "{record} {outcome:#?}");
    }
}

fn pending() -> Said {
    Said {
        sealed_in: false,
        ..Said::default()
    }
}

/// Puts a word beside a bundle.
fn say_beside(made: &Made, seed: u8, edit: fn(&mut OutcomeStatement)) {
    let read = |name: &str| std::fs::read(made.path.join(name)).unwrap();
    let mut said = statement(&read("patch.diff"));
    said.attestation_digest = Some(Sha256Digest::of(&read("attestation.dsse.json")));
    edit(&mut said);
    let text = said.canonical();
    let document = SignedStatement {
        signature: signed(seed, &text),
        statement: String::from_utf8(text).unwrap(),
    };
    let mut place = made.path.clone().into_os_string();
    place.push(".outcome");
    std::fs::create_dir_all(&place).unwrap();
    let file = Path::new(&place).join("operator-outcome.json");
    std::fs::write(file, serde_json::to_vec(&document).unwrap()).unwrap();
}

#[test]
fn an_outcome_is_about_this_run_and_what_was_signed_is_what_was_observed() {
    let edits: [fn(&mut OutcomeStatement); 10] = [
        |s| s.outcome = OperatorOutcome::Rejected,
        |s| s.outcome = OperatorOutcome::Pending,
        |s| s.run_id.push('x'),
        |s| s.nonce = "00".repeat(32),
        |s| s.patch_digest = None,
        |s| s.target_commit = Some("other".into()),
        |s| s.attestation_digest = Some(Sha256Digest::of(b"")),
        |s| s.actor = "bert@x".into(),
        |s| s.reason = "another".into(),
        |s| s.decided_at = "2026-11-20T08:59:59Z".parse().unwrap(),
    ];
    for (index, outcome_edit) in edits.into_iter().enumerate() {
        let said = Said {
            outcome: outcome_edit,
            ..Said::default()
        };
        let outcome = outcome(&World::owned_as(said).make());
        assert!(failed(&outcome).contains(&"outcome"), "{index} {:?}", failed(&outcome));
        assert_eq!(outcome.effective_status, None, "{index}");
    }
}

#[test]
fn a_strangers_key_is_seen_where_operators_are_known() {
    let said = Said {
        seed: 9,
        ..Said::default()
    };
    let made = World::owned_as(said).make();
    assert_eq!(failed(&with_signers(&made, 1, "")), ["approval", "outcome"]);
    let unasked = outcome(&made);
    assert!(detail(&unasked, "outcome").contains("was not asked"), "{unasked:#?}");
}

#[test]
fn a_key_that_has_ended_cannot_sign_for_an_earlier_day() {
    let options = ",valid-before=\"20261120Z\"";
    let early = Said {
        approval: |s| s.decided_at = "2026-11-19T10:00:00Z".parse().unwrap(),
        outcome: |s| s.decided_at = "2026-11-19T10:00:00Z".parse().unwrap(),
        ..Said::default()
    };
    let mut world = World::owned_as(early);
    // The gates are led to believe that the packet is older than it is.
    world.facts.approval.packet_created_at_seconds = Some(0);
    let seen = with_signers(&world.make(), 1, options);
    assert_eq!(failed(&seen), ["approval", "outcome"]);
    assert!(
        detail(&seen, "approval").contains("decided_at is not before"),
        "{seen:#?}"
    );
    assert!(detail(&seen, "outcome").contains("before the run started"), "{seen:#?}");
    let late = Said {
        approval: |s| s.decided_at = "2026-11-20T09:05:01Z".parse().unwrap(),
        ..Said::default()
    };
    let mut world = World::owned_as(late);
    world.facts.approval.judged_at_seconds += 60;
    let seen = outcome(&world.make());
    assert_eq!(failed(&seen), ["approval"]);
    assert!(
        detail(&seen, "approval").contains("decided_at is not after"),
        "{seen:#?}"
    );
}

fn detail<'a>(outcome: &'a VerificationOutcome, name: &str) -> &'a str {
    &outcome.checks.iter().find(|check| check.name == name).unwrap().detail
}

type Edit = fn(&mut World);
type FileEdit = fn(&Path);

/// Lies in what was observed or in which documents are there.
const WORLDS: &[(&str, Edit)] = &[
    ("outcome", |w| drop(w.extra.remove("operator-outcome.json"))),
    ("outcome", |w| w.observations.outcome = None),
    ("outcome", |w| {
        drop(w.extra.remove("operator-outcome.json"));
        w.observations.outcome = None;
        w.lie = true;
    }),
    ("outcome", |w| {
        w.observations.outcome.as_mut().unwrap().signer_key = "SHA256:x".into();
    }),
    ("outcome", |w| {
        w.events.retain(|(kind, _)| *kind != EventType::OperatorOutcome)
    }),
    ("governed", |w| {
        w.observations.applied.as_mut().unwrap().target_commit = Some("other".into());
    }),
    ("governed", |w| {
        w.observations.applied.as_mut().unwrap().branch = "refs/heads/other".into();
    }),
    ("governed", |w| drop(w.journal.pop())),
    ("governed", |w| w.journal.truncate(w.journal.len() - 2)),
    ("governed", |w| w.contract.mutation_mode = MutationMode::CopiedRepo),
    ("stage-proofs", |w| w.contract.mutation_mode = MutationMode::CopiedRepo),
    ("stage-proofs", |w| drop(w.extra.remove("stage5-owned-repo-proof.json"))),
    ("stage-proofs", |w| drop(w.extra.remove("branch-policy.json"))),
    ("stage-proofs", |w| drop(w.extra.remove("target-admission.json"))),
    ("stage-proofs", |w| drop(w.extra.remove("clean-start.json"))),
    ("stage-proofs", |w| drop(w.extra.remove("clean-end.json"))),
    ("stage-proofs", |w| {
        w.observations.applied.as_mut().unwrap().ending_clean = None;
    }),
    ("stage-proofs", |w| {
        w.facts.target.before.as_mut().unwrap().head = "ref: refs/heads/x".into()
    }),
    ("stage-proofs", |w| {
        w.observations.verification.as_mut().unwrap().left_behind = vec!["x".into()];
    }),
    ("approval", |w| drop(w.extra.remove("approval.json"))),
    ("approval", |w| w.observations.approval = None),
    ("approval", |w| w.facts.approval.signer_key = None),
    ("approval", |w| w.facts.approval.packet_created_at_seconds = Some(0)),
];

#[test]
fn what_was_observed_of_a_change_cannot_be_told_otherwise() {
    for (index, (check, edit)) in WORLDS.iter().enumerate() {
        let mut world = World::owned();
        edit(&mut world);
        let outcome = outcome(&world.make());
        assert!(
            failed(&outcome).contains(check),
            "{index} {check}: {:?}",
            failed(&outcome)
        );
        assert_eq!(outcome.effective_status, None);
    }
}

fn edit_json(path: &Path, name: &str, edit: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&std::fs::read(path.join(name)).unwrap()).unwrap();
    edit(&mut value);
    std::fs::write(path.join(name), serde_json::to_vec(&value).unwrap()).unwrap();
}

/// Returns another value of the same kind.
fn other(value: &Value) -> Value {
    match value {
        Value::Bool(it) => json!(!it),
        Value::Number(_) => json!(7),
        Value::String(text) if text.starts_with("sha256:") => json!(Sha256Digest::of(b"other")),
        Value::String(text) if text == "accepted" => json!("rejected"),
        Value::String(text) if text == "operator" => json!("validator"),
        Value::String(text) if text.ends_with('Z') => json!("2026-11-19T00:00:00Z"),
        Value::String(_) => json!("other"),
        Value::Null => json!("other"),
        Value::Array(list) if list.is_empty() => json!(["other"]),
        Value::Array(_) => json!([]),
        Value::Object(_) => json!({}),
    }
}

#[test]
fn no_field_of_a_proof_can_be_changed() {
    let stage4 = World::disposable as fn() -> World;
    let (stage3, stage5) = (World::copied as fn() -> World, World::owned as fn() -> World);
    for (world, name, check) in [
        (stage3, "stage3-copied-repo-proof.json", "stage-proofs"),
        (stage4, "stage4-disposable-sandbox-proof.json", "stage-proofs"),
        (stage4, "branch-policy.json", "stage-proofs"),
        (stage5, "approval.json", "approval"),
        (stage5, "branch-policy.json", "stage-proofs"),
        (stage5, "target-admission.json", "stage-proofs"),
        (stage5, "clean-end.json", "stage-proofs"),
        (stage5, "stage5-owned-repo-proof.json", "stage-proofs"),
        (stage5, "operator-outcome.json", "outcome"),
    ] {
        let made = world().make();
        assert_eq!(failed(&outcome(&made)), Vec::<&str>::new(), "{name}");
        let original = std::fs::read(made.path.join(name)).unwrap();
        let fields: Value = serde_json::from_slice(&original).unwrap();
        for (field, value) in fields.as_object().unwrap() {
            edit_json(&made.path, name, |v| v[field] = other(value));
            repair(&made.path);
            let outcome = outcome(&made);
            assert!(
                failed(&outcome).contains(&check),
                "{name} {field}: {:?}",
                failed(&outcome)
            );
            std::fs::write(made.path.join(name), &original).unwrap();
        }
    }
}

#[test]
fn what_became_of_a_disposable_repository_is_of_one_piece() {
    for (field, another) in [
        ("sandbox_disposition", json!("gone")),
        ("sandbox_disposition", json!("retained")),
        ("disposable_repository_dir", json!("disposable/other")),
        ("disposable_repository_owner", json!("somebody")),
        ("creation_source", json!("admitted")),
        ("holds", json!(false)),
    ] {
        let made = World::disposable().make();
        edit_json(&made.path, "sandbox-disposition.json", |v| v[field] = another);
        repair(&made.path);
        assert_eq!(failed(&outcome(&made)), ["stage-proofs"], "{field}");
    }
    let mut world = World::disposable();
    world.extra.remove("sandbox-disposition.json");
    assert_eq!(failed(&outcome(&world.make())), ["stage-proofs"]);
    for name in [
        "stage3-copied-repo-proof.json",
        "clean-end.json",
        "source-non-mutation.json",
    ] {
        let mut world = World::copied();
        world.extra.remove(name);
        assert_eq!(failed(&outcome(&world.make())), ["stage-proofs"], "{name}");
    }
}

#[test]
fn no_field_of_the_report_about_a_change_can_be_changed() {
    let made = World::owned().make();
    let original = std::fs::read(made.path.join("report.json")).unwrap();
    let fields: Value = serde_json::from_slice(&original).unwrap();
    let governed = fields["governed"].as_object().unwrap();
    for (field, value) in governed {
        let another = match field.as_str() {
            "target_commit" | "rollback_command" => json!("other"),
            _ => other(value),
        };
        edit_json(&made.path, "report.json", |v| v["governed"][field] = another);
        repair(&made.path);
        assert!(failed(&outcome(&made)).contains(&"governed"), "{field}");
        std::fs::write(made.path.join("report.json"), &original).unwrap();
    }
    for (field, another) in [
        ("governed", Value::Null),
        ("allowed_mutation_scope", json!("everything")),
        ("approval_status", json!("not-required")),
    ] {
        edit_json(&made.path, "report.json", |v| v[field] = another);
        repair(&made.path);
        assert!(failed(&outcome(&made)).contains(&"governed"), "{field}");
        std::fs::write(made.path.join("report.json"), &original).unwrap();
    }
}

/// Edits of the signed word itself.
const SIGNED: &[FileEdit] = &[
    |p| {
        edit_json(p, "operator-outcome.json", |v| {
            v["signed"]["signature"] = "garbage".into()
        })
    },
    |p| {
        edit_json(p, "operator-outcome.json", |v| {
            let text = v["signed"]["statement"].as_str().unwrap().to_owned();
            v["signed"]["statement"] = format!("{text} ").into();
            v["signed"]["signature"] = signed(1, format!("{text} ").as_bytes()).into();
        })
    },
    |p| {
        edit_json(p, "operator-outcome.json", |v| {
            let text = v["signed"]["statement"].as_str().unwrap().to_owned();
            v["signed"]["signature"] = signed(9, text.as_bytes()).into();
        })
    },
    |p| {
        edit_json(p, "operator-outcome.json", |v| {
            let text = v["signed"]["statement"].as_str().unwrap().to_owned();
            let pem = operator(1)
                .sign("git", ssh_key::HashAlg::Sha512, text.as_bytes())
                .unwrap();
            v["signed"]["signature"] = pem.to_pem(ssh_key::LineEnding::LF).unwrap().into();
        })
    },
];

#[test]
fn a_word_that_nobody_signed_in_this_form_is_none() {
    for (index, edit) in SIGNED.iter().enumerate() {
        let made = World::owned().make();
        edit(&made.path);
        repair(&made.path);
        assert_eq!(failed(&outcome(&made)), ["outcome"], "{index}");
    }
}

#[test]
fn a_word_beside_counts_only_where_none_was_sealed_in_and_all_else_holds() {
    let effective = |made: &Made| with_signers(made, 1, "").effective_status;
    let edits: [fn(&mut OutcomeStatement); 5] = [
        |s| s.outcome = OperatorOutcome::Rejected,
        |s| s.run_id.push('x'),
        |s| s.attestation_digest = Some(Sha256Digest::of(b"another seal")),
        |s| s.target_commit = None,
        |s| s.decided_at = "2026-11-20T08:00:00Z".parse().unwrap(),
    ];
    for (index, edit) in edits.into_iter().enumerate() {
        let made = World::owned_as(pending()).make();
        say_beside(&made, 1, edit);
        let seen = with_signers(&made, 1, "");
        assert_eq!(seen.effective_status, Some(Status::Blocked), "{index}");
        // A rejection is a word; the others are about something else, and nobody may put that there.
        let forged: &[&str] = if index == 0 { &[] } else { &["outcome-beside"] };
        assert_eq!(
            (failed(&seen), seen.bundle_verifies()),
            (forged.to_vec(), true),
            "{index}"
        );
    }
    // Said after the commit and before the seal, too late to be sealed in: it names all that the seal is about.
    let made = World::owned_as(pending()).make();
    say_beside(&made, 1, |s| s.attestation_digest = None);
    assert_eq!(effective(&made), Some(Status::Pass));
    let made = World::owned_as(pending()).make();
    say_beside(&made, 9, |_| {});
    assert_eq!(effective(&made), Some(Status::Blocked), "a stranger");
    assert_eq!(failed(&with_signers(&made, 1, "")), ["outcome-beside"]);
    // Whose key it is cannot be told by who does not know the operators; that is no forgery.
    let unasked = outcome(&made);
    assert_eq!(failed(&unasked), Vec::<&str>::new());
    assert!(unasked.outcome.unwrap().problem.unwrap().contains("was not asked"));
    // A rejection that was sealed in stays one.
    let made = rejected().make();
    assert_eq!(failed(&outcome(&made)), Vec::<&str>::new(), "{:#?}", outcome(&made));
    say_beside(&made, 1, |_| {});
    let seen = with_signers(&made, 1, "");
    assert_eq!(seen.effective_status, Some(Status::Blocked));
    assert!(seen.outcome.unwrap().problem.unwrap().contains("sealed in"));
    // What does not verify has no status that anybody could act on.
    let made = World::owned_as(pending()).make();
    edit_json(&made.path, "target-admission.json", |v| {
        v["repository_owner"] = "other".into()
    });
    repair(&made.path);
    say_beside(&made, 1, |_| {});
    let seen = with_signers(&made, 1, "");
    assert_eq!(failed(&seen), ["stage-proofs"]);
    assert_eq!(seen.outcome.unwrap().outcome, OperatorOutcome::Accepted);
    assert_eq!(seen.effective_status, None);
}

/// Files beside a bundle that say nothing anybody signed.
#[test]
fn what_lies_beside_and_is_not_what_it_claims_fails_by_name_and_leaves_the_bundle() {
    let good = |made: &Made| {
        say_beside(made, 1, |_| {});
        std::fs::read(beside(made).join("operator-outcome.json")).unwrap()
    };
    let edits: [fn(&Path, Vec<u8>); 5] = [
        |file, _| std::fs::write(file, b"").unwrap(),
        |file, bytes| std::fs::write(file, [bytes, b"x".to_vec()].concat()).unwrap(),
        |file, bytes| {
            let text = String::from_utf8(bytes)
                .unwrap()
                .replace("looked at it", "looked At it");
            std::fs::write(file, text).unwrap()
        },
        |file, _| {
            std::fs::remove_file(file).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", file).unwrap()
        },
        |file, _| {
            std::fs::remove_file(file).unwrap();
            std::fs::create_dir(file).unwrap()
        },
    ];
    for (index, edit) in edits.into_iter().enumerate() {
        let made = World::owned_as(pending()).make();
        let bytes = good(&made);
        assert_eq!(failed(&with_signers(&made, 1, "")), Vec::<&str>::new());
        edit(&beside(&made).join("operator-outcome.json"), bytes);
        let seen = with_signers(&made, 1, "");
        assert_eq!(failed(&seen), ["outcome-beside"], "{index}");
        assert!(!seen.ok() && seen.bundle_verifies(), "{index}");
        assert_eq!(seen.effective_status, Some(Status::Blocked), "{index}");
    }
}

#[test]
fn a_pass_whose_change_was_taken_back_is_none_whoever_says_so() {
    let signer = crate::keys::Signer::new(super::fixture::key()).unwrap();
    let stranger = crate::keys::Signer::generate().unwrap();
    let statement = |run: &str, commit: &str| RollbackStatement {
        kind: STATEMENT_TYPE.to_owned(),
        subject: vec![CommitSubject {
            name: run.to_owned(),
            digest: CommitDigest {
                git_commit: commit.to_owned(),
            },
        }],
        predicate_type: ROLLBACK_PREDICATE_TYPE.to_owned(),
        predicate: RollbackPredicate {
            schema: SchemaId::ROLLBACK.to_string(),
            run_id: run.to_owned(),
            reverted: commit.to_owned(),
            commit: "2".repeat(40),
            rolled_back_at: "2026-11-20T09:10:00Z".to_owned(),
        },
    };
    let made = World::owned().make();
    let (run, commit) = (
        made.report.run_id.clone(),
        made.report.governed.clone().unwrap().target_commit.unwrap(),
    );
    let envelope = |statement: &RollbackStatement, signer: &crate::keys::Signer| {
        serde_json::to_vec(&signer.envelope(&serde_json::to_vec(statement).unwrap())).unwrap()
    };
    let honest = envelope(&statement(&run, &commit), &signer);
    for (index, (bytes, is_sound)) in [
        (honest.clone(), true),
        (envelope(&statement("other", &commit), &signer), false),
        (envelope(&statement(&run, "other"), &signer), false),
        (envelope(&statement(&run, &commit), &stranger), false),
        (b"{\"reverted\":\"x\"}".to_vec(), false),
    ]
    .into_iter()
    .enumerate()
    {
        let made = World::owned().make();
        std::fs::create_dir_all(beside(&made)).unwrap();
        std::fs::write(beside(&made).join("rollback.json"), bytes).unwrap();
        let seen = outcome(&made);
        assert_eq!((seen.ok(), seen.bundle_verifies()), (is_sound, true), "{index}");
        assert_eq!(
            (seen.status, seen.effective_status),
            (Some(Status::Pass), Some(Status::Blocked)),
            "{index}"
        );
    }
    // The installation's own journal says so, whatever lies beside the bundle.
    let mut ledger = crate::verify::LedgerSnapshot::default();
    ledger.taken_back.insert(run, "2".repeat(40));
    let bundle = Bundle::open(&made.path).unwrap();
    let seen = verify_bundle(&bundle, &trusted(), Some(&ledger));
    assert_eq!(seen.effective_status, Some(Status::Blocked), "{seen:#?}");
}

#[test]
fn a_key_that_has_ended_accepts_nothing_unless_the_installation_heard_it_in_time() {
    let ends = ",valid-before=\"20261120100000Z\"";
    let judged = |heard: Option<&str>| {
        let made = World::owned_as(pending()).make();
        say_beside(&made, 1, |_| {});
        if let Some(heard) = heard {
            let word = std::fs::read(beside(&made).join("operator-outcome.json")).unwrap();
            let statement = HeardStatement {
                kind: STATEMENT_TYPE.to_owned(),
                subject: vec![Subject::new("operator-outcome.json", &Sha256Digest::of(&word))],
                predicate_type: HEARD_PREDICATE_TYPE.to_owned(),
                predicate: HeardPredicate {
                    schema: SchemaId::OUTCOME_HEARD.to_string(),
                    run_id: made.report.run_id.clone(),
                    heard_at: heard.to_owned(),
                },
            };
            let signer = crate::keys::Signer::new(super::fixture::key()).unwrap();
            let envelope = signer.envelope(&serde_json::to_vec(&statement).unwrap());
            std::fs::write(beside(&made).join("heard.json"), serde_json::to_vec(&envelope).unwrap()).unwrap();
        }
        (made, ends)
    };
    for (heard, counts) in [
        (None, false),
        (Some("2026-11-20T09:05:00Z"), true),
        (Some("2026-11-20T10:00:00Z"), false),
        (Some("never"), false),
    ] {
        let (made, ends) = judged(heard);
        let seen = with_signers(&made, 1, ends);
        let status = if counts { Status::Pass } else { Status::Blocked };
        assert_eq!(seen.effective_status, Some(status), "{heard:?}: {seen:#?}");
        assert_eq!(seen.ok(), counts, "{heard:?}");
        if counts {
            assert!(detail(&seen, "outcome-beside").contains("installation's clock"));
        }
    }
    // With another word in its place, what was heard is not this one.
    let (made, ends) = judged(Some("2026-11-20T09:05:00Z"));
    say_beside(&made, 1, |s| s.reason = "another".into());
    assert_eq!(failed(&with_signers(&made, 1, ends)), ["outcome-beside"]);
}

fn beside(made: &Made) -> std::path::PathBuf {
    let mut place = made.path.clone().into_os_string();
    place.push(".outcome");
    place.into()
}

fn rejected() -> World {
    let said = Said {
        outcome: |s| s.outcome = OperatorOutcome::Rejected,
        ..Said::default()
    };
    let mut world = World::owned_as(said);
    world.observations.outcome.as_mut().unwrap().outcome = OperatorOutcome::Rejected;
    for (kind, data) in &mut world.events {
        if *kind == EventType::OperatorOutcome {
            data["outcome"] = json!("rejected");
        }
    }
    world.set_last_status("blocked");
    let edits = [
        ("operator-outcome.json", "holds"),
        ("stage5-owned-repo-proof.json", "holds"),
    ];
    for (name, field) in edits {
        let mut value: Value = serde_json::from_slice(&world.extra[name]).unwrap();
        value[field] = json!(false);
        if name.starts_with("stage5") {
            value["operator_outcome"] = json!("rejected");
        }
        world.extra.insert(name.to_owned(), serde_json::to_vec(&value).unwrap());
    }
    world
}

#[test]
fn two_runs_that_consumed_one_approval_fail_together_and_one_that_is_here_twice_does_not() {
    let first = World::owned().make();
    let mut world = World::owned();
    world.test_log.extend_from_slice(b"said in another run\n");
    let second = world.make();
    let keys = trusted().with_signers(signers(1, ""));
    let verify = |made: &[&Made]| {
        let paths: Vec<_> = made.iter().map(|made| made.path.clone()).collect();
        let seen = verify_many(&paths, &keys, None, 2, &|_, _| {});
        let failed = |verified: &Verified| failed(verified.result.as_ref().unwrap());
        seen.iter().map(failed).map(|names| names.join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(verify(&[&first, &first]), ["", ""]);
    assert_eq!(verify(&[&second]), [""]);
    assert_eq!(verify(&[&first, &second]), ["approval-once", "approval-once"]);
}

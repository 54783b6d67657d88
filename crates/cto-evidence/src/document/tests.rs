//! Sealed documents: what was sealed verifies, and with one change it does not.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::bundle::Bundle;
use crate::keys::Keys;
use crate::test_support::place;
use crate::verify::{CheckState, TrustedKeys, VerificationOutcome, verify_many};

struct World {
    #[expect(dead_code, reason = "removed with the test")]
    place: tempfile::TempDir,
    home: Home,
    keys: TrustedKeys,
    sealed: SealedDocument,
}

fn document() -> Value {
    json!({
        "schema": "cto/matrix/1.0",
        "cells": [],
        "runtime_default_activation": false,
        "core_promotion_status": "not-promoted",
    })
}

fn world_of(document: &Value) -> World {
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    let keys = Keys::open(&home).unwrap();
    let signer = keys.ensure_signing_key().unwrap();
    let name = DocumentName::fresh(DocumentKind::Matrix).unwrap();
    let draft = DocumentDraft {
        name: &name,
        document,
        markdown: "# A matrix\n",
        more: &[("matrix.html", b"<p>")],
        rests_on: BTreeMap::from([("a-run".to_owned(), Sha256Digest::of(b"sums"))]),
    };
    let sealed = SealedDocument::seal(&home, &signer, &draft).unwrap();
    let keys = TrustedKeys::of_installation(&keys).unwrap();
    World {
        place,
        home,
        keys,
        sealed,
    }
}

fn world() -> World {
    world_of(&document())
}

fn verified(path: &Path, keys: &TrustedKeys) -> VerificationOutcome {
    let mut found = verify_many(&[path.to_owned()], keys, None, 1, &|_, _| {});
    found.remove(0).result.unwrap()
}

fn failed(outcome: &VerificationOutcome) -> Vec<&'static str> {
    outcome.failed().map(|check| check.name).collect()
}

#[test]
fn what_was_sealed_verifies_and_is_found_by_its_id() {
    let world = world();
    let outcome = verified(&world.sealed.path, &world.keys);
    assert_eq!(failed(&outcome), Vec::<&str>::new(), "{:#?}", outcome.checks);
    assert!(outcome.checks.iter().all(|check| check.state == CheckState::Passed));
    let seen = outcome.document.unwrap();
    assert_eq!((seen.id.as_str(), seen.accepted), (world.sealed.id.as_str(), false));
    assert_eq!(outcome.manifest_digest, Some(world.sealed.manifest_digest));
    assert_eq!(seen.attestation_digest, world.sealed.attestation_digest);
    let listed = documents(&world.home, DocumentKind::Matrix).unwrap();
    assert_eq!(listed, std::slice::from_ref(&world.sealed.id));
    assert_eq!(documents(&world.home, DocumentKind::Packet).unwrap(), []);
    let part = &world.sealed.id.as_str()[10..];
    assert_eq!(document_path(&world.home, part)[0].2, world.sealed.path);
    assert!(document_path(&world.home, "zzzz").is_empty());
}

#[test]
fn every_changed_missing_or_added_file_shows() {
    let names = [
        "matrix.json",
        "matrix.md",
        "matrix.html",
        "SHA256SUMS",
        "attestation.dsse.json",
    ];
    for name in names {
        let world = world();
        let path = world.sealed.path.join(name);
        let bytes = fs::read(&path).unwrap();
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            durable::write_replacing(durable::open_dir(&world.sealed.path).unwrap(), name, &changed).unwrap();
            assert!(!verified(&world.sealed.path, &world.keys).ok(), "{name} at {at}");
        }
        fs::remove_file(&path).unwrap();
        assert!(!verified(&world.sealed.path, &world.keys).ok(), "{name} removed");
    }
    let world = world();
    fs::copy(world.sealed.path.join("matrix.md"), world.sealed.path.join("more.md")).unwrap();
    assert_eq!(failed(&verified(&world.sealed.path, &world.keys)), ["manifest"]);
}

#[test]
fn refuses_an_unknown_key_and_another_documents_name() {
    let world = world();
    assert_eq!(
        failed(&verified(&world.sealed.path, &TrustedKeys::default())),
        ["signature"]
    );
    let other = world.sealed.path.with_file_name("20261120t090000z-matrix-aaaaaaaaaa");
    fs::rename(&world.sealed.path, &other).unwrap();
    assert_eq!(failed(&verified(&other, &world.keys)), ["predicate"]);
}

#[test]
fn a_signature_makes_no_engine_the_default_and_promotes_nothing() {
    for (pointer, value) in [
        ("runtime_default_activation", json!(true)),
        ("runtime_default_activation", json!("false")),
        ("runtime_default_activation", Value::Null),
        ("core_promotion_status", json!("promoted")),
        ("cells", json!([{"deep": {"runtime_default_activation": true}}])),
        ("cells", json!([{"deep": [{"core_promotion_status": "promoted"}]}])),
    ] {
        let mut document = document();
        document[pointer] = value;
        let world = world_of(&document);
        assert_eq!(
            failed(&verified(&world.sealed.path, &world.keys)),
            ["no-promotion"],
            "{document}"
        );
    }
    let mut silent = document();
    silent.as_object_mut().unwrap().remove("core_promotion_status");
    let world = world_of(&silent);
    assert_eq!(failed(&verified(&world.sealed.path, &world.keys)), ["no-promotion"]);
    let mut other = document();
    other["schema"] = json!("cto/matrix/2.0");
    let world = world_of(&other);
    assert_eq!(failed(&verified(&world.sealed.path, &world.keys)), ["schemas"]);
}

#[test]
fn a_document_is_whole_or_not_there() {
    use durable::fault::{Fault, arm, steps};
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    let signer = Keys::open(&home).unwrap().ensure_signing_key().unwrap();
    let document = document();
    let seal = |plan| {
        let name = DocumentName::fresh(DocumentKind::Matrix).unwrap();
        let draft = DocumentDraft {
            name: &name,
            document: &document,
            markdown: "# A matrix\n",
            more: &[],
            rests_on: BTreeMap::new(),
        };
        arm(plan);
        let done = SealedDocument::seal(&home, &signer, &draft).is_ok();
        let taken = steps();
        arm(None);
        (name.id, done, taken)
    };
    let (_, done, points) = seal(None);
    assert!(done && points > 10, "{points}");
    let mut there = 1;
    for fault in [Fault::InputOutput, Fault::Full] {
        for at in 0..points {
            let (id, done, _) = seal(Some((fault, at)));
            let found = documents(&home, DocumentKind::Matrix).unwrap();
            // After the rename a failed sync is an error, and what is there is whole all the same.
            there += usize::from(found.contains(&id));
            assert!(!done || found.contains(&id), "{fault:?} at {at}");
            assert_eq!(found.len(), there, "{fault:?} at {at}");
        }
    }
    let keys = TrustedKeys::of_installation(&Keys::open(&home).unwrap()).unwrap();
    for id in documents(&home, DocumentKind::Matrix).unwrap() {
        assert!(Bundle::open(&home.document(DocumentKind::Matrix, &id)).is_ok());
        assert!(verified(&home.document(DocumentKind::Matrix, &id), &keys).ok());
    }
}

#[test]
fn refuses_names_that_a_document_may_not_have_beside_it() {
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    let signer = Keys::open(&home).unwrap().ensure_signing_key().unwrap();
    for odd in [
        "../x",
        "a/b",
        ".hidden",
        "SHA256SUMS",
        "attestation.dsse.json",
        "",
        "matrix.json",
    ] {
        let name = DocumentName::fresh(DocumentKind::Matrix).unwrap();
        let draft = DocumentDraft {
            name: &name,
            document: &document(),
            markdown: "",
            more: &[(odd, b"x")],
            rests_on: BTreeMap::new(),
        };
        assert!(SealedDocument::seal(&home, &signer, &draft).is_err(), "{odd}");
    }
    assert_eq!(documents(&home, DocumentKind::Matrix).unwrap(), []);
    let left = fs::read_dir(home.root().join("matrix-reports")).unwrap().count();
    assert_eq!(left, 0, "nothing of a refused document stays");
}

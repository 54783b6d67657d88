//! The writer's own bundles: what one half of the crate makes, the other half accepts.

use std::collections::BTreeMap;

use cto_policy::decide;
use cto_schema::*;

use super::fixture::World;
use crate::verify::{LedgerSnapshot, TrustedKeys, verify_bundle};
use crate::{Bundle, Home, Keys, Ledger, OpenedInfo, ReportView, RunClock, RunDir, Sealed, html, markdown};

/// Writes what happens before the verdict.
fn play(world: &World, run: &mut RunDir) {
    let decision = decide(Ok(&world.contract), &world.facts);
    run.write("contract.json", &world.contract.canonical()).unwrap();
    let decided = run
        .write("decision.json", &serde_json::to_vec(&decision).unwrap())
        .unwrap();
    let patch = run.write("patch.diff", &world.patch).unwrap();
    let log = run.write("test.log", &world.test_log).unwrap();
    let set = world
        .write_set
        .as_ref()
        .map(|set| run.write("write-set.json", &serde_json::to_vec(set).unwrap()).unwrap());
    let held = world.enforcement.as_ref().map(|held| {
        run.write("enforcement.json", &serde_json::to_vec(held).unwrap())
            .unwrap()
    });
    for event in world.journal.iter().cloned() {
        let event = match event {
            JournalEvent::Decided { admitted, .. } => JournalEvent::Decided {
                decision_digest: decided,
                admitted,
            },
            JournalEvent::EngineReady { .. } => JournalEvent::EngineReady {
                enforcement_digest: held.unwrap(),
            },
            JournalEvent::Collected { .. } => JournalEvent::Collected {
                write_set_digest: set.unwrap(),
                patch_digest: patch,
            },
            JournalEvent::Verified { .. } => JournalEvent::Verified { test_log_digest: log },
            other => other,
        };
        run.journal(event).unwrap();
    }
    for (kind, data) in &world.events {
        let nonce = serde_json::json!({ "nonce": run.nonce_hex() });
        run.event(
            *kind,
            if *kind == EventType::RunStarted {
                nonce
            } else {
                data.clone()
            },
        )
        .unwrap();
    }
    run.span("engine.run", 0, "ok", "fake").unwrap();
}

/// Plays a world through the writer; the fixture's report lends every field that the writer does not decide.
fn write(world: &World, home: &Home, run_id: &str) -> Sealed {
    let signer = Keys::open(home).unwrap().ensure_signing_key().unwrap();
    let ledger = Ledger::open(home).unwrap();
    let opened = OpenedInfo {
        case_id: "r1".into(),
        backend: "fake".into(),
        harness_version: env!("CARGO_PKG_VERSION").into(),
        contract_digest: Some(world.contract.digest()),
        ledger_head: ledger.head().unwrap().map(|head| head.digest),
        cgroup_prefix: String::new(),
    };
    let mut run = RunDir::create(home, run_id.parse().unwrap(), opened, RunClock::start()).unwrap();
    play(world, &mut run);
    let made = world.make();
    let mut report = made.report.clone();
    run.journal(JournalEvent::Observed {
        observations: Box::new(world.observations.clone()),
    })
    .unwrap();
    run.journal(JournalEvent::Concluded {
        status: report.status,
        blockers: report.blockers.clone(),
    })
    .unwrap();
    run.close_streams().unwrap();
    let clock = run.clock();
    report.run_id = run_id.to_owned();
    report.artifacts_dir = run_id.to_owned();
    report.run_artifact_dir = run_id.to_owned();
    report.run_started_at = clock.started_ts();
    report.run_finished_at = clock.ts();
    report.freshness = Freshness {
        nonce: run.nonce_hex(),
        event_chain_head: run.event_chain_head(),
        written_at_ns: BTreeMap::new(),
        clock_step_ms: clock.step_ms(),
    };
    let view = ReportView {
        report: &report,
        contract: Some(&world.contract),
        write_set: world.write_set.as_ref(),
        spans: &world.spans,
        patch: &world.patch,
        test_log: &world.test_log,
    };
    run.write("report.md", markdown(&view).as_bytes()).unwrap();
    run.write("report.html", html(&view).as_bytes()).unwrap();
    report.artifact_digests.clear();
    report.artifact_paths.clear();
    for (name, artifact) in run.artifacts() {
        report.artifact_digests.insert(name.clone(), artifact.digest);
        report.artifact_paths.insert(name.clone(), name.clone());
        report
            .freshness
            .written_at_ns
            .insert(name.clone(), artifact.mono_ns.to_string());
    }
    report
        .artifact_digests
        .insert("report.json".into(), report.own_digest());
    run.write("report.json", &serde_json::to_vec(&report).unwrap()).unwrap();
    run.seal("says what the harness saw", &signer, &ledger).unwrap()
}

#[test]
fn what_the_writer_seals_the_reader_accepts_and_the_ledger_knows() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::open(&root.path().join("home")).unwrap();
    let worlds = [
        World::accepted(),
        World::refused(),
        World::outside(),
        World::interrupted(),
    ];
    for (index, world) in worlds.iter().enumerate() {
        let sealed = write(world, &home, &format!("20261120t090000z-r1-{index}"));
        let keys = TrustedKeys::of_installation(&Keys::open(&home).unwrap()).unwrap();
        let ledger = LedgerSnapshot::read(&Ledger::open(&home).unwrap(), &home).unwrap();
        let outcome = verify_bundle(&Bundle::open(&sealed.path).unwrap(), &keys, Some(&ledger));
        let failures: Vec<_> = outcome.failed().collect();
        assert!(failures.is_empty(), "{index} {failures:#?}");
        assert_eq!(outcome.manifest_digest, Some(sealed.manifest_digest));
        let check = outcome.checks.iter().find(|check| check.name == "ledger").unwrap();
        assert_eq!(check.state, crate::verify::CheckState::Passed);
        // A bundle that this installation signed and its ledger does not know is not evidence here.
        let empty = LedgerSnapshot {
            lines: BTreeMap::new(),
            ..ledger.clone()
        };
        let outcome = verify_bundle(&Bundle::open(&sealed.path).unwrap(), &keys, Some(&empty));
        assert_eq!(super::failed(&outcome), ["ledger"]);
        let mut other = ledger.clone();
        other
            .lines
            .values_mut()
            .for_each(|line| line.manifest_digest = Sha256Digest::of(b"other"));
        let outcome = verify_bundle(&Bundle::open(&sealed.path).unwrap(), &keys, Some(&other));
        assert_eq!(super::failed(&outcome), ["ledger"]);
        let broken = LedgerSnapshot {
            chain_error: Some("entry 1".into()),
            ..ledger.clone()
        };
        let outcome = verify_bundle(&Bundle::open(&sealed.path).unwrap(), &keys, Some(&broken));
        assert_eq!(super::failed(&outcome), ["ledger"]);
        let stranger = LedgerSnapshot::default();
        assert!(verify_bundle(&Bundle::open(&sealed.path).unwrap(), &keys, Some(&stranger)).ok());
    }
}

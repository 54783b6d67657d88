//! Tests of the ledger.

use rusqlite::Connection;

use crate::home::Home;
use crate::ledger::{Ledger, LedgerEntry, LedgerError, LedgerFilter, RunOrder, RunQuery};
use crate::test_child::{order, start_child};
use crate::test_support::{entry, place};

fn open() -> (tempfile::TempDir, Home, Ledger) {
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    let ledger = Ledger::open(&home).unwrap();
    (place, home, ledger)
}

#[test]
fn entries_are_linked_and_numbered_and_the_same_run_is_listed_once() {
    let (_place, home, ledger) = open();
    assert_eq!(ledger.head().unwrap(), None);
    let first = ledger.append(&entry("a")).unwrap();
    let second = ledger.append(&entry("b")).unwrap();
    assert_eq!((first.seq, first.prev_digest), (1, None));
    assert_eq!((second.seq, second.prev_digest), (2, Some(first.entry_digest)));
    assert_eq!(ledger.append(&entry("a")).unwrap(), first);
    let mut other = entry("a");
    other.manifest_digest = cto_schema::Sha256Digest::of(b"other");
    assert!(matches!(ledger.append(&other), Err(LedgerError::Conflict { .. })));
    drop(ledger);
    let ledger = Ledger::open(&home).unwrap();
    assert_eq!(ledger.find(&"b".parse().unwrap()).unwrap(), Some(second.clone()));
    assert_eq!(
        ledger.head().unwrap().map(|head| head.digest),
        Some(second.entry_digest)
    );
    assert_eq!(ledger.check().unwrap(), 2);
}

#[test]
fn an_entry_digest_is_the_sha256_of_the_sorted_compact_json_of_the_row() {
    let (_place, _home, ledger) = open();
    ledger.append(&entry("a")).unwrap();
    let LedgerEntry {
        prev_digest,
        entry_digest,
        ..
    } = ledger.append(&entry("b")).unwrap();
    // Written out by hand: keys in order, no space, null for what is absent.
    let row = format!(
        "{{\"attestation_digest\":\"{}\",\"backend\":\"fake\",\"case_id\":\"case\",\"duration_ms\":1000,\
         \"finished_at\":\"2026-11-20T09:00:01.000000Z\",\"first_blocker\":null,\"manifest_digest\":\"{}\",\
         \"mutation_mode\":null,\"prev_digest\":\"{}\",\"run_id\":\"b\",\"seq\":2,\"stage\":2,\
         \"started_at\":\"2026-11-20T09:00:00.000000Z\",\"status\":\"pass\"}}",
        cto_schema::Sha256Digest::of(b"attestation"),
        cto_schema::Sha256Digest::of(b"b"),
        prev_digest.unwrap(),
    );
    assert_eq!(cto_schema::Sha256Digest::of(row.as_bytes()), entry_digest);
}

#[test]
fn rows_cannot_be_changed_removed_replaced_or_inserted_out_of_order() {
    let (_place, home, ledger) = open();
    for name in ["a", "b", "c"] {
        ledger.append(&entry(name)).unwrap();
    }
    let raw = Connection::open(home.ledger()).unwrap();
    let copy = "SELECT seq + 5, run_id || 'x', case_id, backend, stage, mutation_mode, status, first_blocker, \
                started_at, finished_at, duration_ms, manifest_digest, attestation_digest, prev_digest, entry_digest";
    for sql in [
        "UPDATE runs SET status = 'pass'".to_owned(),
        "DELETE FROM runs WHERE seq = 3".to_owned(),
        "INSERT OR REPLACE INTO runs SELECT * FROM runs WHERE seq = 2".to_owned(),
        format!("INSERT INTO runs {copy} FROM runs WHERE seq = 3"),
    ] {
        let error = raw.execute(&sql, []).unwrap_err().to_string();
        assert!(error.contains("ledger"), "{sql}: {error}");
    }
    assert_eq!(ledger.check().unwrap(), 3);
}

#[test]
fn an_edit_with_intent_shows() {
    for (sql, seq) in [
        (
            "UPDATE runs SET status = 'pass', first_blocker = NULL, duration_ms = 7 WHERE seq = 2",
            2,
        ),
        ("DELETE FROM runs WHERE seq = 2", 3),
        ("DELETE FROM runs WHERE seq = 1", 2),
    ] {
        let (_place, home, ledger) = open();
        for name in ["a", "b", "c"] {
            ledger.append(&entry(name)).unwrap();
        }
        let raw = Connection::open(home.ledger()).unwrap();
        raw.execute_batch(&format!(
            "DROP TRIGGER runs_no_update; DROP TRIGGER runs_no_delete; {sql}"
        ))
        .unwrap();
        assert!(
            matches!(ledger.check(), Err(LedgerError::Broken { seq: found, .. }) if found == seq),
            "{sql}"
        );
    }
}

#[test]
fn eight_processes_append_fifty_entries_each_to_one_unbroken_chain() {
    let (_place, home, ledger) = open();
    let children: Vec<_> = (0..8)
        .map(|worker| start_child(&order(&home, "append", "none", worker)))
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    assert_eq!(ledger.check().unwrap(), 400);
}

#[test]
fn lists_newest_first_with_filters_and_ten_thousand_rows_quickly() {
    let (_place, home, ledger) = open();
    let rows = 10_000;
    // In one transaction: it is the list that is measured here.
    ledger.connection.execute_batch("BEGIN").unwrap();
    let mut head = None;
    for number in 0..rows {
        let mut new = entry(&format!("run-{number}"));
        if number % 10 == 0 {
            (new.status, new.stage, new.case_id) = (cto_schema::Status::Blocked, Some(4), "other".into());
        }
        let added = LedgerEntry::after(head.as_ref(), &new).unwrap();
        super::query::insert(&ledger.connection, &added).unwrap();
        head = ledger.head().unwrap();
    }
    ledger.connection.execute_batch("COMMIT").unwrap();
    let started = std::time::Instant::now();
    let all = ledger.list(&LedgerFilter::default()).unwrap();
    let took = started.elapsed();
    assert_eq!((all.len(), all[0].seq), (rows, 10_000));
    // 50 ms is the promise of a release build; this one is not optimised.
    assert!(
        took < std::time::Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 50 }),
        "{took:?}"
    );
    let filter = LedgerFilter {
        status: Some("blocked".into()),
        backend: Some("fake".into()),
        case_id: Some("other".into()),
        stage: Some(4),
        since: Some("2026-11-20".into()),
        limit: Some(3),
        offset: 1,
    };
    let some = Ledger::open(&home).unwrap().list(&filter).unwrap();
    assert_eq!(
        some.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [9981, 9971, 9961]
    );
    let later = LedgerFilter {
        since: Some("2027".into()),
        ..LedgerFilter::default()
    };
    assert!(ledger.list(&later).unwrap().is_empty());
}

#[test]
fn the_file_is_private_and_leaves_nothing_beside_it_and_a_newer_version_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_place, home, ledger) = open();
    ledger.append(&entry("a")).unwrap();
    drop(ledger);
    for file in std::fs::read_dir(home.root()).unwrap().map(Result::unwrap) {
        let name = file.file_name().into_string().unwrap();
        if name.starts_with("ledger") {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600, "{name}");
            assert!(
                name == "ledger.sqlite" || file.metadata().unwrap().len() == 0,
                "{name} grew"
            );
        }
    }
    Connection::open(home.ledger())
        .unwrap()
        .execute_batch("PRAGMA user_version = 9")
        .unwrap();
    assert!(matches!(
        Ledger::open(&home),
        Err(LedgerError::Version { found: 9, .. })
    ));
}

#[test]
fn pages_show_every_run_once_in_any_order_and_count_exactly() {
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    assert!(
        Ledger::open_to_read(&home).unwrap().is_none(),
        "reading makes no ledger"
    );
    assert!(!home.ledger().exists());
    let ledger = Ledger::open(&home).unwrap();
    for number in 0..25_u64 {
        let mut new = entry(&format!("run-{number:02}"));
        new.duration_ms = number % 4;
        new.backend = if number % 2 == 0 {
            "fake:no-diff".to_owned()
        } else {
            "fakery".to_owned()
        };
        ledger.append(&new).unwrap();
    }
    let reader = Ledger::open_to_read(&home).unwrap().unwrap();
    assert!(reader.append(&entry("another")).is_err(), "a reader cannot append");
    for order in [RunOrder::Newest, RunOrder::Oldest, RunOrder::Longest] {
        let mut query = RunQuery {
            order,
            limit: 7,
            ..RunQuery::default()
        };
        let mut seen = Vec::new();
        loop {
            let page = reader.page(&query).unwrap();
            assert_eq!(page.total, 25);
            seen.extend(page.entries.iter().map(|entry| (entry.duration_ms, entry.seq)));
            query.after = page.next;
            if page.next.is_none() {
                break;
            }
        }
        let mut expected = seen.clone();
        match order {
            RunOrder::Newest => expected.sort_by_key(|(_, seq)| -seq),
            RunOrder::Oldest => expected.sort_by_key(|(_, seq)| *seq),
            RunOrder::Longest => expected.sort_by_key(|(duration, seq)| (-duration, -seq)),
        }
        assert_eq!(seen, expected, "{order:?}");
        expected.dedup();
        assert_eq!(expected.len(), 25, "{order:?}");
    }
    let count = |query: RunQuery| reader.page(&RunQuery { limit: 3, ..query }).unwrap().total;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        count(RunQuery {
            engine: text("fake"),
            ..RunQuery::default()
        }),
        13
    );
    assert_eq!(
        count(RunQuery {
            text: text("RUN-1"),
            ..RunQuery::default()
        }),
        10
    );
    assert_eq!(
        count(RunQuery {
            text: text("%"),
            ..RunQuery::default()
        }),
        0
    );
    assert_eq!(
        count(RunQuery {
            status: text("no' OR 1=1 --"),
            ..RunQuery::default()
        }),
        0
    );
    assert_eq!(reader.words().unwrap().1, ["fake", "fakery"]);
}

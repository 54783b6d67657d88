//! Imports under a clock that the test sets, and lists that were edited.

use cto_policy::ImportCode;

use super::*;
use crate::test_support::place;
use crate::verify::KnownKey;
use crate::verify::tests_fixture::{Made, World, key};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn trusted() -> TrustedKeys {
    TrustedKeys::new(vec![KnownKey::new("origin", key().verifying_key())])
}

fn finished(made: &Made) -> Timestamp {
    made.report.run_finished_at.parse().unwrap()
}

fn import_at(home: &Home, made: &Made, now: Timestamp) -> Imported {
    import(home, &made.path, &trusted(), None, VERSION, now).unwrap()
}

fn codes(imported: &Imported) -> Vec<ImportCode> {
    match imported {
        Imported::Refused { reasons, .. } => reasons.iter().map(|reason| reason.code).collect(),
        Imported::Taken { .. } | Imported::Already { .. } => vec![],
    }
}

fn seconds(at: Timestamp, more: i64) -> Timestamp {
    Timestamp::from_second(at.as_second() + more).unwrap()
}

#[test]
fn refuses_a_run_that_ends_after_now_though_it_is_signed_and_tolerates_five_minutes() {
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    let made = World::accepted().make();
    let end = finished(&made);
    for early in [301, 86_400, 20 * 365 * 86_400] {
        let said = import_at(&home, &made, seconds(end, -early));
        assert_eq!(codes(&said), [ImportCode::FromTheFuture], "{early}");
        assert_eq!(std::fs::read_dir(home.imported()).unwrap().count(), 0);
    }
    let said = import_at(&home, &made, seconds(end, -300));
    assert!(matches!(said, Imported::Taken { .. }), "{said:?}");
    let said = import_at(&home, &made, seconds(end, 86_400));
    assert!(matches!(said, Imported::Already { .. }), "{said:?}");
}

#[test]
fn an_edited_list_of_imports_is_seen() {
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    let made = World::accepted().make();
    let other = World::refused().make_in(place.path(), "20261120t090001z-r2-abcdefghij");
    let said = import_at(&home, &made, finished(&made));
    assert!(matches!(said, Imported::Taken { .. }), "{said:?}");
    let second = import(&home, &other.0, &trusted(), None, VERSION, finished(&made)).unwrap();
    assert!(matches!(second, Imported::Taken { .. }), "{second:?}");
    let ledger = Ledger::open(&home).unwrap();
    assert_eq!(ledger.imports().unwrap().len(), 2);
    assert_eq!(ledger.check().unwrap(), 0);
    drop(ledger);
    let connection = rusqlite::Connection::open(home.ledger()).unwrap();
    assert!(connection.execute("DELETE FROM imports", []).is_err());
    assert!(connection.execute("UPDATE imports SET entry = '{}'", []).is_err());
    assert!(
        connection
            .execute("INSERT OR REPLACE INTO imports SELECT * FROM imports LIMIT 1", [])
            .is_err()
    );
    drop(connection);
    for edit in [
        "UPDATE imports SET entry = replace(entry, 'origin', 'others') WHERE seq = 1",
        "UPDATE imports SET entry_digest = prev_digest WHERE seq = 2",
        "UPDATE imports SET run_id = '20261120t090000z-r1-aaaaaaaaaa' WHERE seq = 2",
        "DELETE FROM imports WHERE seq = 1",
    ] {
        let copy = place.path().join("edited");
        drop(std::fs::remove_dir_all(&copy));
        let edited = Home::open(&copy).unwrap();
        std::fs::copy(home.ledger(), edited.ledger()).unwrap();
        let connection = rusqlite::Connection::open(edited.ledger()).unwrap();
        let free = "DROP TRIGGER imports_no_update; DROP TRIGGER imports_no_delete;";
        connection.execute_batch(free).unwrap();
        assert_eq!(Ledger::open(&edited).unwrap().imports().unwrap().len(), 2);
        assert_eq!(connection.execute(edit, []).unwrap(), 1, "{edit}");
        assert!(Ledger::open(&edited).unwrap().imports().is_err(), "{edit}");
    }
}

//! Records are written whole, kept when replaced, and judged as a run would.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use cto_schema::RecordKind;
use serde_json::json;

use super::*;
use crate::baseline::sample::write;

#[test]
fn a_record_is_written_closed_and_never_over_another_without_keeping_it() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("admissions/pi/model.json");
    let first = write_record(&path, b"first\n", false).unwrap();
    assert_eq!((std::fs::read(&path).unwrap(), first.kept), (b"first\n".to_vec(), None));
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert!(matches!(
        write_record(&path, b"x", false),
        Err(WriteRecordError::Exists { .. })
    ));
    assert_eq!(std::fs::read(&path).unwrap(), b"first\n");
    let mut kept = Vec::new();
    for text in ["second", "third"] {
        kept.push(write_record(&path, text.as_bytes(), true).unwrap().kept.unwrap());
    }
    assert_eq!(std::fs::read(&kept[0]).unwrap(), b"first\n");
    assert_eq!(std::fs::read(&kept[1]).unwrap(), b"second");
    assert_eq!(std::fs::read(&path).unwrap(), b"third");
    let left: Vec<_> = std::fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_link_in_the_place_of_a_record_is_not_written_through() {
    let place = tempfile::tempdir().unwrap();
    let (path, victim) = (place.path().join("model.json"), place.path().join("victim"));
    write(&victim, "mine");
    symlink(&victim, &path).unwrap();
    assert!(matches!(
        write_record(&path, b"x", false),
        Err(WriteRecordError::Exists { .. })
    ));
    write_record(&path, b"x", true).unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
    assert!(std::fs::symlink_metadata(&path).unwrap().is_file());
}

#[test]
fn a_file_is_judged_by_what_it_says_and_by_the_kind_that_is_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("record.json");
    let check = |text: &str, kind| {
        write(&path, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        check_file(&path, kind)
    };
    let undecided = json!({"decision_status": "not_decided", "review_trigger": "x", "effect": "nothing runs"});
    let checked = check(&undecided.to_string(), None);
    assert_eq!(
        (checked.kind, checked.status.as_str(), checked.admits),
        (Some(RecordKind::Decision), "not_decided", false)
    );
    let checked = check(&undecided.to_string(), Some(RecordKind::Model));
    assert_eq!((checked.status.as_str(), checked.admits), ("invalid_admission", false));
    let checked = check("{}", None);
    assert_eq!((checked.kind, checked.admits), (None, false));
    let checked = check_file(&place.path().join("none"), Some(RecordKind::Build));
    assert_eq!((checked.status.as_str(), checked.admits), ("missing_admission", false));
}

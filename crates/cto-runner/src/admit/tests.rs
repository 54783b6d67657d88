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

#[test]
fn those_who_replace_a_record_at_the_same_time_lose_none() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("model.json");
    write_record(&path, b"record 0", false).unwrap();
    let writers: Vec<_> = (1..=12)
        .map(|number| {
            let path = path.clone();
            std::thread::spawn(move || write_record(&path, format!("record {number}").as_bytes(), true).unwrap())
        })
        .collect();
    let mut kept: Vec<_> = writers
        .into_iter()
        .map(|writer| writer.join().unwrap().kept.unwrap())
        .map(|kept| std::fs::read_to_string(kept).unwrap())
        .collect();
    kept.push(std::fs::read_to_string(&path).unwrap());
    kept.sort();
    let mut all: Vec<String> = (0..=12).map(|number| format!("record {number}")).collect();
    all.sort();
    assert_eq!(kept, all);
}

#[test]
fn what_is_no_file_is_neither_read_nor_replaced() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("model.json");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    for replace in [false, true] {
        assert!(matches!(
            write_record(&path, b"x", replace),
            Err(WriteRecordError::NotAFile { .. })
        ));
    }
    assert!(!std::fs::symlink_metadata(&path).unwrap().is_file());
}

#[test]
fn a_network_class_that_denies_is_judged_without_a_provider() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("record.json");
    for (class, admits) in [
        ("local-lan", true),
        ("non-local", false),
        ("nonlocal", false),
        ("none", false),
    ] {
        let record = json!({
            "status": "admitted", "provider": "lab", "model": "m-1", "credential_source_class": "none",
            "allowed_network_class": class, "approval_source": "a test",
            "admission_timestamp": "2026-01-01T00:00:00Z", "review_trigger": "never",
        });
        write(&path, record.to_string());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let checked = check_file(&path, Some(RecordKind::Model));
        assert_eq!(checked.admits, admits, "{class}: {:?}", checked.reasons);
    }
}

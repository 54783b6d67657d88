//! The failure matrix: each row that this version can play holds, with its own blocker alone.

use crate::support::Installation;

#[test]
fn every_playable_row_holds_and_the_others_say_what_is_missing() {
    let installation = Installation::new();
    let (exit, played) = installation.json(&["fixtures", "run"]);
    let rows = played["rows"].as_array().unwrap();
    let bad: Vec<_> = rows.iter().filter(|row| row["state"] == "fails").collect();
    assert!(bad.is_empty() && exit == 0, "{bad:#?}");
    // They need approvals, or the admission of a target.
    let not_yet: Vec<&str> = rows
        .iter()
        .filter(|row| row["state"] == "not_yet")
        .map(|row| row["row"].as_str().unwrap())
        .collect();
    let approvals = [
        "approval-denied",
        "unowned-repository",
        "critical-repository",
        "missing-operator-outcome",
        "contract-changed",
        "target-moved",
    ];
    assert!(not_yet.iter().all(|row| approvals.contains(row)), "{not_yet:?}");
    for row in rows.iter().filter(|row| row["state"] == "not_yet") {
        assert!(!row["not_yet"].as_str().unwrap().is_empty());
    }
    let (exit, _) = installation.json(&["fixtures", "run", "--all", "approval-denied"]);
    assert_eq!(exit, 1, "--all counts rows that cannot be played");
}

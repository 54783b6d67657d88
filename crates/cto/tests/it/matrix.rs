//! The failure matrix: each row holds, with its own blocker alone.

use crate::support::Installation;

#[test]
fn every_row_holds() {
    let installation = Installation::new();
    let (exit, played) = installation.json(&["fixtures", "run", "--all"]);
    let rows = played["rows"].as_array().unwrap();
    let bad: Vec<_> = rows.iter().filter(|row| row["state"] != "holds").collect();
    assert!(bad.is_empty() && exit == 0, "{bad:#?}");
    assert!(rows.len() == 40, "{} rows", rows.len());
}

//! A matrix on disk: made whole, locked, read back strictly, and left by a kill at any moment.

use cto_schema::{MatrixOptions, MatrixPlan, PlannedLane, RunId, SchemaId, Sha256Digest};

use super::{CELLS, MatrixDir, MatrixError, PLAN, list_matrices, write_report};
use crate::home::Home;
use crate::test_support::place;

const ID: &str = "20261120t100000z-matrix-aaaaaaaaaa";

fn plan(id: &str, repeats: u32) -> MatrixPlan {
    MatrixPlan {
        schema: SchemaId::MATRIX_PLAN.to_string(),
        matrix_id: id.parse().unwrap(),
        name: "nightly".to_owned(),
        created_at: "2026-11-20T10:00:00.000000Z".to_owned(),
        harness_version: "0.2.0".to_owned(),
        engines: vec!["fake".to_owned()],
        cases: vec!["one".to_owned()],
        repeats,
        lanes: vec![PlannedLane {
            engine: "fake".to_owned(),
            case_id: "one".to_owned(),
            contract_digest: Sha256Digest::of(b"contract"),
        }],
        options: MatrixOptions::default(),
        bootstrap_seed: "ff".to_owned(),
    }
}

fn run(number: u32) -> RunId {
    format!("20261120t100001z-one-{number:010}").parse().unwrap()
}

#[test]
fn a_plan_is_read_back_as_it_was_made_and_listed() {
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    assert!(list_matrices(&home).unwrap().is_empty());
    let made = MatrixDir::create(&home, &plan(ID, 3)).unwrap();
    assert_eq!((made.plan(), made.marks().unwrap().len()), (&plan(ID, 3), 0));
    drop(made);
    assert_eq!(MatrixDir::open(&home, ID).unwrap().plan(), &plan(ID, 3));
    assert_eq!(list_matrices(&home).unwrap(), [ID.parse().unwrap()]);
    let again = MatrixDir::create(&home, &plan(ID, 4));
    assert!(matches!(again, Err(MatrixError::Io { .. })), "a plan is never replaced");
    assert_eq!(MatrixDir::open(&home, ID).unwrap().plan().repeats, 3);
}

#[test]
fn one_process_works_on_a_matrix_at_a_time() {
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    let first = MatrixDir::create(&home, &plan(ID, 3)).unwrap();
    assert!(matches!(MatrixDir::open(&home, ID), Err(MatrixError::Busy { .. })));
    drop(first);
    assert!(MatrixDir::open(&home, ID).is_ok());
}

#[test]
fn marks_are_made_once_and_found_again() {
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    let matrix = MatrixDir::create(&home, &plan(ID, 3)).unwrap();
    matrix.begin(0, 1, &run(1)).unwrap();
    matrix.begin(0, 2, &run(2)).unwrap();
    matrix.finish(0, 2, &run(2)).unwrap();
    matrix.begin(2, 1, &run(3)).unwrap();
    assert!(matrix.begin(0, 1, &run(9)).is_err() && matrix.finish(0, 1, &run(9)).is_err());
    // A kill in the middle of a mark leaves a temporary name, which is none.
    std::fs::File::create(matrix.path().join(CELLS).join(".tmp-1-1")).unwrap();
    let marks = matrix.marks().unwrap();
    assert_eq!(marks.keys().copied().collect::<Vec<_>>(), [0, 2]);
    assert_eq!(marks[&0].begun, [(1, run(1)), (2, run(2))].into());
    assert_eq!(
        (marks[&0].done.as_ref(), marks[&2].done.as_ref()),
        (Some(&run(2)), None)
    );
}

#[test]
fn refuses_a_plan_or_a_mark_that_is_not_what_was_written() {
    use std::io::Write as _;
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    let put =
        |file: &std::path::Path, text: &str| std::fs::File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
    let matrix = MatrixDir::create(&home, &plan(ID, 3)).unwrap();
    let cells = matrix.path().join(CELLS);
    matrix.begin(1, 1, &run(1)).unwrap();
    let good = std::fs::read_to_string(cells.join("000001.1.begun.json")).unwrap();
    for (name, text) in [
        ("000002.1.begun.json", good.as_str()),
        ("000001.2.begun.json", good.as_str()),
        ("000001.done", good.as_str()),
        ("000001.done.json", "{}"),
        ("000001.done.json", ""),
        ("notes.txt", "hello"),
    ] {
        put(&cells.join(name), text);
        assert!(matches!(matrix.marks(), Err(MatrixError::Damaged { .. })), "{name}");
        std::fs::remove_file(cells.join(name)).unwrap();
    }
    assert_eq!(matrix.marks().unwrap().len(), 1);

    let file = matrix.path().join(PLAN);
    drop(matrix);
    let whole = std::fs::read_to_string(&file).unwrap();
    for bad in [
        whole.replace("\"repeats\":3", "\"repeats\":0"),
        whole.replace("\"repeats\":3", "\"repeats\":3,\"more\":1"),
        whole.replace(ID, "20261120t100000z-matrix-bbbbbbbbbb"),
        whole.replace("matrix-plan/1.0", "matrix-plan/2.0"),
        whole[..whole.len() - 1].to_owned(),
        String::new(),
    ] {
        put(&file, &bad);
        assert!(
            matches!(MatrixDir::open(&home, ID), Err(MatrixError::Damaged { .. })),
            "{bad}"
        );
    }
    put(&file, &whole);
    assert!(MatrixDir::open(&home, ID).is_ok());
}

#[test]
fn a_name_that_is_no_matrix_leads_nowhere() {
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    drop(MatrixDir::create(&home, &plan(ID, 3)).unwrap());
    for name in ["", "..", "../runs", "20261120t100000z-matrix-bbbbbbbbbb", "A/b"] {
        let Err(MatrixError::Missing { known, .. }) = MatrixDir::open(&home, name) else {
            panic!("{name}");
        };
        assert_eq!(known.unwrap().as_str(), ID);
    }
}

#[test]
fn a_report_is_put_into_an_empty_directory_and_never_over_one() {
    let place = place();
    let path = place.path().join("deep/report");
    write_report(&path, &[("matrix.md", b"x"), ("matrix.json", b"{}")]).unwrap();
    assert_eq!(std::fs::read(path.join("matrix.md")).unwrap(), b"x");
    let again = write_report(&path, &[("other.md", b"y")]);
    assert!(matches!(again, Err(MatrixError::Occupied { .. })));
    assert!(!path.join("other.md").exists());
}

#[test]
fn a_plan_of_ten_thousand_cells_is_marked_and_found_again() {
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    let matrix = MatrixDir::create(&home, &plan(ID, 10_000)).unwrap();
    for cell in (0..10_000).filter(|cell| cell % 10 != 3) {
        matrix.finish(cell, 1, &run(cell)).unwrap();
    }
    drop(matrix);
    let marks = MatrixDir::open(&home, ID).unwrap().marks().unwrap();
    assert_eq!(marks.len(), 9_000);
    assert!(!marks.contains_key(&9_993) && marks[&9_994].done == Some(run(9_994)));
}

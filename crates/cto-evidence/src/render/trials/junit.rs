//! `matrix.junit.xml`: a suite for each engine, a test case for each cell.

use std::time::Duration;

use cto_schema::{CellState, MatrixCell};
use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::{MatrixView, words};

/// Draws `matrix.junit.xml`. What cannot be verified is an error, what has no verdict or was blocked is skipped.
pub(super) fn junit(view: MatrixView<'_>) -> Result<String, SerializeError> {
    let matrix = view.matrix;
    let mut report = Report::new(matrix.matrix_id.as_str());
    let mut whole = Duration::ZERO;
    for engine in &matrix.engines {
        let mut suite = TestSuite::new(engine.as_str());
        let mut time = Duration::ZERO;
        for cell in matrix.cells.iter().filter(|cell| cell.engine == *engine) {
            let case = test_case(view, cell);
            time += case.time.unwrap_or_default();
            suite.add_test_case(case);
        }
        suite.set_time(time);
        whole += time;
        report.add_test_suite(suite);
    }
    report.set_time(whole);
    report.to_string()
}

fn test_case(view: MatrixView<'_>, cell: &MatrixCell) -> TestCase {
    let mut status = match cell.state {
        CellState::Pass => TestCaseStatus::success(),
        CellState::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        CellState::Unverified => TestCaseStatus::non_success(NonSuccessKind::Error),
        CellState::Blocked | CellState::NotRun => TestCaseStatus::skipped(),
    };
    if cell.state != CellState::Pass {
        status.set_message(words::why(cell));
        status.set_type(cell.blockers.first().map_or(cell.state.word(), String::as_str));
    }
    let mut case = TestCase::new(format!("{}#{}", cell.case_id, cell.repeat), status);
    case.set_classname(cell.engine.as_str());
    if let Some(times) = &cell.times {
        case.set_time(Duration::from_millis(times.total_ms));
    }
    if let Some(run_id) = &cell.run_id {
        case.add_property(("run_id", run_id.as_str()));
    }
    if let Some(digest) = &cell.manifest_digest {
        case.add_property(("manifest_digest", digest.to_string().as_str()));
    }
    if let Some(link) = view.link(cell) {
        case.add_property(("bundle", link.as_str()));
    }
    case
}

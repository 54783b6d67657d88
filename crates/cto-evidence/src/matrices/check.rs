//! Checking a sealed matrix report: its numbers follow from its cells, and its cells are what the seal rests on.

use std::collections::BTreeMap;

use cto_policy::{Reported, aggregate, plan_problem};
use cto_schema::{DocumentKind, Matrix, MatrixPlan, Sha256Digest, StrictLimits, parse_strict};
use serde_json::Value;

use crate::bundle::Bundle;
use crate::document::{DOCUMENT_BYTES, document_predicate, read_document};
use crate::verify::{Finding, yes};

const LIMITS: StrictLimits = StrictLimits { bytes: DOCUMENT_BYTES };

/// How far two numbers of a report may be apart: they are printed with six decimals.
const NEAR: f64 = 2e-6;

/// Words that a later version may say in another way; everything else is a number, a name or a count.
const WORDS: [&str; 2] = ["methods", "limits_of_this_report"];

/// Returns the checks of what a matrix report says.
pub(crate) fn matrix_checks(bundle: &Bundle) -> Vec<(&'static str, Finding)> {
    vec![
        ("matrix-numbers", numbers(bundle)),
        ("matrix-evidence", evidence(bundle)),
    ]
}

/// Every row, rate, interval and comparison is computed again from the plan and the cells.
fn numbers(bundle: &Bundle) -> Finding {
    let bytes = bundle.document("plan.json").ok_or("plan.json is missing")?;
    let plan: MatrixPlan = parse_strict(bytes, LIMITS).map_err(|error| format!("plan.json: {error}"))?;
    if let Some(problem) = plan_problem(&plan) {
        return Err(format!("plan.json: {problem}"));
    }
    let matrix: Matrix = read_document(bundle, DocumentKind::Matrix)?;
    let planned = plan.cells().unwrap_or_default();
    let numbered = matrix.cells.iter().zip(0_u32..).all(|(cell, at)| cell.cell == at);
    if u32::try_from(matrix.cells.len()) != Ok(planned) || !numbered {
        return Err("its cells are not the plan's, in order".to_owned());
    }
    let strangers = cto_policy::planned_cells(&plan)
        .zip(&matrix.cells)
        .any(|(planned, cell)| {
            planned.lane.engine != cell.engine || planned.lane.case_id != cell.case_id || planned.repeat != cell.repeat
        });
    if strangers {
        return Err("its cells are not the plan's, in order".to_owned());
    }
    let reported = Reported {
        at: &matrix.reported_at,
        harness_version: &matrix.harness_version,
        jobs: matrix.jobs,
    };
    let again = serde_json::to_value(aggregate(&plan, matrix.cells.clone(), reported));
    let again = again.map_err(|error| error.to_string())?;
    let said: Value = read_document(bundle, DocumentKind::Matrix)?;
    match difference("", &said, &again) {
        Some(place) => Err(format!("{place} does not follow from its cells")),
        None => yes(format!("{planned} cells, every row computed again")),
    }
}

/// Returns where two documents differ in what both have; `None` when they do not.
fn difference(place: &str, said: &Value, again: &Value) -> Option<String> {
    match (said, again) {
        (Value::Object(said), Value::Object(again)) => again
            .iter()
            .filter(|(name, _)| !WORDS.contains(&name.as_str()))
            .find_map(|(name, again)| match said.get(name) {
                Some(said) => difference(&format!("{place}/{name}"), said, again),
                None => Some(format!("{place}/{name}")),
            }),
        (Value::Array(said), Value::Array(again)) if said.len() == again.len() => said
            .iter()
            .zip(again)
            .enumerate()
            .find_map(|(at, (said, again))| difference(&format!("{place}/{at}"), said, again)),
        (Value::Number(said), Value::Number(again)) => {
            let near = said
                .as_f64()
                .zip(again.as_f64())
                .is_some_and(|(a, b)| (a - b).abs() <= NEAR);
            (!near).then(|| place.to_owned())
        }
        (said, again) => (said != again).then(|| place.to_owned()),
    }
}

/// The seal names the bundle of every cell that has one, and no other.
fn evidence(bundle: &Bundle) -> Finding {
    let matrix: Matrix = read_document(bundle, DocumentKind::Matrix)?;
    let predicate = document_predicate(bundle).ok_or("the seal says nothing about a document")?;
    let named = matrix
        .cells
        .iter()
        .filter_map(|cell| Some((cell.run_id.as_ref()?.to_string(), cell.manifest_digest?)));
    let named: BTreeMap<String, Sha256Digest> = named.collect();
    if named != predicate.rests_on {
        return Err("the bundles that the seal names are not those of the cells".to_owned());
    }
    yes(format!("{} bundles", named.len()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tells_where_numbers_differ_and_not_how_words_do() {
        let good = json!({ "a": [{ "b": 0.5, "c": "x" }], "methods": "one", "n": 3 });
        let again = |text: &str, from: &str, to: &str| -> Value {
            assert!(text.contains(from), "{from}");
            serde_json::from_str(&text.replace(from, to)).unwrap()
        };
        let text = good.to_string();
        assert_eq!(difference("", &good, &good), None);
        assert_eq!(difference("", &again(&text, "0.5", "0.500001"), &good), None);
        assert_eq!(difference("", &again(&text, "one", "another"), &good), None);
        assert_eq!(
            difference("", &again(&text, "\"n\":3", "\"n\":3,\"newer\":1"), &good),
            None
        );
        for (from, to, place) in [
            ("0.5", "0.501", "/a/0/b"),
            ("\"x\"", "\"y\"", "/a/0/c"),
            ("\"n\":3", "\"n\":4", "/n"),
            ("\"n\":3", "\"m\":3", "/n"),
            ("[{", "[{},{", "/a"),
            ("0.5", "null", "/a/0/b"),
        ] {
            assert_eq!(
                difference("", &again(&text, from, to), &good).as_deref(),
                Some(place),
                "{to}"
            );
        }
    }
}

//! The order in which cells take turns, which is also how they are numbered.

use std::collections::BTreeSet;

use cto_schema::{MatrixPlan, PlannedLane, SchemaId, check_schema};

/// The order, for people.
pub const ORDER: &str = "by repeat, then case, then engine: within one repeat of one case the engines take turns, so that a \
machine that becomes slower or warmer does so for all of them";

/// One cell of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedCell<'a> {
    /// Place in the order, from 0.
    pub cell: u32,
    /// Which repeat, from 1.
    pub repeat: u32,
    /// Engine, case and the digest of its contract.
    pub lane: &'a PlannedLane,
}

/// Returns a cell by its place; `None` behind the last.
pub fn cell_at(plan: &MatrixPlan, cell: u32) -> Option<PlannedCell<'_>> {
    let lanes = u32::try_from(plan.lanes.len()).ok().filter(|lanes| *lanes > 0)?;
    let repeat = cell / lanes + 1;
    let lane = plan.lanes.get(usize::try_from(cell % lanes).ok()?)?;
    (repeat <= plan.repeats).then_some(PlannedCell { cell, repeat, lane })
}

/// Returns every cell in order.
pub fn planned_cells(plan: &MatrixPlan) -> impl Iterator<Item = PlannedCell<'_>> {
    (0..plan.cells().unwrap_or_default()).filter_map(|cell| cell_at(plan, cell))
}

/// Returns what is wrong with a plan that was read back; `None` when its cells can be numbered.
pub fn plan_problem(plan: &MatrixPlan) -> Option<String> {
    if let Err(error) = check_schema(&plan.schema, SchemaId::MATRIX_PLAN) {
        return Some(error.to_string());
    }
    let distinct = |names: &[String]| !names.is_empty() && names.iter().collect::<BTreeSet<_>>().len() == names.len();
    if !distinct(&plan.engines) || !distinct(&plan.cases) || plan.repeats == 0 || plan.cells().is_none() {
        return Some("it does not name each engine and each case once, with at least one repeat".to_owned());
    }
    let mut expected = plan
        .cases
        .iter()
        .flat_map(|case| plan.engines.iter().map(move |engine| (engine, case)));
    let mut found = plan.lanes.iter().map(|lane| (&lane.engine, &lane.case_id));
    if !expected.by_ref().eq(found.by_ref()) {
        return Some("its lanes are not every engine on every case, in order".to_owned());
    }
    if u64::from_str_radix(&plan.bootstrap_seed, 16).is_err() {
        return Some("its seed is not a hexadecimal number of 64 bits".to_owned());
    }
    None
}

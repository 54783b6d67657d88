//! What a report says about model and source, from the facts that the gates looked at.

use cto_policy::admission_words;
use cto_schema::Report;

use super::Ending;

/// Fills in the fields about admissions.
pub(super) fn fill(report: &mut Report, ending: &Ending<'_>) {
    let words = admission_words(ending.facts, ending.contract);
    words.source.clone_into(&mut report.source_admission_status);
    words.model.clone_into(&mut report.case_model_admission_status);
    if !ending.facts.engine.needs_model {
        return;
    }
    let model = &ending.facts.admissions.model;
    report.case_model_provider.clone_from(&model.provider);
    report.case_model.clone_from(&model.model);
    report.case_runtime_model_provider = model.runtime_provider.clone().or_else(|| model.provider.clone());
}

/// Returns which of those fields a run could not have, and why.
pub(super) fn not_applicable(report: &Report, ending: &Ending<'_>) -> Vec<(&'static str, &'static str)> {
    let reason = if ending.facts.engine.needs_model {
        "no model was requested"
    } else {
        "this engine uses no model"
    };
    [
        ("case_model_provider", report.case_model_provider.is_none()),
        ("case_model", report.case_model.is_none()),
        (
            "case_runtime_model_provider",
            report.case_runtime_model_provider.is_none(),
        ),
    ]
    .into_iter()
    .filter_map(|(name, absent)| absent.then_some((name, reason)))
    .collect()
}

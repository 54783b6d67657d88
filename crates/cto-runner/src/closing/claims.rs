//! Claims: what a report says, and what each sentence rests on.

use std::collections::BTreeMap;

use cto_schema::{BoundState, Claim, ClaimBasis, RunLabel};

use super::Ending;

/// Returns the claims of a run; each names its basis, and what nothing shows is claimed as `absent`.
pub(super) fn claims(ending: &Ending<'_>, written: &BTreeMap<String, String>) -> Vec<Claim> {
    let mut claims = vec![
        exact_change(ending),
        bounds(ending),
        verification(ending),
        source_untouched(ending),
        refusals(ending),
        engine_word(ending),
        model(ending),
        claim(
            "hidden_reads",
            "attempts to read paths that the view does not show end in a plain ENOENT and cannot be observed",
            ClaimBasis::Absent,
            &[],
        ),
        claim(
            "operator_acceptance",
            "no operator has accepted or rejected this work",
            ClaimBasis::Absent,
            &[],
        ),
    ];
    for claim in &mut claims {
        if let Some(lost) = claim.evidence.iter().find(|name| !written.contains_key(*name)) {
            claim.statement = format!("{lost}, which would show it, could not be written");
            claim.basis = ClaimBasis::Absent;
            claim.evidence.clear();
        }
    }
    claims
}

fn model(ending: &Ending<'_>) -> Claim {
    const NAME: &str = "admitted_model";
    match &ending.observations.model {
        Some(seen) if seen.calls == 0 && seen.lost.is_none() && seen.unavailable.is_none() => claim(
            NAME,
            "the engine called no model",
            ClaimBasis::Verified,
            &["events.normalized.jsonl"],
        ),
        Some(seen) if seen.lost.is_none() && seen.unavailable.is_none() => {
            let failed = seen.failed_calls();
            let refused = seen.refused_calls();
            let statement = format!(
                "every call went through the gateway to an admitted model: {} answered, {failed} failed, {refused} refused",
                seen.completed
            );
            claim(NAME, &statement, ClaimBasis::Verified, &["events.normalized.jsonl"])
        }
        Some(_) => claim(
            NAME,
            "the model gateway did not serve to the end",
            ClaimBasis::Absent,
            &[],
        ),
        None => claim(
            NAME,
            "no model gateway was opened for this run",
            ClaimBasis::Absent,
            &[],
        ),
    }
}

fn claim(name: &str, statement: &str, basis: ClaimBasis, evidence: &[&str]) -> Claim {
    Claim {
        claim: name.to_owned(),
        statement: statement.to_owned(),
        basis,
        evidence: evidence.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn exact_change(ending: &Ending<'_>) -> Claim {
    const NAME: &str = "exact_change";
    if ending
        .observations
        .artifact_failures
        .iter()
        .any(|failure| failure.artifact == "patch.diff")
    {
        return claim(NAME, "the patch could not be written", ClaimBasis::Absent, &[]);
    }
    match ending.write_set {
        Some(set) if set.truncated.is_none() && ending.observations.roundtrip_error.is_none() => claim(
            NAME,
            "patch.diff holds the whole change to the workspace: applied to the baseline it gives the final tree",
            ClaimBasis::Verified,
            &["patch.diff", "write-set.json"],
        ),
        Some(_) => claim(
            NAME,
            "the change was read, but the patch does not hold all of it",
            ClaimBasis::Absent,
            &["write-set.json"],
        ),
        None => claim(NAME, "no change was read", ClaimBasis::Absent, &[]),
    }
}

fn bounds(ending: &Ending<'_>) -> Claim {
    const NAME: &str = "bounds";
    let Some(enforcement) = ending.enforcement else {
        return claim(
            NAME,
            "no engine was started, so no bound was needed",
            ClaimBasis::Absent,
            &[],
        );
    };
    let lacking: Vec<String> = enforcement
        .bounds
        .iter()
        .filter(|bound| bound.state != BoundState::Enforced)
        .map(|bound| {
            format!(
                "{} ({})",
                bound.name,
                if bound.state == BoundState::Weaker {
                    "weaker"
                } else {
                    "absent"
                }
            )
        })
        .collect();
    if enforcement.provider == "none" {
        return claim(
            NAME,
            "the engine ran without a sandbox",
            ClaimBasis::Absent,
            &["enforcement.json"],
        );
    }
    let statement = if lacking.is_empty() {
        "every bound was set and read back from the kernel".to_owned()
    } else {
        format!(
            "every bound but these was set and read back from the kernel: {}",
            lacking.join(", ")
        )
    };
    claim(NAME, &statement, ClaimBasis::Verified, &["enforcement.json"])
}

fn verification(ending: &Ending<'_>) -> Claim {
    const NAME: &str = "verification";
    let rationale = ending.contract.and_then(|contract| contract.no_test_rationale.as_ref());
    if rationale.is_some() {
        return claim(
            NAME,
            "nothing was verified; the contract says why",
            ClaimBasis::Absent,
            &["contract.json"],
        );
    }
    let patched = ending
        .observations
        .verification
        .as_ref()
        .and_then(|v| v.run(RunLabel::Patched));
    match patched {
        Some(run) if run.passed() => claim(
            NAME,
            "the verification commands exited 0 on this patch in a clean room; whether a test that must fail did so is listed under canaries",
            ClaimBasis::Verified,
            &["test.log", "report.json"],
        ),
        Some(_) => claim(
            NAME,
            "the verification commands did not all exit 0 on this patch in a clean room",
            ClaimBasis::Verified,
            &["test.log"],
        ),
        None => claim(
            NAME,
            "no verification command was run on the patch",
            ClaimBasis::Absent,
            &["test.log"],
        ),
    }
}

fn source_untouched(ending: &Ending<'_>) -> Claim {
    const NAME: &str = "source_untouched";
    match &ending.observations.target_after {
        Some(after) if after.unchanged && after.state.is_some() => claim(
            NAME,
            "HEAD, refs, index and metadata of the source repository are the same after the run as before",
            ClaimBasis::Verified,
            &["source-non-mutation.json"],
        ),
        Some(after) if after.unchanged => claim(
            NAME,
            "the work was done on a fixture; there is no source repository",
            ClaimBasis::Inferred,
            &[],
        ),
        Some(_) => claim(
            NAME,
            "the source repository changed during the run",
            ClaimBasis::Verified,
            &["source-non-mutation.json"],
        ),
        None => claim(NAME, "the source repository was not looked at", ClaimBasis::Absent, &[]),
    }
}

fn refusals(ending: &Ending<'_>) -> Claim {
    const NAME: &str = "refusals_observed";
    let watched = ending.enforcement.is_some_and(|e| e.provider != "none");
    if watched {
        claim(
            NAME,
            "connections, program starts, writes outside the workspace and denied system calls of the engine were observed",
            ClaimBasis::Verified,
            &["events.normalized.jsonl"],
        )
    } else {
        claim(NAME, "what the engine tried was not observed", ClaimBasis::Absent, &[])
    }
}

fn engine_word(ending: &Ending<'_>) -> Claim {
    let said = ending
        .observations
        .engine
        .as_ref()
        .is_some_and(|engine| engine.stream.claims_success);
    if said {
        claim(
            "engine_success",
            "the engine says that it succeeded",
            ClaimBasis::SelfReported,
            &["backend/stdout.log"],
        )
    } else {
        claim(
            "engine_success",
            "the engine did not say that it succeeded",
            ClaimBasis::Absent,
            &[],
        )
    }
}

#[cfg(test)]
mod tests {
    use cto_schema::{Facts, Observations, TargetAfter};

    use super::*;

    #[test]
    fn nothing_is_claimed_on_evidence_that_could_not_be_written() {
        let observations = Observations {
            target_after: Some(TargetAfter {
                state: Some(cto_schema::RepositoryState::default()),
                unchanged: true,
                detail: String::new(),
            }),
            ..Observations::default()
        };
        let ending = Ending {
            case_id: "case",
            backend: "fake",
            contract: None,
            decision: &cto_policy::undecided(None, &Facts::default()),
            facts: &Facts::default(),
            write_set: None,
            enforcement: None,
            baseline: None,
            patch: &[],
            test_log: &[],
            spans: &[],
            engine_output_bytes: 0,
            verification_ms: 0,
            observations,
        };
        let untouched = |written: &[&str]| {
            let written = written.iter().map(|name| ((*name).to_owned(), String::new())).collect();
            let claims = claims(&ending, &written);
            claims
                .into_iter()
                .find(|claim| claim.claim == "source_untouched")
                .unwrap()
        };
        assert_eq!(untouched(&["source-non-mutation.json"]).basis, ClaimBasis::Verified);
        let lost = untouched(&["report.json"]);
        assert_eq!((lost.basis, lost.evidence.len()), (ClaimBasis::Absent, 0));
    }
}

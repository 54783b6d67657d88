//! Checks of part and stage proofs against what they summarise.

use cto_policy::Scope;
use cto_schema::{
    AllowedPathsProof, ForbiddenActionsProof, NoTargetInspection, SchemaId, SourceNonMutation, Status, TreeProof,
    check_schema,
};
use serde::de::DeserializeOwned;

use super::documents::differing;
use crate::verify::{Context, Finding, context::json, not_applicable, yes};

/// Proofs that are there parse, are what their name says, and follow from the documents they summarise.
pub(super) fn proofs(context: &Context<'_>) -> Finding {
    let mut held = Vec::new();
    let mut failed = Vec::new();
    let mut note = |name: &'static str, holds: Option<bool>| match holds {
        Some(true) => held.push(name),
        Some(false) => failed.push(name),
        None => {}
    };
    note("allowed-paths.json", allowed_paths(context)?);
    note("forbidden-actions.json", forbidden_actions(context)?);
    note("source-non-mutation.json", source_non_mutation(context)?);
    for (name, proof) in [("clean-start.json", "clean_start"), ("clean-end.json", "clean_end")] {
        let read: Option<TreeProof> = proof_of(context, name, proof, |p: &TreeProof| (&p.schema, &p.proof))?;
        note(name, read.map(|proof| proof.holds));
    }
    let stage2 = "stage2-no-target-inspection.json";
    let read: Option<NoTargetInspection> = proof_of(
        context,
        stage2,
        "stage2_no_target_inspection",
        |p: &NoTargetInspection| (&p.schema, &p.proof),
    )?;
    if let Some(proof) = &read {
        for part in &proof.parts {
            let file = format!("{part}.json");
            let there = |name: &str| context.bundle.files().contains_key(name);
            if !there(part) && !there(&file) {
                return Err(format!("{stage2} names the part proof '{part}', which is not there"));
            }
        }
    }
    note(stage2, read.map(|proof| proof.holds));
    if context.report()?.status == Status::Pass && !failed.is_empty() {
        return Err(format!("a pass with proofs that do not hold: {}", failed.join(", ")));
    }
    if held.is_empty() && failed.is_empty() {
        return not_applicable("the run has no part proofs");
    }
    let negative = if failed.is_empty() {
        String::new()
    } else {
        format!("; not held: {}", failed.join(", "))
    };
    yes(format!(
        "{} proofs agree with what they summarise{negative}",
        held.len() + failed.len()
    ))
}

/// Reads a proof and checks that it is the one that its file name says.
pub(super) fn proof_of<T: DeserializeOwned>(
    context: &Context<'_>,
    name: &str,
    proof: &str,
    head: fn(&T) -> (&String, &String),
) -> Result<Option<T>, String> {
    let Some(read) = json::<T>(context.bundle, name) else {
        return Ok(None);
    };
    let read = read?;
    let (schema, found) = head(&read);
    check_schema(schema, SchemaId::PROOF).map_err(|error| format!("{name}: {error}"))?;
    if found != proof {
        return Err(format!("{name} holds the proof '{found:.60}'"));
    }
    Ok(Some(read))
}

fn allowed_paths(context: &Context<'_>) -> Result<Option<bool>, String> {
    let name = "allowed-paths.json";
    let read: Option<AllowedPathsProof> = proof_of(context, name, "allowed_paths", |p: &AllowedPathsProof| {
        (&p.schema, &p.proof)
    })?;
    let Some(proof) = read else { return Ok(None) };
    let (Some(contract), Some(write_set)) = (context.contract()?, context.write_set()?) else {
        return Err(format!("{name} is there without a contract and a write set"));
    };
    let scope = Scope::of(contract).map_err(|error| error.to_string())?;
    let (outside, forbidden) = scope.violations(&write_set.changes);
    differing(&[
        ("allowed_paths", proof.allowed_paths == contract.allowed_paths),
        (
            "forbidden_paths",
            proof.forbidden_paths == contract.effective_forbidden_paths(),
        ),
        ("outside_allowed", proof.outside_allowed == outside),
        ("inside_forbidden", proof.inside_forbidden == forbidden),
        ("holds", !proof.holds || (outside.is_empty() && forbidden.is_empty())),
    ])
    .map_err(|error| format!("{name}: {error}"))?;
    Ok(Some(proof.holds))
}

fn forbidden_actions(context: &Context<'_>) -> Result<Option<bool>, String> {
    let name = "forbidden-actions.json";
    let read: Option<ForbiddenActionsProof> =
        proof_of(context, name, "forbidden_actions", |p: &ForbiddenActionsProof| {
            (&p.schema, &p.proof)
        })?;
    let Some(proof) = read else { return Ok(None) };
    let attempted = &context.report()?.forbidden_actions_attempted;
    differing(&[
        ("attempted", proof.attempted == *attempted),
        ("holds", !proof.holds || attempted.is_empty()),
    ])
    .map_err(|error| format!("{name}: {error}"))?;
    Ok(Some(proof.holds))
}

fn source_non_mutation(context: &Context<'_>) -> Result<Option<bool>, String> {
    let name = "source-non-mutation.json";
    let read: Option<SourceNonMutation> = proof_of(context, name, "source_non_mutation", |p: &SourceNonMutation| {
        (&p.schema, &p.proof)
    })?;
    let Some(proof) = read else { return Ok(None) };
    let after = context.observations()?.target_after.as_ref();
    let unchanged = after.is_some_and(|after| after.unchanged);
    differing(&[
        ("holds", !proof.holds || unchanged),
        ("after", after.is_none_or(|after| proof.after == after.state)),
        ("before and after", !proof.holds || proof.before == proof.after),
    ])
    .map_err(|error| format!("{name}: {error}"))?;
    Ok(Some(proof.holds))
}

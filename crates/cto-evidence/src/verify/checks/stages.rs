//! Checks of the proofs of stages 3, 4 and 5: each is made again from facts and observations.

use cto_policy::{
    COPIED_REPO_PARTS, Disposition, branch_policy, clean_end, copied_repo_proof, disposable_branch,
    repository_stage_proof, sandbox_disposition, target_admission,
};
use cto_schema::{
    BranchPolicy, Facts, MutationMode, RepositoryStageProof, SandboxDisposition, Status, TargetAdmissionProof,
    TaskContract, TreeProof,
};
use serde_json::Value;

use super::documents::differing;
use super::proofs::proof_of;
use super::verdict::same_version;
use crate::verify::{Context, Finding, context::json, not_applicable, yes};

const STAGE3: &str = "stage3-copied-repo-proof.json";
const STAGE4: &str = "stage4-disposable-sandbox-proof.json";
const STAGE5: &str = "stage5-owned-repo-proof.json";
const POLICY: &str = "branch-policy.json";
const DISPOSITION: &str = "sandbox-disposition.json";
const ADMISSION: &str = "target-admission.json";
const OUTCOME: &str = "operator-outcome.json";

/// The proofs that a run has to have are there, no other one is, and each follows from what is on record.
pub(super) fn stage_proofs(context: &Context<'_>) -> Finding {
    let Some(contract) = context.contract()? else {
        return not_applicable("the run has no readable contract");
    };
    let seen = context.observations()?;
    let own: &[&str] = match contract.mutation_mode {
        MutationMode::CopiedRepo => &[STAGE3],
        MutationMode::SandboxRepo => &[STAGE4, POLICY, DISPOSITION, ADMISSION],
        MutationMode::OwnedNoncriticalRepo => &[STAGE5, POLICY, ADMISSION, OUTCOME],
        MutationMode::None | MutationMode::CopiedFixture | MutationMode::CandidateDefault => &[],
    };
    let all = [STAGE3, STAGE4, STAGE5, POLICY, DISPOSITION, ADMISSION, OUTCOME];
    let foreign = all.iter().find(|name| !own.contains(name) && there(context, name));
    if let Some(name) = foreign {
        return Err(format!("{name} is no proof of this stage"));
    }
    // Proofs are written before the verdict; what recovery observed afterwards is another story, and never a pass.
    if seen.interrupted.is_some() {
        return not_applicable("the run was interrupted, so its proofs may be of an earlier moment");
    }
    if !seen.secrets.is_empty() {
        return not_applicable("a secret was redacted, and the verdict says so");
    }
    let trees = trees(context)?;
    match contract.mutation_mode {
        MutationMode::CopiedRepo => copied_repo(context),
        MutationMode::SandboxRepo | MutationMode::OwnedNoncriticalRepo => repository(context, contract),
        MutationMode::None | MutationMode::CopiedFixture | MutationMode::CandidateDefault if trees => {
            yes("clean start and clean end follow from the observations")
        }
        MutationMode::None | MutationMode::CopiedFixture | MutationMode::CandidateDefault => {
            not_applicable("the mode of the run has no stage proof of its own")
        }
    }
}

fn there(context: &Context<'_>, name: &str) -> bool {
    context.bundle.files().contains_key(name)
}

fn tree(context: &Context<'_>, name: &str, proof: &str) -> Result<Option<TreeProof>, String> {
    proof_of(context, name, proof, |p: &TreeProof| (&p.schema, &p.proof))
}

/// `clean-end.json` is made again; a clean start names no path.
fn trees(context: &Context<'_>) -> Result<bool, String> {
    let start = tree(context, "clean-start.json", "clean_start")?;
    if start
        .as_ref()
        .is_some_and(|start| start.holds && !start.paths.is_empty())
    {
        return Err("clean-start.json holds and names paths that differ".to_owned());
    }
    let Some(end) = tree(context, "clean-end.json", "clean_end")? else {
        return Ok(start.is_some());
    };
    let mut again = clean_end(context.observations()?);
    if !same_version(context)? {
        again.detail.clone_from(&end.detail);
    }
    if end == again {
        Ok(true)
    } else {
        Err("clean-end.json does not follow from what verification left behind".to_owned())
    }
}

fn copied_repo(context: &Context<'_>) -> Finding {
    let passed = context.report()?.status == Status::Pass;
    let Some(proof) = json::<Value>(context.bundle, STAGE3) else {
        return match passed {
            true => Err(format!("a pass without {STAGE3}")),
            false => not_applicable("the run has no stage proof"),
        };
    };
    let proof = proof?;
    let start = tree(context, "clean-start.json", "clean_start")?;
    let start = start.ok_or_else(|| format!("{STAGE3} is there without clean-start.json"))?;
    if proof != copied_repo_proof(context.observations()?, start.holds) {
        return Err(format!("{STAGE3} does not follow from the observations"));
    }
    if passed && proof.get("holds") != Some(&Value::Bool(true)) {
        return Err(format!("a pass whose {STAGE3} does not hold"));
    }
    if passed {
        parts_are_there(context, STAGE3, COPIED_REPO_PARTS.iter().copied())?;
    }
    yes(format!("{STAGE3}, made again"))
}

fn parts_are_there<'p>(
    context: &Context<'_>,
    proof: &str,
    parts: impl IntoIterator<Item = &'p str>,
) -> Result<(), String> {
    match parts.into_iter().find(|part| !there(context, part)) {
        Some(part) => Err(format!("{proof} names the part proof '{part}', which is not there")),
        None => Ok(()),
    }
}

fn repository(context: &Context<'_>, contract: &TaskContract) -> Finding {
    let (report, seen) = (context.report()?, context.observations()?);
    let none = Facts::default();
    let facts = context.facts()?.unwrap_or(&none);
    let policy = policy(context, facts)?;
    let became = disposition(context, facts, policy.is_some())?;
    let admission: Option<TargetAdmissionProof> =
        proof_of(context, ADMISSION, "target_admission", |p: &TargetAdmissionProof| {
            (&p.schema, &p.proof)
        })?;
    if admission.is_some() && admission != target_admission(facts) {
        return Err(format!(
            "{ADMISSION} does not follow from the record that the gates looked at"
        ));
    }
    let is_owned = contract.mutation_mode == MutationMode::OwnedNoncriticalRepo;
    let (name, proof) = if is_owned {
        (STAGE5, "stage5_owned_repo")
    } else {
        (STAGE4, "stage4_disposable_sandbox")
    };
    let read: Option<RepositoryStageProof> =
        proof_of(context, name, proof, |p: &RepositoryStageProof| (&p.schema, &p.proof))?;
    let needed = report.status == Status::Pass || (seen.applied.is_some() && seen.artifact_failures.is_empty());
    let Some(read) = read else {
        return match needed {
            true => Err(format!("a repository was changed and there is no {name}")),
            false => not_applicable("the run has no stage proof"),
        };
    };
    let branch = policy.as_ref().map(|policy| policy.branch.as_str());
    let again = repository_stage_proof(contract, facts, seen, branch, became.as_ref());
    same(&read, &again).map_err(|error| format!("{name}: {error}"))?;
    if report.status == Status::Pass && !read.holds {
        return Err(format!("a pass whose {name} does not hold"));
    }
    if needed {
        parts_are_there(context, name, read.parts.iter().map(String::as_str))?;
    }
    yes(format!("{name} and its parts, made again"))
}

fn same(read: &RepositoryStageProof, again: &RepositoryStageProof) -> Result<(), String> {
    differing(&[
        ("holds", read.holds == again.holds),
        ("approval_status", read.approval_status == again.approval_status),
        ("approval_source", read.approval_source == again.approval_source),
        ("branch_policy", read.branch_policy == again.branch_policy),
        ("target_commit", read.target_commit == again.target_commit),
        (
            "sandbox_disposition",
            read.sandbox_disposition == again.sandbox_disposition,
        ),
        ("operator_outcome", read.operator_outcome == again.operator_outcome),
        ("parts", read.parts == again.parts),
        ("a field", read == again),
    ])
}

/// The branch was settled before the engine started, on the commit that the run started from.
fn policy(context: &Context<'_>, facts: &Facts) -> Result<Option<BranchPolicy>, String> {
    let (report, seen) = (context.report()?, context.observations()?);
    let read: Option<BranchPolicy> = proof_of(context, POLICY, "branch_policy", |p: &BranchPolicy| {
        (&p.schema, &p.proof)
    })?;
    let Some(policy) = read else { return Ok(None) };
    let mut again = branch_policy(&policy.branch, report.baseline_commit.as_deref().unwrap_or_default());
    if !same_version(context)? {
        again.written_by.clone_from(&policy.written_by);
        again.push.clone_from(&policy.push);
        again.merge.clone_from(&policy.merge);
    }
    let head = facts.target.before.as_ref().map(|before| before.head.as_str());
    let own = head.and_then(|head| head.strip_prefix("ref:")).map(str::trim);
    let branch = if facts.target.kind == "fixture" {
        policy.branch == disposable_branch(&report.run_id)
    } else {
        own == Some(&cto_schema::escape(policy.branch.as_bytes(), 1000))
    };
    let applied = seen.applied.as_ref();
    differing(&[
        ("branch", branch),
        (
            "branch of the change",
            applied.is_none_or(|applied| applied.branch == policy.branch),
        ),
        ("base_commit", policy.base_commit == again.base_commit),
        ("commits", policy.commits == again.commits),
        ("a field", policy == again),
    ])
    .map_err(|error| format!("{POLICY}: {error}"))?;
    Ok(Some(policy))
}

/// A disposable repository was made exactly where none was admitted; what became of it, only its maker saw.
fn disposition(context: &Context<'_>, facts: &Facts, settled: bool) -> Result<Option<Disposition>, String> {
    let read: Option<SandboxDisposition> =
        proof_of(context, DISPOSITION, "sandbox_disposition", |p: &SandboxDisposition| {
            (&p.schema, &p.proof)
        })?;
    let Some(read) = read else { return Ok(None) };
    let became = Disposition {
        word: read.sandbox_disposition.clone(),
        holds: read.holds,
        detail: read.detail.clone(),
    };
    let created = read.creation_source == "created";
    let became = Some(became).filter(|_| created);
    let again = sandbox_disposition(facts, &context.report()?.run_id, became.as_ref());
    let word = read.sandbox_disposition.as_str();
    differing(&[
        ("a field", read == again),
        (
            "creation_source",
            !settled || created == (facts.target.kind == "fixture"),
        ),
        ("sandbox_disposition", matches!(word, "disposed" | "retained")),
        ("holds", word != "disposed" || read.holds),
    ])
    .map_err(|error| format!("{DISPOSITION}: {error}"))?;
    Ok(became)
}

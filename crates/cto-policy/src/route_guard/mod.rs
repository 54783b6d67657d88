//! The Core Route Admission Guard: whether a repository is idle, as a pure function of what was seen of it (spec 10).

use cto_schema::{
    CoreRouteAdmission, CoreRouteFacts, CoreRouteGuard, CoreWorkTree, GuardBlock, GuardFile, GuardFinding, GuardStatus,
    NextCoreAction, RouteStatus, SchemaId,
};

use GuardBlock::{
    ActiveOrConflictingCoreWorkPresent as Active, CoreChangedDuringCheck as Changed,
    CoreRepositoryUnusable as Unusable, OwnershipUncertain as Uncertain,
};

const FINISH: &str = "leave it to its owner; ask again when it is committed, stashed or taken back";
const LOOK: &str = "look at it by hand; nothing was changed";

/// Judges a repository; what is absent from the facts speaks against it.
pub fn judge_core_route(checked_at: &str, facts: CoreRouteFacts) -> CoreRouteGuard {
    let findings = findings(&facts);
    let blocked_reason = findings.iter().map(|finding| finding.reason).min();
    let passed = blocked_reason.is_none();
    CoreRouteGuard {
        schema: SchemaId::ROUTE_GUARD.to_string(),
        checked_at: checked_at.to_owned(),
        core_route_admission_status: if passed {
            CoreRouteAdmission::Admitted
        } else {
            CoreRouteAdmission::NotAdmitted
        },
        guard_status: if passed {
            GuardStatus::Passed
        } else {
            GuardStatus::Blocked
        },
        blocked_reason,
        findings,
        do_not_touch_other_agent_work: true,
        idle_governed_core_route_required: true,
        no_active_conflicting_core_worktree_required: true,
        ready_for_core_route_review: passed,
        next_allowed_action: if passed {
            NextCoreAction::OpenGovernedCorePrdRoute
        } else {
            NextCoreAction::WaitOrOpenLaterCoreRouteWhenIdle
        },
        unchanged_by_check: unchanged(&facts),
        runtime_default_activation: false,
        core_promotion_status: "not-promoted".to_owned(),
        facts,
    }
}

fn finding(code: &str, reason: GuardBlock, detail: String, mend: &str) -> GuardFinding {
    GuardFinding {
        code: code.to_owned(),
        reason,
        detail,
        mend: mend.to_owned(),
    }
}

/// True when both looks saw the same; two looks that saw nothing are no proof.
fn unchanged(facts: &CoreRouteFacts) -> bool {
    facts.before.git_directory_digest.is_some() && !facts.before.work_trees.is_empty() && facts.before == facts.after
}

fn findings(facts: &CoreRouteFacts) -> Vec<GuardFinding> {
    if let Some(why) = &facts.unusable {
        let mend = "name the main work tree of a git repository that you may read";
        return vec![finding("repository_unusable", Unusable, why.clone(), mend)];
    }
    let mut found = Vec::new();
    let main_seen = facts.before.work_trees.first().is_some_and(|first| first.is_main);
    if !main_seen && facts.before.problem.is_none() {
        let detail = "the main work tree was not looked at".to_owned();
        found.push(finding("main_unknown", Uncertain, detail, LOOK));
    }
    for work_tree in &facts.before.work_trees {
        judge_work_tree(work_tree, &mut found);
    }
    for lock in &facts.before.locks {
        let mend = "wait for the git that holds it; if none runs, its owner removes it";
        found.push(finding(
            "git_locked",
            Active,
            format!("the git directory holds {lock}"),
            mend,
        ));
    }
    for problem in [&facts.before.problem, &facts.after.problem, &facts.conflict_problem]
        .into_iter()
        .flatten()
    {
        if !found.iter().any(|known| known.detail == *problem) {
            found.push(finding("repository_uncertain", Uncertain, problem.clone(), LOOK));
        }
    }
    judge_processes(facts, &mut found);
    judge_files(facts, &mut found);
    // Where a look failed, that is told above; what differs is told in any case.
    if facts.before != facts.after || (!unchanged(facts) && facts.before.problem.is_none()) {
        let detail = "HEAD, refs, index, status or the git directory were not the same before and after".to_owned();
        found.push(finding(
            "changed_during_check",
            Changed,
            detail,
            "somebody works there; ask again later",
        ));
    }
    found
}

fn judge_work_tree(tree: &CoreWorkTree, found: &mut Vec<GuardFinding>) {
    let name = if tree.is_main {
        format!("main ({})", tree.path)
    } else {
        format!("work tree {}", tree.path)
    };
    if let Some(problem) = &tree.problem {
        let mend = "its owner repairs or removes it (git worktree list says how git sees it)";
        found.push(finding(
            "work_tree_unknown",
            Uncertain,
            format!("{name}: {problem}"),
            mend,
        ));
    }
    if let Some(why) = &tree.locked {
        let detail = if why.is_empty() {
            format!("{name} is locked")
        } else {
            format!("{name} is locked: {why}")
        };
        found.push(finding("work_tree_locked", Active, detail, "ask whoever locked it"));
    }
    if let Some(operation) = &tree.operation {
        let detail = format!("{name} is in the middle of {operation}");
        found.push(finding("operation_in_progress", Active, detail, "wait for its end"));
    }
    for submodule in &tree.submodules {
        let detail = format!("{name}: the submodule {submodule} is checked out, and is not looked into");
        found.push(finding(
            "submodule_unknown",
            Uncertain,
            detail,
            "run cto guard on a repository without checked-out submodules",
        ));
    }
    match (tree.dirty_count, &tree.problem) {
        (Some(0), _) if tree.state.is_some() => {}
        (Some(0) | None, Some(_)) => {}
        (Some(0) | None, None) => {
            let detail = format!("{name}: its status is not known");
            found.push(finding("status_unknown", Uncertain, detail, LOOK));
        }
        (Some(count), _) => {
            let shown = tree.dirty_paths.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let code = if tree.is_main { "main_dirty" } else { "work_tree_dirty" };
            let detail = format!("{name} has uncommitted changes: {count} paths, among them {shown}");
            found.push(finding(code, Active, detail, FINISH));
        }
    }
}

fn judge_processes(facts: &CoreRouteFacts, found: &mut Vec<GuardFinding>) {
    let scan = &facts.processes;
    for process in &scan.processes {
        let how = match process.by.as_str() {
            "working_directory" => "works in",
            "root_directory" => "has its root in",
            "executable" => "is a program of",
            "open_file" => "has open",
            _ => "names in its command line",
        };
        let detail = format!(
            "process {} ({}, uid {}) {how} {}",
            process.pid, process.name, process.uid, process.path
        );
        let mend = "wait for its end; it is not yours to stop. A shell of your own: leave the directory";
        found.push(finding("process_running", Active, detail, mend));
    }
    if scan.unreadable > 0 {
        let detail = format!(
            "{} of {} processes cannot be looked into ({})",
            scan.unreadable,
            scan.seen,
            scan.unreadable_shown
                .iter()
                .take(5)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        );
        let mend = "run it as root: only root sees where the processes of others work";
        found.push(finding("processes_unknown", Uncertain, detail, mend));
    }
    if scan.seen == 0 || scan.problem.is_some() {
        let why = scan.problem.as_deref().unwrap_or("no process was seen");
        let detail = format!("the list of processes is not whole: {why}");
        found.push(finding(
            "processes_unknown",
            Uncertain,
            detail,
            "mount /proc without hidepid, or run as root",
        ));
    }
}

fn judge_files(facts: &CoreRouteFacts, found: &mut Vec<GuardFinding>) {
    for hit in &facts.conflicts {
        let detail = format!("conflict {} of {}: {}", hit.id, hit.owner, hit.found);
        found.push(finding("conflict_present", Active, detail, FINISH));
    }
    let unusable = |file: &GuardFile| file.problem.clone().or_else(|| file.digest.is_none().then(String::new));
    for (code, file) in [
        ("conflict_list_unusable", &facts.conflict_list),
        ("route_record_unusable", &facts.route_record),
    ] {
        if let Some((file, why)) = file.as_ref().and_then(|file| Some((file, unusable(file)?))) {
            let detail = format!("{} cannot be used: {why}", file.path);
            found.push(finding(
                code,
                Uncertain,
                detail,
                "mend the file, or leave the option away",
            ));
        }
    }
    match (&facts.route_record, &facts.route) {
        (_, Some(route))
            if route.status == RouteStatus::Open && facts.judged_at_seconds < route.until.unix_seconds() =>
        {
            let shown = |text: &str| cto_schema::escape(text.as_bytes(), 200);
            let detail = format!(
                "route {} is open, {} has it until {}",
                shown(&route.route_id),
                shown(&route.owner),
                route.until
            );
            found.push(finding("route_open", Active, detail, "wait until its owner closes it"));
        }
        (Some(file), None) if unusable(file).is_none() => {
            let detail = format!("{} was named, and nothing was read from it", file.path);
            found.push(finding("route_record_unusable", Uncertain, detail, LOOK));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;

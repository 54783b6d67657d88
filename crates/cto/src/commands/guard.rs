//! `cto guard`: whether another repository is idle.

use cto_runner::{GuardRequest, guard_core_route};
use cto_schema::{CoreRouteGuard, ExitClass, GuardStatus};

use crate::cli::Global;
use crate::cli_guard::GuardArgs;
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};
use crate::progress::Progress;

pub(super) fn guard(global: &Global, args: &GuardArgs, output: &Output) -> Result<Exit, CommandError> {
    // Opening the installation makes its directories, so where it lies is asked before.
    let (home, _) = installation::home_path(global)?;
    let settled = |path: &std::path::Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if settled(&home).starts_with(settled(&args.core)) {
        let shown = cto_schema::escape(home.as_os_str().as_encoded_bytes(), 400);
        return Err(CommandError::usage(format!(
            "the installation {shown} lies in the repository, where nothing is written"
        ))
        .hint("name another with --home or CTO_HOME"));
    }
    let harness = installation::open(global)?;
    let progress = Progress::new(!output.json());
    progress.set("looking at the repository, twice", "");
    let request = GuardRequest {
        core: args.core.clone(),
        conflicts: args.conflicts.clone(),
        route: args.route.clone(),
    };
    let said = guard_core_route(&harness, &request).map_err(|error| {
        CommandError::usage(crate::error::chain(&error)).hint("--home names a directory outside the repository")
    });
    progress.finish();
    let said = said?;
    if output.json() {
        output.document(&said);
    } else {
        output.print(&text(&said, output));
    }
    Ok(Exit(match said.guard_status {
        GuardStatus::Passed => ExitClass::Pass,
        GuardStatus::Blocked => ExitClass::BlockedBefore,
    }))
}

fn text(said: &CoreRouteGuard, output: &Output) -> String {
    let facts = &said.facts;
    let mut text = match said.blocked_reason {
        None => format!(
            "{}  {}\nThe repository is idle: a governed Core route may be opened. Nothing is reserved by this answer.\n\n",
            output.paint("32", "✔ PASSED"),
            facts.core_repository
        ),
        Some(reason) => format!(
            "{}  {}\n{}: nothing of anybody's is to be touched.\n\n",
            output.paint("33", "■ BLOCKED"),
            facts.core_repository,
            reason.word()
        ),
    };
    for finding in &said.findings {
        text = format!(
            "{text}  {}  {}\n      {}\n",
            output.paint("1", &finding.code),
            finding.detail,
            finding.mend
        );
    }
    if facts.unusable.is_none() {
        let unchanged = if said.unchanged_by_check {
            "unchanged"
        } else {
            "changed"
        };
        text = format!(
            "{text}  looked at  {} work trees, {} processes; before and after: {unchanged}\n",
            facts.before.work_trees.len(),
            facts.processes.seen
        );
        if facts.processes.other_namespaces_unseen {
            text.push_str("  not seen   processes outside this container\n");
        }
        if facts.processes.init_unread {
            text.push_str("  not seen   where process 1 works: it has more rights than root has here\n");
        }
        if facts.conflict_list.is_none() {
            text.push_str("  not asked  a conflict list (--conflicts)\n");
        }
        if facts.route_record.is_none() {
            text.push_str("  not asked  a route record (--route)\n");
        }
    }
    let next = match said.blocked_reason {
        None => "open_governed_core_prd_route",
        Some(_) => "wait_or_open_later_core_route_when_idle",
    };
    format!("{text}\nNext: {next}\n")
}

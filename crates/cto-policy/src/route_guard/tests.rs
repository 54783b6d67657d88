//! The guard's whole table: the idle repository is admitted, and each single change of it is not.

use cto_schema::{ConflictHit, CoreProcess, CoreSnapshot, RepositoryState, RouteRecord, Sha256Digest};

use super::*;

fn tree(is_main: bool) -> CoreWorkTree {
    CoreWorkTree {
        path: "/core".to_owned(),
        is_main,
        state: Some(RepositoryState::default()),
        dirty_count: Some(0),
        ..CoreWorkTree::default()
    }
}

fn file() -> GuardFile {
    GuardFile {
        path: "/file".to_owned(),
        digest: Some(Sha256Digest::of(b"x")),
        problem: None,
    }
}

fn route(status: RouteStatus, until: &str) -> RouteRecord {
    RouteRecord {
        schema: SchemaId::CORE_ROUTE.to_string(),
        route_id: "R-1".to_owned(),
        owner: "ana".to_owned(),
        status,
        until: until.parse().unwrap(),
    }
}

/// An idle repository with two work trees, seen twice alike.
fn idle() -> CoreRouteFacts {
    let mut facts = CoreRouteFacts {
        core_repository: "/core".to_owned(),
        judged_at_seconds: 1_000,
        ..CoreRouteFacts::default()
    };
    facts.before.work_trees = vec![tree(true), tree(false)];
    facts.before.git_directory_digest = Some(Sha256Digest::of(b"git"));
    facts.after = facts.before.clone();
    facts.processes.seen = 9;
    facts
}

/// The idle repository with one change of both looks.
fn both(change: impl Fn(&mut CoreSnapshot)) -> CoreRouteFacts {
    let mut facts = idle();
    change(&mut facts.before);
    change(&mut facts.after);
    facts
}

fn with(change: impl FnOnce(&mut CoreRouteFacts)) -> CoreRouteFacts {
    let mut facts = idle();
    change(&mut facts);
    facts
}

#[test]
fn an_idle_repository_is_admitted() {
    let lapsed = with(|facts| {
        facts.route_record = Some(file());
        facts.route = Some(route(RouteStatus::Open, "1970-01-01T00:16:40Z"));
    });
    let closed = with(|facts| {
        facts.route_record = Some(file());
        facts.route = Some(route(RouteStatus::Closed, "2970-01-01"));
    });
    let listed = with(|facts| facts.conflict_list = Some(file()));
    let out_of_sight = with(|facts| {
        facts.processes.other_namespaces_unseen = true;
        facts.processes.init_unread = true;
    });
    for facts in [idle(), lapsed, closed, listed, out_of_sight] {
        let said = judge_core_route("now", facts);
        assert_eq!(said.findings, []);
        assert_eq!(said.guard_status, GuardStatus::Passed);
        assert_eq!(said.core_route_admission_status, CoreRouteAdmission::Admitted);
        assert_eq!(said.next_allowed_action, NextCoreAction::OpenGovernedCorePrdRoute);
        assert!(said.ready_for_core_route_review && said.unchanged_by_check && said.blocked_reason.is_none());
    }
}

type Row = (&'static str, GuardBlock, CoreRouteFacts);

/// Each row is the idle repository with one change.
fn rows() -> Vec<Row> {
    [work_tree_rows(), repository_rows(), process_rows(), file_rows()].concat()
}

fn work_tree_rows() -> Vec<Row> {
    let tree_row = |code, reason, at: usize, change: fn(&mut CoreWorkTree)| {
        (code, reason, both(|looks| change(&mut looks.work_trees[at])))
    };
    vec![
        tree_row("main_unknown", Uncertain, 0, |tree| tree.is_main = false),
        tree_row("main_dirty", Active, 0, |tree| tree.dirty_count = Some(1)),
        tree_row("work_tree_dirty", Active, 1, |tree| tree.dirty_count = Some(2)),
        tree_row("status_unknown", Uncertain, 0, |tree| tree.dirty_count = None),
        tree_row("status_unknown", Uncertain, 1, |tree| tree.state = None),
        tree_row("work_tree_unknown", Uncertain, 1, |tree| {
            tree.problem = Some("gone".to_owned());
        }),
        tree_row("work_tree_locked", Active, 1, |tree| tree.locked = Some(String::new())),
        tree_row("operation_in_progress", Active, 0, |tree| {
            tree.operation = Some("a merge".to_owned());
        }),
        tree_row("submodule_unknown", Uncertain, 0, |tree| {
            tree.submodules = vec!["x".to_owned()];
        }),
    ]
}

fn repository_rows() -> Vec<Row> {
    vec![
        (
            "repository_unusable",
            Unusable,
            with(|facts| facts.unusable = Some("bare".to_owned())),
        ),
        (
            "git_locked",
            Active,
            both(|looks| looks.locks = vec!["index.lock".to_owned()]),
        ),
        (
            "repository_uncertain",
            Uncertain,
            both(|looks| looks.problem = Some("odd".to_owned())),
        ),
        (
            "changed_during_check",
            Changed,
            both(|looks| looks.git_directory_digest = None),
        ),
        (
            "changed_during_check",
            Changed,
            with(|facts| facts.after.work_trees[1].dirty_count = Some(1)),
        ),
        (
            "changed_during_check",
            Changed,
            with(|facts| facts.after.work_trees[0].branch = Some("x".to_owned())),
        ),
        (
            "changed_during_check",
            Changed,
            with(|facts| facts.after.git_directory_digest = Some(Sha256Digest::of(b"x"))),
        ),
        (
            "changed_during_check",
            Changed,
            with(|facts| facts.after.locks = vec!["index.lock".to_owned()]),
        ),
    ]
}

fn process_rows() -> Vec<Row> {
    let process = CoreProcess {
        pid: 7,
        name: "vim".to_owned(),
        uid: 0,
        by: "working_directory".to_owned(),
        path: "/core".to_owned(),
    };
    vec![
        (
            "process_running",
            Active,
            with(|facts| facts.processes.processes = vec![process]),
        ),
        (
            "processes_unknown",
            Uncertain,
            with(|facts| facts.processes.unreadable = 1),
        ),
        ("processes_unknown", Uncertain, with(|facts| facts.processes.seen = 0)),
        (
            "processes_unknown",
            Uncertain,
            with(|facts| facts.processes.problem = Some("hidepid".to_owned())),
        ),
    ]
}

fn file_rows() -> Vec<Row> {
    let hit = ConflictHit {
        id: "W-1".to_owned(),
        owner: "ana".to_owned(),
        found: "branch x".to_owned(),
    };
    let bad = |digest| GuardFile {
        digest,
        problem: Some("no".to_owned()),
        ..file()
    };
    let unread = GuardFile { digest: None, ..file() };
    let open = with(|facts| {
        facts.route_record = Some(file());
        facts.route = Some(route(RouteStatus::Open, "1970-01-01T00:16:41Z"));
    });
    vec![
        ("conflict_present", Active, with(|facts| facts.conflicts = vec![hit])),
        (
            "repository_uncertain",
            Uncertain,
            with(|facts| facts.conflict_problem = Some("odd".to_owned())),
        ),
        (
            "conflict_list_unusable",
            Uncertain,
            with(|facts| facts.conflict_list = Some(bad(None))),
        ),
        (
            "conflict_list_unusable",
            Uncertain,
            with(|facts| facts.conflict_list = Some(unread)),
        ),
        (
            "route_record_unusable",
            Uncertain,
            with(|facts| facts.route_record = Some(bad(file().digest))),
        ),
        (
            "route_record_unusable",
            Uncertain,
            with(|facts| facts.route_record = Some(file())),
        ),
        ("route_open", Active, open),
    ]
}

#[test]
fn one_change_of_the_idle_repository_blocks_with_its_reason() {
    for (code, reason, facts) in rows() {
        let said = judge_core_route("now", facts);
        let codes: Vec<&str> = said.findings.iter().map(|finding| finding.code.as_str()).collect();
        assert_eq!(codes, [code], "{:?}", said.findings);
        assert_eq!(said.blocked_reason, Some(reason), "{code}: {:?}", said.findings);
        assert_eq!(said.guard_status, GuardStatus::Blocked);
        assert_eq!(said.core_route_admission_status, CoreRouteAdmission::NotAdmitted);
        assert_eq!(
            said.next_allowed_action,
            NextCoreAction::WaitOrOpenLaterCoreRouteWhenIdle
        );
        assert!(!said.ready_for_core_route_review && said.do_not_touch_other_agent_work);
    }
}

#[test]
fn facts_that_nobody_gathered_admit_nothing() {
    let said = judge_core_route("now", CoreRouteFacts::default());
    assert_eq!(said.guard_status, GuardStatus::Blocked);
}

#[test]
fn work_outweighs_doubt_and_every_reason_is_told() {
    let mut facts = both(|looks| looks.work_trees[0].dirty_count = Some(1));
    facts.processes.unreadable = 3;
    facts.after.git_directory_digest = None;
    let said = judge_core_route("now", facts);
    assert_eq!(said.blocked_reason, Some(Active));
    assert_eq!(said.findings.len(), 3);
}

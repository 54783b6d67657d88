//! One run: its verdict and why, every check, what was approved, what changed, and the way to its evidence.

use askama::Template;
use cto_schema::{
    AllowedPathsProof, ApprovalStatus, BlockerCode, ChangeKind, ClaimBasis, EligibilityDecision, Report, Status,
};

use super::{checked, content, events, timeline};
use crate::bundle_view::{BundleView, Standing};
use crate::draw::{self, TreePath};
use crate::view::{Drawn, Mark, Problem, Shell, Site, Time, grouped, milliseconds, page, text};

/// Tabs of a run, in order: their address, and their name.
const TABS: [(&str, &str); 8] = [
    ("", "Summary"),
    ("timeline", "Timeline"),
    ("patch", "Patch"),
    ("tests", "Tests"),
    ("events", "Events"),
    ("evidence", "Evidence"),
    ("usage", "Usage"),
    ("report", "Report"),
];

/// The head that all pages of a run share.
pub(super) struct RunHead {
    pub(super) run: String,
    pub(super) mark: Mark,
    pub(super) headline: String,
    pub(super) tabs: Vec<(String, &'static str, bool)>,
    /// Checks of the bundle that failed; then nothing of it is shown.
    pub(super) failures: Vec<(String, String)>,
    pub(super) verified: bool,
    pub(super) took: String,
    pub(super) live: bool,
}

/// Makes the head.
pub(super) fn head(view: &BundleView, here: &str) -> RunHead {
    let status = view.report.as_ref().map(|report| report.status);
    let effective = view.checked.as_ref().and_then(|checked| checked.effective_status);
    let (mark, headline) = match (&view.standing, status) {
        (Standing::Running, _) => (
            Mark::new("live", "Running"),
            "It is under way; nothing of it is sealed yet.",
        ),
        (Standing::Dead, _) => (
            Mark::new("bad", "No heartbeat"),
            "Its process is dead and it is not sealed. cto recover closes it as blocked.",
        ),
        (Standing::Sealed, _) if view.broken() => (
            Mark::new("bad", "Does not verify"),
            "A check of its bundle does not hold, so nothing of it is shown as evidence.",
        ),
        (Standing::Sealed, Some(Status::Pass)) => (
            Mark::new("good", "Pass"),
            "The change stayed inside its bounds and was verified in a clean room.",
        ),
        (Standing::Sealed, Some(Status::Blocked)) if effective == Some(Status::Pass) => (
            Mark::new("good", "Accepted"),
            "It was sealed without the operator's word, and the operator accepted it afterwards.",
        ),
        (Standing::Sealed, Some(Status::Fail)) => (
            Mark::new("bad", "Fail"),
            "The engine ran, the evidence is complete, and the work is not accepted.",
        ),
        (Standing::Sealed, Some(Status::Blocked)) => (
            Mark::new("warn", "Blocked"),
            "A gate or a bound said no, or the harness could not tell.",
        ),
        (Standing::Sealed, None) => (Mark::new("bad", "Unreadable"), "Its report cannot be read."),
    };
    let tabs = TABS.iter().map(|(place, name)| {
        let slash = if place.is_empty() { "" } else { "/" };
        (format!("/runs/{}{slash}{place}", view.run_id), *name, *place == here)
    });
    RunHead {
        run: view.run_id.to_string(),
        mark,
        headline: headline.to_owned(),
        tabs: tabs.collect(),
        failures: view.failures(),
        verified: view.verified(),
        took: milliseconds(u64::try_from(view.took.as_millis()).unwrap_or(0).max(1)),
        live: matches!(view.standing, Standing::Running),
    }
}

struct Reason {
    code: String,
    event: String,
    detail: String,
    mend: &'static str,
}

/// What a sealed run says of itself.
struct Told {
    task: String,
    engine: String,
    stage: String,
    mode: String,
    model: String,
    started: Time,
    finished: Time,
    took: String,
    contract: String,
    approval: Mark,
    packet: Option<String>,
    files: String,
    added: u64,
    removed: u64,
    outside: usize,
    engine_ran: bool,
    commit: Option<String>,
}

#[derive(Template)]
#[template(path = "run.html")]
struct Run {
    shell: Shell,
    head: RunHead,
    told: Option<Told>,
    reasons: Vec<Reason>,
    checks: Vec<(Mark, String, String)>,
    changes: Vec<TreePath>,
    tree: String,
    changes_cut: usize,
    timeline: String,
    spans: usize,
    claims: Vec<(Mark, String)>,
    events: Vec<(u32, String, u64)>,
    event_count: usize,
}

/// Most changed paths of the table.
const CHANGES: usize = 500;

pub(crate) fn run(site: &Site<'_>, run: &str) -> Drawn {
    let view = BundleView::open(site, run)?;
    // What does not verify is told as that, and not shown.
    let report = view.report.as_ref().filter(|_| view.verified());
    let line = cto_evidence::timeline(if view.broken() { &[] } else { &view.spans }, &[]);
    let (changes, changes_cut) = if report.is_some() { changes(&view) } else { (vec![], 0) };
    let events = if report.is_some() { vec![] } else { view.events() };
    let from = events.len().saturating_sub(50);
    page(&Run {
        shell: site.shell(format!("Run {}", view.run_id), "runs"),
        head: head(&view, ""),
        told: report.map(|report| told(site, &view, report)),
        reasons: report.map(reasons).unwrap_or_default(),
        checks: report.map(|_| checks(&view)).unwrap_or_default(),
        tree: if changes.is_empty() {
            String::new()
        } else {
            draw::tree(&changes)
        },
        changes,
        changes_cut,
        timeline: if line.rows.is_empty() {
            String::new()
        } else {
            draw::timeline(&line)
        },
        spans: line.rows.len(),
        claims: report.map(claims).unwrap_or_default(),
        event_count: events.len(),
        events: events
            .iter()
            .skip(from)
            .filter(|_| !view.broken())
            .map(|event| (event.seq, event.kind.name(), super::live::milliseconds(&event.mono_ns)))
            .collect(),
    })
}

pub(crate) fn tab(site: &Site<'_>, run: &str, tab: &str) -> Drawn {
    match tab {
        "timeline" => timeline::timeline(site, run),
        "patch" => content::patch(site, run),
        "tests" | "log" => content::test_output(site, run),
        "events" => events::events(site, run),
        "evidence" => checked::evidence(site, run),
        "usage" => checked::usage(site, run),
        "report" => content::report(site, run),
        "patch.diff" | "test.log" => content::download(site, run, tab),
        _ => Err(Problem::NotFound(format!("a run has no page {}", text(tab)))),
    }
}

fn told(site: &Site<'_>, view: &BundleView, report: &Report) -> Told {
    let model = report.case_model_provider.as_ref().zip(report.case_model.as_ref());
    let scan = cto_evidence::diff(view.bytes("patch.diff")).0;
    let count = |class: &str| {
        let lines = scan.iter().flat_map(|file| &file.lines);
        u64::try_from(lines.filter(|line| line.class == class).count()).unwrap_or(0)
    };
    let approval = match report.approval_status {
        ApprovalStatus::NotRequired => Mark::new("none", "not required"),
        ApprovalStatus::Requested => Mark::new("warn", "requested, not given"),
        ApprovalStatus::Granted => Mark::new("good", "granted and consumed"),
        ApprovalStatus::Denied => Mark::new("bad", "denied"),
    };
    let proof: Option<AllowedPathsProof> = view.read("allowed-paths.json");
    Told {
        task: view
            .contract
            .as_ref()
            .map(|contract| text(&contract.title))
            .unwrap_or_default(),
        engine: text(&report.backend),
        stage: report
            .stage
            .map_or_else(|| "unknown".to_owned(), |stage| stage.to_string()),
        mode: report.mutation_mode.map_or("unknown", |mode| mode.word()).to_owned(),
        model: model.map_or_else(
            || "none".to_owned(),
            |(provider, model)| format!("{}/{}", text(provider), text(model)),
        ),
        started: site.time(&report.run_started_at),
        finished: site.time(&report.run_finished_at),
        took: milliseconds(report.usage.total_ms),
        contract: report
            .contract_digest
            .map_or_else(|| "none".to_owned(), |digest| digest.to_string()),
        approval,
        packet: view
            .read::<cto_schema::ApprovalProof>("approval.json")
            .map(|proof| text(&proof.packet_id)),
        files: grouped(u64::try_from(report.changed_files.len()).unwrap_or(0)),
        added: count("add"),
        removed: count("del"),
        outside: proof.map_or(0, |proof| proof.outside_allowed.len() + proof.inside_forbidden.len()),
        engine_ran: report.case_process_started,
        commit: report
            .governed
            .as_ref()
            .and_then(|governed| governed.target_commit.as_deref().map(text)),
    }
}

fn reasons(report: &Report) -> Vec<Reason> {
    let each = report.blockers.iter().map(|blocker| Reason {
        code: blocker.code.name(),
        event: blocker.event.name(),
        detail: text(&blocker.detail),
        mend: cto_evidence::mend(blocker.code),
    });
    each.collect()
}

/// Every gate, then every code with which a run can fail: passed, failed, or never reached.
fn checks(view: &BundleView) -> Vec<(Mark, String, String)> {
    let decision: Option<EligibilityDecision> = view.read("decision.json");
    let gates = decision.iter().flat_map(|decision| &decision.gates).map(|gate| {
        let mark = match &gate.refusal {
            None => Mark::new("good", "passed"),
            Some(_) => Mark::new("bad", "refused"),
        };
        let detail = gate.refusal.as_ref().map(|refusal| text(&refusal.detail));
        (mark, format!("gate {}", text(&gate.gate)), detail.unwrap_or_default())
    });
    let report = view.report.as_ref();
    let codes = BlockerCode::all().iter().map(|code| {
        let blockers = report.map(|report| report.blockers.as_slice()).unwrap_or_default();
        let found = blockers.iter().find(|blocker| blocker.code == *code);
        let started = report.is_some_and(|report| report.case_process_started);
        let mark = match (found, started) {
            (Some(_), _) => Mark::new("bad", "failed"),
            (None, true) => Mark::new("good", "not found"),
            (None, false) => Mark::new("none", "not reached"),
        };
        (
            mark,
            code.name(),
            found.map(|blocker| text(&blocker.detail)).unwrap_or_default(),
        )
    });
    gates.chain(codes).collect()
}

/// Returns the changed paths, each with the contract's judgement as the bundle's proof has it.
fn changes(view: &BundleView) -> (Vec<TreePath>, usize) {
    let Some(set) = &view.write_set else {
        return (vec![], 0);
    };
    let proof: Option<AllowedPathsProof> = view.read("allowed-paths.json");
    let judged = |path: &str| match &proof {
        None => ("none", "not judged"),
        Some(proof) if proof.inside_forbidden.iter().any(|one| one == path) => ("bad", "forbidden"),
        Some(proof) if proof.outside_allowed.iter().any(|one| one == path) => ("bad", "not allowed"),
        Some(_) => ("good", "allowed"),
    };
    let paths = set.changes.iter().take(CHANGES).map(|change| {
        let (class, word) = judged(&change.path.path);
        TreePath {
            path: text(&change.path.shown()),
            class,
            word: word.to_owned(),
            kind: match change.kind {
                ChangeKind::Added => "added",
                ChangeKind::Modified => "modified",
                ChangeKind::Deleted => "deleted",
            },
        }
    });
    (paths.collect(), set.changes.len().saturating_sub(CHANGES))
}

fn claims(report: &Report) -> Vec<(Mark, String)> {
    let each = report.claims.iter().map(|claim| {
        let mark = match claim.basis {
            ClaimBasis::Verified => Mark::new("good", "the harness observed it"),
            ClaimBasis::SelfReported => Mark::new("warn", "the engine said so"),
            ClaimBasis::Inferred => Mark::new("part", "it follows from other facts"),
            ClaimBasis::Absent => Mark::new("none", "nothing shows it"),
        };
        (mark, text(&claim.statement))
    });
    each.collect()
}

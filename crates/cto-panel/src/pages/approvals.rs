//! Approvals: what waits, what was said, and which run consumed it. Text to read and copy, nothing that acts.

use askama::Template;
use cto_evidence::{ApprovalStore, packet_text};
use cto_schema::{ApprovalStatement, ControlSummary, GovernedExecution, GovernedState};

use crate::bundle_view::told;
use crate::view::{Drawn, Mark, Problem, Shell, Site, Time, page, text};

/// The course of one approval, for a table.
pub(super) struct Course {
    pub(super) id: String,
    pub(super) mark: Mark,
    pub(super) consumed: bool,
    pub(super) engine: String,
    pub(super) stage: u8,
    pub(super) task: String,
    pub(super) source: String,
    pub(super) expires: Option<Time>,
    pub(super) run: Option<String>,
    pub(super) report: String,
    pub(super) proof: String,
}

/// Returns every course that the summary names, newest first.
pub(super) fn courses(site: &Site<'_>) -> Vec<Course> {
    let all = &site.snapshot.summary.governed_execution;
    all.iter().map(|one| course(site, one)).collect()
}

fn mark(state: GovernedState) -> Mark {
    match state {
        GovernedState::Requested => Mark::new("live", "waits for a word"),
        GovernedState::Approved => Mark::new("good", "approved, unused"),
        GovernedState::Denied => Mark::new("bad", "denied"),
        GovernedState::Expired => Mark::new("none", "expired"),
        GovernedState::ConsumedByRun => Mark::new("warn", "consumed by a run"),
        GovernedState::ConsumedByPassEvidence => Mark::new("good", "consumed by a pass"),
        GovernedState::Unreadable => Mark::new("bad", "unreadable"),
    }
}

fn course(site: &Site<'_>, one: &GovernedExecution) -> Course {
    let or_none = |path: &Option<cto_schema::ReplayPath>| {
        path.as_ref()
            .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned())
    };
    Course {
        id: one.approval_id.to_string(),
        mark: mark(one.state),
        consumed: one.approval_consumed,
        engine: one.engine.to_string(),
        stage: one.stage,
        task: one.task_id.to_string(),
        source: one
            .approval_source
            .as_ref()
            .map_or_else(|| "nobody".to_owned(), ToString::to_string),
        expires: one.expires_at.as_ref().map(|at| site.until(at.as_str())),
        run: one.run_id.as_ref().map(ToString::to_string),
        report: or_none(&one.pass_replay_path),
        proof: or_none(&one.proof_replay_path),
    }
}

#[derive(Template)]
#[template(path = "approvals.html")]
struct Approvals<'a> {
    shell: Shell,
    s: &'a ControlSummary,
    posture: Mark,
    waiting: Option<Mark>,
    courses: Vec<Course>,
}

/// One packet, whole.
#[derive(Template)]
#[template(path = "packet.html")]
struct Packet {
    shell: Shell,
    id: String,
    mark: Mark,
    body: String,
    contract_sha256: String,
    command: Option<String>,
    said: Vec<(&'static str, String)>,
    run: Option<String>,
}

pub(crate) fn approvals(site: &Site<'_>, packet: Option<&str>) -> Drawn {
    if let Some(packet) = packet {
        return one(site, packet);
    }
    let s = &site.snapshot.summary;
    page(&Approvals {
        shell: site.shell("Approvals", "approvals"),
        posture: if s.execution_allowed {
            Mark::new("good", "granted, for one run")
        } else {
            Mark::new("warn", "not granted")
        },
        waiting: s.approval_packet.as_ref().map(|packet| mark(packet.state)),
        courses: courses(site),
        s,
    })
}

fn one(site: &Site<'_>, packet: &str) -> Drawn {
    let store = ApprovalStore::open(&site.panel.home);
    let stored = store.read(packet).map_err(|error| match error {
        cto_evidence::ApprovalError::Missing { .. } => {
            Problem::NotFound(format!("no approval packet has the name {}", text(packet)))
        }
        other => Problem::Unavailable(told(&other)),
    })?;
    let s = &site.snapshot.summary;
    let known = s
        .governed_execution
        .iter()
        .find(|one| one.approval_id.as_str() == stored.packet.packet_id);
    let waits = s
        .approval_packet
        .as_ref()
        .filter(|waiting| waiting.packet_id.as_str() == stored.packet.packet_id);
    let signed = stored.decision.as_ref();
    let statement = signed.and_then(|signed| serde_json::from_str::<ApprovalStatement>(&signed.statement).ok());
    let said = statement.map(|said| {
        let mut rows = vec![
            ("Who", text(&said.actor)),
            ("What", format!("{:?}", said.decision).to_lowercase()),
            ("When", said.decided_at.as_str().to_owned()),
            ("As", said.approval_source.word().to_owned()),
        ];
        rows.extend(said.reason.map(|reason| ("Why", text(&reason))));
        rows
    });
    page(&Packet {
        shell: site.shell(format!("Packet {}", stored.packet.packet_id), "approvals"),
        mark: known.map_or_else(|| Mark::new("none", "older than what is listed"), |one| mark(one.state)),
        // The text for terminals, line by line inert; it says what is asked in the operator's own words.
        body: packet_text(&stored.packet)
            .lines()
            .map(text)
            .collect::<Vec<_>>()
            .join("\n"),
        contract_sha256: stored.packet.contract_digest.hex(),
        command: waits.and_then(|packet| Some(packet.approval_command_text.as_ref()?.as_str().to_owned())),
        said: said.unwrap_or_default(),
        run: stored.consumed.map(|consumed| consumed.run_id.to_string()),
        id: stored.packet.packet_id,
    })
}

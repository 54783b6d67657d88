//! Pages that say little: health, promotion, planning, the matrix, the login, and why there is no page.

use askama::Template;
use cto_schema::{ControlSummary, DocumentKind};
use hyper::StatusCode;

use super::with_status;
use crate::answer::Answer;
use crate::ask::Ask;
use crate::panel::Panel;
use crate::view::{Drawn, Mark, Problem, Shell, Site, bare_shell, page, text};

#[derive(Template)]
#[template(path = "health.html")]
struct Health<'a> {
    shell: Shell,
    s: &'a ControlSummary,
    lines: Vec<(Mark, &'static str, String)>,
    bundles: Vec<(Mark, String, String)>,
}

pub(crate) fn health(site: &Site<'_>) -> Drawn {
    let s = &site.snapshot.summary;
    let store = &s.evidence;
    let none = |count: u32, what: &str| {
        let word = if count == 0 {
            "none".to_owned()
        } else {
            format!("{count} {what}")
        };
        Mark::of_good(count == 0, ("none", &word))
    };
    let chain = if store.ledger_chain_holds {
        (
            Mark::new("good", "holds"),
            format!("{} entries, each names the one before", store.ledger_head_seq),
        )
    } else {
        (Mark::new("bad", "broken"), store.ledger_detail.to_string())
    };
    let lines = vec![
        (chain.0, "Chain of the run ledger", chain.1),
        (
            none(store.bundles_unverifiable, "do not verify"),
            "Bundles that do not verify",
            format!("{} were verified for this page's snapshot", store.bundles_verified),
        ),
        (
            none(store.runs_dead, "to recover"),
            "Runs that a dead process left",
            "cto recover closes them as blocked".to_owned(),
        ),
        (
            none(store.unfinished_changes, "unfinished"),
            "Changes of repositories that are unfinished",
            "cto recover brings them to their end".to_owned(),
        ),
        (
            Mark::new("none", format!("{}", store.runs_live)),
            "Runs under way",
            "each holds a lock that the kernel releases on death".to_owned(),
        ),
    ];
    let bundles = s.bundles.iter().map(|bundle| {
        use cto_schema::BundleState as B;
        let mark = match bundle.state {
            B::Verified => Mark::new("good", "verified"),
            B::Stale => Mark::new("part", "stale"),
            B::Unverifiable => Mark::new("bad", "unverifiable"),
            B::Gone => Mark::new("bad", "gone"),
        };
        (mark, bundle.run_id.to_string(), bundle.detail.to_string())
    });
    page(&Health {
        shell: site.shell("Health", "health"),
        bundles: bundles.collect(),
        lines,
        s,
    })
}

#[derive(Template)]
#[template(path = "promotion.html")]
struct Promotion<'a> {
    shell: Shell,
    packet: Option<String>,
    s: &'a ControlSummary,
}

pub(crate) fn promotion(site: &Site<'_>) -> Drawn {
    page(&Promotion {
        shell: site.shell("Promotion", "promotion"),
        packet: newest(site, DocumentKind::Packet, DocumentKind::Packet.file())?,
        s: &site.snapshot.summary,
    })
}

#[derive(Template)]
#[template(path = "planning.html")]
struct Planning {
    shell: Shell,
}

pub(crate) fn planning(site: &Site<'_>) -> Drawn {
    page(&Planning {
        shell: site.shell("Planning", "planning"),
    })
}

#[derive(Template)]
#[template(path = "matrix.html")]
struct Matrix {
    shell: Shell,
    report: Option<String>,
}

pub(crate) fn matrix(site: &Site<'_>) -> Drawn {
    page(&Matrix {
        shell: site.shell("Matrix", "compare"),
        report: newest(site, DocumentKind::Matrix, "matrix.html")?,
    })
}

/// Returns where the newest document of a kind lies, below the home. It is named and not read: checking one verifies every
/// bundle that it rests on.
fn newest(site: &Site<'_>, kind: DocumentKind, file: &str) -> Result<Option<String>, Problem> {
    let ids = cto_evidence::documents(&site.panel.home, kind);
    let ids = ids.map_err(|_| Problem::Unavailable(format!("the {} cannot be listed", kind.directory())))?;
    let newest = ids.into_iter().next();
    Ok(newest.map(|id| format!("{}/{id}/{file}", kind.directory())))
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message {
    shell: Shell,
    mark: Mark,
    lines: Vec<String>,
    command: String,
}

pub(crate) fn login(panel: &Panel, ask: &Ask) -> Answer {
    let lines = vec![
        "This panel shows evidence to whoever started it. The link that opens it works once, for 60 seconds."
            .to_owned(),
        "A new one was just printed where cto serve runs. Open it in this browser.".to_owned(),
    ];
    let message = Message {
        shell: bare_shell(panel, ask, "Log in", ""),
        mark: Mark::new("warn", "No session"),
        lines,
        command: "cto serve".to_owned(),
    };
    with_status(StatusCode::UNAUTHORIZED, &message)
}

pub(crate) fn problem(panel: &Panel, ask: &Ask, problem: &Problem) -> Answer {
    let (status, title, mark, lines, command) = match problem {
        Problem::NotFound(what) => (
            StatusCode::NOT_FOUND,
            "Not found",
            Mark::new("none", "Not found"),
            vec![text(what)],
            "cto runs",
        ),
        Problem::Unavailable(why) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Unavailable",
            Mark::new("bad", "The store cannot be shown now"),
            vec![
                text(why),
                "What was shown before is not shown as current. Try again in a few seconds.".to_owned(),
            ],
            "cto verify --all",
        ),
    };
    let message = Message {
        shell: bare_shell(panel, ask, title, ""),
        mark,
        lines,
        command: command.to_owned(),
    };
    with_status(status, &message)
}

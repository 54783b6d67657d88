//! Which page answers which address.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header;

use crate::answer::{Answer, ApiError};
use crate::ask::Ask;
use crate::asset::asset;
use crate::guard::{may_look, session_cookie, theme_cookie};
use crate::pages;
use crate::panel::Panel;
use crate::view::{Drawn, Problem, Site};

/// Answers a request that the guard let through.
pub(crate) fn route(panel: &Arc<Panel>, ask: &Ask) -> Answer {
    // These say nothing about the installation.
    if ask.path == "/health" {
        return Answer::json(StatusCode::OK, bytes::Bytes::from_static(b"{\"ok\":true}"));
    }
    if let Some((kind, bytes)) = asset(&ask.path) {
        return Answer::asset(kind, bytes);
    }
    if ask.path == "/login" {
        return login(panel, ask);
    }
    let is_api = ask.path.starts_with("/api/");
    if !may_look(panel, ask) {
        return if is_api {
            Answer::error(ApiError::Unauthorized)
        } else {
            pages::login(panel, ask)
        };
    }
    if ask.path == "/theme" {
        return theme(panel, ask);
    }
    let drawn = panel.snapshot().map_err(Problem::Unavailable).and_then(|snapshot| {
        let site = Site {
            panel,
            ask,
            snapshot,
            now: cto_evidence::wall_now(),
        };
        page(&site)
    });
    match drawn {
        Ok(answer) => answer,
        Err(Problem::NotFound(_)) if is_api => Answer::error(ApiError::NotFound),
        Err(Problem::Unavailable(_)) if is_api => Answer::error(ApiError::Unavailable),
        Err(problem) => pages::problem(panel, ask, &problem),
    }
}

fn page(site: &Site<'_>) -> Drawn {
    let parts: Vec<&str> = site.ask.path.split('/').skip(1).collect();
    match parts.as_slice() {
        [""] => pages::overview(site),
        ["api", "cto", "control-summary"] => Ok(summary(site)),
        ["api", "cto", "runs", run, "live"] => pages::live(site, run),
        ["runs"] => pages::runs(site),
        ["runs", run] => pages::run(site, run),
        ["runs", run, tab] => pages::tab(site, run, tab),
        ["ladder"] => pages::ladder(site, None),
        ["ladder", stage] => pages::ladder(site, Some(stage)),
        ["compare"] => pages::compare(site),
        ["matrix"] => pages::matrix(site),
        ["approvals"] => pages::approvals(site, None),
        ["approvals", packet] => pages::approvals(site, Some(packet)),
        ["lanes"] => pages::lanes(site),
        ["failures"] => pages::failures(site),
        ["state"] => pages::health(site),
        ["promotion"] => pages::promotion(site),
        ["planning"] => pages::planning(site),
        ["help"] => pages::help(site),
        _ => Err(Problem::NotFound(format!("no page lies at {}", site.ask.path))),
    }
}

fn summary(site: &Site<'_>) -> Answer {
    let known = site.ask.header(&header::IF_NONE_MATCH).unwrap_or_default();
    let same = known
        .split(',')
        .any(|tag| tag.trim().trim_start_matches("W/") == site.snapshot.etag);
    let mut answer = if same {
        Answer::unchanged()
    } else {
        Answer::json(StatusCode::OK, site.snapshot.body.clone())
    };
    answer.set(header::ETAG, &site.snapshot.etag);
    answer.set(header::CACHE_CONTROL, "no-cache");
    answer
}

/// Says whether somebody came with a link that is over, so that the owner is told another one.
pub(crate) fn wants_link(panel: &Panel, ask: &Ask) -> bool {
    let lost = ask.path == "/login"
        || !(ask.path.starts_with("/assets/") || ask.path.starts_with("/api/") || ask.path == "/health");
    panel.options.login && lost && ask.parameter("k").is_none() && !may_look(panel, ask)
}

fn login(panel: &Panel, ask: &Ask) -> Answer {
    let session = ask.parameter("k").and_then(|key| panel.sessions.open(key));
    let Some(session) = session else {
        return if may_look(panel, ask) {
            Answer::to("/")
        } else {
            pages::login(panel, ask)
        };
    };
    let mut answer = Answer::to("/");
    let name = session_cookie(panel.port);
    answer.set(
        header::SET_COOKIE,
        &format!("{name}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200"),
    );
    answer
}

/// Remembers the theme, the one thing that a reader may set, and goes back to where the reader was.
fn theme(panel: &Panel, ask: &Ask) -> Answer {
    let to = match ask.parameter("to") {
        Some("dark") => "dark",
        Some("light") => "light",
        _ => "auto",
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._".contains(&byte);
    let back = ask.parameter("back").unwrap_or("/");
    // One slash: two would name another server.
    let own = back.starts_with('/') && !back.starts_with("//") && back.bytes().all(plain);
    let mut answer = Answer::to(if own { back } else { "/" });
    let name = theme_cookie(panel.port);
    answer.set(
        header::SET_COOKIE,
        &format!("{name}={to}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000"),
    );
    answer
}

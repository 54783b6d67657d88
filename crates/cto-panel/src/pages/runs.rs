//! The list of runs: filtered, sorted and paged by the server, so that ten thousand cost what a hundred do.

use askama::Template;
use cto_evidence::{LedgerEntry, RunOrder, RunPage, RunPlace, RunQuery, begun_runs, canonical_time};
use cto_schema::{BlockerCode, Status};

use crate::ask::encoded;
use crate::bundle_view::{ledger, told};
use crate::view::{Drawn, Mark, Problem, Shell, Site, Time, grouped, milliseconds, page, text};

/// Rows of a page.
const ROWS: u32 = 100;

struct Row {
    run: String,
    mark: Mark,
    blocker: String,
    lane: String,
    stage: String,
    finished: Time,
    took: String,
}

struct Begun {
    run: String,
    mark: Mark,
    lane: String,
    case: String,
    started: Time,
}

#[derive(Template)]
#[template(path = "runs.html")]
struct Runs {
    shell: Shell,
    total: String,
    filtered: bool,
    problem: String,
    rows: Vec<Row>,
    begun: Vec<Begun>,
    next: Option<String>,
    first: Option<String>,
    status: String,
    engine: String,
    blocker: String,
    stage: String,
    q: String,
    since: String,
    sort: &'static str,
    engines: Vec<String>,
    blockers: Vec<String>,
}

pub(crate) fn runs(site: &Site<'_>) -> Drawn {
    let ask = site.ask;
    let (query, problem) = read_query(site);
    let ledger = ledger(site)?;
    let found = ledger.as_ref().map(|ledger| ledger.page(&query)).transpose();
    let found = found
        .map_err(|error| Problem::Unavailable(told(&error)))?
        .unwrap_or(RunPage {
            entries: vec![],
            total: 0,
            next: None,
        });
    let (blockers, engines) = &site.snapshot.words;
    let asked = |name: &str| ask.parameter(name).map(text).unwrap_or_default();
    let filtered = ["status", "engine", "blocker", "stage", "q", "since"]
        .iter()
        .any(|name| ask.parameter(name).is_some());
    let begun = if filtered || query.after.is_some() {
        vec![]
    } else {
        begun(site)?
    };
    let next = found.next.map(|place| address(site, Some(place)));
    page(&Runs {
        shell: site.shell("Runs", "runs"),
        total: grouped(found.total),
        rows: found.entries.iter().map(|entry| row(site, entry)).collect(),
        first: query.after.map(|_| address(site, None)),
        filtered,
        problem,
        begun,
        next,
        status: asked("status"),
        engine: asked("engine"),
        blocker: asked("blocker"),
        stage: asked("stage"),
        q: asked("q"),
        since: asked("since"),
        sort: sort_word(query.order),
        engines: engines.iter().map(|name| text(name)).collect(),
        blockers: blockers.iter().map(|name| text(name)).collect(),
    })
}

fn sort_word(order: RunOrder) -> &'static str {
    match order {
        RunOrder::Newest => "newest",
        RunOrder::Oldest => "oldest",
        RunOrder::Longest => "longest",
    }
}

/// Reads the filter; what cannot be one is said and left out, rather than found nothing.
fn read_query(site: &Site<'_>) -> (RunQuery, String) {
    let ask = site.ask;
    let mut problems = Vec::new();
    let mut known = |name: &str, good: &dyn Fn(&str) -> bool, what: &str| {
        let value = ask.parameter(name)?;
        if good(value) {
            return Some(value.to_owned());
        }
        problems.push(format!("{name} is not {what}, and was left out"));
        None
    };
    let statuses = [Status::Pass, Status::Fail, Status::Blocked].map(Status::word);
    let status = known("status", &|value| statuses.contains(&value), "pass, fail or blocked");
    let codes: Vec<String> = BlockerCode::all().iter().map(|code| code.name()).collect();
    let blocker = known(
        "blocker",
        &|value| codes.iter().any(|code| code == value),
        "a blocker's code",
    );
    let stage = known(
        "stage",
        &|value| matches!(value, "1" | "2" | "3" | "4" | "5" | "6"),
        "1 to 6",
    );
    let engine = known("engine", &|value| value.len() <= 64, "an engine's name");
    let q = known("q", &|value| value.len() <= 100, "at most 100 characters");
    let since = known("since", &|value| since(value).is_some(), "a date or a time");
    let order = match ask.parameter("sort") {
        Some("oldest") => RunOrder::Oldest,
        Some("longest") => RunOrder::Longest,
        _ => RunOrder::Newest,
    };
    let query = RunQuery {
        status,
        engine,
        blocker,
        stage: stage.and_then(|stage| stage.parse().ok()),
        text: q,
        since: since.and_then(|value| self::since(&value)),
        order,
        after: ask.parameter("before").and_then(place),
        limit: ROWS,
    };
    (query, problems.join("; "))
}

/// Accepts a date as the start of that day.
fn since(value: &str) -> Option<String> {
    let full = if value.len() == 10 {
        format!("{value}T00:00:00Z")
    } else {
        value.to_owned()
    };
    canonical_time(&full)
}

/// Reads where a page starts: `<entry>` or `<entry>.<milliseconds>`.
fn place(value: &str) -> Option<RunPlace> {
    let (seq, duration) = value.split_once('.').unwrap_or((value, "0"));
    Some(RunPlace {
        seq: seq.parse().ok()?,
        duration_ms: duration.parse().ok()?,
    })
}

/// Writes the address of another page of the same list.
fn address(site: &Site<'_>, place: Option<RunPlace>) -> String {
    let names = ["status", "engine", "blocker", "stage", "q", "since", "sort"];
    let kept = names
        .iter()
        .filter_map(|name| Some(format!("{name}={}", encoded(site.ask.parameter(name)?))));
    let before = place.map(|place| format!("before={}.{}", place.seq, place.duration_ms));
    let pairs: Vec<String> = kept.chain(before).collect();
    format!("/runs?{}", pairs.join("&"))
}

fn row(site: &Site<'_>, entry: &LedgerEntry) -> Row {
    let is_there = site.panel.home.run(&entry.run_id).is_dir();
    Row {
        run: entry.run_id.to_string(),
        mark: if is_there {
            Mark::of_status(&entry.status)
        } else {
            Mark::new("bad", format!("{}, gone", text(&entry.status)))
        },
        blocker: entry.first_blocker.as_deref().map(text).unwrap_or_default(),
        lane: text(&entry.backend),
        stage: entry.stage.map_or_else(String::new, |stage| stage.to_string()),
        finished: site.time(&entry.finished_at),
        took: milliseconds(u64::try_from(entry.duration_ms).unwrap_or(0)),
    }
}

fn begun(site: &Site<'_>) -> Result<Vec<Begun>, Problem> {
    let all = begun_runs(&site.panel.home).map_err(|error| Problem::Unavailable(told(&error)))?;
    let row = |one: cto_evidence::BegunRun| {
        let info = one.info.as_ref();
        Begun {
            run: one.run_id.to_string(),
            mark: if one.lives {
                Mark::new("live", "running")
            } else {
                Mark::new("bad", "no heartbeat")
            },
            lane: info.map(|info| text(&info.opened.backend)).unwrap_or_default(),
            case: info.map(|info| text(&info.opened.case_id)).unwrap_or_default(),
            started: site.time(info.map_or("", |info| info.started_at.as_str())),
        }
    };
    Ok(all.into_iter().take(50).map(row).collect())
}

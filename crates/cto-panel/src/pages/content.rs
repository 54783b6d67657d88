//! Evidence content: patch, test output and the report that holds both. Shown by the rule about mutation modes alone.

use askama::Template;
use cto_evidence::{DiffFile, ReportView, diff, line_text};
use hyper::StatusCode;
use hyper::header;

use super::run::{RunHead, head};
use crate::answer::Answer;
use crate::ask::encoded;
use crate::bundle_view::BundleView;
use crate::view::{Drawn, Problem, Shell, Site, grouped, page, text};

/// Lines of one page of the log, and of one block that the browser lays out at a time.
const LINES: usize = 2_000;
const BLOCK: usize = 500;
/// Longest part of a log that one page shows, in bytes.
const BYTES: usize = 1 << 20;
/// Most findings of a search.
const FOUND: usize = 500;
/// Files of a diff longer than this are folded.
const FOLD: usize = 500;

struct PatchFile {
    file: DiffFile,
    added: usize,
    removed: usize,
    open: bool,
}

#[derive(Template)]
#[template(path = "patch.html")]
struct Patch {
    shell: Shell,
    head: RunHead,
    allowed: bool,
    files: Vec<PatchFile>,
    cut: String,
}

pub(super) fn patch(site: &Site<'_>, run: &str) -> Drawn {
    let view = BundleView::open(site, run)?;
    let allowed = view.may_show_content(site);
    let bytes = if allowed && !view.broken() {
        view.bytes("patch.diff")
    } else {
        &[]
    };
    let (files, cut) = diff(bytes);
    let print = site.ask.parameter("print").is_some();
    let files = files.into_iter().map(|file| {
        let count = |class: &str| file.lines.iter().filter(|line| line.class == class).count();
        PatchFile {
            added: count("add"),
            removed: count("del"),
            open: print || file.lines.len() <= FOLD,
            file,
        }
    });
    page(&Patch {
        shell: site.shell(format!("Patch of {}", view.run_id), "runs"),
        head: head(&view, "patch"),
        allowed,
        files: files.collect(),
        cut,
    })
}

/// One block of lines.
struct Block {
    lines: Vec<(usize, String)>,
}

#[derive(Template)]
#[template(path = "tests.html")]
struct Tests {
    shell: Shell,
    head: RunHead,
    allowed: bool,
    blocks: Vec<Block>,
    total: String,
    from: usize,
    to: usize,
    empty: bool,
    earlier: Option<String>,
    later: Option<String>,
    q: String,
    found: Vec<(usize, String, String)>,
    found_total: String,
    kept_cut: bool,
}

pub(super) fn test_output(site: &Site<'_>, run: &str) -> Drawn {
    let view = BundleView::open(site, run)?;
    let allowed = view.may_show_content(site);
    let bytes = if allowed && !view.broken() {
        view.bytes("test.log")
    } else {
        &[]
    };
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let lines: Vec<&[u8]> = if body.is_empty() {
        vec![]
    } else {
        body.split(|byte| *byte == b'\n').collect()
    };
    let last = lines.len().saturating_sub(LINES);
    let from = match site.ask.parameter("from") {
        None => last,
        Some(from) => from
            .parse::<usize>()
            .map_err(|_| Problem::NotFound("from is the number of a line".to_owned()))?
            .saturating_sub(1)
            .min(last.max(lines.len().saturating_sub(1))),
    };
    let mut left = BYTES;
    let shown = lines.iter().skip(from).take(LINES).take_while(|line| {
        left = left.saturating_sub(line.len());
        left > 0
    });
    let shown: Vec<(usize, String)> = (from + 1..).zip(shown.map(|line| line_text(line))).collect();
    let to = from + shown.len();
    let blocks = shown
        .chunks(BLOCK)
        .map(|lines| Block { lines: lines.to_vec() })
        .collect();
    let q = site.ask.parameter("q").filter(|q| q.len() <= 200).map(str::to_owned);
    let place = |line: usize| format!("/runs/{}/tests?from={line}", view.run_id);
    let hits: Vec<usize> = q.iter().flat_map(|q| search(&lines, q)).collect();
    let found = hits.iter().take(FOUND).map(|at| {
        let start = (at / LINES) * LINES + 1;
        let link = format!(
            "{}&q={}#L{}",
            place(start),
            encoded(q.as_deref().unwrap_or_default()),
            at + 1
        );
        (
            at + 1,
            link,
            lines.get(*at).map(|line| line_text(line)).unwrap_or_default(),
        )
    });
    let file = view.bundle.files().get("test.log");
    page(&Tests {
        shell: site.shell(format!("Tests of {}", view.run_id), "runs"),
        head: head(&view, "tests"),
        allowed,
        blocks,
        total: grouped(u64::try_from(lines.len()).unwrap_or(0)),
        empty: lines.is_empty(),
        earlier: (from > 0).then(|| place(from.saturating_sub(LINES) + 1)),
        later: (to < lines.len()).then(|| place(to + 1)),
        from: from + 1,
        to,
        found: found.collect(),
        found_total: grouped(u64::try_from(hits.len()).unwrap_or(0)),
        q: q.as_deref().map(text).unwrap_or_default(),
        kept_cut: file.is_some_and(|file| file.size_bytes > u64::try_from(bytes.len()).unwrap_or(u64::MAX)) && allowed,
    })
}

/// Finds lines that hold a text, whatever its case.
fn search(lines: &[&[u8]], q: &str) -> Vec<usize> {
    let wanted = q.to_lowercase();
    let holds = |line: &[u8]| String::from_utf8_lossy(line).to_lowercase().contains(&wanted);
    (0..)
        .zip(lines)
        .filter(|(_, line)| holds(line))
        .map(|(at, _)| at)
        .collect()
}

/// The artifact as it is, to keep.
pub(super) fn download(site: &Site<'_>, run: &str, name: &str) -> Drawn {
    let view = BundleView::open(site, run)?;
    if !view.may_show_content(site) || view.broken() {
        return Err(Problem::NotFound(
            "this content is not shown here; read it with cto show".to_owned(),
        ));
    }
    let whole = view.bundle.files().get(name).map(|file| file.size_bytes);
    let bytes = view.bytes(name).to_vec();
    if whole != u64::try_from(bytes.len()).ok() {
        return Err(Problem::NotFound(
            "it is too large for the panel; copy it from the bundle".to_owned(),
        ));
    }
    Ok(Answer::download(&format!("{}-{name}", view.run_id), bytes))
}

/// The report for paper: the very page that lies in the bundle, drawn anew from its documents.
pub(super) fn report(site: &Site<'_>, run: &str) -> Drawn {
    let view = BundleView::open(site, run)?;
    let report = match &view.report {
        Some(report) if view.verified() && view.may_show_content(site) => report,
        _ => {
            return Err(Problem::NotFound(
                "this report is not shown here: the run is not sealed, does not verify, or holds content of an owned \
                 repository; read it with cto show"
                    .to_owned(),
            ));
        }
    };
    let html = cto_evidence::html(&ReportView {
        report,
        contract: view.contract.as_ref(),
        write_set: view.write_set.as_ref(),
        spans: &view.spans,
        patch: view.bytes("patch.diff"),
        test_log: view.bytes("test.log"),
    });
    // It carries its own style; the policy admits that one text by its digest, and nothing else.
    let style = html
        .split_once("<style>")
        .and_then(|(_, rest)| rest.split_once("</style>"))
        .map(|(style, _)| style);
    let digest = cto_schema::Sha256Digest::of(style.unwrap_or_default().as_bytes());
    let hash = data_encoding::BASE64.encode(digest.as_bytes());
    let mut answer = Answer::page(StatusCode::OK, html);
    answer.set(
        header::CONTENT_SECURITY_POLICY,
        &format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    );
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_finds_every_line_whatever_its_case_and_bytes() {
        let lines: Vec<&[u8]> = vec![b"one", b"TWO x", b"\xfftwo", b""];
        assert_eq!(search(&lines, "two"), [1, 2]);
        assert!(search(&lines, "three").is_empty());
    }
}

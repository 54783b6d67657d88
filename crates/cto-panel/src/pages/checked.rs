//! The evidence of a run, checked again while the page is made, and what the run used.

use askama::Template;
use cto_evidence::CheckState;
use cto_schema::{CanaryState, Envelope};

use super::run::{RunHead, head};
use crate::bundle_view::BundleView;
use crate::view::{Drawn, Mark, Shell, Site, milliseconds, page, size, text};

/// Most files that are listed.
const FILES: usize = 1_000;

#[derive(Template)]
#[template(path = "evidence.html")]
struct Evidence {
    shell: Shell,
    head: RunHead,
    verdict: Mark,
    checks: Vec<(Mark, &'static str, String)>,
    files: Vec<(Mark, String, String, String)>,
    cut: usize,
    signer: String,
    keyid: String,
    manifest: String,
    payload: String,
    chain_head: String,
    ledger: String,
}

pub(super) fn evidence(site: &Site<'_>, run: &str) -> Drawn {
    let view = BundleView::open(site, run)?;
    let checked = view.checked.as_ref();
    let checks = checked.iter().flat_map(|checked| &checked.checks).map(|check| {
        let mark = match check.state {
            CheckState::Passed => Mark::new("good", "passed"),
            CheckState::Failed => Mark::new("bad", "failed"),
            CheckState::NotApplicable => Mark::new("none", "not applicable"),
        };
        (mark, check.name, check.detail.clone())
    });
    let sums = sums(&view);
    let files = view.bundle.files().iter().take(FILES).map(|(name, file)| {
        let listed = sums.iter().find(|(known, _)| known == name);
        let outside = matches!(name.as_str(), "SHA256SUMS" | "attestation.dsse.json");
        let mark = match listed {
            Some((_, digest)) if *digest == file.digest.hex() => Mark::new("good", "hashed again, the same"),
            Some(_) => Mark::new("bad", "changed"),
            None if outside => Mark::new("none", "outside the manifest"),
            None => Mark::new("bad", "not in the manifest"),
        };
        (mark, name.clone(), size(file.size_bytes), file.digest.hex())
    });
    let verdict = match (checked, view.verified()) {
        (None, _) => Mark::new("none", "Not sealed: there is nothing to verify yet"),
        (Some(_), true) => Mark::new("good", "Verified: every check was recomputed just now"),
        (Some(_), false) => Mark::new("bad", "Does not verify"),
    };
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    let envelope: Option<Envelope> = view.read("attestation.dsse.json");
    let entry = crate::bundle_view::ledger(site)?.and_then(|ledger| ledger.find(&view.run_id).ok().flatten());
    page(&Evidence {
        shell: site.shell(format!("Evidence of {}", view.run_id), "runs"),
        head: head(&view, "evidence"),
        verdict,
        checks: checks.collect(),
        files: files.collect(),
        cut: view.bundle.files().len().saturating_sub(FILES),
        signer: or_none(checked.and_then(|checked| checked.signer.clone())),
        keyid: or_none(checked.and_then(|checked| checked.keyid.clone())),
        manifest: or_none(checked.and_then(|checked| checked.manifest_digest.map(|digest| digest.to_string()))),
        payload: or_none(envelope.map(|envelope| text(&envelope.payload_type))),
        chain_head: or_none(
            view.report
                .as_ref()
                .map(|report| report.freshness.event_chain_head.to_string()),
        ),
        ledger: entry.map_or_else(
            || "not in this installation's ledger".to_owned(),
            |entry| format!("entry {}, {}", entry.seq, entry.entry_digest),
        ),
    })
}

/// Reads the manifest: lines of a digest, two characters, and a name.
fn sums(view: &BundleView) -> Vec<(String, String)> {
    let lines = String::from_utf8_lossy(view.bytes("SHA256SUMS")).into_owned();
    let pair = |line: &str| {
        let (digest, name) = line.split_once("  ").or_else(|| line.split_once(" *"))?;
        Some((name.to_owned(), digest.to_owned()))
    };
    lines.lines().filter_map(pair).collect()
}

#[derive(Template)]
#[template(path = "usage.html")]
struct Usage {
    shell: Shell,
    head: RunHead,
    times: Vec<(&'static str, String, u64)>,
    model: Vec<(&'static str, String)>,
    bounds: Vec<(Mark, String, String)>,
    canaries: Vec<(Mark, String)>,
}

pub(super) fn usage(site: &Site<'_>, run: &str) -> Drawn {
    let view = BundleView::open(site, run)?;
    let report = view.report.as_ref().filter(|_| view.verified());
    let total = report.map_or(1, |report| report.usage.total_ms.max(1));
    let times = report.map(|report| {
        let usage = &report.usage;
        [
            ("Engine", usage.engine_ms),
            ("Verification", usage.verification_ms),
            ("Harness", usage.harness_ms),
            ("Whole run", usage.total_ms),
        ]
        .map(|(name, ms)| (name, milliseconds(ms), (ms * 100 / total).min(100)))
        .to_vec()
    });
    let model = report.and_then(|report| report.model.as_ref()).map(|model| {
        let usage = &model.usage;
        let known = |value: &str| {
            if value.is_empty() {
                "unknown".to_owned()
            } else {
                text(value)
            }
        };
        vec![
            ("Model", format!("{}/{}", text(&model.provider), text(&model.model))),
            ("Calls", model.calls.to_string()),
            ("Completed", model.completed.to_string()),
            ("Failed", model.failed_calls().to_string()),
            ("Refused by the gateway", model.refused_calls().to_string()),
            ("Input tokens", known(&usage.input_tokens)),
            ("Output tokens", known(&usage.output_tokens)),
            (
                "Cost, micro-USD",
                usage
                    .cost_micro_usd
                    .as_deref()
                    .map_or_else(|| "unknown".to_owned(), text),
            ),
        ]
    });
    let bounds = report
        .and_then(|report| report.enforcement.as_ref())
        .map(|enforcement| {
            let each = enforcement.bounds.iter().map(|bound| {
                use cto_schema::BoundState as B;
                let mark = match bound.state {
                    B::Enforced => Mark::new("good", "enforced"),
                    B::Weaker => Mark::new("warn", "weaker"),
                    B::Absent => Mark::new("bad", "absent"),
                };
                (mark, text(&bound.name), text(&bound.how))
            });
            each.collect()
        });
    let canaries = report.and_then(|report| report.clean_room.as_ref()).map(|room| {
        let each = room.canaries.iter().map(|canary| {
            let mark = match canary.state {
                CanaryState::FailedAsItMust => Mark::new("good", "failed as it must"),
                CanaryState::Passed | CanaryState::Unusable => Mark::new("bad", "no evidence"),
                CanaryState::NotGenerated => Mark::new("none", "not made"),
            };
            (mark, format!("canary of command {}", canary.command.saturating_add(1)))
        });
        each.collect()
    });
    page(&Usage {
        shell: site.shell(format!("Usage of {}", view.run_id), "runs"),
        head: head(&view, "usage"),
        times: times.unwrap_or_default(),
        model: model.unwrap_or_default(),
        bounds: bounds.unwrap_or_default(),
        canaries: canaries.unwrap_or_default(),
    })
}

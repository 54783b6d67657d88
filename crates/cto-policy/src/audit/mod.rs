//! The endgoal audit: which bundles prove each law and each requirement. What proves what is a table.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use cto_schema::{
    Audit, AuditKind, AuditLine, AuditProof, AuditStatus, BundleFacts, CompletionStatus, NotActivated, NotPromoted,
    SchemaId, Status,
};

use crate::candidate::{FAILURE_ROWS, from_the_future, is_accepted, same_major, shows_row};

/// What an audit looks at: facts of bundles and documents that were checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFacts {
    /// When, in seconds since 1970.
    pub judged_at_seconds: i64,
    /// Version of the harness that audits.
    pub harness_version: String,
    /// What each bundle that verifies shows, by run.
    pub bundles: BTreeMap<String, BundleFacts>,
    /// Bundles on record that do not verify, or are gone.
    pub failed: Vec<String>,
    /// Comparisons that verify, hold, and were accepted.
    pub accepted_comparisons: Vec<String>,
    /// Refreshes that verify and pass.
    pub passed_refreshes: Vec<String>,
    /// Decision packets that verify.
    pub packets: Vec<String>,
    /// Documents that do not verify.
    pub failed_documents: Vec<String>,
}

/// One thing that has to be on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// A run that ends with exactly this row of the failure matrix.
    Row(&'static str),
    /// A pass at this stage.
    Pass(u8),
    /// A run at stage 1, where nothing is started.
    RunsNothing,
    /// A run of this engine that was refused before anything of it started.
    Refused(&'static str),
    /// A run on an owned repository that an operator approved before and accepted afterwards.
    Accepted,
    /// A run whose tests passed, that was sealed as blocked, and that an operator accepted: three facts, not one.
    ThreeFacts,
    /// A pass of an engine whose source and build are admitted as its vendor published them.
    Vendor,
    /// Every bundle and document on record verifies.
    EverythingVerifies,
    /// No document of any bundle activates or promotes.
    NothingActivates,
    /// No document of any bundle has a field for a secret.
    NoSecretFields,
    /// A comparison that an operator accepted.
    Comparison,
    /// A refresh that passes.
    Refresh,
    /// A decision packet.
    Packet,
}

use AuditKind::{Law, Requirement};
use Need::{
    Accepted, Comparison, EverythingVerifies, NoSecretFields, NothingActivates, Packet, Pass, Refresh, Refused, Row,
    RunsNothing, ThreeFacts, Vendor,
};

/// A line of the audit.
struct Line(AuditKind, &'static str, &'static str, &'static [Need]);

/// The nine laws of spec 00 and the ten requirements of spec 10, each with what proves it.
const LINES: &[Line] = &[
    Line(
        Law,
        "law_1_default_deny",
        "an engine does nothing until every gate of its stage is proven",
        &[
            RunsNothing,
            Row("gate-missing"),
            Row("approval-denied"),
            Row("source-not-admitted"),
            Row("build-mismatch"),
        ],
    ),
    Line(
        Law,
        "law_2_nothing_degrades",
        "a missing or unreadable gate, record, event or artifact blocks",
        &[
            Row("missing-test-command"),
            Row("missing-event"),
            Row("artifact-write-failure"),
            Row("contract-invalid"),
            Row("sandbox-unavailable"),
            Row("missing-operator-outcome"),
        ],
    ),
    Line(
        Law,
        "law_3_every_run_is_sealed",
        "every run ends in a sealed bundle, also one that was refused, timed out, was stopped or killed",
        &[
            Row("gate-missing"),
            Row("timeout"),
            Row("cancelled"),
            Row("harness-interrupted"),
            EverythingVerifies,
        ],
    ),
    Line(
        Law,
        "law_4_success_is_observed",
        "nothing that an engine prints can make a run pass",
        &[
            Row("no-diff"),
            Row("failed-tests"),
            Row("agent-protocol"),
            Row("engine-failed"),
            Row("verification-tampering"),
            Pass(2),
        ],
    ),
    Line(
        Law,
        "law_5_claims_name_their_basis",
        "every claim of a report says what it rests on; checking a bundle checks each",
        &[Pass(2), Pass(3), EverythingVerifies],
    ),
    Line(
        Law,
        "law_6_no_secret",
        "no secret enters a document, a log or a commit",
        &[Row("secret-leak"), Row("auth-unavailable"), NoSecretFields],
    ),
    Line(
        Law,
        "law_7_no_wider_permission",
        "a later stage never reads an earlier pass as a wider permission",
        &[
            Pass(4),
            Accepted,
            Row("approval-denied"),
            Row("contract-changed"),
            Row("target-moved"),
        ],
    ),
    Line(
        Law,
        "law_8_nothing_is_published",
        "no push, merge, deploy or publication happens unless the contract says so",
        &[Row("forbidden-action"), Accepted],
    ),
    Line(
        Law,
        "law_9_three_facts",
        "the engine's claim, a green test run and the operator's acceptance are three facts",
        &[Row("missing-operator-outcome"), ThreeFacts],
    ),
    Line(
        Requirement,
        "cortex_governs",
        "authority and promotion stay with Core: evidence is put before it and promotes nothing",
        &[NothingActivates, Packet],
    ),
    Line(
        Requirement,
        "hermes_controls",
        "the control surface shows and asks: an approval is an operator's signature over a packet that runs nothing",
        &[Row("approval-denied"), Row("contract-changed"), Accepted],
    ),
    Line(
        Requirement,
        "cto_routes",
        "cto decides contract, eligibility and risk before anything starts",
        &[
            Row("contract-invalid"),
            Row("gate-missing"),
            Row("sandbox-unavailable"),
            Row("target-busy"),
        ],
    ),
    Line(
        Requirement,
        "harness_proves",
        "the harness proves every run by a bundle that verifies",
        &[Pass(2), Pass(3), EverythingVerifies],
    ),
    Line(
        Requirement,
        "case_executes_only_after_proof",
        "the Case engine executes only after proof",
        &[
            Refused("case"),
            Row("model-not-admitted"),
            Row("source-not-admitted"),
            Row("build-mismatch"),
        ],
    ),
    Line(
        Requirement,
        "bounded_code_changes_with_evidence",
        "a change stays inside its bounds and is proven by its patch",
        &[
            Pass(3),
            Row("disallowed-file"),
            Row("unsafe-file"),
            Row("patch-roundtrip"),
            Row("surviving-process"),
            Row("resource-limit"),
        ],
    ),
    Line(
        Requirement,
        "target_repositories_stay_owned",
        "target repositories stay owned and protected",
        &[
            Accepted,
            Row("unowned-repository"),
            Row("critical-repository"),
            Row("dirty-starting-tree"),
            Row("target-modified"),
            Row("target-moved"),
        ],
    ),
    Line(
        Requirement,
        "default_status_is_earned",
        "an engine becomes eligible by proof and an operator's word, and is never made the default here",
        &[Comparison, NothingActivates],
    ),
    Line(
        Requirement,
        "candidate_default_evidence",
        "eligibility and repeatability are shown by accepted runs",
        &[Comparison, Refresh],
    ),
    Line(
        Requirement,
        "transportable_stack_without_vendor_edits",
        "agents run as their vendors published them, admitted by source and build",
        &[Vendor, Row("build-mismatch")],
    ),
];

/// Judges every line over what is on record.
pub fn judge_audit(audited_at: &str, facts: &AuditFacts) -> Audit {
    let mut bundles: Vec<&BundleFacts> = facts.bundles.values().filter(|bundle| counts(facts, bundle)).collect();
    bundles.sort_by(|a, b| (&b.started_at, &b.run_id).cmp(&(&a.started_at, &a.run_id)));
    let lines: Vec<AuditLine> = LINES.iter().map(|line| judge_line(line, facts, &bundles)).collect();
    let all = lines.iter().all(|line| line.status == AuditStatus::Proven);
    Audit {
        schema: SchemaId::AUDIT.to_string(),
        audited_at: audited_at.to_owned(),
        harness_version: facts.harness_version.clone(),
        completion_status: if all {
            CompletionStatus::Complete
        } else {
            CompletionStatus::Incomplete
        },
        bundles_checked: u32::try_from(facts.bundles.len() + facts.failed.len()).unwrap_or(u32::MAX),
        bundles_failed: facts.failed.clone(),
        lines,
        runtime_default_activation: NotActivated,
        core_promotion_status: NotPromoted,
    }
}

fn counts(facts: &AuditFacts, bundle: &BundleFacts) -> bool {
    bundle.failed_checks.is_empty()
        && same_major(&bundle.harness_version, &facts.harness_version)
        && !from_the_future(&bundle.finished_at, facts.judged_at_seconds)
}

fn judge_line(line: &Line, facts: &AuditFacts, bundles: &[&BundleFacts]) -> AuditLine {
    let Line(kind, id, text, needs) = line;
    let (mut proven_by, mut missing) = (Vec::new(), Vec::new());
    for need in *needs {
        match shown(*need, facts, bundles) {
            Ok(path) => proven_by.push(AuditProof {
                need: told(*need),
                path,
            }),
            Err(how) => missing.push(format!("{}: {how}", told(*need))),
        }
    }
    AuditLine {
        id: (*id).to_owned(),
        kind: *kind,
        text: (*text).to_owned(),
        status: if missing.is_empty() {
            AuditStatus::Proven
        } else {
            AuditStatus::NotProven
        },
        proven_by,
        missing,
    }
}

fn told(need: Need) -> String {
    match need {
        Row(name) => format!("row {name}"),
        Pass(stage) => format!("a pass at stage {stage}"),
        RunsNothing => "a run at stage 1, where nothing starts".to_owned(),
        Refused(engine) => format!("a run of {engine} that was refused before it started"),
        Accepted => "an approved and accepted run on an owned repository".to_owned(),
        ThreeFacts => "a green run, sealed as blocked, accepted afterwards".to_owned(),
        Vendor => "a pass of an engine with admitted source and build".to_owned(),
        EverythingVerifies => "everything on record verifies".to_owned(),
        NothingActivates => "no bundle activates or promotes".to_owned(),
        NoSecretFields => "no document has a field for a secret".to_owned(),
        Comparison => "an accepted comparison".to_owned(),
        Refresh => "a refresh that passes".to_owned(),
        Packet => "a decision packet".to_owned(),
    }
}

/// Where a need is shown, or how to put it on record.
fn shown(need: Need, facts: &AuditFacts, bundles: &[&BundleFacts]) -> Result<String, String> {
    let run =
        |found: Option<&&BundleFacts>, how: String| found.map(|bundle| format!("runs/{}", bundle.run_id)).ok_or(how);
    let first = |holds: &dyn Fn(&BundleFacts) -> bool| bundles.iter().find(|bundle| holds(bundle));
    match need {
        Row(name) => {
            let row = FAILURE_ROWS.iter().find(|row| row.name == name);
            let found = row.and_then(|row| first(&|bundle| shows_row(row, bundle)));
            run(found, format!("cto fixtures run {name}"))
        }
        Pass(stage) => {
            let found = first(&|bundle| {
                bundle.stage == Some(stage) && bundle.effective_status == Some(Status::Pass) && bundle.started
            });
            run(found, format!("cto stage validate {stage}"))
        }
        RunsNothing => {
            let found = first(&|bundle| bundle.stage == Some(1) && !bundle.started && bundle.changed_files.is_empty());
            run(found, "cto stage validate 1".to_owned())
        }
        Refused(engine) => {
            let found = first(&|bundle| {
                bundle.engine == engine
                    && !bundle.started
                    && !bundle.blockers.is_empty()
                    && bundle.changed_files.is_empty()
            });
            run(
                found,
                format!("cto run r1-string-slugify --engine {engine}, without its gates"),
            )
        }
        Accepted => run(
            first(&is_accepted),
            "cto request, approve, run and outcome; docs/guides/the-ladder.md".to_owned(),
        ),
        ThreeFacts => {
            let found = first(&|bundle| {
                is_accepted(bundle) && bundle.tests_passed == Some(true) && bundle.status == Status::Blocked
            });
            run(found, "cto outcome RUN accept after the run was sealed".to_owned())
        }
        Vendor => {
            let found = first(&|bundle| {
                let admitted = |name: &str| bundle.admissions.contains_key(name);
                let pass = bundle.effective_status == Some(Status::Pass) && bundle.started;
                pass && admitted("source") && admitted("build") && bundle.source_admission_status == "admitted"
            });
            run(found, "docs/guides/real-agents.md".to_owned())
        }
        EverythingVerifies => {
            let mut failed = facts.failed.iter().chain(&facts.failed_documents);
            match (failed.next(), bundles.is_empty()) {
                (Some(first), _) => Err(format!("cto verify {first}")),
                (None, true) => Err("nothing is on record; cto run r1-string-slugify".to_owned()),
                (None, false) => Ok(String::new()),
            }
        }
        NothingActivates => universal(bundles, |bundle| {
            !bundle.says_default_activation && !bundle.says_promotion
        }),
        NoSecretFields => universal(bundles, |bundle| bundle.secret_shaped_keys.is_empty()),
        Comparison => document(
            &facts.accepted_comparisons,
            "comparisons",
            "cto compare, then cto outcome COMPARISON accept",
        ),
        Refresh => document(&facts.passed_refreshes, "refreshes", "cto refresh --pin RUN --pin RUN"),
        Packet => document(&facts.packets, "packets", "cto packet create"),
    }
}

/// What has to hold of every bundle is not shown where there is none.
fn universal(bundles: &[&BundleFacts], holds: impl Fn(&BundleFacts) -> bool) -> Result<String, String> {
    match bundles.iter().find(|bundle| !holds(bundle)) {
        Some(bundle) => Err(format!("look at runs/{}", bundle.run_id)),
        None if bundles.is_empty() => Err("nothing is on record; cto run r1-string-slugify".to_owned()),
        None => Ok(String::new()),
    }
}

fn document(ids: &[String], directory: &str, how: &str) -> Result<String, String> {
    ids.first()
        .map(|id| format!("{directory}/{id}"))
        .ok_or_else(|| how.to_owned())
}

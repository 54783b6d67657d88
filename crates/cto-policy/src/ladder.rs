//! The proof ladder: which rung an engine stands on, computed from bundles that verify, and from nothing else (spec 03).

use std::collections::BTreeMap;

use cto_schema::{ApprovalSource, BlockerCode, Facts, Sha256Digest, Status};

/// What one bundle on record shows; only bundles that verify are turned into one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RungEvidence {
    /// The run.
    pub run_id: String,
    /// The engine, without what it played.
    pub engine: String,
    /// The stage of its mutation mode.
    pub stage: u8,
    /// The verdict; with the operator's word where only that was missing.
    pub status: Status,
    /// Codes of its blockers.
    pub blockers: Vec<BlockerCode>,
    /// Gates that refused it.
    pub refused_by: Vec<String>,
    /// Whether an engine process started.
    pub started: bool,
    /// Version of the harness that made it.
    pub harness_version: String,
    /// Digests of the admissions that it ran under, by kind.
    pub admissions: BTreeMap<String, String>,
    /// Who approved it; null where nobody had to.
    pub approval_source: Option<ApprovalSource>,
}

/// Whose rung is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RungQuestion<'a> {
    /// The engine.
    pub engine: &'a str,
    /// Version of the harness that asks; evidence of another major version proves nothing about it.
    pub harness_version: &'a str,
    /// Digests of the admissions as they are now, by kind.
    pub admissions: &'a BTreeMap<String, String>,
    /// Whether a validator's approvals count: only while the harness proves itself.
    pub proving: bool,
}

/// One thing that a rung needs on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Stable name: `pass`, `runs-nothing`, or a row of the failure matrix.
    pub name: &'static str,
    /// The blocker that alone it ends with; null for a pass.
    pub code: Option<BlockerCode>,
    /// Whether only the engine's own run shows it; the harness's own conduct is shown with `fake` as well.
    pub own: bool,
}

/// A rung of one engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// The stage.
    pub stage: u8,
    /// What is on record, by need.
    pub evidence: BTreeMap<&'static str, String>,
    /// What is not.
    pub missing: Vec<&'static str>,
}

impl Rung {
    /// Returns whether the stage is validated.
    pub fn validated(&self) -> bool {
        self.missing.is_empty()
    }
}

const fn own(name: &'static str, code: Option<BlockerCode>) -> Need {
    Need { name, code, own: true }
}

const fn row(name: &'static str, code: BlockerCode) -> Need {
    Need {
        name,
        code: Some(code),
        own: false,
    }
}

use BlockerCode as C;

const STAGE_1: &[Need] = &[
    own("runs-nothing", Some(C::GateMissing)),
    row("provider-unavailable", C::ProviderUnavailable),
    row("missing-event", C::MissingRequiredEvent),
    row("artifact-write-failure", C::ArtifactWriteFailure),
];
const STAGE_2: &[Need] = &[
    own("pass", None),
    row("no-diff", C::NoDiff),
    row("disallowed-file", C::DisallowedFileChange),
    row("failed-tests", C::VerificationFailed),
    row("missing-test-command", C::MissingTestCommand),
    row("missing-event", C::MissingRequiredEvent),
    row("provider-unavailable", C::ProviderUnavailable),
];
const STAGE_3: &[Need] = &[
    own("pass", None),
    row("dirty-starting-tree", C::DirtyStartingTree),
    row("dirty-ending-tree", C::DirtyEndingTree),
    row("timeout", C::Timeout),
    row("artifact-write-failure", C::ArtifactWriteFailure),
    row("disallowed-file", C::DisallowedFileChange),
    row("failed-tests", C::VerificationFailed),
    row("missing-event", C::MissingRequiredEvent),
];
const STAGE_4: &[Need] = &[
    own("pass", None),
    row("approval-denied", C::ApprovalDenied),
    row("reviewer-reject", C::ReviewerRejected),
    row("timeout", C::Timeout),
    row("provider-unavailable", C::ProviderUnavailable),
    row("dirty-ending-tree", C::DirtyEndingTree),
    row("disallowed-file", C::DisallowedFileChange),
];
const STAGE_5: &[Need] = &[
    own("pass", None),
    row("approval-denied", C::ApprovalDenied),
    row("unowned-repository", C::TargetNotAdmitted),
    row("disallowed-file", C::DisallowedFileChange),
    row("dirty-starting-tree", C::DirtyStartingTree),
    row("dirty-ending-tree", C::DirtyEndingTree),
    row("failed-tests", C::VerificationFailed),
    row("timeout", C::Timeout),
    row("provider-unavailable", C::ProviderUnavailable),
    row("missing-operator-outcome", C::MissingOperatorOutcome),
];

/// Returns what a stage needs on record; nothing where this version proves no stage.
pub fn needs(stage: u8) -> &'static [Need] {
    match stage {
        1 => STAGE_1,
        2 => STAGE_2,
        3 => STAGE_3,
        4 => STAGE_4,
        5 => STAGE_5,
        _ => &[],
    }
}

/// Computes one rung. The newest evidence of each need is named; `evidence` is newest first.
pub fn rung(question: &RungQuestion<'_>, stage: u8, evidence: &[RungEvidence]) -> Rung {
    let mut rung = Rung {
        stage,
        evidence: BTreeMap::new(),
        missing: vec![],
    };
    let needs = needs(stage);
    if needs.is_empty() {
        rung.missing.push("a comparison: runs do not show stage 6");
    }
    for need in needs {
        match evidence.iter().find(|one| shows(question, stage, need, one)) {
            Some(found) => drop(rung.evidence.insert(need.name, found.run_id.clone())),
            None => rung.missing.push(need.name),
        }
    }
    rung
}

/// Returns what stage `stage` needs and one bundle shows, were it to verify. Nothing else of that kind has to be read.
pub fn needs_shown(question: &RungQuestion<'_>, stage: u8, one: &RungEvidence) -> Vec<&'static str> {
    needs(stage)
        .iter()
        .filter(|need| shows(question, stage, need, one))
        .map(|need| need.name)
        .collect()
}

fn shows(question: &RungQuestion<'_>, stage: u8, need: &Need, one: &RungEvidence) -> bool {
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    if major(&one.harness_version) != major(question.harness_version) {
        return false;
    }
    let is_own = one.engine == question.engine;
    // Nothing runs at stage 1, so what the harness does when a run fails is shown where one does.
    let stage_fits = one.stage == stage || (stage == 1 && !need.own && one.stage == 2);
    if !stage_fits || !(is_own || (!need.own && one.engine == "fake")) {
        return false;
    }
    match need.code {
        Some(code) => {
            let runs_nothing = !need.own || (one.refused_by == ["mutation-mode"] && !one.started);
            one.blockers == [code] && runs_nothing
        }
        None => {
            let approved = stage < 4
                || one.approval_source == Some(ApprovalSource::Operator)
                || (question.proving && one.approval_source == Some(ApprovalSource::Validator));
            // A changed model, source or binary is another engine, which has to climb by itself.
            one.status == Status::Pass && one.started && approved && same_engine(question, one)
        }
    }
}

fn same_engine(question: &RungQuestion<'_>, one: &RungEvidence) -> bool {
    same_records(question, &one.admissions)
}

/// Whoever asks without naming the program of `command` is told of any; a gate always names it.
pub(crate) fn same_records(question: &RungQuestion<'_>, recorded: &BTreeMap<String, String>) -> bool {
    let named = |admissions: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        let asked = |name: &String| name != "program" || question.admissions.contains_key("program");
        admissions
            .iter()
            .filter(|(name, _)| asked(name))
            .map(|(name, digest)| (name.clone(), digest.clone()))
            .collect()
    };
    named(recorded) == named(question.admissions)
}

/// Names the records that make an engine what it is; one that is not there is not named.
pub fn admissions_of(facts: &Facts) -> BTreeMap<String, String> {
    let program = facts
        .engine
        .climbs_as
        .clone()
        .map(|program| ("program".to_owned(), program));
    // A changed manifest makes another engine of the same program.
    let manifest = facts
        .engine
        .manifest_digest
        .map(|digest| ("manifest".to_owned(), digest.to_string()));
    let facts = &facts.admissions;
    let named = |name: &str, digest: Option<Sha256Digest>| digest.map(|digest| (name.to_owned(), digest.to_string()));
    [
        named("model", facts.model.admission.digest),
        named("source", facts.source.digest),
        named("build", facts.build.digest),
    ]
    .into_iter()
    .flatten()
    .chain(program)
    .chain(manifest)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(engine: &str, stage: u8, code: Option<BlockerCode>) -> RungEvidence {
        RungEvidence {
            run_id: format!("{engine}-{stage}-{code:?}"),
            engine: engine.to_owned(),
            stage,
            status: if code.is_some() { Status::Fail } else { Status::Pass },
            blockers: code.into_iter().collect(),
            refused_by: if stage == 1 {
                vec!["mutation-mode".to_owned()]
            } else {
                vec![]
            },
            started: stage > 1,
            harness_version: "0.2.0".to_owned(),
            admissions: BTreeMap::new(),
            approval_source: (stage > 3).then_some(ApprovalSource::Operator),
        }
    }

    fn complete(engine: &str, stage: u8) -> Vec<RungEvidence> {
        let of = |need: &Need| {
            let engine = if need.own { engine } else { "fake" };
            let played_at = if stage == 1 && !need.own { 2 } else { stage };
            evidence(engine, played_at, need.code)
        };
        needs(stage).iter().map(of).collect()
    }

    fn asked(engine: &str, stage: u8, evidence: &[RungEvidence]) -> Rung {
        let admissions = BTreeMap::new();
        let question = RungQuestion {
            engine,
            harness_version: "0.2.1",
            admissions: &admissions,
            proving: false,
        };
        rung(&question, stage, evidence)
    }

    #[test]
    fn a_stage_is_validated_by_all_of_its_evidence_and_by_nothing_less() {
        for stage in 1..=5 {
            let all = complete("codex", stage);
            assert!(asked("codex", stage, &all).validated(), "{stage}");
            for at in 0..all.len() {
                let mut cut = all.clone();
                cut.remove(at);
                let rung = asked("codex", stage, &cut);
                assert_eq!(rung.missing, [needs(stage)[at].name], "{stage}");
            }
            assert!(!asked("pi", stage, &all).validated(), "another engine's evidence");
        }
        assert!(!asked("codex", 6, &[]).validated());
    }

    #[test]
    fn evidence_of_another_version_stage_admission_or_approver_counts_for_nothing() {
        type Change = fn(&mut RungEvidence);
        let changes: &[(&str, u8, Change)] = &[
            ("another major version", 2, |e| e.harness_version = "1.0.0".to_owned()),
            ("another stage", 2, |e| e.stage = 3),
            ("not a pass", 2, |e| e.status = Status::Blocked),
            ("nothing started", 2, |e| e.started = false),
            ("another admission", 2, |e| {
                drop(e.admissions.insert("model".to_owned(), "d".to_owned()));
            }),
            ("a validator's approval", 4, |e| {
                e.approval_source = Some(ApprovalSource::Validator);
            }),
            ("no approval", 5, |e| e.approval_source = None),
            ("refused by another gate", 1, |e| {
                e.refused_by = vec!["engine-allow".to_owned()];
            }),
        ];
        for (name, stage, change) in changes {
            let mut all = complete("codex", *stage);
            change(&mut all[0]);
            assert_eq!(asked("codex", *stage, &all).missing.len(), 1, "{name}");
        }
        let mut two = complete("codex", 2);
        two[1].blockers.push(BlockerCode::Timeout);
        assert_eq!(
            asked("codex", 2, &two).missing,
            ["no-diff"],
            "a row holds its own code alone"
        );
    }

    #[test]
    fn a_validators_approval_counts_while_the_harness_proves_itself() {
        let mut all = complete("fake", 4);
        all[0].approval_source = Some(ApprovalSource::Validator);
        let admissions = BTreeMap::new();
        let mut question = RungQuestion {
            engine: "fake",
            harness_version: "0.2.0",
            admissions: &admissions,
            proving: false,
        };
        assert!(!rung(&question, 4, &all).validated());
        question.proving = true;
        assert!(rung(&question, 4, &all).validated());
    }
}

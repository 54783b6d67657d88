//! What speaks against a pinned run, and against the comparison that it is held against.

use cto_schema::{
    ApprovalSource, BundleFacts, EXECUTION_SCOPE, OperatorOutcome, PinFacts, PinLane, RefreshFacts, Rejection,
    RejectionCode, Standing, Status, TargetWatch,
};

use super::commit_of;
use crate::candidate::{freshness, from_the_future, same_major};

use RejectionCode as C;

/// What speaks against the comparison.
pub(super) fn of_comparison(candidate: &str, facts: &RefreshFacts) -> Vec<Rejection> {
    let about_all = |code, detail: String| Rejection {
        code,
        run_id: None,
        detail,
    };
    let Some(comparison) = &facts.comparison else {
        let detail = format!("no comparison of {candidate} is on record; cto compare --candidate {candidate}");
        return vec![about_all(C::ComparisonMissing, detail)];
    };
    let id = &comparison.comparison_id;
    let mut found = Vec::new();
    if let Some(problem) = &comparison.problem {
        found.push(about_all(
            C::ComparisonNotHeld,
            format!("comparison {id} does not verify: {problem}"),
        ));
    }
    if comparison.candidate != candidate {
        let whose = &comparison.candidate;
        found.push(about_all(
            C::ComparisonNotHeld,
            format!("comparison {id} is about {whose}"),
        ));
    }
    if !comparison.proof_holds {
        found.push(about_all(
            C::ComparisonNotHeld,
            format!("the proof of comparison {id} does not hold"),
        ));
    }
    if !comparison.accepted {
        let detail = format!("nobody accepted comparison {id}; cto outcome {id} accept --reason WHY");
        found.push(about_all(C::ComparisonNotAccepted, detail));
    }
    found
}

/// What speaks against one pin.
pub(super) fn of_pin(candidate: &str, facts: &RefreshFacts, at: usize, lanes: &[PinLane]) -> Vec<Rejection> {
    let Some(pin) = facts.pins.get(at) else {
        return vec![];
    };
    let mut against = Against {
        run_id: pin.pin.run_id.clone(),
        found: vec![],
    };
    let Some(bundle) = &pin.bundle else {
        let why = pin
            .problem
            .clone()
            .unwrap_or_else(|| "its bundle is not there".to_owned());
        against.say(C::BundleMissing, why);
        return against.found;
    };
    if !bundle.failed_checks.is_empty() {
        let failed = bundle.failed_checks.join(", ");
        against.say(
            C::NotVerified,
            format!("checks failed: {failed}; cto verify {} says why", bundle.run_id),
        );
    }
    against.identity(candidate, facts, bundle);
    against.wholeness(bundle);
    against.provenance(bundle);
    against.outcome(bundle);
    against.facts(bundle);
    against.pinned(pin, bundle);
    against.twice(facts, at, bundle);
    if let Err(stale) = freshness(&pin.now, Some(bundle)) {
        against.say(C::SourceAdmissionStale, stale);
    }
    against.target(facts, pin, bundle);
    for lane in lanes {
        let short = lane.dimensions.iter().find(|one| one.verdict == Standing::FallsShort);
        if let Some(short) = short {
            let what = short.candidate_lacks.join(", ");
            let detail = format!("{}: falls short of {}: {what}", short.dimension.word(), lane.lane);
            against.say(C::FallsShort, detail);
        }
    }
    against.found
}

struct Against {
    run_id: String,
    found: Vec<Rejection>,
}

impl Against {
    fn say(&mut self, code: RejectionCode, detail: String) {
        self.found.push(Rejection {
            code,
            run_id: Some(self.run_id.clone()),
            detail,
        });
    }

    fn identity(&mut self, candidate: &str, facts: &RefreshFacts, bundle: &BundleFacts) {
        if bundle.engine != candidate {
            self.say(
                C::OtherEngine,
                format!("it is a run of {}, not of {candidate}", bundle.engine),
            );
        }
        if !same_major(&bundle.harness_version, &facts.harness_version) {
            let detail = format!(
                "cto {} made it, and this is {}",
                bundle.harness_version, facts.harness_version
            );
            self.say(C::OtherHarnessVersion, detail);
        }
        for time in [&bundle.started_at, &bundle.finished_at] {
            if from_the_future(time, facts.judged_at_seconds) {
                self.say(C::FromTheFuture, format!("it is dated {time}, which is later than now"));
                break;
            }
        }
        if bundle.stage != Some(5) || !bundle.started {
            self.say(
                C::NotStageFive,
                "it is no run that changed an owned repository".to_owned(),
            );
        }
    }

    fn wholeness(&mut self, bundle: &BundleFacts) {
        let mut missing = bundle.missing_artifacts.clone();
        missing.extend(
            bundle
                .missing_report_fields
                .iter()
                .map(|field| format!("report.json: {field}")),
        );
        match &bundle.stage_proof {
            Some(proof) if proof.name == "stage5-owned-repo-proof.json" => missing.extend(proof.missing_parts.clone()),
            _ => missing.push("stage5-owned-repo-proof.json".to_owned()),
        }
        missing.sort();
        missing.dedup();
        if !missing.is_empty() {
            self.say(C::MissingArtifact, format!("it lacks {}", missing.join(", ")));
        }
        if bundle.says_default_activation {
            self.say(
                C::DefaultActivation,
                "a document in it says that an engine is the default".to_owned(),
            );
        }
        if bundle.says_promotion {
            self.say(
                C::CorePromotion,
                "a document in it says that evidence was promoted".to_owned(),
            );
        }
        if !bundle.secret_shaped_keys.is_empty() {
            let names = bundle.secret_shaped_keys.join(", ");
            self.say(C::SecretShapedKey, format!("documents in it have fields named {names}"));
        }
    }

    fn provenance(&mut self, bundle: &BundleFacts) {
        let lacks = match &bundle.approval {
            None => Some("no approval is in it"),
            Some(approval) => [
                (
                    approval.approval_source == ApprovalSource::Operator,
                    "no operator gave it",
                ),
                (approval.approval_granted, "it was not granted"),
                (approval.approval_consumed, "it was not consumed"),
                (approval.consumed_by == bundle.run_id, "another run consumed it"),
                (!approval.actor.trim().is_empty(), "it names no actor"),
                (!approval.signer_key.trim().is_empty(), "it names no key"),
                (!approval.packet_id.trim().is_empty(), "it names no packet"),
                (
                    approval.execution_scope == EXECUTION_SCOPE,
                    "it is not for one run only",
                ),
            ]
            .into_iter()
            .find_map(|(holds, what)| (!holds).then_some(what)),
        };
        if let Some(what) = lacks {
            self.say(
                C::MissingApprovalProvenance,
                format!("its approval does not stand: {what}"),
            );
        }
    }

    fn outcome(&mut self, bundle: &BundleFacts) {
        let accepted = bundle.operator.as_ref().map(|word| word.outcome) == Some(OperatorOutcome::Accepted);
        if bundle.failed_checks.is_empty() && (bundle.effective_status != Some(Status::Pass) || !accepted) {
            let status = bundle.effective_status.map_or("unknown", Status::word);
            let detail = format!("its effective status is {status}: no operator accepted it, or it was taken back");
            self.say(C::NotAccepted, detail);
        }
    }

    fn facts(&mut self, bundle: &BundleFacts) {
        let target = bundle.target.as_ref();
        let held = [
            ("tests_passed", bundle.tests_passed == Some(true)),
            ("required_events_passed", bundle.required_events_passed),
            ("allowed_writes_passed", bundle.allowed_writes_passed == Some(true)),
            ("forbidden_paths_passed", bundle.forbidden_paths_passed == Some(true)),
            ("no forbidden action attempted", bundle.forbidden_actions_attempted == 0),
            ("something changed", !bundle.changed_files.is_empty()),
            (
                "target admitted",
                target.is_some_and(|target| target.admission_status == "admitted"),
            ),
            (
                "target clean before",
                target.and_then(|target| target.start_clean) == Some(true),
            ),
            (
                "target clean afterwards",
                target.and_then(|target| target.ending_clean) == Some(true),
            ),
            ("target commit", commit_of(bundle).is_some()),
        ];
        let failed: Vec<&str> = held.iter().filter(|(_, holds)| !holds).map(|(name, _)| *name).collect();
        if !failed.is_empty() {
            self.say(C::FailedFact, format!("does not hold: {}", failed.join(", ")));
        }
    }

    /// What a pin does not state cannot be held against anything, so it is not as stated.
    fn pinned(&mut self, pin: &PinFacts, bundle: &BundleFacts) {
        let stated = &pin.pin;
        let mut files = bundle.changed_files.clone();
        files.sort();
        let differing: Vec<&str> = [
            ("run", stated.run_id == bundle.run_id),
            ("case", stated.case_id.as_ref() == Some(&bundle.case_id)),
            (
                "target commit",
                stated.target_commit.is_some() && stated.target_commit == commit_of(bundle),
            ),
            ("changed files", stated.expected_changed_files.as_ref() == Some(&files)),
        ]
        .into_iter()
        .filter(|(_, same)| !same)
        .map(|(name, _)| name)
        .collect();
        if !differing.is_empty() {
            self.say(
                C::PinMismatch,
                format!("not as the pin states: {}", differing.join(", ")),
            );
        }
    }

    fn twice(&mut self, facts: &RefreshFacts, at: usize, bundle: &BundleFacts) {
        let earlier = facts.pins.iter().take(at).filter_map(|pin| pin.bundle.as_ref());
        let same = |other: &&BundleFacts| {
            let packet = |bundle: &BundleFacts| bundle.approval.as_ref().map(|approval| approval.packet_id.clone());
            other.run_id == bundle.run_id
                || other.manifest_digest == bundle.manifest_digest
                // One approval is for one run, so two with one packet are one.
                || (packet(bundle).is_some() && packet(other) == packet(bundle))
        };
        if earlier.clone().any(|other| same(&other)) {
            self.say(
                C::DuplicatePin,
                "an earlier pin is of the same run; one run is no repetition".to_owned(),
            );
        }
    }

    fn target(&mut self, facts: &RefreshFacts, pin: &PinFacts, bundle: &BundleFacts) {
        let Some(watch) = &pin.target else {
            self.say(C::TargetUnreadable, "its target was not looked at".to_owned());
            return;
        };
        if let Some(problem) = &watch.problem {
            self.say(C::TargetUnreadable, problem.clone());
        }
        match (&watch.before, &watch.after) {
            (Some(before), Some(after)) if before != after => {
                self.say(C::TargetChanged, "the target changed while it was looked at".to_owned());
            }
            (Some(_), Some(_)) => {}
            _ if watch.problem.is_none() => {
                self.say(C::TargetUnreadable, "the target was not looked at twice".to_owned());
            }
            _ => {}
        }
        if watch.clean != Some(true) && watch.problem.is_none() {
            self.say(C::TargetDirty, "the target's work tree is not as its commit".to_owned());
        }
        self.admitted(watch, bundle);
        if let Some(moved) = moved(facts, pin, watch, bundle) {
            self.say(C::TargetMoved, moved);
        }
    }

    fn admitted(&mut self, watch: &TargetWatch, bundle: &BundleFacts) {
        let recorded = bundle.target.as_ref().and_then(|target| target.admission_digest);
        let same_path = bundle.target.as_ref().and_then(|target| target.path_digest) == Some(watch.path_digest);
        if let Some(problem) = &watch.admission_problem {
            self.say(C::TargetNotAdmitted, problem.clone());
        } else if recorded.is_none() || recorded != watch.admission_digest || !same_path {
            let detail =
                "the target's admission is another one than the run had; it was not admitted by that".to_owned();
            self.say(C::TargetNotAdmitted, detail);
        }
    }
}

/// A target stands where the newest pinned run on it left it, and has every pinned commit in its history.
fn moved(facts: &RefreshFacts, pin: &PinFacts, watch: &TargetWatch, bundle: &BundleFacts) -> Option<String> {
    let head = watch.before.as_ref().map(|state| state.commit.clone())?;
    let newest = facts
        .pins
        .iter()
        .filter(|other| other.target.as_ref().map(|target| target.path_digest) == Some(watch.path_digest))
        .filter_map(|other| other.bundle.as_ref())
        .max_by(|a, b| a.started_at.cmp(&b.started_at))?;
    if commit_of(newest).as_ref() != Some(&head) {
        return Some(format!(
            "the target is at {head}, and not where run {} left it; pin the newest run on it, or refresh before it moves on",
            newest.run_id
        ));
    }
    let branch = bundle.target.as_ref().and_then(|target| target.branch.as_ref());
    let names_the_branch = |head: &str| branch.is_some_and(|branch| head.trim().ends_with(branch.as_str()));
    if !watch.before.as_ref().is_some_and(|state| names_the_branch(&state.head)) {
        return Some("the target has another branch checked out than the one that got the commit".to_owned());
    }
    match pin.commit_is_in_history {
        Some(true) => None,
        Some(false) => Some("the commit of the run is no longer in the history of the target's branch".to_owned()),
        None => Some("whether the commit of the run is in the target's history could not be told".to_owned()),
    }
}

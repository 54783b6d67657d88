//! Approvals: whether one holds for this run, as a pure function of what was read and what is there now.

use cto_schema::{
    ApprovalDecision, ApprovalFacts, ApprovalStatement, BlockerCode, BoundValues, CLOCK_SKEW_SECONDS, EXECUTION_SCOPE,
    MutationMode, TaskContract,
};

use crate::gates::Refusal;

/// Returns whether a run needs a human's signature: its contract says so, or its stage changes a repository.
pub fn needs_approval(contract: &TaskContract) -> bool {
    let changes_a_repository = match contract.mutation_mode {
        MutationMode::SandboxRepo | MutationMode::OwnedNoncriticalRepo => true,
        MutationMode::None
        | MutationMode::CopiedFixture
        | MutationMode::CopiedRepo
        | MutationMode::CandidateDefault => false,
    };
    contract.approval_required || changes_a_repository
}

/// Judges everything about an approval that needs no look at the target; `None` when it holds.
pub fn judge_approval(contract: &TaskContract, facts: &ApprovalFacts) -> Option<Refusal> {
    if !needs_approval(contract) {
        return None;
    }
    if let Some(why) = denial(contract, facts) {
        return Some((BlockerCode::ApprovalDenied, why));
    }
    stale(&bound(facts, false), &facts.now)
}

/// Judges what an approval says about the target; asked only when all else holds.
pub fn judge_approved_target(contract: &TaskContract, facts: &ApprovalFacts) -> Option<Refusal> {
    if !needs_approval(contract) {
        return None;
    }
    stale(&bound(facts, true), &facts.target_now)
}

/// Why there is no approval; the first reason is the cause of the others.
fn denial(contract: &TaskContract, facts: &ApprovalFacts) -> Option<String> {
    let Some(named) = &facts.named else {
        return Some(
            "this run needs an approval and names none; make a packet with cto request, have it approved with \
             cto approve, and run with --approval"
                .to_owned(),
        );
    };
    if let Some(problem) = &facts.problem {
        return Some(problem.clone());
    }
    let (Some(statement), Some(digest)) = (&facts.statement, &facts.packet_digest) else {
        return Some(format!(
            "nobody has approved packet {named}; look at it and say so with: cto approve {named}"
        ));
    };
    if let Some(problem) = &facts.signature_problem {
        return Some(format!("the signature on packet {named} does not count: {problem}"));
    }
    if statement.packet_id != *named || statement.packet_digest != *digest {
        return Some(format!("what was signed is about another packet than {named}"));
    }
    if statement.decision == ApprovalDecision::Denied {
        let reason = statement.reason.as_deref().unwrap_or("no reason is given");
        return Some(format!("{} denied packet {named}: {reason}", statement.actor));
    }
    if let Some(why) = misdated(statement, facts) {
        return Some(why);
    }
    if let Some(run) = &facts.consumed_by {
        return Some(format!(
            "packet {named} was consumed by run {run}; one approval is for one run"
        ));
    }
    if let Some(why) = outlived(statement, facts) {
        return Some(why);
    }
    wrong_words(contract, statement, facts)
}

/// A key is judged at the time that its statement names, so that time must be one at which it could be said.
fn misdated(statement: &ApprovalStatement, facts: &ApprovalFacts) -> Option<String> {
    let (packet_id, decided_at) = (&statement.packet_id, &statement.decided_at);
    let Some(created) = facts.packet_created_at_seconds else {
        return Some(format!("when packet {packet_id} was made is not known"));
    };
    if decided_at.unix_seconds() < created {
        return Some(format!(
            "the statement on packet {packet_id} is dated {decided_at}, before the packet was made; set the clock and \
             make a new packet with cto request"
        ));
    }
    let latest = facts.judged_at_seconds.saturating_add(CLOCK_SKEW_SECONDS);
    (decided_at.unix_seconds() > latest).then(|| {
        format!("the statement on packet {packet_id} is dated {decided_at}, which is still to come; set the clock")
    })
}

fn outlived(statement: &ApprovalStatement, facts: &ApprovalFacts) -> Option<String> {
    let ends = statement.expires_at.unix_seconds().min(facts.expires_at_seconds);
    (facts.judged_at_seconds >= ends).then(|| {
        format!(
            "packet {} expired at {}; make a new one with cto request",
            statement.packet_id, statement.expires_at
        )
    })
}

/// A signature under other words than the packet's is none.
fn wrong_words(contract: &TaskContract, statement: &ApprovalStatement, facts: &ApprovalFacts) -> Option<String> {
    let wrong = |what: &str| Some(format!("the signed statement has another {what} than this run"));
    if statement.sentence.is_none() || statement.sentence != facts.sentence {
        return wrong("sentence");
    }
    if statement.stage != contract.mutation_mode.stage() {
        return wrong("stage");
    }
    if statement.mutation_mode != contract.mutation_mode {
        return wrong("mutation mode");
    }
    if statement.execution_scope != EXECUTION_SCOPE {
        return wrong("scope");
    }
    None
}

fn bound(facts: &ApprovalFacts, of_target: bool) -> BoundValues {
    facts
        .bound
        .iter()
        .filter(|(name, _)| name.starts_with("target.") == of_target)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Names every value that is not as approved; nothing bound is nothing approved.
fn stale(approved: &BoundValues, now: &BoundValues) -> Option<Refusal> {
    let names: std::collections::BTreeSet<&String> = approved.keys().chain(now.keys()).collect();
    let differ: Vec<&str> = names
        .into_iter()
        .filter(|name| approved.get(*name) != now.get(*name))
        .map(String::as_str)
        .collect();
    let detail = if approved.is_empty() {
        "the packet binds nothing".to_owned()
    } else if differ.is_empty() {
        return None;
    } else {
        format!(
            "not as it was approved: {}; make a new packet with cto request",
            differ.join(", ")
        )
    };
    Some((BlockerCode::ApprovalStale, detail))
}

#[cfg(test)]
mod tests {
    use cto_schema::{ApprovalSource, Sha256Digest};

    use super::*;
    use crate::eligibility::tests::contract as plain;

    const NAMES: [&str; 6] = [
        "contract",
        "engine",
        "gate.CTO_HARNESS_ALLOW_X",
        "target.inode",
        "target.commit",
        "installation",
    ];

    fn contract() -> TaskContract {
        TaskContract {
            mutation_mode: MutationMode::OwnedNoncriticalRepo,
            ..plain()
        }
    }

    fn approved() -> ApprovalFacts {
        let digest = Sha256Digest::of(b"packet");
        let values = |of_target: bool| -> BoundValues {
            NAMES
                .iter()
                .filter(|name| name.starts_with("target.") == of_target)
                .map(|name| ((*name).to_owned(), "v".to_owned()))
                .collect()
        };
        let statement = ApprovalStatement {
            schema: cto_schema::SchemaId::APPROVAL.to_string(),
            decision: ApprovalDecision::Approved,
            packet_id: "p".to_owned(),
            packet_digest: digest,
            sentence: Some("I approve it.".to_owned()),
            reason: None,
            actor: "operator@cto.invalid".to_owned(),
            decided_at: "2026-11-20T10:00:00Z".parse().unwrap(),
            expires_at: "2026-11-21T10:00:00Z".parse().unwrap(),
            stage: 5,
            mutation_mode: MutationMode::OwnedNoncriticalRepo,
            execution_scope: EXECUTION_SCOPE.to_owned(),
            approval_source: ApprovalSource::Operator,
        };
        ApprovalFacts {
            judged_at_seconds: statement.decided_at.unix_seconds() + 60,
            named: Some("p".to_owned()),
            packet_digest: Some(digest),
            packet_created_at_seconds: Some(statement.decided_at.unix_seconds() - 60),
            bound: values(false).into_iter().chain(values(true)).collect(),
            sentence: statement.sentence.clone(),
            expires_at_seconds: statement.expires_at.unix_seconds(),
            statement: Some(statement),
            now: values(false),
            target_now: values(true),
            ..ApprovalFacts::default()
        }
    }

    fn judged(facts: &ApprovalFacts) -> Option<BlockerCode> {
        let contract = contract();
        let before = judge_approval(&contract, facts).map(|refusal| refusal.0);
        before.or_else(|| judge_approved_target(&contract, facts).map(|refusal| refusal.0))
    }

    #[test]
    fn a_run_needs_one_where_a_repository_changes_or_its_contract_says_so() {
        use MutationMode as M;
        for (mode, needed) in [
            (M::None, false),
            (M::CopiedFixture, false),
            (M::CopiedRepo, false),
            (M::SandboxRepo, true),
            (M::OwnedNoncriticalRepo, true),
            (M::CandidateDefault, false),
        ] {
            let mut contract = TaskContract {
                mutation_mode: mode,
                ..plain()
            };
            assert_eq!(needs_approval(&contract), needed, "{mode:?}");
            contract.approval_required = true;
            assert!(needs_approval(&contract), "{mode:?}");
        }
    }

    #[test]
    fn an_approval_of_exactly_this_run_holds_and_no_facts_at_all_do_not() {
        assert_eq!(judged(&approved()), None);
        assert_eq!(judged(&ApprovalFacts::default()), Some(BlockerCode::ApprovalDenied));
    }

    #[test]
    fn every_single_thing_that_is_not_as_it_must_be_denies() {
        type Change = fn(&mut ApprovalFacts);
        fn said(facts: &mut ApprovalFacts) -> &mut ApprovalStatement {
            facts.statement.as_mut().unwrap()
        }
        let changes: &[(&str, Change)] = &[
            ("none named", |f| f.named = None),
            ("unreadable", |f| f.problem = Some("it is a directory".to_owned())),
            ("undecided", |f| f.statement = None),
            ("no packet", |f| f.packet_digest = None),
            ("bad signature", |f| {
                f.signature_problem = Some("another key".to_owned());
            }),
            ("another packet's id", |f| said(f).packet_id.push('x')),
            ("another packet", |f| said(f).packet_digest = Sha256Digest::of(b"other")),
            ("denied", |f| said(f).decision = ApprovalDecision::Denied),
            ("packet of no time", |f| f.packet_created_at_seconds = None),
            ("said before it was asked", |f| {
                f.packet_created_at_seconds = Some(said(f).decided_at.unix_seconds() + 1);
            }),
            ("said in the future", |f| {
                f.judged_at_seconds = said(f).decided_at.unix_seconds() - 301;
            }),
            ("consumed", |f| f.consumed_by = Some("run".to_owned())),
            ("statement expired", |f| {
                said(f).expires_at = "2026-11-20T10:01:00Z".parse().unwrap();
            }),
            ("packet expired", |f| f.expires_at_seconds = f.judged_at_seconds),
            ("a byte of the sentence", |f| {
                said(f).sentence.as_mut().unwrap().push(' ');
            }),
            ("no sentence", |f| {
                said(f).sentence = None;
                f.sentence = None;
            }),
            ("stage", |f| said(f).stage = 4),
            ("mode", |f| said(f).mutation_mode = MutationMode::SandboxRepo),
            ("scope", |f| said(f).execution_scope = "every run".to_owned()),
        ];
        for (name, change) in changes {
            let mut facts = approved();
            change(&mut facts);
            assert_eq!(judged(&facts), Some(BlockerCode::ApprovalDenied), "{name}");
        }
    }

    #[test]
    fn a_clock_that_is_a_little_late_is_no_reason() {
        let mut facts = approved();
        let decided_at = facts.statement.as_ref().unwrap().decided_at.unix_seconds();
        facts.packet_created_at_seconds = Some(decided_at);
        facts.judged_at_seconds = decided_at - 300;
        assert_eq!(judged(&facts), None);
    }

    #[test]
    fn every_bound_value_that_changes_goes_or_comes_makes_it_stale() {
        for name in NAMES {
            for change in ["changed", "gone", "bound to nothing"] {
                let mut facts = approved();
                let now = if name.starts_with("target.") {
                    &mut facts.target_now
                } else {
                    &mut facts.now
                };
                match change {
                    "changed" => drop(now.insert(name.to_owned(), "w".to_owned())),
                    "gone" => drop(now.remove(name)),
                    _ => drop(facts.bound.remove(name)),
                }
                assert_eq!(judged(&facts), Some(BlockerCode::ApprovalStale), "{name} {change}");
            }
        }
        let mut nothing = approved();
        nothing.bound.clear();
        nothing.now.clear();
        nothing.target_now.clear();
        assert_eq!(judged(&nothing), Some(BlockerCode::ApprovalStale));
    }
}

//! Facts for the control summary: gathered from the ledger, the bundles, the approvals and the engines; nothing starts.

mod documents;
mod packets;
mod reader;

use std::collections::BTreeMap;

use cto_evidence::{LedgerEntry, LedgerError, LedgerFilter, begun_runs, read_outcome_beside, unfinished_applies};
use cto_policy::{ControlFacts, RunFact, control_summary};
use cto_schema::{
    ApprovalSource, BlockerCode, BundleSource, BundleState, ControlSummary, EvidenceState, LaneReadiness, LaneStep,
    LaneSummary, RunId, SourceNonMutation, Status, TargetReadOnly,
};

use crate::admit::{ChainState, EngineChain, engine_chain};
use crate::ladder::{EngineLadder, LadderError, engine_ladder};
use crate::request::Harness;
use reader::{Looked, Reader};

/// How many of the newest runs are looked at where any one of them answers.
const TRIES: usize = 5;
/// How many accepted runs are looked for.
const ACCEPTED: usize = 10;

/// Why a summary could not be computed. What could not be read never becomes a good value: there is no summary then.
#[derive(Debug, thiserror::Error)]
pub enum SummaryError {
    /// The ladder or the ledger.
    #[error("compute the control summary")]
    Ladder(#[from] LadderError),
    /// The ledger.
    #[error("read the run ledger")]
    Ledger(#[from] LedgerError),
    /// Approvals, live markers or changes of repositories.
    #[error("read the state of the installation")]
    State(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Computes the control summary of an installation as it is now; `seq` counts the summaries of this process.
pub fn summarise(harness: &Harness, candidate: &str, seq: u32) -> Result<ControlSummary, SummaryError> {
    Ok(control_summary(&control_facts(harness, candidate, seq)?))
}

/// Returns what a stage needs on record, by name.
pub fn stage_needs(stage: u8) -> Vec<String> {
    let named: Vec<String> = cto_policy::needs(stage)
        .iter()
        .map(|need| need.name.to_owned())
        .collect();
    if named.is_empty() {
        return vec!["comparison".to_owned(), "operator-acceptance".to_owned()];
    }
    named
}

/// Returns whose words about a run are believed; nothing when nobody is named or the list cannot be read.
pub fn believed_operators(harness: &Harness) -> Option<cto_evidence::AllowedSigners> {
    crate::approval::operators(harness).ok()
}

fn control_facts(harness: &Harness, candidate: &str, seq: u32) -> Result<ControlFacts, SummaryError> {
    let reader = Reader::open(harness)?;
    let names: Vec<String> = harness
        .engines
        .all()
        .map(|engine| engine.manifest().name.clone())
        .collect();
    let mut ladders: Vec<EngineLadder> = Vec::new();
    for name in &names {
        ladders.push(engine_ladder(harness, name)?);
    }
    let accepted = accepted(&reader, candidate)?;
    let target = target(&reader)?;
    let waiting = waiting(harness, &reader)?;
    let counted = counted(&ladders, &accepted);
    // What counts on a rung was verified for it; it is looked at here as well, so that the numbers are of one moment.
    for run in counted.keys() {
        reader.look(run);
    }
    let mut bundles = others(&reader, &names, &ladders)?;
    let good = counted.keys().map(|run_id| BundleSource {
        run_id: run_id.clone(),
        state: BundleState::Verified,
        detail: "".into(),
    });
    bundles.extend(good);
    let begun = begun_runs(&harness.home).map_err(|error| SummaryError::State(Box::new(error)))?;
    let packets = packets::packets(harness, &reader)?;
    let runs = run_facts(&reader, counted.into_keys())?;
    let dead: Vec<RunId> = begun
        .iter()
        .filter(|run| !run.lives)
        .map(|run| run.run_id.clone())
        .collect();
    let of_it = ladders.iter().find(|ladder| ladder.engine == candidate);
    let documents = documents::candidate_documents(harness, candidate, of_it);
    let evidence = store(harness, &reader, begun.len() - dead.len(), dead.len())?;
    Ok(ControlFacts {
        generated_at: cto_evidence::rfc3339(cto_evidence::wall_now()),
        snapshot_seq: seq,
        harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        candidate: candidate.to_owned(),
        candidate_documents: documents,
        ladders: ladders.into_iter().map(|one| (one.engine, one.rungs)).collect(),
        runs,
        bundles,
        lanes: names
            .iter()
            .filter_map(|name| engine_chain(harness, name))
            .map(lane)
            .collect(),
        packets,
        target,
        accepted,
        waiting,
        dead,
        evidence: Some(evidence),
    })
}

/// Returns the runs that count on a rung.
fn counted(ladders: &[EngineLadder], accepted: &[RunId]) -> BTreeMap<RunId, ()> {
    // The sixth rung names a document, which is no run.
    let rungs = ladders.iter().flat_map(|ladder| &ladder.rungs);
    let rungs = rungs.filter(|rung| rung.stage < 6);
    let named = rungs.flat_map(|rung| rung.evidence.values());
    let named = named.filter_map(|run| run.parse::<RunId>().ok());
    named.chain(accepted.iter().cloned()).map(|run| (run, ())).collect()
}

fn run_facts(reader: &Reader<'_>, runs: impl Iterator<Item = RunId>) -> Result<BTreeMap<RunId, RunFact>, SummaryError> {
    let mut facts = BTreeMap::new();
    for run in runs {
        if let Some(entry) = reader.ledger().find(&run)? {
            let fact = RunFact {
                manifest_digest: entry.manifest_digest,
                finished_at: entry.finished_at,
            };
            facts.insert(run, fact);
        }
    }
    Ok(facts)
}

/// Returns bundles that do not count although their ledger entry says pass, each with the reason.
fn others(reader: &Reader<'_>, names: &[String], ladders: &[EngineLadder]) -> Result<Vec<BundleSource>, SummaryError> {
    let mut found: BTreeMap<RunId, BundleSource> = BTreeMap::new();
    for (run_id, looked) in reader.looked() {
        if let Some(source) = not_counted(&run_id, &looked) {
            found.insert(run_id, source);
        }
    }
    for (name, ladder) in names.iter().zip(ladders) {
        let open = |rung: &&cto_policy::Rung| rung.stage < 6 && !rung.evidence.contains_key("pass");
        for rung in ladder.rungs.iter().filter(open) {
            let Some(entry) = newest_pass(reader, name, rung.stage)? else {
                continue;
            };
            let stale = || BundleSource {
                run_id: entry.run_id.clone(),
                state: BundleState::Stale,
                detail: "it was made under other records, another program, version or approval than now".into(),
            };
            let source = not_counted(&entry.run_id, &reader.look(&entry.run_id)).unwrap_or_else(stale);
            found.insert(entry.run_id.clone(), source);
        }
    }
    Ok(found.into_values().collect())
}

fn not_counted(run_id: &RunId, looked: &Looked) -> Option<BundleSource> {
    let (state, detail) = match looked {
        Looked::Gone => (BundleState::Gone, String::new()),
        Looked::Unverifiable(why) => (BundleState::Unverifiable, why.clone()),
        Looked::Verified(..) => return None,
    };
    Some(BundleSource {
        run_id: run_id.clone(),
        state,
        detail: detail.into(),
    })
}

fn newest_pass(reader: &Reader<'_>, engine: &str, stage: u8) -> Result<Option<LedgerEntry>, SummaryError> {
    let filter = LedgerFilter {
        status: Some(Status::Pass.word().to_owned()),
        backend: Some(engine.to_owned()),
        stage: Some(stage),
        limit: Some(1),
        ..LedgerFilter::default()
    };
    Ok(reader.ledger().list(&filter)?.into_iter().next())
}

/// Returns accepted, operator-approved runs of stage 5 of the candidate that verify now, newest first.
fn accepted(reader: &Reader<'_>, candidate: &str) -> Result<Vec<RunId>, SummaryError> {
    let filter = LedgerFilter {
        stage: Some(5),
        ..LedgerFilter::default()
    };
    let entries = reader.ledger().list(&filter)?;
    let of_it = entries.iter().filter(|entry| base(&entry.backend) == candidate);
    let waits = BlockerCode::MissingOperatorOutcome.name();
    let may = of_it.filter(|entry| entry.first_blocker.as_ref().is_none_or(|code| *code == waits));
    let shows = |entry: &&LedgerEntry| match reader.look(&entry.run_id) {
        Looked::Verified(status, source) => status == Status::Pass && source == Some(ApprovalSource::Operator),
        Looked::Gone | Looked::Unverifiable(_) => false,
    };
    Ok(may
        .take(ACCEPTED)
        .filter(shows)
        .map(|entry| entry.run_id.clone())
        .collect())
}

/// Returns the newest proof about a target that a run copied and left alone. What the failure matrix plays on its own
/// ground says nothing about a target.
fn target(reader: &Reader<'_>) -> Result<Option<TargetReadOnly>, SummaryError> {
    let filter = LedgerFilter {
        stage: Some(3),
        ..LedgerFilter::default()
    };
    let entries = reader.ledger().list(&filter)?;
    let real = entries.iter().filter(|entry| !entry.backend.contains(':'));
    Ok(real.take(TRIES).find_map(|entry| target_of(reader, entry)))
}

fn target_of(reader: &Reader<'_>, entry: &LedgerEntry) -> Option<TargetReadOnly> {
    let name = "source-non-mutation.json";
    let proof: SourceNonMutation = reader.document(&entry.run_id, name)?;
    let (before, after) = (proof.before.as_ref()?, proof.after.as_ref()?);
    let unchanged = before.refs_digest == after.refs_digest
        && before.index_digest == after.index_digest
        && before.metadata_digest == after.metadata_digest
        && before.head == after.head;
    Some(TargetReadOnly {
        run_id: entry.run_id.clone(),
        mutation_mode: entry.mutation_mode.as_deref().unwrap_or("none").into(),
        read_only: proof.holds && unchanged && before.commit == after.commit && !before.commit.is_empty(),
        commit_before: Some(before.commit.as_str().into()),
        commit_after: Some(after.commit.as_str().into()),
        refs_index_metadata_unchanged: unchanged,
        proof: format!("runs/{}/{name}", entry.run_id).parse().ok()?,
        // Documents are read from bundles that verify, and from no others.
        verified: true,
    })
}

/// Returns the newest runs whose commit waits for the operator's word.
fn waiting(harness: &Harness, reader: &Reader<'_>) -> Result<Vec<RunId>, SummaryError> {
    let filter = LedgerFilter {
        stage: Some(5),
        ..LedgerFilter::default()
    };
    let code = BlockerCode::MissingOperatorOutcome.name();
    let entries = reader.ledger().list(&filter)?;
    let waits = entries
        .into_iter()
        .filter(|entry| entry.first_blocker.as_ref() == Some(&code));
    let unsaid = waits.take(TRIES).filter(|entry| {
        let bundle = harness.home.run(&entry.run_id);
        // The failure matrix leaves runs of its own without a word, on purpose.
        let approval: Option<cto_schema::ApprovalProof> = reader.document(&entry.run_id, "approval.json");
        let by_operator = approval.is_some_and(|proof| proof.approval_source == ApprovalSource::Operator);
        by_operator && read_outcome_beside(&bundle).is_ok_and(|said| said.is_none())
    });
    Ok(unsaid.map(|entry| entry.run_id).collect())
}

fn store(harness: &Harness, reader: &Reader<'_>, live: usize, dead: usize) -> Result<EvidenceState, SummaryError> {
    let head = reader.ledger().head()?;
    let seq = head.map_or(0, |head| u32::try_from(head.seq).unwrap_or(u32::MAX));
    let left = unfinished_applies(&harness.home).map_err(|error| SummaryError::State(Box::new(error)))?;
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let looked = reader.looked();
    let verified = looked
        .values()
        .filter(|one| matches!(one, Looked::Verified(..)))
        .count();
    let unverifiable = looked
        .values()
        .filter(|one| matches!(one, Looked::Unverifiable(_)))
        .count();
    Ok(EvidenceState {
        // Entries are numbered from 1 without gaps; the chain's check says whether that holds.
        runs_on_record: seq,
        ledger_head_seq: seq,
        ledger_head_sha256: head.map(|head| head.digest),
        ledger_chain_holds: reader.chain_error().is_none(),
        ledger_detail: reader.chain_error().unwrap_or_default().into(),
        runs_live: count(live),
        runs_dead: count(dead),
        unfinished_changes: count(left.len()),
        bundles_verified: count(verified),
        bundles_unverifiable: count(unverifiable),
    })
}

fn lane(chain: EngineChain) -> LaneSummary {
    let stop = chain.stops_at().cloned();
    let steps = chain.steps.iter().map(|step| LaneStep {
        step: step.name.into(),
        state: step.state.word().into(),
        detail: step.detail.as_str().into(),
    });
    let steps = steps.collect();
    let rationale = match (&stop, chain.stage) {
        (Some(step), _) if step.detail.is_empty() => format!("its chain stops at {}", step.name),
        (Some(step), _) => step.detail.clone(),
        (None, Some(stage)) => format!("every step up to stage {stage} holds"),
        (None, None) => "every step holds".to_owned(),
    };
    let recorded = chain.steps.iter().any(|step| step.state == ChainState::Recorded);
    let note = if recorded && stop.is_none() {
        "; what the stage does not need is only recorded"
    } else {
        ""
    };
    LaneSummary {
        lane: chain.engine.into(),
        status: if stop.is_some() {
            LaneReadiness::Blocked
        } else {
            LaneReadiness::Ready
        },
        blocker: stop.as_ref().map(|step| step.name.into()),
        rationale: format!("{rationale}{note}").into(),
        stage: chain.stage,
        next: stop.map(|step| step.next).unwrap_or_default().into(),
        steps,
    }
}

fn base(backend: &str) -> &str {
    backend.split(':').next().unwrap_or_default()
}

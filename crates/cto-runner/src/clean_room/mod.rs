//! Clean-room verification: the patch on a fresh baseline, in cages that nothing of the engine's run reaches.

mod baseline_result;
mod canaries;
pub(crate) mod canary;
pub(crate) mod integrity;
mod record;
mod room;

use std::path::Path;

use cto_policy::Scope;
use cto_sandbox::Change;
use cto_schema::{RunLabel, Verification, VerificationRun};

use crate::collect::Collection;
use crate::supervise::Supervised;

pub(crate) use record::Record;
pub(crate) use room::{Room, RoomError};

/// Applies the contract's canary patch on top of a change.
pub(crate) type ApplyCanary<'a> = dyn Fn(&Collection) -> Result<Vec<Change>, String> + Sync + 'a;

/// What canaries are made of.
#[derive(Clone, Copy)]
pub(crate) struct Canaried<'a> {
    /// The collected change.
    pub(crate) collection: &'a Collection,
    /// Where canary files may be staged.
    pub(crate) staging: &'a Path,
    /// `None` when the contract has no canary patch.
    pub(crate) canary_patch: Option<&'a ApplyCanary<'a>>,
}

/// What is verified.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The change, and what its canaries are made of.
    pub(crate) canaried: Canaried<'a>,
    /// Where results for baselines are cached.
    pub(crate) cache: &'a Path,
    /// How to read a tree that a command left behind, relative to the patched tree.
    pub(crate) left_behind: &'a dyn LeftBehind,
}

/// Reads what a verification command left in its tree, besides the patch and ignored paths.
pub(crate) trait LeftBehind: std::fmt::Debug {
    /// Returns the paths, escaped.
    fn paths(&self, supervised: &Supervised) -> Result<Vec<String>, String>;
}

/// The result of verification, and what goes on record with it.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) verification: Verification,
    pub(crate) record: Record,
}

/// Returns the result of a run where nothing can or need be verified.
pub(crate) fn not_run(reason: &str) -> Verified {
    let record = Record {
        log: format!("no verification command was run: {reason}\n").into_bytes(),
        ..Record::default()
    };
    let verification = Verification {
        not_run: Some(reason.to_owned()),
        ..Verification::default()
    };
    Verified { verification, record }
}

/// Runs the verification commands on baseline, patch, restored inputs and canaries.
pub(crate) fn verify(room: &Room<'_>, subject: &Subject<'_>) -> Result<Verified, RoomError> {
    let contract = room.plan.contract;
    let collection = subject.canaried.collection;
    let mut done = Verified {
        verification: Verification::default(),
        record: Record::default(),
    };
    done.verification.integrity = collection.integrity.clone();
    if let Some(rationale) = &contract.no_test_rationale {
        let reason = format!("no_test_rationale: {}", cto_schema::escape(rationale.as_bytes(), 2000));
        let mut none = not_run(&reason);
        none.verification.integrity = done.verification.integrity;
        return Ok(none);
    }
    let baseline = baseline_result::baseline_result(room, subject.cache, &mut done.record)?;
    done.verification.runs.push(baseline);
    std::thread::scope(|scope| {
        let ahead = canaries::Ahead::start(scope, room.maker(), subject.canaried);
        verify_patched(room, subject, ahead.as_ref(), &mut done)
    })?;
    done.verification.forbidden = done.record.forbidden();
    done.verification.baseline_habits = std::mem::take(&mut done.record.habits);
    Ok(done)
}

/// Verifies the patched tree, and where it passes what its passing is worth.
fn verify_patched(
    room: &Room<'_>,
    subject: &Subject<'_>,
    ahead: Option<&canaries::Ahead>,
    done: &mut Verified,
) -> Result<(), RoomError> {
    let collection = subject.canaried.collection;
    let commands = &room.plan.contract.verification_commands;
    let changes = &collection.changes;
    let (patched, ends) = room.perform_all(RunLabel::Patched, commands, changes, &mut done.record)?;
    let passed = patched.passed();
    done.verification.runs.push(patched.clone());
    for end in &ends {
        let paths = subject.left_behind.paths(end).unwrap_or_else(|error| vec![error]);
        done.verification.left_behind.extend(paths);
    }
    drop(ends);
    done.verification.left_behind.sort();
    done.verification.left_behind.dedup();
    if !passed {
        return explain_failure(room, collection, done);
    }
    restored_inputs(room, collection, patched, done)?;
    canaries::canaries(room, subject.canaried, ahead, done)
}

/// Verifies once more with the contract's `verification_inputs` as in the baseline.
fn restored_inputs(
    room: &Room<'_>,
    collection: &Collection,
    patched: VerificationRun,
    done: &mut Verified,
) -> Result<(), RoomError> {
    let contract = room.plan.contract;
    if contract.verification_inputs.is_empty() {
        return Ok(());
    }
    // Patterns were checked when the contract was read; one that does not compile restores nothing, and then the
    // run is missing, which the verdict refuses.
    let Ok(inputs) = Scope::patterns(&contract.verification_inputs) else {
        return Ok(());
    };
    let kept: Vec<Change> = collection
        .changes
        .iter()
        .filter(|change| !inputs.is_match(path_of(change)) && !covers(room, change, &contract.verification_inputs))
        .cloned()
        .collect();
    let label = RunLabel::RestoredInputs;
    let run = if kept.len() == collection.changes.len() {
        done.record.log.extend_from_slice(
            b"== restored_inputs ==\nthe patch changes no verification input: the patched result holds\n",
        );
        VerificationRun {
            label,
            cached: true,
            ..patched
        }
    } else {
        room.perform_all(label, &contract.verification_commands, &kept, &mut done.record)?
            .0
    };
    done.verification.runs.push(run);
    Ok(())
}

/// True for a change that takes the place of a baseline directory in which an input may lie: applied, it would take
/// the inputs away with the directory.
fn covers(room: &Room<'_>, change: &Change, inputs: &[String]) -> bool {
    let path = path_of(change);
    let was_directory = room
        .plan
        .baseline
        .files()
        .join(path)
        .symlink_metadata()
        .is_ok_and(|meta| meta.is_dir());
    was_directory && inputs.iter().any(|pattern| cto_policy::may_match_below(pattern, path))
}

/// A patch that fails here but passes where the engine worked rests on something that the patch does not hold.
fn explain_failure(room: &Room<'_>, collection: &Collection, done: &mut Verified) -> Result<(), RoomError> {
    if collection.ignored_changes.is_empty() {
        return Ok(());
    }
    let mut changes = collection.changes.clone();
    changes.extend(collection.ignored_changes.iter().cloned());
    let commands = &room.plan.contract.verification_commands;
    let (run, _) = room.perform_all(RunLabel::EngineTree, commands, &changes, &mut done.record)?;
    done.verification.passes_in_engine_tree = Some(run.passed());
    done.verification.runs.push(run);
    Ok(())
}

/// Returns the path that a change is about.
pub(crate) fn path_of(change: &Change) -> &Path {
    match change {
        Change::Remove { path }
        | Change::File { path, .. }
        | Change::Content { path, .. }
        | Change::Symlink { path, .. }
        | Change::Directory { path } => path,
    }
}

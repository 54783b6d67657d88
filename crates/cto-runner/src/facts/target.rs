//! Facts about the target: the repository or fixture, its admission, and the approval that is bound to it.

use std::path::Path;

use cto_policy::{needs_approval, shown_path};
use cto_schema::{MutationMode, RecordFact, RecordKind, RepositoryAdmission, TargetFacts, TaskContract};

use super::Gathering;
use crate::approval::{bound_target, gather_approval, judged_at};
use crate::baseline::ObjectSource;
use crate::model::{read_fact, record_place};
use crate::request::{Harness, RunRequest, Task};
use crate::run::chain;
use crate::source::{Head, SourceError, SourceRepository};
use crate::tool::Git;

impl Gathering {
    /// Gathers what the mode's target is; what cannot be used becomes a fact that refuses.
    pub(super) fn gather_target(
        &mut self,
        harness: &Harness,
        git: &Git,
        request: &RunRequest,
        contract: &TaskContract,
    ) {
        use MutationMode as M;
        let gathered = match (&request.task, contract.mutation_mode, &contract.target_repository) {
            (Task::Case(case), M::CopiedFixture | M::SandboxRepo, None) => {
                self.facts.target.kind = "fixture".to_owned();
                harness.fixture(git, case)
            }
            (_, M::CopiedRepo, Some(path)) => {
                self.facts.target.kind = "repository".to_owned();
                self.facts.target.clean_start_required = request.clean_start;
                self.read_repository(harness, git, Path::new(path), Hold::Shared)
            }
            (_, M::SandboxRepo | M::OwnedNoncriticalRepo, Some(path)) => {
                self.facts.target.kind = "repository".to_owned();
                self.facts.target.clean_start_required = true;
                let read = self.read_repository(harness, git, Path::new(path), Hold::Alone);
                // A refusal never shows where the repository is.
                read.map_err(|problem| without_path(&problem, path.trim_end_matches('/')))
            }
            (_, M::SandboxRepo, None) => Err(
                "mutation_mode sandbox-repo needs a case (cto run CASE --mode sandbox-repo) or an admitted target_repository".to_owned(),
            ),
            _ => Err(
                "mutation_mode copied-fixture needs a case (cto run CASE); for a repository use copied-repo".to_owned(),
            ),
        };
        match gathered {
            Ok((objects, commit)) => {
                self.facts.target.commit = Some(commit.clone());
                self.target = Some((objects, commit));
            }
            Err(_) if self.facts.target.busy => {}
            Err(problem) => self.facts.target.problem = Some(problem),
        }
        if needs_approval(contract) && self.facts.target.commit.is_some() {
            let path = contract.target_repository.as_deref();
            let identity = self.source.as_ref().map(SourceRepository::identity);
            self.facts.approval.target_now = bound_target(&self.facts.target, path, identity);
        }
    }

    /// Gathers the approval that the run names, and the record of the target that it may change.
    pub(super) fn gather_approval(&mut self, harness: &Harness, request: &RunRequest, contract: &TaskContract) {
        if !needs_approval(contract) {
            return;
        }
        self.facts.approval.judged_at_seconds = judged_at(harness);
        let mut admission = target_admission(harness, request, contract);
        if let Some(path) = admission
            .record
            .as_mut()
            .and_then(|record| record.target_repository_path.as_mut())
        {
            // A digest in the form of a path is a path.
            if let Ok(shown) = shown_path(path.as_str()).parse() {
                *path = shown;
            }
        }
        self.facts.target.admission = admission;
        self.facts.approval = gather_approval(harness, request, contract, &self.facts, self.model.as_ref());
    }

    fn read_repository(
        &mut self,
        harness: &Harness,
        git: &Git,
        path: &Path,
        hold: Hold,
    ) -> Result<(ObjectSource, String), String> {
        let source = SourceRepository::open(path).map_err(|error| chain(&error))?;
        let locked = match hold {
            Hold::Shared => source.lock_shared(),
            Hold::Alone => source.lock(),
        };
        match locked {
            Ok(lock) => self.lock = Some(lock),
            Err(error) => {
                self.facts.target.busy = matches!(error, SourceError::Busy { .. });
                return Err(chain(&error));
            }
        }
        if hold == Hold::Alone {
            has_a_branch(&source)?;
        }
        let facts: &mut TargetFacts = &mut self.facts.target;
        let state = source.state().map_err(|error| chain(&error))?;
        let commit = state.commit.clone();
        facts.before = Some(state);
        let objects = source.objects().map_err(|error| chain(&error))?;
        if facts.clean_start_required {
            let (device, inode) = source.identity();
            let keep = harness.home.cache().join(format!("status-{device:x}-{inode:x}"));
            std::fs::create_dir_all(&keep).map_err(|error| format!("failed to create {}: {error}", keep.display()))?;
            let dirty = source.dirty_paths(git, &keep).map_err(|error| chain(&error))?;
            facts.dirty_paths = Some(dirty.shown);
        }
        self.source = Some(source);
        Ok((objects, commit))
    }
}

/// How a target is held against other runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Runs that only read it share it.
    Shared,
    /// The run that changes it has it alone.
    Alone,
}

/// Returns the record of the target that a contract may change; absent where none may.
pub(crate) fn target_admission(
    harness: &Harness,
    request: &RunRequest,
    contract: &TaskContract,
) -> RecordFact<RepositoryAdmission> {
    let may_change = matches!(
        contract.mutation_mode,
        MutationMode::SandboxRepo | MutationMode::OwnedNoncriticalRepo
    );
    match harness.engines.find(&request.engine) {
        Ok((engine, _)) if may_change && contract.target_repository.is_some() => {
            read_fact(&record_place(harness, engine.manifest(), RecordKind::Repository).path)
        }
        _ => RecordFact::absent(),
    }
}

/// A change goes on a branch that nobody else has in hands.
fn has_a_branch(source: &SourceRepository) -> Result<(), String> {
    let told = |error: SourceError| chain(&error);
    let Head::Branch(branch) = source.head().map_err(told)? else {
        return Err("HEAD of the target names no branch; check one out".to_owned());
    };
    if let Some(what) = source.operation_in_progress().map_err(told)? {
        return Err(format!("the target is in the middle of {what}; finish or abort it"));
    }
    if let Some(what) = source.other_work_tree().map_err(told)? {
        return Err(format!("in the target's configuration {what}; unset it"));
    }
    match source.elsewhere(&branch).map_err(told)? {
        Some(place) => Err(format!(
            "{branch} is checked out in {place}, too; check another one out there"
        )),
        None => Ok(()),
    }
}

/// Says a problem without where the repository is, and without where a link in its path leads.
fn without_path(problem: &str, path: &str) -> String {
    // What to write instead is the place itself.
    let problem = match problem.split_once("; write ") {
        Some((said, rest)) if rest.ends_with(" instead") => {
            format!("{said}; admit it, and write it in the contract, by its real path")
        }
        _ => problem.to_owned(),
    };
    let named = "the target repository";
    let (mut shown, mut rest) = (String::new(), problem.as_str());
    while let Some((before, after)) = rest.split_once(path) {
        // A longer name only begins like this one, and is another place.
        let goes_on = after.starts_with(|c: char| c.is_alphanumeric() || "._-".contains(c));
        shown.push_str(before);
        shown.push_str(if goes_on { "another place" } else { named });
        rest = if goes_on {
            after.trim_start_matches(|c: char| !c.is_whitespace() && !":;,\"'`".contains(c))
        } else {
            after
        };
    }
    shown.push_str(rest);
    for said_twice in [
        "the repository the target repository",
        "target repository the target repository",
        "the target repository as target repository",
    ] {
        shown = shown.replace(said_twice, named);
    }
    shown.replace("the the target", "the target")
}

#[cfg(test)]
mod tests {
    use super::without_path;

    #[test]
    fn a_problem_is_said_without_the_place_and_in_whole_words() {
        let path = "/srv/shop";
        for (problem, said) in [
            (
                "read the repository /srv/shop: it is torn; run `git fsck` there",
                "read the target repository: it is torn; run `git fsck` there",
            ),
            (
                "use /srv/shop as target repository: a part of the path is a symbolic link, which could be swapped; write /srv/shop.real instead",
                "use the target repository: a part of the path is a symbolic link, which could be swapped; admit it, and write it in the contract, by its real path",
            ),
            (
                "find the target repository /srv/shop: nothing is there",
                "find the target repository: nothing is there",
            ),
            (
                "read /srv/shop/.git/config: denied",
                "read the target repository/.git/config: denied",
            ),
            ("read /srv/shop.git: denied", "read another place: denied"),
        ] {
            let shown = without_path(problem, path);
            assert_eq!(shown, said);
            assert!(!shown.contains("/srv"), "{shown}");
        }
    }
}

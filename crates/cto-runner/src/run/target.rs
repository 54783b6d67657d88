//! The target after the run, and the proofs that every run leaves.

use cto_schema::{
    ForbiddenActionsProof, MutationMode, NoTargetInspection, SchemaId, Sha256Digest, SourceNonMutation, TargetAfter,
};
use serde::Serialize;

use super::{Halt, Journey, chain};

/// The proof that the target is as it was.
const PROOF: &str = "source-non-mutation.json";

impl Journey<'_> {
    /// Reads the target again and compares; a fixture has none.
    pub(super) fn look_at_target(&mut self) {
        let before = self.facts.target.before.clone();
        let unknown = |detail: String| TargetAfter {
            state: None,
            unchanged: false,
            detail,
        };
        let after = match (&self.source, &before) {
            (Some(source), Some(_)) if !source.is_in_place() => {
                unknown("another directory lies where the source repository was".to_owned())
            }
            (Some(source), Some(before)) => match source.state().map(|state| self.dir.clean(PROOF, state)) {
                Ok(Ok(state)) => {
                    let commit = self
                        .seen
                        .applied
                        .as_ref()
                        .and_then(|applied| applied.target_commit.as_deref());
                    let unchanged = match commit {
                        Some(commit) => is_one_commit_further(before, &state, commit),
                        None => state == *before,
                    };
                    let detail = if unchanged {
                        commit.map_or_else(
                            || "unchanged".to_owned(),
                            |commit| format!("one commit further: {commit}"),
                        )
                    } else {
                        difference(before, &state)
                    };
                    TargetAfter {
                        unchanged,
                        state: Some(state),
                        detail,
                    }
                }
                Ok(Err(error)) => unknown(chain(&error)),
                Err(error) => unknown(chain(&error)),
            },
            _ if self.facts.target.kind == "fixture" => TargetAfter {
                state: None,
                unchanged: true,
                detail: "a fixture: there is no source repository".to_owned(),
            },
            _ => return,
        };
        self.seen.target_after = Some(after);
    }

    /// Writes what every run has besides its journey; failures are on record as failed artifacts.
    pub(super) fn leave_required_artifacts(&mut self) {
        // What cannot be cleaned cannot be told; the closing tries again and says so.
        drop(self.clean_seen());
        // Each artifact stands for itself: one that fails must not keep the others away.
        drop(self.leave_logs());
        drop(self.leave_proofs());
    }

    fn leave_logs(&mut self) -> Result<(), Halt> {
        if self.seen.verification.is_none() && self.never_tried("test.log") {
            let reason = match (&self.seen.harness_error, self.seen.cancelled, &self.decision) {
                (Some(error), ..) => error.clone(),
                (None, true, _) => "the operator stopped the run".to_owned(),
                (None, false, Some(decision)) => decision.reasons.join("; "),
                (None, false, None) => "the run ended before a decision".to_owned(),
            };
            let log = format!("no verification command was run: {reason}\n");
            self.dir.write("test.log", log.as_bytes())?;
            self.test_log = self.dir.read("test.log")?.unwrap_or_default();
        }
        if self.never_tried("patch.diff") {
            self.dir.write("patch.diff", b"")?;
        }
        Ok(())
    }

    /// An artifact that could not be written is on record as that; an excuse in its place would be a lie.
    fn never_tried(&self, name: &str) -> bool {
        !self.dir.exists(name) && !self.dir.failures().iter().any(|failure| failure.artifact == name)
    }

    fn leave_proofs(&mut self) -> Result<(), Halt> {
        let proofs = self.proofs()?;
        if proofs.is_empty() {
            return Ok(());
        }
        let files: Vec<(&str, &[u8])> = proofs.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        self.dir.write_together(&files)?;
        Ok(())
    }

    /// Returns the documents that prove what this run is allowed to claim.
    fn proofs(&self) -> Result<Vec<Document>, Halt> {
        let mut proofs = Vec::new();
        let schema = || SchemaId::PROOF.to_string();
        if self.seen.engine.is_some() {
            let attempted = self.seen.forbidden_attempts();
            let contract = self.contract.as_ref().ok();
            let proof = ForbiddenActionsProof {
                schema: schema(),
                proof: "forbidden_actions".to_owned(),
                holds: attempted.is_empty(),
                forbidden_actions: contract.map(|c| c.effective_forbidden_actions()).unwrap_or_default(),
                attempted,
                observed_by: "seccomp user notification on exec, connect and send; empty network; no credentials"
                    .to_owned(),
            };
            proofs.push(document("forbidden-actions.json", &proof)?);
        }
        let applied = self
            .seen
            .applied
            .as_ref()
            .is_some_and(|applied| applied.target_commit.is_some());
        // Where the change went in, the source is no source any more; the stage's own proof says what it became.
        let after = self
            .seen
            .target_after
            .clone()
            .filter(|_| self.source.is_some() && !applied);
        if let Some(after) = after {
            let proof = SourceNonMutation {
                schema: schema(),
                proof: "source_non_mutation".to_owned(),
                holds: after.unchanged,
                before: self.facts.target.before.clone(),
                after: after.state,
                detail: after.detail,
            };
            proofs.push(document(PROOF, &proof)?);
        }
        if self.enforcement.is_some() {
            self.stage_proofs(&mut proofs)?;
        }
        Ok(proofs)
    }

    fn stage_proofs(&self, proofs: &mut Vec<Document>) -> Result<(), Halt> {
        let Some(start) = &self.clean_start else { return Ok(()) };
        proofs.push(document("clean-start.json", start)?);
        proofs.push(document("clean-end.json", &cto_policy::clean_end(&self.seen))?);
        let Ok(contract) = &self.contract else { return Ok(()) };
        match contract.mutation_mode {
            MutationMode::CopiedFixture => {
                let proof = self.no_target_inspection();
                proofs.push(document("stage2-no-target-inspection.json", &proof)?);
            }
            MutationMode::CopiedRepo => {
                let proof = cto_policy::copied_repo_proof(&self.seen, start.holds);
                proofs.push(document("stage3-copied-repo-proof.json", &proof)?);
            }
            MutationMode::SandboxRepo | MutationMode::OwnedNoncriticalRepo => {
                self.repository_proofs(contract, proofs)?;
            }
            MutationMode::None | MutationMode::CandidateDefault => {}
        }
        Ok(())
    }

    /// Looks for repositories of the host in everything that reached the engine.
    fn no_target_inspection(&self) -> NoTargetInspection {
        let contract = self.contract.as_ref().ok();
        let named = contract.and_then(|contract| contract.target_repository.as_ref());
        let words = self
            .request
            .command
            .iter()
            .map(|word| word.to_string_lossy().into_owned());
        let mounts = self.toolchains().into_iter().chain(self.engine_binds.clone());
        let mounts = mounts.map(|path| path.display().to_string());
        let repositories: Vec<String> = words.chain(mounts).filter(|word| names_a_repository(word)).collect();
        let found = |list: &[String]| {
            if list.is_empty() {
                "none".to_owned()
            } else {
                list.join(", ")
            }
        };
        NoTargetInspection {
            schema: SchemaId::PROOF.to_string(),
            proof: "stage2_no_target_inspection".to_owned(),
            holds: named.is_none() && repositories.is_empty(),
            searched: vec![
                format!("contract target_repository: {}", named.map_or("none", |_| "named")),
                format!(
                    "argv and mounts that lie in a git repository of the host: {}",
                    found(&repositories)
                ),
                "environment: only the fixed variables of every cage, and the task's own text".to_owned(),
                "view: system directories, the fixture, and the mounts above".to_owned(),
            ],
            parts: vec![
                "clean-start.json".to_owned(),
                "clean-end.json".to_owned(),
                "enforcement.json".to_owned(),
            ],
        }
    }

    /// Writes a document, two-space indented so that people can read it.
    pub(super) fn write_json<T: Serialize>(&mut self, name: &str, document: &T) -> Result<Sha256Digest, Halt> {
        Ok(self.dir.write(name, &pretty(document)?)?)
    }
}

/// A name and the bytes that go under it.
pub(super) type Document = (&'static str, Vec<u8>);

pub(super) fn document<T: Serialize>(name: &'static str, document: &T) -> Result<Document, Halt> {
    Ok((name, pretty(document)?))
}

fn pretty<T: Serialize>(document: &T) -> Result<Vec<u8>, Halt> {
    let text = serde_json::to_string_pretty(document).map_err(|error| Halt::Ignorant(error.to_string()))?;
    let mut bytes = cto_schema::inert_json(text).into_bytes();
    bytes.push(b'\n');
    Ok(bytes)
}

fn names_a_repository(word: &str) -> bool {
    let path = std::path::Path::new(word);
    path.is_absolute()
        && path
            .ancestors()
            .any(|dir| dir.components().count() > 1 && dir.join(".git").exists())
}

/// True when nothing but the one commit is new: `HEAD` names the same branch, and no setting, hook or lock changed.
fn is_one_commit_further(
    before: &cto_schema::RepositoryState,
    after: &cto_schema::RepositoryState,
    commit: &str,
) -> bool {
    after.commit == commit && after.head == before.head && after.metadata_digest == before.metadata_digest
}

fn difference(before: &cto_schema::RepositoryState, after: &cto_schema::RepositoryState) -> String {
    let parts = [
        ("HEAD", before.head != after.head || before.commit != after.commit),
        ("refs", before.refs_digest != after.refs_digest),
        ("index", before.index_digest != after.index_digest),
        (
            "configuration, hooks or worktrees",
            before.metadata_digest != after.metadata_digest,
        ),
    ];
    let changed: Vec<&str> = parts
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect();
    format!("changed during the run: {}", changed.join(", "))
}

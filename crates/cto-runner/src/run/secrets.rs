//! What is secret in a run: values of the environment, but none that is public.

use cto_evidence::{KnownSecret, Redactor};
use cto_schema::{Facts, RepositoryState};

use super::{Halt, Journey};
use crate::request::{Harness, RunRequest, Task};

/// Returns the known secrets of a run. The name of an embedded case or of a registered engine is none, whatever variable
/// holds it too.
pub(super) fn known(harness: &Harness, request: &RunRequest) -> Vec<KnownSecret> {
    let case = match &request.task {
        Task::Case(case) => Some(case.case.case_id.as_str()),
        Task::Contract { .. } => None,
    };
    let engine = harness.engines.find(&request.engine).ok();
    let engine = engine.as_ref().map(|(engine, _)| engine.manifest().name.as_str());
    let is_public = |secret: &&KnownSecret| {
        let mut names = case.iter().chain(&engine);
        names.any(|name| name.as_bytes() == secret.value)
    };
    let (_, secret): (Vec<_>, Vec<_>) = harness.secrets.iter().partition(is_public);
    secret.into_iter().cloned().collect()
}

/// Returns a text without the secrets in it.
pub(super) fn clean(redactor: &Redactor, text: &str) -> String {
    let (clean, _) = redactor.redact("", text.as_bytes());
    String::from_utf8_lossy(&clean).into_owned()
}

/// Returns what the target itself, and a record that the operator reviewed, name: build caches are often keyed by it.
pub(crate) fn public_values(facts: &Facts) -> Vec<String> {
    let target = &facts.target;
    let mut values: Vec<String> = target.commit.iter().chain(&target.tree).cloned().collect();
    if let Some(RepositoryState { head, commit, .. }) = &target.before {
        let branch = head.strip_prefix("ref: ").unwrap_or(head);
        let short = branch.strip_prefix("refs/heads/").unwrap_or(branch);
        values.extend([head, branch, short, commit].map(str::to_owned));
    }
    if let Some(record) = &facts.admissions.model.admission.record {
        values.extend([record.provider.to_string(), record.model.to_string()]);
    }
    values
}

/// Returns the names that git gave to the contents of a patch: its own lines alone start with `index`.
pub(super) fn content_ids(patch: &[u8]) -> Vec<String> {
    let headers = patch
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_prefix(b"index "));
    let ids = headers.filter_map(|line| std::str::from_utf8(line).ok()?.split(' ').next()?.split_once(".."));
    ids.flat_map(|(before, after)| [before.to_owned(), after.to_owned()])
        .collect()
}

impl Journey<'_> {
    /// Says what is public; which variables hold nothing else is put on record.
    pub(super) fn know_public(&mut self, values: &[String]) {
        let names = self.dir.know_public(values);
        if !names.is_empty() {
            let now = self.now();
            let detail = format!("what the target or the harness itself names: {}", names.join(", "));
            self.span("no-secret", now, "ok", &detail);
        }
    }

    /// Takes secrets out of what was observed, before anything is decided on it or told of it: journal, proofs, markers
    /// and report say the same words, and whoever checks them comes to the same ends.
    pub(super) fn clean_seen(&mut self) -> Result<(), Halt> {
        let known = self.dir.secrets().len();
        self.seen = self.dir.clean("report.json", self.seen.clone())?;
        let found = self.dir.secrets().get(known..).unwrap_or_default();
        self.seen.secrets.extend_from_slice(found);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_headers_of_git_name_contents() {
        let patch = b"diff --git a/x b/x\nindex 1111..2222 100644\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-index 3333..4444\n+x\n index 5..6\n";
        assert_eq!(content_ids(patch), ["1111", "2222"]);
    }
}

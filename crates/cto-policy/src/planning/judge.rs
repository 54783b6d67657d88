//! Judging the whole: board, issues, criteria, references, commits and claims, once the world has answered.

use std::collections::{BTreeMap, BTreeSet};

use cto_schema::{RuleId, ValidationCounts, WorkspaceFinding};

use super::claims::{BundleReference, Claim, Claimed};
use super::notes::{Notes, listed, shown, suggestion};
use super::reading::{FileReading, Planner};
use super::references::{FileReference, is_path, joined};
use super::world::{BundleAnswer, BundleFacts, BundleQuestion, CommitAnswer, WorldAnswers, WorldQuestions};
use super::{judge_board, judge_issues};

impl Planner {
    /// Returns what the documents refer to outside themselves.
    pub fn ask(&self, files: &[FileReading]) -> WorldQuestions {
        let mut questions = WorldQuestions::default();
        for file in files {
            for reference in file.references.iter().chain(&self.evidence(file).0) {
                questions.paths.extend(reference.candidates.iter().cloned());
            }
            questions
                .commits
                .extend(file.commits.iter().map(|commit| commit.id.clone()));
            let named = file.claims.bundles.iter().map(|bundle| bundle.name.clone());
            for name in named.chain(self.evidence(file).1.into_iter().map(|(name, _)| name)) {
                questions.bundles.insert(question(file, name));
            }
        }
        questions.paths.extend(self.rules.required_files.iter().cloned());
        questions
    }

    /// Judges everything that was read. `found` are findings from reading the tree itself.
    pub fn judge(
        &self,
        files: &[FileReading],
        answers: &WorldAnswers,
        found: Vec<WorkspaceFinding>,
    ) -> Vec<WorkspaceFinding> {
        let mut all = found;
        all.extend(files.iter().flat_map(|file| file.findings.iter().cloned()));
        for required in &self.rules.required_files {
            if !answers.paths.contains(required) {
                let mut notes = Notes::new(required);
                let mend = "create it; cto workspace init DIR makes one of each in a new directory";
                notes.add(RuleId::RequiredFile, 0, "the file is missing", mend);
                all.extend(notes.into_findings());
            }
        }
        let pages: BTreeMap<&str, &FileReading> = files.iter().map(|file| (file.path.as_str(), file)).collect();
        for file in files {
            let mut notes = Notes::new(&file.path);
            let (paths, bundles) = self.evidence(file);
            for reference in file.references.iter().chain(&paths) {
                check_reference(reference, answers, &pages, &mut notes);
            }
            for commit in &file.commits {
                check_commit(&commit.id, commit.line, answers, &mut notes);
            }
            for bundle in &file.claims.bundles {
                check_bundle(file, bundle, answers, &mut notes);
            }
            for (name, line) in bundles {
                let bundle = BundleReference {
                    name,
                    line,
                    claims: vec![],
                };
                check_bundle(file, &bundle, answers, &mut notes);
            }
            check_loose(file, &mut notes);
            all.extend(notes.into_findings());
        }
        all.extend(unverified_inside(files, answers));
        all.extend(judge_board::judge(self, files));
        all.extend(judge_issues::judge(self, files));
        all.sort();
        all.dedup();
        all
    }

    /// Counts what was looked at.
    pub fn counts(&self, files: &[FileReading], answers: &WorldAnswers) -> ValidationCounts {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let sum = |count: &dyn Fn(&FileReading) -> usize| number(files.iter().map(count).sum());
        let verified: BTreeSet<&BundleQuestion> = answers.bundles.keys().collect();
        ValidationCounts {
            documents: sum(&|file| usize::from(file.is_document)),
            work: sum(&|file| file.work.as_ref().map_or(0, Vec::len)),
            issues: sum(&|file| file.issues.len()),
            records: sum(&|file| usize::from(file.is_record)),
            references: sum(&|file| file.references.len() + self.evidence(file).0.len()),
            commits: number(answers.commits.len()),
            bundles: number(verified.len() + answers.inside.len()),
            claims: sum(&|file| file.claims.bundles.iter().map(|bundle| bundle.claims.len()).sum()),
            validators: 0,
        }
    }

    /// The evidence of a workboard: files and bundles.
    fn evidence(&self, file: &FileReading) -> (Vec<FileReference>, Vec<(String, u32)>) {
        let (mut paths, mut bundles) = (Vec::new(), Vec::new());
        for (text, line) in file.work.iter().flatten().flat_map(|work| &work.evidence) {
            let last = text.trim_end_matches('/').rsplit('/').next().unwrap_or(text);
            if super::claims::is_run_id(last.strip_suffix(".tar.zst").unwrap_or(last)) {
                bundles.push((text.clone(), *line));
            } else if is_path(text) {
                let mut unused = Notes::new(&file.path);
                paths.extend(super::references::resolve(text, &file.path, true, *line, &mut unused));
            }
        }
        (paths, bundles)
    }
}

fn question(file: &FileReading, name: String) -> BundleQuestion {
    let directory = file.path.rsplit_once('/').map_or("", |(directory, _)| directory);
    BundleQuestion {
        directory: directory.to_owned(),
        name,
    }
}

fn check_reference(
    reference: &FileReference,
    answers: &WorldAnswers,
    pages: &BTreeMap<&str, &FileReading>,
    notes: &mut Notes,
) {
    let Some(path) = reference.candidates.iter().find(|path| answers.paths.contains(*path)) else {
        let looked = reference.candidates.iter().map(|path| shown(path)).collect::<Vec<_>>();
        notes.add(
            RuleId::ReferenceMissing,
            reference.line,
            format!(
                "'{}' does not exist (looked for {})",
                shown(&reference.written),
                looked.join(" and ")
            ),
            "correct the path, which is relative to this document, or write the file",
        );
        return;
    };
    let Some(anchor) = &reference.anchor else { return };
    let Some(page) = pages.get(path.as_str()).filter(|page| page.is_document) else {
        return;
    };
    if !page.anchors.contains(anchor) {
        let near = suggestion(anchor, page.anchors.iter().map(String::as_str));
        notes.add(
            RuleId::AnchorMissing,
            reference.line,
            format!("{} has no heading '#{}'{near}", shown(path), shown(anchor)),
            "name a heading that exists: in lower case, with '-' for spaces and without signs",
        );
    }
}

fn check_commit(id: &str, line: u32, answers: &WorldAnswers, notes: &mut Notes) {
    let (message, mend) = match answers.commits.get(id) {
        Some(CommitAnswer::Known) => return,
        Some(CommitAnswer::Ambiguous) => (format!("commit {id} could be several"), "write its full id".to_owned()),
        Some(CommitAnswer::Unasked(reason)) => (
            format!("nobody can tell whether commit {id} exists: {reason}"),
            "name the repository that has it under repositories in the rules file".to_owned(),
        ),
        Some(CommitAnswer::Unknown) | None => (
            format!("commit {id} is in no repository that was asked"),
            "correct the id, or name the repository that has it under repositories in the rules file".to_owned(),
        ),
    };
    notes.add(RuleId::CommitUnknown, line, message, mend);
}

fn check_bundle(file: &FileReading, bundle: &BundleReference, answers: &WorldAnswers, notes: &mut Notes) {
    let name = shown(&bundle.name);
    match answers.bundles.get(&question(file, bundle.name.clone())) {
        None | Some(BundleAnswer::Missing) => notes.add(
            RuleId::BundleMissing,
            bundle.line,
            format!("the bundle '{name}' is not there"),
            "put the bundle (or its .tar.zst, see cto export) where the text says, or run with the installation that has it (--home)",
        ),
        Some(BundleAnswer::Unverified(reason)) => notes.add(
            RuleId::BundleUnverified,
            bundle.line,
            format!("the bundle '{name}' does not verify: {reason}"),
            format!("look at it with: cto verify {name}; trust the key of another installation with: cto key trust"),
        ),
        Some(BundleAnswer::Verified(facts)) => {
            for claim in &bundle.claims {
                check_claim(&name, claim, facts, notes);
            }
        }
    }
}

fn check_claim(name: &str, claim: &Claim, facts: &BundleFacts, notes: &mut Notes) {
    match &claim.what {
        Claimed::Status(word) if word != facts.status.word() => notes.add(
            RuleId::ClaimStatus,
            claim.line,
            format!(
                "the text says 'report status: {word}', and the bundle '{name}' says '{}'",
                facts.status.word()
            ),
            format!(
                "write 'report status: {}', or name the bundle that is meant",
                facts.status.word()
            ),
        ),
        Claimed::Status(_) => {}
        Claimed::Digest { hex, beside } => check_digest(name, claim.line, hex, beside, facts, notes),
        Claimed::ChangedFiles(files) => {
            let said: BTreeSet<&str> = files.iter().map(String::as_str).collect();
            let real: BTreeSet<&str> = facts.changed_files.iter().map(String::as_str).collect();
            if said != real {
                let more: Vec<String> = said.difference(&real).map(|file| shown(file)).collect();
                let less: Vec<String> = real.difference(&said).map(|file| shown(file)).collect();
                let all: Vec<String> = real.iter().map(|file| shown(file)).collect();
                notes.add(
                    RuleId::ClaimChangedFiles,
                    claim.line,
                    format!(
                        "the bundle '{name}' did not change {}; the text leaves out {}",
                        listed(&more),
                        listed(&less)
                    ),
                    format!(
                        "write 'changed files: {}'",
                        if all.is_empty() {
                            "none".to_owned()
                        } else {
                            all.join(", ")
                        }
                    ),
                );
            }
        }
    }
}

fn check_digest(name: &str, line: u32, hex: &str, beside: &[String], facts: &BundleFacts, notes: &mut Notes) {
    let named = facts.digests.iter().find(|(file, _)| {
        let last = file.rsplit('/').next().unwrap_or(file);
        beside
            .iter()
            .any(|word| word == *file || word == last || word.ends_with(&format!("/{file}")))
    });
    let of_report = |file: &str| file == "report.json" && facts.stated.contains(hex);
    let problem = match named {
        Some((_, digest)) if digest == hex => return,
        Some((file, _)) if of_report(file) => return,
        Some((file, digest)) => (
            format!("the digest of '{file}' in the bundle '{name}' is another"),
            format!("write sha256:{digest}"),
        ),
        None if facts.stated.contains(hex) || facts.digests.values().any(|digest| digest == hex) => return,
        None => (
            format!("no file of the bundle '{name}' has this digest"),
            "copy the digest from SHA256SUMS of the bundle, and name the file beside it".to_owned(),
        ),
    };
    notes.add(RuleId::ClaimDigest, line, problem.0, problem.1);
}

fn check_loose(file: &FileReading, notes: &mut Notes) {
    for claim in &file.claims.loose {
        let what = match &claim.what {
            Claimed::Status(word) => format!("'report status: {word}'"),
            Claimed::ChangedFiles(_) => "changed files".to_owned(),
            Claimed::Digest { .. } => "a digest".to_owned(),
        };
        notes.add(
            RuleId::ClaimWithoutBundle,
            claim.line,
            format!("the text claims {what} and names no bundle"),
            "write 'bundle: ' and the id of the run above it; where nothing ran, write 'report status: none'",
        );
    }
    for (line, word) in &file.claims.unreadable {
        notes.add(
            RuleId::ClaimUnreadable,
            *line,
            format!("'{}' is no status of a report", shown(word)),
            "write 'report status: pass', 'fail', 'blocked', or 'none' where nothing ran",
        );
    }
}

/// Bundles in the workspace that no text names are verified all the same: their directory was not looked into.
fn unverified_inside(files: &[FileReading], answers: &WorldAnswers) -> Vec<WorkspaceFinding> {
    let named: BTreeSet<String> = files
        .iter()
        .flat_map(|file| {
            let directory = question(file, String::new()).directory;
            file.claims
                .bundles
                .iter()
                .map(move |bundle| joined(&directory, &bundle.name))
        })
        .collect();
    let mut found = Vec::new();
    for (path, answer) in answers.inside.iter().filter(|(path, _)| !named.contains(*path)) {
        if let BundleAnswer::Unverified(reason) = answer {
            let mut notes = Notes::new(path);
            notes.add(
                RuleId::BundleUnverified,
                0,
                format!("the directory has the form of a bundle and does not verify: {reason}"),
                "remove it, or trust the key that signed it with: cto key trust",
            );
            found.extend(notes.into_findings());
        }
    }
    found
}

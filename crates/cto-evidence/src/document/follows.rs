//! Whether a document follows: its verdict from the facts in it, and those from the bundles that it names, where these
//! are in reach.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cto_policy::{
    comparison_facts, decision_packet, judge_candidate, judge_refresh, packet_comparison, packet_refresh,
};
use cto_schema::{
    BundleFacts, CandidateComparison, CandidateVerdict, ComparisonFacts, DecisionPacket, DocumentKind,
    DocumentPredicate, OperatorOutcome, PacketFacts, RepeatabilityRefresh, Sha256Digest, escape,
};

use super::check::{document_kind, document_predicate, read_document, verify_document};
use crate::bundle::Bundle;
use crate::matrices::matrix_checks;
use crate::render::{comparison_markdown, decision_markdown, refresh_markdown};
use crate::shown::bundle_facts;
use crate::verify::{Finding, LedgerView, TrustedKeys, VerificationOutcome, not_applicable, verify_bundle, yes};

/// A document may rest on documents, and these on others; no deeper.
const DEEPEST: usize = 3;

/// Where bundles and documents may lie that a document names: the homes of the documents, and what else was named.
///
/// Each bundle is checked once for all documents.
#[derive(Debug)]
pub struct Reach<'a> {
    keys: &'a TrustedKeys,
    ledger: Option<&'a dyn LedgerView>,
    named: Vec<PathBuf>,
    seen: Mutex<BTreeMap<PathBuf, Result<BundleFacts, String>>>,
}

impl std::fmt::Debug for dyn LedgerView + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LedgerView")
    }
}

impl<'a> Reach<'a> {
    /// Looks beside the documents, and among `named`: directories of runs, or archives of them.
    pub fn new(keys: &'a TrustedKeys, ledger: Option<&'a dyn LedgerView>, named: &[PathBuf]) -> Self {
        Self {
            keys,
            ledger,
            named: named.to_vec(),
            seen: Mutex::default(),
        }
    }

    /// Checks a document with everything that it rests on.
    pub fn verify(&self, bundle: &Bundle) -> VerificationOutcome {
        self.verify_within(bundle, DEEPEST)
    }

    fn verify_within(&self, bundle: &Bundle, depth: usize) -> VerificationOutcome {
        let follows = Follows {
            reach: self,
            bundle,
            depth,
        };
        verify_document(bundle, self.keys, &follows.findings())
    }

    /// Returns what a run's bundle shows; `None` when it is not in reach.
    fn facts(&self, document: &Path, run: &str) -> Option<Result<BundleFacts, String>> {
        let place = self.find(document, "runs", run)?;
        let known = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&place)
            .cloned();
        let found = known.unwrap_or_else(|| {
            let found = Bundle::open(&place)
                .map_err(|error| error.to_string())
                .and_then(|bundle| {
                    let verified = verify_bundle(&bundle, self.keys, self.ledger);
                    bundle_facts(&bundle, &verified)
                });
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.insert(place, found.clone());
            found
        });
        Some(found)
    }

    /// Returns where something lies that a document names by its id.
    fn find(&self, document: &Path, directory: &str, id: &str) -> Option<PathBuf> {
        let home = document.parent().and_then(Path::parent);
        let beside = home
            .map(|home| home.join(directory).join(id))
            .filter(|path| path.is_dir());
        let is_it = |path: &&PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name == id || name.strip_suffix(".tar.zst") == Some(id)
        };
        beside.or_else(|| self.named.iter().find(is_it).cloned())
    }
}

/// A document that is being checked.
struct Follows<'a> {
    reach: &'a Reach<'a>,
    bundle: &'a Bundle,
    depth: usize,
}

impl Follows<'_> {
    fn findings(&self) -> Vec<(&'static str, Finding)> {
        let Some(predicate) = document_predicate(self.bundle) else {
            return vec![];
        };
        match predicate.kind {
            DocumentKind::Comparison => self.comparison(&predicate),
            DocumentKind::Refresh => self.refresh(&predicate),
            DocumentKind::Packet => self.packet(&predicate),
            DocumentKind::Matrix => matrix_checks(self.bundle),
        }
    }

    fn comparison(&self, predicate: &DocumentPredicate) -> Vec<(&'static str, Finding)> {
        let document: CandidateComparison = match read_document(self.bundle, predicate.kind) {
            Ok(document) => document,
            Err(problem) => return vec![("document", Err(problem))],
        };
        let facts = &document.facts;
        let of_lanes: Vec<&String> = facts.lanes.iter().map(|lane| &lane.lane).collect();
        let named = facts
            .bundles
            .iter()
            .map(|(run, facts)| (run.clone(), facts.manifest_digest));
        let agrees = agree(&[
            ("comparison_id", document.comparison_id == predicate.document_id),
            ("created_at", document.created_at == predicate.made_at),
            ("harness_version", facts.harness_version == predicate.harness_version),
            ("candidate", document.candidate == facts.candidate.lane),
            ("against", document.against.iter().collect::<Vec<_>>() == of_lanes),
            ("candidate_default_eligible", !document.candidate_default_eligible),
            (
                "operator_outcome",
                document.operator_outcome == OperatorOutcome::Pending,
            ),
            ("rests_on", named.collect::<BTreeMap<_, _>>() == predicate.rests_on),
        ]);
        let again = judge_candidate(facts);
        let essence = |verdict: &CandidateVerdict| (verdict.proof_holds, verdict.candidate_run.clone());
        let verdict = self.same_words(
            predicate,
            again == document.verdict,
            essence(&again) == essence(&document.verdict),
        );
        vec![
            ("document", agrees),
            ("verdict", verdict),
            ("readable", self.twin(predicate, || comparison_markdown(&document))),
            ("evidence", self.bundles(facts.bundles.values())),
        ]
    }

    fn refresh(&self, predicate: &DocumentPredicate) -> Vec<(&'static str, Finding)> {
        let document: RepeatabilityRefresh = match read_document(self.bundle, predicate.kind) {
            Ok(document) => document,
            Err(problem) => return vec![("document", Err(problem))],
        };
        let facts = &document.facts;
        let bundles = || facts.pins.iter().filter_map(|pin| pin.bundle.as_ref());
        let comparison = facts.comparison.as_ref();
        let named = bundles().map(|bundle| (bundle.run_id.clone(), bundle.manifest_digest));
        let named = named.chain(comparison.map(|one| (one.comparison_id.clone(), one.manifest_digest)));
        let agrees = agree(&[
            ("refresh_id", document.refresh_id == predicate.document_id),
            ("created_at", document.created_at == predicate.made_at),
            ("harness_version", facts.harness_version == predicate.harness_version),
            ("rests_on", named.collect::<BTreeMap<_, _>>() == predicate.rests_on),
        ]);
        let again = judge_refresh(
            &document.refresh_id,
            &document.created_at,
            &document.candidate,
            facts.clone(),
        );
        let essence = |one: &RepeatabilityRefresh| {
            (
                one.repeatability_status,
                one.repeatability_count,
                one.repeatability_passed,
            )
        };
        let verdict = self.same_words(predicate, again == document, essence(&again) == essence(&document));
        let carried = comparison.map_or_else(
            || not_applicable("there is no comparison"),
            |comparison| self.carried(comparison),
        );
        vec![
            ("document", agrees),
            ("verdict", verdict),
            ("readable", self.twin(predicate, || refresh_markdown(&document))),
            ("evidence", self.bundles(bundles())),
            ("comparison", carried),
        ]
    }

    fn packet(&self, predicate: &DocumentPredicate) -> Vec<(&'static str, Finding)> {
        let document: DecisionPacket = match read_document(self.bundle, predicate.kind) {
            Ok(document) => document,
            Err(problem) => return vec![("document", Err(problem))],
        };
        let facts = &document.facts;
        let (comparison, refresh) = (&facts.comparison, &facts.refresh);
        let named = [
            (
                DocumentKind::Comparison,
                comparison.comparison_id.as_str(),
                comparison.manifest_digest,
            ),
            (
                DocumentKind::Refresh,
                refresh.refresh_id.as_str(),
                refresh.manifest_digest,
            ),
        ];
        let rests_on: BTreeMap<String, Sha256Digest> = named
            .iter()
            .map(|(_, id, digest)| ((*id).to_owned(), *digest))
            .collect();
        let agrees = agree(&[
            ("packet_id", document.packet_id == predicate.document_id),
            ("created_at", document.created_at == predicate.made_at),
            ("rests_on", rests_on == predicate.rests_on),
        ]);
        let again = decision_packet(
            &document.packet_id,
            &document.created_at,
            &document.resolver,
            document.decision_status,
            facts.clone(),
        );
        let essence = |one: &DecisionPacket| (one.ready_for_core_review, one.decision_status, one.repeatability_count);
        let same = again.as_ref().is_ok_and(|again| *again == document);
        let in_essence = again.is_ok_and(|again| essence(&again) == essence(&document));
        vec![
            ("document", agrees),
            ("verdict", self.same_words(predicate, same, in_essence)),
            ("readable", self.twin(predicate, || decision_markdown(&document))),
            (
                "evidence",
                self.documents(&named)
                    .and_then(|held| self.packet_facts(facts).map(|()| held)),
            ),
        ]
    }

    /// What a packet takes from its documents is what they say; one that is not in reach was counted as that before.
    fn packet_facts(&self, recorded: &PacketFacts) -> Result<(), String> {
        let open = |kind: DocumentKind, id: &str| {
            let place = self.reach.find(self.bundle.path(), kind.directory(), id)?;
            Some(Bundle::open(&place).map_err(|error| error.to_string()))
        };
        if let Some(bundle) = open(DocumentKind::Comparison, &recorded.comparison.comparison_id) {
            let bundle = bundle?;
            let document: CandidateComparison = read_document(&bundle, DocumentKind::Comparison)?;
            let outcome = self.reach.verify_within(&bundle, self.depth.saturating_sub(1));
            // A word that was said since takes nothing back.
            let accepted = recorded.comparison.accepted && outcome.document.is_some_and(|seen| seen.accepted);
            if packet_comparison(&document, recorded.comparison.manifest_digest, accepted) != recorded.comparison {
                return Err("its comparison says something else, or is accepted no more".to_owned());
            }
        }
        if let Some(bundle) = open(DocumentKind::Refresh, &recorded.refresh.refresh_id) {
            let document: RepeatabilityRefresh = read_document(&bundle?, DocumentKind::Refresh)?;
            if packet_refresh(&document, recorded.refresh.manifest_digest) != recorded.refresh {
                return Err("its refresh says something else".to_owned());
            }
        }
        Ok(())
    }

    /// What a refresh says of a comparison is what the comparison says.
    fn carried(&self, recorded: &ComparisonFacts) -> Finding {
        let named = [(
            DocumentKind::Comparison,
            recorded.comparison_id.as_str(),
            recorded.manifest_digest,
        )];
        let Some(place) = self.reach.find(
            self.bundle.path(),
            DocumentKind::Comparison.directory(),
            &recorded.comparison_id,
        ) else {
            return not_applicable("it is not in reach; name its path, too");
        };
        // One that did not verify when it was read need not do so now.
        if recorded.problem.is_none() {
            self.documents(&named)?;
        }
        let bundle = Bundle::open(&place).map_err(|error| error.to_string())?;
        let document: CandidateComparison = read_document(&bundle, DocumentKind::Comparison)?;
        let digest = bundle.digest("SHA256SUMS").ok_or("SHA256SUMS is missing")?;
        let shown = comparison_facts(&document, digest, recorded.problem.clone(), recorded.accepted);
        if shown != *recorded {
            return Err(format!("comparison {} says something else", document.comparison_id));
        }
        let outcome = self.reach.verify_within(&bundle, self.depth.saturating_sub(1));
        let accepted = outcome.document.is_some_and(|seen| seen.accepted);
        if recorded.accepted && !accepted {
            return Err(format!("nobody accepts comparison {} any more", document.comparison_id));
        }
        yes(format!(
            "{} verifies and says what is told of it",
            document.comparison_id
        ))
    }

    /// The version that made it has to reproduce every word; another one what counts.
    fn same_words(&self, predicate: &DocumentPredicate, word_for_word: bool, in_essence: bool) -> Finding {
        let same_version = predicate.harness_version == env!("CARGO_PKG_VERSION");
        match (word_for_word, in_essence) {
            (true, true) => yes("it follows from the facts in the document"),
            (false, true) if !same_version => yes("another version told it in other words, and it follows"),
            _ => Err("it does not follow from the facts in the document".to_owned()),
        }
    }

    fn twin(&self, predicate: &DocumentPredicate, draw: impl Fn() -> String) -> Finding {
        let file = predicate.kind.markdown_file();
        let found = self
            .bundle
            .document(&file)
            .ok_or_else(|| format!("{file} is missing"))?;
        if predicate.harness_version != env!("CARGO_PKG_VERSION") {
            return not_applicable("another version drew it");
        }
        if found == draw().as_bytes() {
            yes(format!("{file} says what the document says"))
        } else {
            Err(format!("{file} says something else than the document"))
        }
    }

    /// The facts about each bundle can be read out of it again.
    fn bundles<'f>(&self, recorded: impl Iterator<Item = &'f BundleFacts>) -> Finding {
        let (mut same, mut away) = (0, 0);
        // One that did not verify then carries nothing; the document says so, and it need not be broken for ever.
        for facts in recorded.filter(|facts| facts.failed_checks.is_empty()) {
            let shown = escape(facts.run_id.as_bytes(), 80);
            match self.reach.facts(self.bundle.path(), &facts.run_id) {
                None => away += 1,
                Some(Err(problem)) => return Err(format!("bundle {shown} cannot be read: {problem}")),
                Some(Ok(found)) if found == *facts || is_the_same_but_for_a_later_word(facts, &found) => same += 1,
                Some(Ok(found)) if !found.failed_checks.is_empty() => {
                    return Err(format!(
                        "bundle {shown} does not verify any more: {}",
                        found.failed_checks.join(", ")
                    ));
                }
                Some(Ok(found)) if found.effective_status != facts.effective_status => {
                    return Err(format!(
                        "what was said about run {shown} counts no more, or something else was said"
                    ));
                }
                Some(Ok(_)) => return Err(format!("bundle {shown} shows something else than the document says")),
            }
        }
        told(same, away)
    }

    /// The documents that this one rests on verify, with all that they rest on.
    fn documents(&self, named: &[(DocumentKind, &str, Sha256Digest)]) -> Finding {
        let (mut same, mut away) = (0, 0);
        for (kind, id, digest) in named {
            let shown = escape(id.as_bytes(), 80);
            let Some(place) = self.reach.find(self.bundle.path(), kind.directory(), id) else {
                away += 1;
                continue;
            };
            if self.depth == 0 {
                return Err("documents rest on documents without end".to_owned());
            }
            let other = Bundle::open(&place).map_err(|error| error.to_string())?;
            if document_kind(&other) != Some(*kind) || other.digest("SHA256SUMS") != Some(*digest) {
                return Err(format!("{} {shown} is another one", kind.word()));
            }
            let found = self.reach.verify_within(&other, self.depth - 1);
            if let Some(failed) = found.failed().next() {
                return Err(format!(
                    "{} {shown} does not verify: {}: {}",
                    kind.word(),
                    failed.name,
                    failed.detail
                ));
            }
            same += 1;
        }
        told(same, away)
    }
}

/// A word that was said after the document was made takes nothing back that the document says.
fn is_the_same_but_for_a_later_word(recorded: &BundleFacts, found: &BundleFacts) -> bool {
    let without = |facts: &BundleFacts| BundleFacts {
        operator: None,
        effective_status: None,
        ..facts.clone()
    };
    recorded.operator.is_none() && found.failed_checks.is_empty() && without(recorded) == without(found)
}

fn told(same: usize, away: usize) -> Finding {
    match (same, away) {
        (_, 0) => yes(format!("{same} verify and show what the document says")),
        (0, _) => not_applicable(format!("none of {away} is in reach; name their paths, too")),
        (same, away) => yes(format!(
            "{same} verify and show what the document says; {away} are not in reach"
        )),
    }
}

fn agree(fields: &[(&str, bool)]) -> Finding {
    let differing: Vec<&str> = fields.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
    if differing.is_empty() {
        yes("every field agrees with what is signed")
    } else {
        Err(format!("differs: {}", differing.join(", ")))
    }
}

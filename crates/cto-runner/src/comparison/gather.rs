//! Reading what bundles on record show: of many with the same end the newest few are checked again, and only these.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cto_evidence::{
    Bundle, Ledger, LedgerEntry, LedgerFilter, LedgerSnapshot, LedgerView, TrustedKeys, bundle_facts, verify_bundle,
};
use cto_schema::BundleFacts;

use super::DecideError;
use crate::ladder::{has_a_word, trusted_keys};
use crate::request::Harness;

/// Who is told how far it is.
type Told<'a> = &'a dyn Fn(&str, &str);

/// How many bundles of one engine with the same end at the same stage are checked.
const TRIES: usize = 6;

/// What this installation believes: keys and operators, and its own ledger.
pub(crate) struct Belief {
    pub(crate) keys: TrustedKeys,
    pub(crate) ledger: LedgerSnapshot,
}

impl Belief {
    pub(crate) fn of(harness: &Harness) -> Result<Self, DecideError> {
        let ledger = Ledger::open(&harness.home)?;
        Ok(Self {
            keys: trusted_keys(harness)?,
            ledger: LedgerSnapshot::read(&ledger, &harness.home)?,
        })
    }

    pub(crate) fn view(&self) -> &dyn LedgerView {
        &self.ledger
    }

    /// Checks a bundle and reads what it shows; the bundle goes with it.
    pub(crate) fn look(&self, path: &Path) -> Result<(BundleFacts, Bundle), String> {
        let bundle = Bundle::open(path).map_err(|error| crate::run::chain(&error))?;
        let verified = verify_bundle(&bundle, &self.keys, Some(self.view()));
        bundle_facts(&bundle, &verified).map(|facts| (facts, bundle))
    }
}

/// Returns what every bundle on record shows, and which of them do not verify or are gone.
pub(crate) fn every_bundle(
    harness: &Harness,
    belief: &Belief,
    progress: &dyn Fn(&str, &str),
) -> Result<(BTreeMap<String, BundleFacts>, Vec<String>), DecideError> {
    let entries = Ledger::open(&harness.home)?.list(&LedgerFilter::default())?;
    let shown = look_at_all(harness, belief, &entries, progress);
    let failed = entries
        .iter()
        .map(|entry| entry.run_id.to_string())
        .filter(|run| !shown.contains_key(run));
    let failed = failed.collect();
    Ok((shown, failed))
}

/// Returns what bundles of these engines show, and of those whose conduct is the harness's own. What does not verify is
/// left out.
pub(crate) fn bundles_of(
    harness: &Harness,
    belief: &Belief,
    engines: &[String],
    progress: &dyn Fn(&str, &str),
) -> Result<BTreeMap<String, BundleFacts>, DecideError> {
    let mut entries = Ledger::open(&harness.home)?.list(&LedgerFilter::default())?;
    let mut tried: BTreeMap<(String, String, String, Option<u8>), usize> = BTreeMap::new();
    entries.retain(|entry| {
        let base = entry.backend.split(':').next().unwrap_or_default().to_owned();
        let end = entry.first_blocker.clone().unwrap_or_else(|| "pass".to_owned());
        let whose = engines.contains(&base) || shows_the_harness(&base, &end);
        let tries = tried.entry((base, end, entry.status.clone(), entry.stage)).or_default();
        *tries += usize::from(whose);
        // Runs that nobody spoke about are many, and must not hide the one that was accepted.
        whose && (*tries <= TRIES || has_a_word(harness, entry))
    });
    Ok(look_at_all(harness, belief, &entries, progress))
}

/// `fake` plays what the harness does; what is refused before an engine starts is the harness's own whoever was refused.
fn shows_the_harness(base: &str, end: &str) -> bool {
    base == "fake" || (end != "pass" && !matches!(base, "codex" | "pi" | "case" | "claude" | "opencode"))
}

/// Checks bundles with a few threads.
fn look_at_all(
    harness: &Harness,
    belief: &Belief,
    entries: &[LedgerEntry],
    progress: &dyn Fn(&str, &str),
) -> BTreeMap<String, BundleFacts> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(BTreeMap::new());
    let home = &harness.home;
    let work = |told: Option<Told<'_>>| {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = entries.get(at) else { break };
            if let Some(told) = told {
                told("reading bundles", &format!("{} of {}", at + 1, entries.len()));
            }
            let Ok((facts, _)) = belief.look(&home.run(&entry.run_id)) else {
                continue;
            };
            if facts.failed_checks.is_empty() {
                let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                found.insert(facts.run_id.clone(), facts);
            }
        }
    };
    let more = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 8) - 1;
    std::thread::scope(|scope| {
        for _ in 0..more.min(entries.len()) {
            scope.spawn(|| work(None));
        }
        work(Some(progress));
    });
    found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

//! One run as a page sees it: its bundle, read and verified now, or what is there of a run that is not sealed.

use std::time::Duration;

use cto_evidence::{
    Bundle, CheckState, Keys, Ledger, LedgerLine, LedgerView, ReadLimits, TrustedKeys, VerificationOutcome, begun_runs,
    taken_back, verify_bundle,
};
use cto_schema::{Event, MutationMode, Report, RunId, Span, TaskContract, WriteSet};

use crate::view::{Problem, Site, text};

/// What a page keeps in memory of a bundle, at most.
const LIMITS: ReadLimits = ReadLimits {
    files: 20_000,
    file_bytes: 2 << 30,
    total_bytes: 4 << 30,
    document_bytes: 24 << 20,
    memory_bytes: 64 << 20,
    keep_content: true,
};

/// How a run stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Standing {
    /// It is sealed.
    Sealed,
    /// Its process lives.
    Running,
    /// Its process is dead, and nobody has closed it.
    Dead,
}

/// One run.
#[derive(Debug)]
pub(crate) struct BundleView {
    pub(crate) run_id: RunId,
    pub(crate) bundle: Bundle,
    pub(crate) standing: Standing,
    /// What checking it found, just now; null while it is not sealed.
    pub(crate) checked: Option<VerificationOutcome>,
    pub(crate) report: Option<Report>,
    pub(crate) contract: Option<TaskContract>,
    pub(crate) write_set: Option<WriteSet>,
    pub(crate) spans: Vec<Span>,
    pub(crate) took: Duration,
}

impl BundleView {
    /// Reads and checks a run's bundle. A name that is no run's never becomes a path.
    pub(crate) fn open(site: &Site<'_>, run: &str) -> Result<Self, Problem> {
        let missing = || Problem::NotFound(format!("no run has the name {}", text(run)));
        let run_id: RunId = run.parse().map_err(|_| missing())?;
        let started = std::time::Instant::now();
        let home = &site.panel.home;
        let place = home.run(&run_id);
        let begun = begun_runs(home).map_err(|_| Problem::Unavailable("the live markers cannot be read".to_owned()))?;
        let begun = begun.into_iter().find(|one| one.run_id == run_id);
        // A link in the place of a bundle is followed by nobody.
        let is_dir = std::fs::symlink_metadata(&place).is_ok_and(|meta| meta.is_dir());
        if !is_dir {
            let listed = ledger(site)?.and_then(|ledger| ledger.find(&run_id).ok().flatten());
            return Err(if listed.is_some() {
                Problem::NotFound(format!(
                    "the ledger lists run {run_id}, and its bundle is gone; restore it from a backup or an export"
                ))
            } else {
                missing()
            });
        }
        let bundle = Bundle::open_within(&place, LIMITS).map_err(|error| Problem::Unavailable(told(&error)))?;
        let standing = match begun {
            Some(begun) if begun.lives => Standing::Running,
            Some(_) => Standing::Dead,
            None => Standing::Sealed,
        };
        let sealed = matches!(standing, Standing::Sealed);
        let checked = if sealed { Some(check(site, &bundle)?) } else { None };
        let mut view = Self {
            report: read(&bundle, "report.json"),
            contract: read(&bundle, "contract.json"),
            write_set: read(&bundle, "write-set.json"),
            spans: lines(&bundle, "trace.jsonl"),
            run_id,
            bundle,
            standing,
            checked,
            took: Duration::ZERO,
        };
        view.took = started.elapsed();
        Ok(view)
    }

    /// Says whether it is sealed and every check holds; otherwise nothing of it is shown as evidence.
    pub(crate) fn verified(&self) -> bool {
        self.checked.as_ref().is_some_and(VerificationOutcome::ok)
    }

    /// Says whether it is sealed and a check does not hold.
    pub(crate) fn broken(&self) -> bool {
        self.checked.as_ref().is_some_and(|checked| !checked.ok())
    }

    /// Returns the names and details of failed checks.
    pub(crate) fn failures(&self) -> Vec<(String, String)> {
        let checks = self.checked.iter().flat_map(|checked| &checked.checks);
        checks
            .filter(|check| check.state == CheckState::Failed)
            .map(|check| (check.name.to_owned(), check.detail.clone()))
            .collect()
    }

    /// Returns the mutation mode that it ran under, as far as that is known.
    pub(crate) fn mode(&self) -> Option<MutationMode> {
        let reported = self.report.as_ref().and_then(|report| report.mutation_mode);
        reported.or_else(|| self.contract.as_ref().map(|contract| contract.mutation_mode))
    }

    /// Says whether patch, logs and tests may be shown: always for what is a fixture, a copy or disposable; for an owned
    /// repository only where the panel was started so. A mode that nobody knows is treated like an owned repository.
    pub(crate) fn may_show_content(&self, site: &Site<'_>) -> bool {
        match self.mode() {
            Some(
                MutationMode::None | MutationMode::CopiedFixture | MutationMode::CopiedRepo | MutationMode::SandboxRepo,
            ) => true,
            Some(MutationMode::OwnedNoncriticalRepo | MutationMode::CandidateDefault) | None => {
                site.panel.options.evidence_content
            }
        }
    }

    /// Returns the normalized events, as far as they can be read.
    pub(crate) fn events(&self) -> Vec<Event> {
        lines(&self.bundle, "events.normalized.jsonl")
    }

    /// Reads a document of the bundle.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        read(&self.bundle, name)
    }

    /// Returns the bytes of an artifact that was kept.
    pub(crate) fn bytes(&self, name: &str) -> &[u8] {
        self.bundle.document(name).unwrap_or_default()
    }
}

/// Opens the ledger for reading.
pub(crate) fn ledger(site: &Site<'_>) -> Result<Option<Ledger>, Problem> {
    Ledger::open_to_read(&site.panel.home).map_err(|error| Problem::Unavailable(told(&error)))
}

/// Tells an error with its causes, on one line.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut line = format!("failed to {error}");
    let mut next = error.source();
    while let Some(cause) = next {
        line = format!("{line}: {cause}");
        next = cause.source();
    }
    text(&line)
}

fn check(site: &Site<'_>, bundle: &Bundle) -> Result<VerificationOutcome, Problem> {
    let keys = Keys::open(&site.panel.home).map_err(|error| Problem::Unavailable(told(&error)))?;
    let mut trusted = TrustedKeys::of_installation(&keys).map_err(|error| Problem::Unavailable(told(&error)))?;
    if let Some(signers) = &site.snapshot.signers {
        trusted = trusted.with_signers(signers.clone());
    }
    let store = &site.snapshot.summary.evidence;
    let own = keys.list().map_err(|error| Problem::Unavailable(told(&error)))?;
    let run_id = bundle.name().parse::<RunId>().ok();
    let lookup = LedgerLookup {
        taken_back: run_id.and_then(|run_id| taken_back(&site.panel.home, &run_id)),
        line: ledger(site)?.and_then(|ledger| {
            let run_id: RunId = bundle.name().parse().ok()?;
            if let Some(entry) = ledger.find(&run_id).ok()? {
                return Some((run_id.to_string(), entry.manifest_digest));
            }
            // A run of another installation is on record in a list of its own.
            let imports = ledger.imports().ok()?;
            let entry = imports.into_iter().find(|entry| entry.run_id == run_id)?;
            Some((run_id.to_string(), entry.manifest_digest))
        }),
        chain_error: (!store.ledger_chain_holds).then(|| store.ledger_detail.to_string()),
        own: own
            .into_iter()
            .filter(|key| key.is_signing || key.retired_at.is_some())
            .map(|key| key.keyid)
            .collect(),
    };
    Ok(verify_bundle(bundle, &trusted, Some(&lookup)))
}

/// What the ledger says about the one run that is looked at; reading all of it for each page would cost more than the check.
struct LedgerLookup {
    /// The inverse commit, if the run's change was taken back.
    taken_back: Option<String>,
    line: Option<(String, cto_schema::Sha256Digest)>,
    chain_error: Option<String>,
    own: Vec<String>,
}

impl LedgerView for LedgerLookup {
    fn line(&self, run_id: &str) -> Option<LedgerLine> {
        let (known, manifest_digest) = self.line.as_ref()?;
        (known == run_id).then_some(LedgerLine {
            manifest_digest: *manifest_digest,
        })
    }

    fn chain_error(&self) -> Option<String> {
        self.chain_error.clone()
    }

    fn taken_back(&self, run_id: &str) -> Option<String> {
        let (known, _) = self.line.as_ref()?;
        self.taken_back.clone().filter(|_| known == run_id)
    }

    fn owns(&self, keyid: &str) -> bool {
        self.own.iter().any(|known| known == keyid)
    }
}

fn read<T: serde::de::DeserializeOwned>(bundle: &Bundle, name: &str) -> Option<T> {
    serde_json::from_slice(bundle.document(name)?).ok()
}

/// Reads the lines of an artifact that can be read; the last one of a run under way may be half written.
fn lines<T: serde::de::DeserializeOwned>(bundle: &Bundle, name: &str) -> Vec<T> {
    let bytes = bundle.document(name).unwrap_or_default();
    let each = bytes.split(|byte| *byte == b'\n');
    each.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

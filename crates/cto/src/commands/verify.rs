//! `cto verify`: check bundles offline.

use std::path::{Path, PathBuf};

use cto_evidence::{
    AllowedSigners, Check, CheckState, DocumentSeen, Home, Keys, KnownKey, Ledger, LedgerSnapshot, LedgerView,
    TrustedKeys, VerificationOutcome, Verified, document_path, documents, verify_many,
};
use cto_runner::{Links, SIGNERS_MAX, read_authority};
use cto_schema::{DocumentKind, ExitClass, NotActivated, NotPromoted};
use serde_json::json;

use crate::cli::{Global, VerifyArgs};
use crate::error::{CommandError, chain};
use crate::installation;
use crate::output::{Exit, Output};
use crate::progress::Progress;

pub(super) fn verify(global: &Global, args: &VerifyArgs, output: &Output) -> Result<Exit, CommandError> {
    let home = installation::open_home(global)?;
    let mut keys = trusted_keys(&home, &args.key)?;
    if let Some(signers) = signers(global, &home, args)? {
        keys = keys.with_signers(signers);
    }
    let ledger = ledger_snapshot(&home, args.key.is_empty())?;
    let paths = if args.all {
        let mut all = all_runs(&home)?;
        all.extend(all_imports(&home)?);
        all.extend(all_documents(&home)?);
        all
    } else {
        args.bundles.iter().map(|path| locate(&home, path)).collect()
    };
    let progress = Progress::new(!output.json() && paths.len() > 1);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let view: Option<&dyn LedgerView> = ledger.as_ref().map(|ledger| ledger as &dyn LedgerView);
    let total = paths.len();
    let results = verify_many(&paths, &keys, view, threads, &|done, _| {
        progress.set("verifying", &format!("{done} of {total}"));
    });
    progress.finish();
    if output.json() {
        output.document(
            &json!({ "ok": results.iter().all(Verified::ok), "bundles": results.iter().map(|result| row(result, &home)).collect::<Vec<_>>() }),
        );
    } else {
        for result in &results {
            print(result, args.verbose || total == 1, output);
            if let Some(entry) = super::runs::imported(&home, &result.path)? {
                output.print(&format!(
                    "  made by another installation: {}\n",
                    super::import::whence(&entry)
                ));
            }
        }
        if total > 1 {
            let good = results.iter().filter(|result| result.ok()).count();
            output.print(&format!("{good} of {total} bundles verify\n"));
        }
    }
    let gone = if args.all {
        gone(&home, ledger.as_ref())?
    } else {
        vec![]
    };
    for problem in &gone {
        output.note(&format!("✘ {problem}"));
    }
    if results.is_empty() {
        output.note("there is nothing to verify");
    }
    let ok = (args.all || !results.is_empty()) && gone.is_empty() && results.iter().all(Verified::ok);
    Ok(Exit(if ok { ExitClass::Pass } else { ExitClass::Unverified }))
}

pub(super) fn trusted_keys(home: &Home, files: &[PathBuf]) -> Result<TrustedKeys, CommandError> {
    if files.is_empty() {
        let keys = Keys::open(home)
            .and_then(|keys| keys.list())
            .map_err(|error| CommandError::failed(&error))?;
        let known = keys
            .into_iter()
            .map(|key| KnownKey::new(key.name.unwrap_or_else(|| key.keyid.clone()), key.key));
        return Ok(TrustedKeys::new(known.collect()));
    }
    named_keys(files)
}

/// Reads the public keys that a command line names.
pub(super) fn named_keys(files: &[PathBuf]) -> Result<TrustedKeys, CommandError> {
    let read = |path: &PathBuf| {
        let shown = cto_schema::escape(path.as_os_str().as_encoded_bytes(), 400);
        let pem = std::fs::read(path)
            .map_err(|error| CommandError::usage(format!("failed to read public key {shown}: {error}")))?;
        let key = cto_evidence::public_key(&pem).map_err(|error| CommandError::usage(chain(&error)))?;
        Ok(KnownKey::new(shown, key))
    };
    Ok(TrustedKeys::new(
        files.iter().map(read).collect::<Result<_, CommandError>>()?,
    ))
}

/// The operators that are believed: a file's, else this installation's; a stranger who brings only a key has none.
fn signers(global: &Global, home: &Home, args: &VerifyArgs) -> Result<Option<AllowedSigners>, CommandError> {
    let settings = installation::read_settings(global, home)?.0;
    let own = settings
        .approvals
        .allowed_signers
        .unwrap_or_else(|| home.root().join("allowed_signers"));
    let path = args.allowed_signers.as_ref().unwrap_or(&own);
    let shown = cto_schema::escape(path.as_os_str().as_encoded_bytes(), 400);
    let unreadable =
        |error: &dyn std::fmt::Display| CommandError::usage(format!("failed to read allowed signers {shown}: {error}"));
    let text = if args.allowed_signers.is_some() {
        // Whoever names a file answers for it.
        std::fs::read_to_string(path).map_err(|error| unreadable(&error))?
    } else if args.key.is_empty() && path.exists() {
        // The installation's own says whom it believes, so nobody else may write it; the same rule as for approvals.
        let bytes =
            read_authority(path, Links::Followed, SIGNERS_MAX).map_err(|error| CommandError::refused(chain(&error)))?;
        String::from_utf8(bytes).map_err(|error| unreadable(&error))?
    } else {
        return Ok(None);
    };
    let signers = AllowedSigners::read(&text)
        .map_err(|error| CommandError::usage(format!("failed to read allowed signers {shown}: {error}")))?;
    Ok(Some(signers))
}

/// The ledger of this installation; a stranger who brings a key has none.
pub(super) fn ledger_snapshot(home: &Home, own: bool) -> Result<Option<LedgerSnapshot>, CommandError> {
    if !own || !home.ledger().exists() {
        return Ok(None);
    }
    let ledger = Ledger::open(home).map_err(|error| CommandError::failed(&error))?;
    LedgerSnapshot::read(&ledger, home)
        .map(Some)
        .map_err(|error| CommandError::failed(&error))
}

/// The operators that this installation believes.
pub(super) fn own_signers(global: &Global, home: &Home) -> Result<Option<AllowedSigners>, CommandError> {
    let args = VerifyArgs {
        bundles: vec![],
        all: false,
        key: vec![],
        allowed_signers: None,
        verbose: false,
    };
    signers(global, home, &args)
}

fn all_runs(home: &Home) -> Result<Vec<PathBuf>, CommandError> {
    bundles_in(&home.runs())
}

/// What an interrupted import left is no bundle.
fn all_imports(home: &Home) -> Result<Vec<PathBuf>, CommandError> {
    let mut paths = bundles_in(&home.imported())?;
    paths.retain(|path| {
        path.file_name()
            .is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."))
    });
    Ok(paths)
}

fn bundles_in(place: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let entries = std::fs::read_dir(place).map_err(|error| CommandError::failed(&error))?;
    // What an operator said lies beside a bundle and is read with it.
    let beside = |name: &std::ffi::OsStr| name.as_encoded_bytes().ends_with(b".outcome");
    let mut paths: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| !beside(&entry.file_name()))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    Ok(paths)
}

fn all_documents(home: &Home) -> Result<Vec<PathBuf>, CommandError> {
    let mut paths = Vec::new();
    for kind in DocumentKind::ALL {
        let ids = documents(home, kind).map_err(|error| CommandError::failed(&error))?;
        paths.extend(ids.iter().map(|id| home.document(kind, id)));
    }
    Ok(paths)
}

/// Runs that the ledger lists and that are not here, and a ledger that is gone from beside its runs.
fn gone(home: &Home, ledger: Option<&LedgerSnapshot>) -> Result<Vec<String>, CommandError> {
    let Some(ledger) = ledger else {
        let any = !all_runs(home)?.is_empty();
        return Ok(any
            .then(|| "there are runs and no ledger: it was removed".to_owned())
            .into_iter()
            .collect());
    };
    let missing = ledger.lines.keys().filter(|id| !home.runs().join(id).exists());
    let missing_imports = ledger.imports.keys().filter(|id| !home.imported().join(id).exists());
    let gone = missing
        .chain(missing_imports)
        .map(|id| format!("{id}: the ledger lists it, and its bundle is gone"));
    let imports = all_imports(home)?;
    let names = imports.iter().filter_map(|path| path.file_name());
    let unlisted = names
        .map(|name| cto_schema::escape(name.as_encoded_bytes(), 200))
        .filter(|name| !ledger.imports.contains_key(name))
        .map(|name| format!("imported/{name}: the ledger does not list it as an import"));
    Ok(gone.chain(unlisted).collect())
}

/// A run's id is as good as its path.
fn locate(home: &Home, typed: &Path) -> PathBuf {
    if typed.exists() {
        return typed.to_owned();
    }
    let found = typed
        .to_str()
        .and_then(|typed| crate::find::bundle_of(home, typed).ok());
    let document = typed
        .to_str()
        .and_then(|typed| match document_path(home, typed).as_slice() {
            [(_, _, path)] => Some(path.clone()),
            _ => None,
        });
    found.or(document).unwrap_or_else(|| typed.to_owned())
}

fn row(result: &Verified, home: &Home) -> serde_json::Value {
    let import = super::runs::imported(home, &result.path).ok().flatten();
    match &result.result {
        Ok(outcome) if outcome.document.is_some() => document_row(result, outcome),
        Ok(outcome) => json!({
            "path": result.path,
            "ok": outcome.ok(),
            "run_id": outcome.run_id,
            "import": import,
            "status": outcome.status,
            "effective_status": outcome.effective_status,
            "operator_outcome": said(outcome),
            "bundle_verifies": outcome.bundle_verifies(),
            "taken_back": outcome.taken_back,
            "keyid": outcome.keyid,
            "signer": outcome.signer,
            "manifest_digest": outcome.manifest_digest,
            "checks": checks(outcome),
        }),
        Err(error) => {
            json!({ "path": result.path, "ok": false, "error": chain(error) })
        }
    }
}

/// A document has no verdict of a run; what is effective of it is told where an operator's word decides that.
fn document_row(result: &Verified, outcome: &VerificationOutcome) -> serde_json::Value {
    let seen = outcome.document.as_ref();
    json!({
        "path": result.path,
        "ok": outcome.ok(),
        "kind": seen.map(|seen| seen.kind),
        "document_id": seen.map(|seen| &seen.id),
        "made_at": seen.map(|seen| &seen.predicate.made_at),
        "rests_on": seen.map(|seen| seen.predicate.rests_on.len()),
        "candidate_default_eligible": outcome.candidate_default_eligible(),
        "runtime_default_activation": NotActivated,
        "core_promotion_status": NotPromoted,
        "operator_outcome": said(outcome),
        "keyid": outcome.keyid,
        "signer": outcome.signer,
        "manifest_digest": outcome.manifest_digest,
        "checks": checks(outcome),
    })
}

fn said(outcome: &VerificationOutcome) -> Option<serde_json::Value> {
    outcome.outcome.as_ref().map(
        |said| json!({ "outcome": said.outcome, "actor": said.actor, "reason": said.reason, "problem": said.problem }),
    )
}

fn checks(outcome: &VerificationOutcome) -> Vec<serde_json::Value> {
    let row = |check: &Check| json!({ "name": check.name, "state": check.state.word(), "detail": check.detail });
    outcome.checks.iter().map(row).collect()
}

fn print(result: &Verified, verbose: bool, output: &Output) {
    let shown = cto_schema::escape(result.path.as_os_str().as_encoded_bytes(), 400);
    let outcome = match &result.result {
        Ok(outcome) => outcome,
        Err(error) => {
            output.print(&format!(
                "{} {shown}\n    {}\n",
                output.paint("31", "✘ unreadable"),
                chain(error)
            ));
            return;
        }
    };
    let verdict = outcome.status.map_or("unknown", cto_schema::Status::word);
    // What lies beside a bundle is no part of it: that nobody can believe it says nothing against the bundle.
    let head = if outcome.bundle_verifies() {
        output.paint("32", "✔ verifies")
    } else {
        output.paint("31", "✘ does not verify")
    };
    output.print(&format!("{head}  {shown}\n"));
    for check in &outcome.checks {
        let mark = match check.state {
            CheckState::Passed if verbose => "✔",
            CheckState::NotApplicable if verbose => "·",
            CheckState::Failed => "✘",
            CheckState::Passed | CheckState::NotApplicable => continue,
        };
        output.print(&format!("  {mark} {:<26} {}\n", check.name, check.detail));
    }
    if let Some(said) = &outcome.outcome {
        let line = match &said.problem {
            Some(problem) => format!("  the operator's outcome does not count: {problem}\n"),
            None => format!(
                "  the operator's outcome: {} by {} ({})\n",
                said.outcome.word(),
                said.actor,
                said.reason
            ),
        };
        output.print(&line);
    }
    if let (Some(seen), true) = (&outcome.document, outcome.ok()) {
        told_of_document(seen, outcome, output);
        return;
    }
    if outcome.outcome.is_none()
        && let Some(commit) = &outcome.taken_back
    {
        output.print(&format!("  the change was taken back by commit {commit}\n"));
    }
    if outcome.bundle_verifies() && outcome.effective_status != outcome.status {
        let effective = outcome.effective_status.map_or("unknown", cto_schema::Status::word);
        output.print(&format!("  with it the run's effective status is {effective}\n"));
    }
    if outcome.bundle_verifies() {
        let signer = outcome.signer.as_deref().or(outcome.keyid.as_deref()).unwrap_or("?");
        output.print(&format!(
            "  the run's verdict is {verdict}, signed by {signer}\n  this proves that the holder of that key said so; not that its host was sound, nor that the change is right\n"
        ));
    }
}

fn told_of_document(seen: &DocumentSeen, outcome: &VerificationOutcome, output: &Output) {
    match outcome.candidate_default_eligible() {
        Some(true) => {
            output.print("  its candidate is eligible as default; it is not active, and nothing is promoted\n");
        }
        Some(false) => output.print("  its candidate is not eligible as default\n"),
        None => {}
    }
    let signer = outcome.signer.as_deref().or(outcome.keyid.as_deref()).unwrap_or("?");
    output.print(&format!(
        "  {} {}, signed by {signer}, rests on {} bundles and documents\n  this proves that the holder of that key wrote it over these; not that its host was sound\n",
        seen.kind.word(),
        seen.id,
        seen.predicate.rests_on.len()
    ));
}

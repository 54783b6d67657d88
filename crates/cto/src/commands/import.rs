//! `cto import`: a run of another installation.

use cto_evidence::{Home, ImportEntry, ImportError, Imported, Keys, TrustedKeys, import as take_in};
use cto_schema::ExitClass;
use serde_json::json;

use crate::cli::Global;
use crate::cli_import::ImportArgs;
use crate::error::{CommandError, chain};
use crate::installation;
use crate::output::{Exit, Output};
use crate::progress::Progress;

pub(super) fn import(global: &Global, args: &ImportArgs, output: &Output) -> Result<Exit, CommandError> {
    let home = installation::open_home(global)?;
    let mut keys = Keys::open(&home)
        .and_then(|keys| TrustedKeys::of_installation(&keys))
        .map_err(|error| CommandError::failed(&error))?;
    if let Some(signers) = super::verify::own_signers(global, &home)? {
        keys = keys.with_signers(signers);
    }
    let wanted = args
        .trusted_key
        .as_deref()
        .map(|named| find_key(&home, named))
        .transpose()?;
    let progress = Progress::new(!output.json());
    progress.set("unpacking and verifying", "");
    let version = env!("CARGO_PKG_VERSION");
    let imported = take_in(
        &home,
        &args.bundle,
        &keys,
        wanted.as_deref(),
        version,
        cto_evidence::wall_now(),
    );
    progress.finish();
    match imported {
        Ok(imported) => Ok(say(&imported, output)),
        Err(error @ (ImportError::Bundle(_) | ImportError::Form { .. } | ImportError::Name { .. })) => {
            let text = chain(&error);
            if output.json() {
                let reason = json!({ "code": "unreadable", "detail": text });
                output.document(&json!({ "ok": false, "run_id": null, "reasons": [reason] }));
            }
            output.note(&format!("error: {text}"));
            Ok(Exit(ExitClass::Unverified))
        }
        Err(error @ (ImportError::Outcome(_) | ImportError::InTheWay { .. })) => {
            Err(CommandError::refused(chain(&error)).hint("what is here stays as it is"))
        }
        Err(error) => Err(CommandError::failed(&error)),
    }
}

/// Returns the id of the trusted key that is meant.
fn find_key(home: &Home, named: &str) -> Result<String, CommandError> {
    let keys = Keys::open(home)
        .and_then(|keys| keys.list())
        .map_err(|error| CommandError::failed(&error))?;
    let mut found = keys.into_iter().filter(|key| {
        key.name.as_deref() == Some(named) || key.keyid == named || (named.len() >= 8 && key.keyid.starts_with(named))
    });
    let shown = cto_schema::escape(named.as_bytes(), 100);
    match (found.next(), found.next()) {
        (Some(key), None) => Ok(key.keyid),
        (Some(_), Some(_)) => Err(CommandError::usage(format!(
            "'{shown}' names more than one trusted key; type its id"
        ))),
        (None, _) => Err(CommandError::usage(format!("'{shown}' is no key that is trusted here"))
            .hint("cto key show lists them; cto key trust FILE adds one")),
    }
}

fn say(imported: &Imported, output: &Output) -> Exit {
    match imported {
        Imported::Taken { entry, path } => {
            if output.json() {
                output.document(&json!({
                    "ok": true, "run_id": entry.run_id, "already_here": false, "path": path, "import": entry,
                }));
            } else {
                output.print(&format!(
                    "{}  {}  {}\n",
                    output.paint("32", "✔ imported"),
                    entry.run_id,
                    whence(entry)
                ));
            }
            Exit(ExitClass::Pass)
        }
        Imported::Already { run_id, path } => {
            if output.json() {
                output.document(&json!({ "ok": true, "run_id": run_id, "already_here": true, "path": path }));
            } else {
                output.print(&format!("✔ {run_id} is here already, byte for byte\n"));
            }
            Exit(ExitClass::Pass)
        }
        Imported::Refused { run_id, reasons } => {
            if output.json() {
                let rows: Vec<_> = reasons
                    .iter()
                    .map(|reason| json!({ "code": reason.code.word(), "detail": reason.detail }))
                    .collect();
                output.document(&json!({ "ok": false, "run_id": run_id, "reasons": rows }));
            } else {
                output.print(&format!("{}  {run_id}\n", output.paint("31", "✘ not imported")));
                for reason in reasons {
                    output.print(&format!("  {}  {}\n", reason.code.word(), reason.detail));
                }
            }
            Exit(if reasons.iter().any(|reason| reason.code.is_about_evidence()) {
                ExitClass::Unverified
            } else {
                ExitClass::BlockedBefore
            })
        }
    }
}

/// Says whence an imported run is.
pub(super) fn whence(entry: &ImportEntry) -> String {
    format!(
        "from {} (key {:.16}…), imported {}",
        cto_schema::escape(entry.origin_name.as_bytes(), 100),
        entry.origin_keyid,
        entry.imported_at
    )
}

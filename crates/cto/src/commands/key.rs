//! `cto key`: signing keys.

use cto_evidence::Keys;
use cto_runner::Links;
use cto_schema::ExitClass;
use serde_json::json;

use crate::cli::{Global, KeyAction};
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};

/// Longest public key file; a key has about 120 bytes.
const MAX_KEY_BYTES: u64 = 64 << 10;

pub(super) fn key(global: &Global, action: &KeyAction, output: &Output) -> Result<Exit, CommandError> {
    let home = installation::open_home(global)?;
    let failed = |error: cto_evidence::KeyError| CommandError::failed(&error);
    let keys = Keys::open(&home).map_err(failed)?;
    match action {
        KeyAction::Create => {
            let signer = keys.ensure_signing_key().map_err(failed)?;
            said(output, "signing key", signer.keyid());
        }
        KeyAction::Rotate => {
            let signer = keys.rotate().map_err(failed)?;
            said(output, "new signing key", signer.keyid());
        }
        KeyAction::Trust { file, name } => {
            // Whoever can change it decides whose evidence is believed from now on.
            let pem = cto_runner::read_authority(file, Links::Refused, MAX_KEY_BYTES)
                .map_err(|error| CommandError::usage(crate::error::chain(&error)))?;
            let keyid = keys.trust(&pem, name.as_deref()).map_err(failed)?;
            said(output, "trusted key", &keyid);
        }
        KeyAction::Show => show(&keys, output)?,
    }
    Ok(Exit(ExitClass::Pass))
}

fn said(output: &Output, what: &str, keyid: &str) {
    if output.json() {
        output.document(&json!({ "keyid": keyid }));
    } else {
        output.print(&format!("{what} {keyid}\n"));
    }
}

fn show(keys: &Keys, output: &Output) -> Result<(), CommandError> {
    let failed = |error: cto_evidence::KeyError| CommandError::failed(&error);
    keys.ensure_signing_key().map_err(failed)?;
    let pem = keys.signing_pem().map_err(failed)?;
    let trusted = keys.list().map_err(failed)?;
    if output.json() {
        let rows: Vec<_> = trusted
            .iter()
            .map(|key| json!({ "keyid": key.keyid, "name": key.name, "signing": key.is_signing, "retired_at": key.retired_at }))
            .collect();
        output.document(&json!({ "public_key_pem": pem, "trusted": rows }));
        return Ok(());
    }
    output.print(&pem);
    for key in &trusted {
        let role = if key.is_signing { "signing" } else { "trusted" };
        output.note(&format!("{role}  {}  {}", key.keyid, key.name.as_deref().unwrap_or("")));
    }
    Ok(())
}

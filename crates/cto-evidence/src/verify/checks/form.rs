//! Checks of form: files, `SHA256SUMS` and digests.

use std::collections::BTreeMap;

use cto_schema::Sha256Digest;

use crate::bundle::name_problem;
use crate::verify::{Context, Finding, yes};

const SUMS: &str = "SHA256SUMS";
const SEAL: &str = "attestation.dsse.json";

/// Regular files with plain names, and nothing else.
pub(super) fn files(context: &Context<'_>) -> Finding {
    let bundle = context.bundle;
    if !bundle.problems.is_empty() {
        return Err(bundle.problems.join("; "));
    }
    yes(format!("{} regular files", bundle.files().len()))
}

/// `SHA256SUMS` is well formed, sorted, and lists exactly the files that are there.
pub(super) fn manifest(context: &Context<'_>) -> Finding {
    let listed = sums(context)?;
    let bundle = context.bundle;
    if let Some(name) = listed.keys().find(|name| !bundle.files().contains_key(**name)) {
        return Err(format!("'{name}' is listed and not there"));
    }
    let unlisted = bundle
        .files()
        .keys()
        .find(|name| !listed.contains_key(name.as_str()) && ![SUMS, SEAL].contains(&name.as_str()));
    if let Some(name) = unlisted {
        return Err(format!("'{name}' is there and not listed"));
    }
    yes(format!("{} files listed, none missing, none unlisted", listed.len()))
}

/// Every file has the digest that `SHA256SUMS` lists.
pub(super) fn digests(context: &Context<'_>) -> Finding {
    let listed = sums(context)?;
    let mut bytes = 0;
    for (name, digest) in &listed {
        let Some(file) = context.bundle.files().get(*name) else {
            return Err(format!("'{name}' is missing"));
        };
        if file.digest != *digest {
            return Err(format!("'{name}' was changed after the manifest was made"));
        }
        bytes += file.size_bytes;
    }
    yes(format!("{} files, {bytes} bytes", listed.len()))
}

fn sums<'a>(context: &Context<'a>) -> Result<BTreeMap<&'a str, Sha256Digest>, String> {
    let bytes = context.bundle.document(SUMS).ok_or("SHA256SUMS is missing")?;
    let text = std::str::from_utf8(bytes).map_err(|_| "SHA256SUMS is not UTF-8")?;
    let mut listed = BTreeMap::new();
    let mut last = "";
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let (name, digest) = sums_line(line).map_err(|what| format!("line {}: {what}", index + 1))?;
        // Sorted by bytes and without duplicates is one condition: strictly ascending.
        if name <= last {
            return Err(format!("line {}: '{name}' is out of order or listed twice", index + 1));
        }
        last = name;
        listed.insert(name, digest);
    }
    Ok(listed)
}

/// Reads `<64 hex digits>  <name>\n`: text mode, two blanks, as `sha256sum` writes it.
fn sums_line(line: &str) -> Result<(&str, Sha256Digest), String> {
    let line = line.strip_suffix('\n').ok_or("it does not end with a newline")?;
    let (hex, name) = line.split_once("  ").ok_or("it is not '<digest>  <name>'")?;
    let digest = Sha256Digest::from_hex(hex).ok_or("the digest is not 64 lower-case hex digits")?;
    if let Some(what) = name_problem(name.as_bytes()) {
        return Err(format!("'{name}' {what}"));
    }
    if [SUMS, SEAL].contains(&name) {
        return Err(format!("'{name}' cannot list itself or its seal"));
    }
    Ok((name, digest))
}

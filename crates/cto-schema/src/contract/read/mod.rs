//! Reading a contract file: strict, and with errors that name line and field.

use super::TaskContract;
use crate::nearest::explain_yaml;
use crate::untrusted::escape;
use crate::version::{SchemaId, check_schema};

/// The largest contract file, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// Why a contract was refused. The caller adds the file.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// Over the size limit.
    #[error("the contract has {size} bytes, {MAX_BYTES} are allowed")]
    TooLarge {
        /// Bytes seen.
        size: usize,
    },
    /// Not UTF-8, or with a byte order mark.
    #[error("the contract is not UTF-8 without a byte order mark")]
    Encoding,
    /// Not YAML or JSON, a duplicate key, an unknown or missing field, or a wrong type.
    #[error("{0}")]
    Syntax(String),
    /// A field's value is wrong.
    #[error("{}field '{field}': {reason}", line.map(|l| format!("line {l}: ")).unwrap_or_default())]
    Field {
        /// The first line that names the field.
        line: Option<usize>,
        /// The field.
        field: String,
        /// What is wrong and how to mend it.
        reason: String,
    },
}

/// Parses a contract from YAML 1.2 or JSON bytes and checks every field's value.
///
/// Nothing is repaired: a path that is not in canonical form is refused rather than normalised, so that the text a
/// human reviewed is the text that is enforced.
pub fn parse_contract(bytes: &[u8]) -> Result<TaskContract, ContractError> {
    if bytes.len() > MAX_BYTES {
        return Err(ContractError::TooLarge { size: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ContractError::Encoding)?;
    if text.starts_with('\u{feff}') {
        return Err(ContractError::Encoding);
    }
    let options = serde_saphyr::options! { strict_booleans: true };
    let contract: TaskContract = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| ContractError::Syntax(explain_yaml(&error.to_string())))?;
    check(&contract).map_err(|(field, reason)| {
        let line = text
            .lines()
            .position(|l| l.trim_start().trim_start_matches('"').starts_with(field));
        ContractError::Field {
            line: line.map(|l| l + 1),
            field: field.to_owned(),
            reason,
        }
    })?;
    Ok(contract)
}

type FieldError = (&'static str, String);

fn check(contract: &TaskContract) -> Result<(), FieldError> {
    check_schema(&contract.schema, SchemaId::CONTRACT).map_err(|e| ("schema", e.to_string()))?;
    let id_ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if contract.task_id.is_empty() || contract.task_id.len() > 64 || !contract.task_id.bytes().all(id_ok) {
        return Err((
            "task_id",
            "use 1 to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'".to_owned(),
        ));
    }
    for (field, text) in [("title", &contract.title), ("brief", &contract.brief)] {
        if text.trim().is_empty() {
            return Err((field, "it is empty; say what the task is".to_owned()));
        }
    }
    if contract.allowed_paths.is_empty() {
        return Err((
            "allowed_paths",
            "it is empty; name at least one path that may change".to_owned(),
        ));
    }
    if contract.forbidden_actions.is_empty() {
        return Err((
            "forbidden_actions",
            "it is empty; list at least 'push' (all ten of the defaults hold)".to_owned(),
        ));
    }
    if contract.success_criteria.iter().all(|c| c.trim().is_empty()) {
        return Err((
            "success_criteria",
            "it is empty; say what must be true afterwards".to_owned(),
        ));
    }
    for (field, patterns) in [
        ("allowed_paths", &contract.allowed_paths),
        ("forbidden_paths", &contract.forbidden_paths),
        ("scratch_paths", &contract.scratch_paths),
        ("verification_inputs", &contract.verification_inputs),
    ] {
        for pattern in patterns {
            check_pattern(pattern).map_err(|reason| (field, reason))?;
        }
    }
    check_commands(contract)?;
    check_exceptions(contract)?;
    check_layers(contract)?;
    check_numbers(contract)
}

/// Refuses a pattern that is not canonical: threat model 2.1, "case folding, look-alikes, `..` in the contract".
fn check_pattern(pattern: &str) -> Result<(), String> {
    let shown = escape(pattern.as_bytes(), 120);
    let say = |reason: &str| Err(format!("'{shown}' {reason}"));
    if pattern.is_empty() {
        return say("is empty");
    }
    if pattern.starts_with('/') {
        return say("is absolute; paths are relative to the repository root");
    }
    if pattern.starts_with('!') {
        return say("starts with '!'; negation does not exist, use forbidden_paths");
    }
    if pattern.contains('\\') || escape(pattern.as_bytes(), usize::MAX) != *pattern {
        return say("has a backslash, a control or an invisible character");
    }
    // Two spellings of one name would look the same to the reviewer and be two paths to the kernel.
    if !unicode_normalization::is_nfc(pattern) {
        return say("is not in Unicode normal form C; write the composed form");
    }
    let body = pattern.strip_suffix('/').unwrap_or(pattern);
    for part in body.split('/') {
        match part {
            "" => return say("has an empty component ('//')"),
            "." | ".." => return say("has a '.' or '..' component; write the plain path"),
            part if part.ends_with('.') || part.ends_with(' ') => {
                return say("has a component that ends with a dot or a space");
            }
            _ => {}
        }
    }
    if body.len() > 1024 {
        return say("is longer than 1024 bytes");
    }
    globset::GlobBuilder::new(body)
        .literal_separator(true)
        .build()
        .map_err(|e| format!("'{shown}': {}", e.kind()))?;
    Ok(())
}

fn check_commands(contract: &TaskContract) -> Result<(), FieldError> {
    for argv in &contract.verification_commands {
        if argv.first().is_none_or(String::is_empty) {
            return Err((
                "verification_commands",
                "a command is empty; write it as [program, argument, …]".to_owned(),
            ));
        }
        if argv.len() == 1 && argv[0].contains(char::is_whitespace) {
            let reason = format!(
                "'{}' looks like a shell line; write a list of words, or ask for a shell: [sh, -c, '…']",
                escape(argv[0].as_bytes(), 120)
            );
            return Err(("verification_commands", reason));
        }
        if argv.iter().any(|word| word.contains('\0')) {
            return Err(("verification_commands", "a word holds a NUL character".to_owned()));
        }
    }
    match &contract.no_test_rationale {
        Some(_) if !contract.verification_commands.is_empty() => Err((
            "no_test_rationale",
            "it stands beside verification_commands; keep one of the two".to_owned(),
        )),
        Some(text) if text.trim().is_empty() => Err(("no_test_rationale", "it is empty; say why".to_owned())),
        _ => Ok(()),
    }
}

fn check_exceptions(contract: &TaskContract) -> Result<(), FieldError> {
    const FIELD: &str = "forbidden_path_exceptions";
    for exception in &contract.forbidden_path_exceptions {
        let path = &exception.path;
        let shown = escape(path.as_bytes(), 120);
        if !super::DEFAULT_FORBIDDEN_PATHS.contains(&path.as_str()) {
            return Err((FIELD, format!("'{shown}' is not one of the default forbidden paths")));
        }
        if path == ".git/" {
            return Err((FIELD, "'.git/' can never be excepted".to_owned()));
        }
        if !contract.allowed_paths.contains(path) {
            return Err((
                FIELD,
                format!("'{shown}' must also be named in allowed_paths, letter by letter"),
            ));
        }
        if exception.reason.trim().is_empty() {
            return Err((FIELD, format!("'{shown}' has no reason")));
        }
    }
    Ok(())
}

fn check_layers(contract: &TaskContract) -> Result<(), FieldError> {
    use std::path::Component;
    for layer in &contract.dependency_layers {
        let clean = layer
            .mount
            .components()
            .skip(1)
            .all(|c| matches!(c, Component::Normal(_)));
        if !layer.mount.is_absolute() || !clean || layer.mount.components().count() < 2 {
            return Err((
                "dependency_layers",
                format!(
                    "layer '{}': mount must be an absolute path",
                    escape(layer.name.as_bytes(), 60)
                ),
            ));
        }
        if layer.mount.starts_with("/workspace/.git") || layer.mount == std::path::Path::new("/workspace") {
            return Err((
                "dependency_layers",
                "a layer cannot cover the workspace or its .git".to_owned(),
            ));
        }
    }
    Ok(())
}

fn check_numbers(contract: &TaskContract) -> Result<(), FieldError> {
    let (t, l) = (&contract.timeouts, &contract.limits);
    if t.engine_seconds == 0 || t.verification_seconds == 0 {
        return Err((
            "timeouts",
            "a limit of 0 seconds stops everything; give at least 1".to_owned(),
        ));
    }
    if [l.processes, l.memory_mib, l.disk_mib, l.files, l.file_mib, l.output_mib].contains(&0) {
        return Err(("limits", "a limit of 0 stops everything; give at least 1".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

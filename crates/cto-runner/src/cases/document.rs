//! Reading and judging `case.yaml`: strict, and with every problem named at once.

use std::collections::BTreeSet;

use cto_schema::{Case, DEFAULT_FORBIDDEN_PATHS, escape};
use globset::{GlobBuilder, GlobMatcher};

use super::{CaseFile, CaseFileKind};

/// The largest `case.yaml`, in bytes; a reference edit is text, not data.
const MAX_BYTES: usize = 1024 * 1024;

/// Parses a document; unknown fields and duplicate keys are errors.
pub(super) fn parse(bytes: &[u8]) -> Result<Case, String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!("case.yaml has {} bytes, {MAX_BYTES} are allowed", bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "case.yaml is not UTF-8; save it as UTF-8".to_owned())?;
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        format!(
            "case.yaml: {}",
            escape(error.to_string().lines().next().unwrap_or_default().as_bytes(), 400)
        )
    })
}

/// Returns everything that is wrong with a case and its fixture.
pub(super) fn problems(case: &Case, files: &[CaseFile]) -> Vec<String> {
    let mut found = Vec::new();
    identity(case, &mut found);
    commands(case, &mut found);
    paths(case, files, &mut found);
    edits(case, files, &mut found);
    found
}

pub(super) fn identity(case: &Case, found: &mut Vec<String>) {
    let id_ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if case.case_id.is_empty() || case.case_id.len() > 36 || !case.case_id.bytes().all(id_ok) {
        let shown = escape(case.case_id.as_bytes(), 80);
        found.push(format!(
            "case_id '{shown}' is not 1 to 36 of a-z, 0-9 and '-'; rename it"
        ));
    }
    for (field, text) in [
        ("title", &case.title),
        ("task", &case.task),
        ("language", &case.language),
    ] {
        if text.trim().is_empty() {
            found.push(format!("{field} is empty; fill it in"));
        }
    }
    if case.title.contains('\n') {
        found.push("title has more than one line; shorten it".to_owned());
    }
}

fn commands(case: &Case, found: &mut Vec<String>) {
    if case.verification.is_empty() {
        found.push("verification is empty; name at least one command, as [program, argument, …]".to_owned());
    }
    for (at, argv) in case.verification.iter().enumerate() {
        if argv.first().is_none_or(String::is_empty) || argv.iter().any(|word| word.contains('\0')) {
            found.push(format!(
                "verification {} is no command; write it as [program, argument, …]",
                at + 1
            ));
        }
    }
}

fn paths(case: &Case, files: &[CaseFile], found: &mut Vec<String>) {
    if case.allowed_writes.is_empty() {
        found.push("allowed_writes is empty; name at least one path that may change".to_owned());
    }
    for (field, patterns) in [
        ("allowed_writes", &case.allowed_writes),
        ("verification_inputs", &case.verification_inputs),
    ] {
        for pattern in patterns {
            if glob(pattern).is_none() {
                found.push(format!(
                    "{field}: '{}' is no relative path or glob",
                    escape(pattern.as_bytes(), 120)
                ));
            }
        }
    }
    for pattern in &case.verification_inputs {
        let Some(glob) = glob(pattern) else { continue };
        if !files
            .iter()
            .any(|file| glob.is_match(String::from_utf8_lossy(&file.path).as_ref()))
        {
            found.push(format!(
                "verification_inputs: nothing in the fixture is '{}'",
                escape(pattern.as_bytes(), 120)
            ));
        }
    }
    if case.expected_change.is_empty() {
        found.push("expected_change is empty; name the files that an accepted change touches".to_owned());
    }
    for path in &case.expected_change {
        let shown = escape(path.as_bytes(), 120);
        if !allowed(case, path) {
            found.push(format!("expected_change: '{shown}' is not covered by allowed_writes"));
        }
    }
    if files.is_empty() {
        found.push("the fixture is empty; put the files of the task in fixture/".to_owned());
    }
    found.extend(forbidden_files(files));
}

/// Returns what is wrong with the names of a fixture.
pub(super) fn forbidden_files(files: &[CaseFile]) -> Vec<String> {
    let bad = files.iter().filter(|file| is_forbidden(&file.path));
    bad.map(|file| {
        let shown = escape(&file.path, 200);
        format!("fixture: '{shown}' is a path that every contract forbids; leave it out")
    })
    .collect()
}

fn edits(case: &Case, files: &[CaseFile], found: &mut Vec<String>) {
    let edited: BTreeSet<&String> = case.reference_edit.keys().collect();
    let expected: BTreeSet<&String> = case.expected_change.iter().collect();
    if edited != expected {
        found.push("reference_edit and expected_change name different files; make them the same".to_owned());
    }
    for (path, content) in &case.reference_edit {
        let shown = escape(path.as_bytes(), 120);
        let same = files
            .iter()
            .any(|file| file.path == path.as_bytes() && file.bytes == content.as_bytes());
        if same {
            found.push(format!(
                "reference_edit: '{shown}' is as in the fixture; it must change"
            ));
        }
        if files
            .iter()
            .any(|file| file.path == path.as_bytes() && file.kind == CaseFileKind::Link)
        {
            found.push(format!(
                "reference_edit: '{shown}' is a symbolic link; name the file itself"
            ));
        }
        if !is_plain(path) {
            found.push(format!("reference_edit: '{shown}' is no plain relative path"));
        }
    }
}

/// Returns whether `allowed_writes` covers a path.
fn allowed(case: &Case, path: &str) -> bool {
    case.allowed_writes
        .iter()
        .filter_map(|pattern| glob(pattern))
        .any(|glob| glob.is_match(path))
}

fn glob(pattern: &str) -> Option<GlobMatcher> {
    if !is_plain(pattern.strip_suffix('/').unwrap_or(pattern)) {
        return None;
    }
    let whole = pattern
        .strip_suffix('/')
        .map_or_else(|| pattern.to_owned(), |directory| format!("{directory}/**"));
    Some(
        GlobBuilder::new(&whole)
            .literal_separator(true)
            .build()
            .ok()?
            .compile_matcher(),
    )
}

fn is_plain(path: &str) -> bool {
    !path.contains('\\')
        && escape(path.as_bytes(), usize::MAX) == path
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
}

fn is_forbidden(path: &[u8]) -> bool {
    // A dependency lock is no secret: a fixture may hold one, and the contract keeps it from changing.
    const LOCKS: [&str; 3] = ["package-lock.json", "pnpm-lock.yaml", "yarn.lock"];
    let path = String::from_utf8_lossy(path);
    let rules = DEFAULT_FORBIDDEN_PATHS.iter().filter(|rule| !LOCKS.contains(rule));
    rules.into_iter().any(|rule| match rule.strip_suffix('/') {
        Some(directory) => {
            path == directory
                || path.starts_with(rule)
                || (!directory.contains('/') && path.contains(&format!("/{rule}")))
        }
        None => {
            let name = path.rsplit('/').next().unwrap_or(&path);
            rule.strip_suffix(".*")
                .map_or(name == *rule, |stem| name.starts_with(&format!("{stem}.")))
        }
    })
}

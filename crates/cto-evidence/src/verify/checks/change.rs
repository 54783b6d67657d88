//! Checks of the change: patch, write set and scope must tell one story.

use cto_policy::Scope;
use cto_schema::{Change, ChangeKind, EntryState, Status};

use super::documents::differing;
use crate::verify::{Context, Finding, PatchedPath, not_applicable, yes};

fn patch<'a>(context: &'a Context<'_>) -> Result<Option<&'a [PatchedPath]>, String> {
    let Some(file) = context.bundle.files().get("patch.diff") else {
        return Ok(None);
    };
    let scan = file.patch.as_ref().ok_or("patch.diff was not read")?;
    scan.paths()
        .map(Some)
        .map_err(|error| format!("patch.diff is not a plain git patch: {error}"))
}

/// A patch that lost a secret to redaction need not parse; such a run is never a pass.
fn redacted(context: &Context<'_>) -> Result<bool, String> {
    Ok(context
        .observations()?
        .secrets
        .iter()
        .any(|secret| secret.artifact == "patch.diff"))
}

/// Why patch and write set cannot be held together: only one of the two became durable.
fn half_collected(context: &Context<'_>) -> Result<Option<&'static str>, String> {
    if context.unwritten("patch.diff")? {
        return Ok(Some("patch.diff could not be written, and the verdict says so"));
    }
    if context.unwritten("write-set.json")? {
        return Ok(Some("write-set.json could not be written, and the verdict says so"));
    }
    let empty = context
        .bundle
        .files()
        .get("patch.diff")
        .is_none_or(|file| file.size_bytes == 0);
    let cut = context.report()?.status != Status::Pass && !context.reached("collected")?;
    Ok((empty && cut).then_some("the run was interrupted while the change was collected"))
}

/// `patch.diff` touches exactly `changed_files`, which are exactly the write set.
pub(super) fn patch_paths(context: &Context<'_>) -> Finding {
    let report = context.report()?;
    let half = half_collected(context)?;
    let paths = match patch(context) {
        Ok(Some(paths)) => paths,
        Ok(None) if report.changed_files.is_empty() => {
            return not_applicable("the run made no patch");
        }
        Ok(None) if half.is_some() => return not_applicable(half.unwrap_or_default()),
        Ok(None) => {
            return Err("patch.diff is missing and report.json lists changed files".to_owned());
        }
        Err(_) if redacted(context)? => {
            return not_applicable("a secret was redacted from patch.diff, so its form cannot be held");
        }
        Err(error) => return Err(error),
    };
    if let Some(limit) = context
        .write_set()?
        .and_then(|set| set.truncated.as_ref())
        .filter(|_| paths.is_empty())
    {
        return not_applicable(format!(
            "the write set is incomplete ({limit}), so there is no patch of it"
        ));
    }
    let Some(write_set) = context.write_set()? else {
        return if let Some(why) = half.filter(|_| !report.changed_files.is_empty()) {
            not_applicable(why)
        } else if paths.is_empty() && report.changed_files.is_empty() {
            yes("nothing changed")
        } else {
            Err("paths changed and there is no write set".to_owned())
        };
    };
    if report.changed_files != write_set.changed_files() {
        return Err("changed_files differ from the paths of write-set.json".to_owned());
    }
    if let Some(why) = half.filter(|_| paths.is_empty() && !write_set.changes.is_empty()) {
        return not_applicable(why);
    }
    let mut touched: Vec<&PatchedPath> = paths.iter().collect();
    touched.sort_by(|a, b| a.path.cmp(&b.path));
    for (touched, change) in touched.iter().zip(&write_set.changes) {
        agree(touched, change)?;
    }
    if touched.len() != write_set.changes.len() {
        return Err(format!(
            "patch.diff touches {} paths and write-set.json lists {}",
            touched.len(),
            write_set.changes.len()
        ));
    }
    yes(format!(
        "{} changed paths, the same in patch, write set and report",
        touched.len()
    ))
}

fn agree(touched: &PatchedPath, change: &Change) -> Result<(), String> {
    let shown = change.path.shown();
    let mode = |side: &Option<EntryState>| side.as_ref().map(|entry| entry.kind.git_mode());
    // A patch may leave a mode unsaid only where it does not change.
    let said = |patch: &Option<String>, written: Option<&str>| {
        patch.is_none() && touched.kind == ChangeKind::Modified || patch.as_deref() == written
    };
    let (before, after) = (mode(&change.before), mode(&change.after));
    let unsaid = touched.old_mode.is_none() && touched.new_mode.is_none();
    differing(&[
        ("path", change.path.bytes().as_deref() == Some(&touched.path)),
        ("kind of change", touched.kind == change.kind),
        ("mode before", said(&touched.old_mode, before)),
        ("mode after", said(&touched.new_mode, after)),
        ("unsaid mode", !unsaid || before == after),
    ])
    .map_err(|error| format!("patch.diff and write-set.json at '{shown}': {error}"))
}

/// Digests of added and deleted text files, recomputed from the patch.
pub(super) fn patch_content(context: &Context<'_>) -> Finding {
    if redacted(context)? {
        return not_applicable("a secret was redacted from patch.diff");
    }
    let (Some(paths), Some(write_set)) = (patch(context)?, context.write_set()?) else {
        return not_applicable("the run made no patch");
    };
    let (mut recomputed, mut rest) = (0, 0);
    for touched in paths {
        let change = write_set
            .changes
            .iter()
            .find(|change| change.path.bytes().as_deref() == Some(&touched.path))
            .ok_or("patch.diff touches a path that write-set.json does not list")?;
        let sides = [
            (touched.added_digest, change.after.as_ref()),
            (touched.deleted_digest, change.before.as_ref()),
        ];
        let mut any = false;
        for (digest, entry) in sides {
            let Some(digest) = digest else { continue };
            any = true;
            if entry.map(|entry| entry.digest) != Some(digest) {
                return Err(format!(
                    "the content of '{}' in patch.diff is not the one in write-set.json",
                    change.path.shown()
                ));
            }
        }
        if any { recomputed += 1 } else { rest += 1 }
    }
    let rest = format!("{rest} modified or binary files need the baseline");
    if recomputed == 0 {
        return not_applicable(format!("no text file was added or deleted; {rest}"));
    }
    yes(format!("{recomputed} added or deleted text files recomputed; {rest}"))
}

/// The write set is sorted, each change has the sides that its kind needs, and the report counts the same.
pub(super) fn write_set(context: &Context<'_>) -> Finding {
    let Some(write_set) = context.write_set()? else {
        return not_applicable("no write set was collected");
    };
    let mut last: Option<Vec<u8>> = None;
    for change in &write_set.changes {
        let path = change.path.bytes().ok_or("a path is not base64")?;
        let shown = change.path.shown();
        if last.as_ref().is_some_and(|last| *last >= path) {
            return Err(format!("'{shown}' is out of order or listed twice"));
        }
        let sides = match change.kind {
            ChangeKind::Added => change.before.is_none() && change.after.is_some(),
            ChangeKind::Deleted => change.before.is_some() && change.after.is_none(),
            ChangeKind::Modified => change.before.is_some() && change.after.is_some() && change.before != change.after,
        };
        if !sides {
            return Err(format!(
                "'{shown}' does not have the states that its kind of change needs"
            ));
        }
        last = Some(path);
    }
    let patch_exists = context
        .bundle
        .files()
        .get("patch.diff")
        .is_some_and(|file| file.size_bytes > 0);
    if context.observations()?.patch_exists != patch_exists && half_collected(context)?.is_none() {
        return Err("the observations and patch.diff disagree on whether there is a patch".to_owned());
    }
    let blobs = write_set.changes.iter().filter(|change| change.after.is_some()).count();
    yes(format!(
        "{} changes, {blobs} files in the final tree",
        write_set.changes.len()
    ))
}

/// `allowed_writes_passed` and `forbidden_paths_passed` follow from contract and write set.
pub(super) fn scope(context: &Context<'_>) -> Finding {
    let report = context.report()?;
    let stated = (report.allowed_writes_passed, report.forbidden_paths_passed);
    let (Some(write_set), Some(contract)) = (context.write_set()?, context.contract()?) else {
        return if context.unwritten("write-set.json")? || context.unwritten("contract.json")? {
            not_applicable("what the paths were judged by could not be written")
        } else if stated == (None, None) {
            not_applicable("no change was collected")
        } else {
            Err("the report judges paths although no change was collected".to_owned())
        };
    };
    let scope = Scope::of(contract).map_err(|error| error.to_string())?;
    let (outside, forbidden) = scope.violations(&write_set.changes);
    // An unsafe entry is a violation of its own, which a report may count as a write that is not allowed.
    let unsafe_entry = !write_set.unsafe_entries.is_empty();
    let follows = |stated: Option<bool>, holds: bool| stated == Some(holds) || (unsafe_entry && stated == Some(false));
    differing(&[
        ("allowed_writes_passed", follows(stated.0, outside.is_empty())),
        ("forbidden_paths_passed", follows(stated.1, forbidden.is_empty())),
    ])?;
    match outside.first().or(forbidden.first()) {
        None => yes(format!("{} changed paths, all allowed", write_set.changes.len())),
        Some(path) => yes(format!("recomputed: '{path}' is not allowed, and the report says so")),
    }
}

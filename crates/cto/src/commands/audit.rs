//! `cto audit`: each law and requirement, and the bundles that prove it.

use cto_runner::audit as audit_now;
use cto_schema::{Audit, AuditStatus, CompletionStatus, ExitClass};

use crate::cli::Global;
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};
use crate::progress::Progress;

pub(super) fn audit(global: &Global, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open_without_git(global)?;
    let progress = Progress::new(!output.json());
    let audited = audit_now(&harness, &|what, more| progress.set(what, more));
    progress.finish();
    let audited = audited.map_err(|error| CommandError::failed(&error))?;
    if output.json() {
        output.document(&audited);
    } else {
        print(&audited, output);
    }
    let complete = audited.completion_status == CompletionStatus::Complete;
    Ok(Exit(if complete { ExitClass::Pass } else { ExitClass::Fail }))
}

fn print(audited: &Audit, output: &Output) {
    let shown = |text: &str| cto_schema::escape(text.as_bytes(), 400);
    let mut proven = 0;
    for line in &audited.lines {
        let is_proven = line.status == AuditStatus::Proven;
        proven += usize::from(is_proven);
        let (mark, color) = if is_proven { ("✔", "32") } else { ("✘", "31") };
        output.print(&format!(
            "{} {:<42} {}\n",
            output.paint(color, mark),
            line.id,
            line.text
        ));
        for proof in line
            .proven_by
            .iter()
            .filter(|proof| is_proven && !proof.path.is_empty())
        {
            output.print(&format!("    {:<50} {}\n", proof.need, shown(&proof.path)));
        }
        for missing in &line.missing {
            output.print(&format!("    missing: {}\n", shown(missing)));
        }
    }
    for failed in &audited.bundles_failed {
        output.print(&format!(
            "{} {} does not verify\n",
            output.paint("31", "✘"),
            shown(failed)
        ));
    }
    output.print(&format!(
        "{proven} of {} are proven by {} bundles\n",
        audited.lines.len(),
        audited.bundles_checked
    ));
}

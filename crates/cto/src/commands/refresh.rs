//! `cto refresh`: accepted runs checked again for repeatability, as a sealed document.

use cto_evidence::Home;
use cto_runner::{Decided, PinRequest, RefreshRequest, prose_of, refresh as refresh_now};
use cto_schema::{DocumentKind, ExitClass, FreshnessWord, RepeatabilityRefresh, RunId, Status};
use serde_json::json;

use crate::cli::Global;
use crate::cli_decide::{PinArgument, RefreshArgs};
use crate::error::{CommandError, chain};
use crate::find::{bundle_of, document_id};
use crate::installation;
use crate::output::{Exit, Output};
use crate::progress::Progress;

pub(super) fn refresh(global: &Global, args: &RefreshArgs, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    if let Some(candidate) = &args.candidate {
        harness
            .engines
            .find(candidate)
            .map_err(|error| CommandError::usage(chain(&error)).hint("cto engines lists the engines"))?;
    }
    let comparison: Option<RunId> = args
        .comparison
        .as_deref()
        .map(|typed| document_id(&harness.home, typed, DocumentKind::Comparison))
        .transpose()?;
    let request = RefreshRequest {
        pins: args.pin.iter().map(|pin| resolve(&harness.home, pin)).collect(),
        candidate: args.candidate.clone(),
        comparison,
        prose: args
            .prose
            .as_deref()
            .map(prose_of)
            .transpose()
            .map_err(CommandError::usage)?,
    };
    let progress = Progress::new(!output.json());
    let decided = refresh_now(&harness, &request, &|what, more| progress.set(what, more));
    progress.finish();
    let decided = decided.map_err(|error| CommandError::failed(&error))?;
    if output.json() {
        output.document(&json!({
            "refresh": decided.document,
            "path": decided.sealed.path,
            "manifest_digest": decided.sealed.manifest_digest,
        }));
    } else {
        print(&decided, output);
    }
    Ok(Exit(match decided.document.repeatability_status {
        Status::Pass => ExitClass::Pass,
        Status::Fail => ExitClass::Fail,
        Status::Blocked => ExitClass::BlockedBefore,
    }))
}

/// A pin that names nothing is a pin all the same: the document says that nothing is there.
fn resolve(home: &Home, pin: &PinArgument) -> PinRequest {
    let typed = std::path::PathBuf::from(&pin.run);
    let path = if typed.exists() {
        typed
    } else {
        bundle_of(home, &pin.run).unwrap_or_else(|_| home.runs().join("no-such-run").join(&pin.run))
    };
    PinRequest {
        path,
        case_id: pin.case_id.clone(),
        target_commit: pin.target_commit.clone(),
        changed_files: pin.changed_files.clone(),
    }
}

fn print(decided: &Decided<RepeatabilityRefresh>, output: &Output) {
    let document = &decided.document;
    let shown = |text: &str| cto_schema::escape(text.as_bytes(), 400);
    for pass in &document.real_stage5_passes {
        let (mark, color) = if pass.counted { ("✔", "32") } else { ("✘", "31") };
        output.print(&format!(
            "{} {}  {}  {}\n",
            output.paint(color, mark),
            shown(&pass.run_id),
            shown(&pass.case_id),
            pass.changed_files
                .iter()
                .map(|file| shown(file))
                .collect::<Vec<_>>()
                .join(", ")
        ));
    }
    for from in document
        .approval_provenance
        .iter()
        .filter_map(|one| one.provenance.as_ref())
    {
        output.print(&format!(
            "  approved by {} ({}), packet {}\n",
            shown(&from.actor),
            from.approval_source.word(),
            shown(&from.packet_id)
        ));
    }
    let fresh = match document.source_admission_freshness {
        FreshnessWord::Fresh => "fresh",
        FreshnessWord::Stale => "stale",
        FreshnessWord::Unknown => "unknown",
    };
    output.print(&format!("  source admission: {fresh}\n"));
    output.print(&format!(
        "  targets: {}\n",
        shown(&document.target_read_only_check.detail)
    ));
    output.print(&format!(
        "  failure matrix: {}\n",
        shown(&document.failure_matrix_carry_forward.detail)
    ));
    against(document, output);
    let verdict = format!(
        "repeatability {}: {} of {} accepted runs count",
        document.repeatability_status.word(),
        document.repeatability_count,
        document.repeatability_required
    );
    output.print(&format!(
        "\n{}\n  refresh {}\n",
        output.paint("1", &verdict),
        document.refresh_id
    ));
    let twin = decided.sealed.path.join(DocumentKind::Refresh.markdown_file());
    output.note(&format!(
        "to read: {}",
        cto_schema::escape(twin.as_os_str().as_encoded_bytes(), 400)
    ));
    if document.repeatability_passed {
        output.note("next: cto packet create");
    }
}

/// What speaks against it, and where a prose says otherwise.
fn against(document: &RepeatabilityRefresh, output: &Output) {
    let shown = |text: &str| cto_schema::escape(text.as_bytes(), 400);
    for one in &document.rejections {
        let run = one
            .run_id
            .as_deref()
            .map(|run| format!("{}: ", shown(run)))
            .unwrap_or_default();
        output.print(&format!(
            "{} {:<28} {run}{}\n",
            output.paint("31", "✘"),
            one.code.name(),
            shown(&one.detail)
        ));
    }
    for one in &document.prose_mismatches {
        output.print(&format!(
            "{} prose, line {}: {} is '{}', and the proof says '{}'\n",
            output.paint("33", "▲"),
            one.line,
            one.field,
            shown(&one.prose),
            shown(&one.proof.join(", "))
        ));
    }
}

//! `cto packet`: what is put before Core, which decides.

use cto_evidence::documents;
use cto_runner::{PacketRefused, PacketRequest, make_decision_packet, read_checked};
use cto_schema::{DecisionPacket, DocumentKind, ExitClass, PromotionDecision};
use serde_json::json;

use crate::cli::Global;
use crate::cli_decide::{DecisionChoice, PacketAction, PacketCreateArgs};
use crate::error::{CommandError, chain};
use crate::find::document_id;
use crate::installation;
use crate::output::{Exit, Output};
use crate::progress::Progress;

pub(super) fn packet(global: &Global, action: &PacketAction, output: &Output) -> Result<Exit, CommandError> {
    match action {
        PacketAction::Create(args) => create(global, args, output),
        PacketAction::Show { packet } => show(global, packet.as_deref(), output),
    }
}

fn create(global: &Global, args: &PacketCreateArgs, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open_without_git(global)?;
    if args.resolver.trim().is_empty() || cto_schema::looks_like_a_secret(&args.resolver).is_some() {
        return Err(CommandError::usage(
            "the resolver is a name, which stands in the packet",
        ));
    }
    let named = |typed: &Option<String>, kind| typed.as_deref().map(|typed| document_id(&harness.home, typed, kind));
    let request = PacketRequest {
        refresh: named(&args.refresh, DocumentKind::Refresh).transpose()?,
        comparison: named(&args.comparison, DocumentKind::Comparison).transpose()?,
        resolver: cto_schema::escape(args.resolver.trim().as_bytes(), 200),
        decision: match args.decision {
            DecisionChoice::NotDecided => PromotionDecision::NotDecided,
            DecisionChoice::CorePromotionRequested => PromotionDecision::CorePromotionRequested,
            DecisionChoice::CorePromotionDeferred => PromotionDecision::CorePromotionDeferred,
        },
    };
    let progress = Progress::new(!output.json());
    let made = make_decision_packet(&harness, &request, &|what, more| progress.set(what, more));
    progress.finish();
    let made = made.map_err(|error| match &error {
        PacketRefused::NotVerified { .. } => CommandError {
            class: ExitClass::Unverified,
            text: chain(&error),
            hints: vec!["cto verify says what is wrong with each; a packet rests on what verifies".to_owned()],
        },
        PacketRefused::Missing { .. } => CommandError::refused(chain(&error)),
        PacketRefused::NotCarried { .. } => CommandError::refused(chain(&error))
            .hint("a packet without that decision can be made, and says what is missing"),
        PacketRefused::Read(_) | PacketRefused::Decide(_) => CommandError::failed(&error),
    })?;
    if output.json() {
        output.document(&json!({
            "packet": made.document,
            "path": made.sealed.path,
            "manifest_digest": made.sealed.manifest_digest,
        }));
    } else {
        told(&made.document, output);
        let twin = made.sealed.path.join(DocumentKind::Packet.markdown_file());
        output.note(&format!(
            "to read: {}",
            cto_schema::escape(twin.as_os_str().as_encoded_bytes(), 400)
        ));
    }
    Ok(Exit(ExitClass::Pass))
}

fn show(global: &Global, typed: Option<&str>, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open_without_git(global)?;
    let id = match typed {
        Some(typed) => document_id(&harness.home, typed, DocumentKind::Packet)?,
        None => documents(&harness.home, DocumentKind::Packet)
            .map_err(|error| CommandError::failed(&error))?
            .into_iter()
            .next()
            .ok_or_else(|| {
                CommandError::refused("there is no decision packet yet").hint("cto packet create makes one")
            })?,
    };
    let found = read_checked::<DecisionPacket>(&harness, DocumentKind::Packet, &id)
        .map_err(|error| CommandError::refused(chain(&error)))?;
    let problem = found.problem();
    if output.json() {
        output.document(&json!({ "packet": found.document, "verifies": problem.is_none(), "problem": problem }));
    } else {
        told(&found.document, output);
        match &problem {
            None => output.print("  it verifies, with everything that it rests on\n"),
            Some(problem) => output.print(&format!("{} it does not verify: {problem}\n", output.paint("31", "✘"))),
        }
    }
    Ok(Exit(if problem.is_none() {
        ExitClass::Pass
    } else {
        ExitClass::Unverified
    }))
}

fn told(packet: &DecisionPacket, output: &Output) {
    let shown = |text: &str| cto_schema::escape(text.as_bytes(), 400);
    let ready = if packet.ready_for_core_review {
        "ready for Core's review"
    } else {
        "not ready for Core's review"
    };
    output.print(&format!(
        "{}\n  packet {}\n",
        output.paint("1", &format!("{}: {ready}", shown(&packet.candidate))),
        shown(&packet.packet_id)
    ));
    for (name, value) in [
        ("decision_status", packet.decision_status.word().to_owned()),
        ("resolver", shown(&packet.resolver)),
        ("repeatability_count", packet.repeatability_count.to_string()),
        ("repeatability_status", packet.repeatability_status.word().to_owned()),
        (
            "runtime_default_activation",
            packet.runtime_default_activation.to_string(),
        ),
        ("core_promotion_status", packet.core_promotion_status.to_string()),
        ("recommended_next_decision", "open_governed_core_prd_route".to_owned()),
    ] {
        output.print(&format!("  {name:<28} {value}\n"));
    }
    output.print("  before a promotion:\n");
    for one in &packet.blockers_before_promotion {
        output.print(&format!("    {:<40} {}\n", shown(&one.code), shown(&one.detail)));
    }
    output.print("  evidence:\n");
    for (name, one) in &packet.evidence {
        output.print(&format!(
            "    {:<40} {}  ({})\n",
            shown(name),
            shown(&one.shows),
            shown(&one.replay)
        ));
    }
}

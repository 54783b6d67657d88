//! `cto request`, `approve`, `deny`, `approvals`: what an operator is asked, and what the operator says.

use std::ffi::OsString;
use std::io::{BufRead as _, IsTerminal as _, Write as _};

use cto_evidence::{ApprovalError, ApprovalStore, Ledger, StoredApproval, packet_text};
use cto_runner::{
    Harness, PacketError, PacketOptions, SayError, Saying, Signing, allowed_signers_path, decision_problem,
    make_packet, say, status_with_the_word,
};
use cto_schema::{ApprovalDecision, ApprovalSource, ApprovalStatement, ExitClass, Status};
use serde_json::json;

use crate::cli::{Global, TaskArgs};
use crate::cli_governed::{ApproveArgs, DenyArgs, RequestArgs, SignerArgs};
use crate::error::{CommandError, chain};
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn request(global: &Global, args: &RequestArgs, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    let request = super::run::request(&harness, &args.task)?;
    let (run_command, agent_words) = run_command(&args.task);
    let options = PacketOptions {
        lifetime_seconds: Some(args.expires_in * 3600),
        run_command,
        agent_words,
    };
    let packet = make_packet(&harness, &request, &options).map_err(|error| refused_packet(&error))?;
    if output.json() {
        output.document(&packet);
        return Ok(Exit(ExitClass::Pass));
    }
    output.print(&format!("{}\n", packet_text(&packet)));
    let id = &packet.packet_id;
    output.note(&format!(
        "\npacket {id} is on record; nothing was approved and nothing was run\n\
         next: cto approve {id}    (or: cto deny {id} --reason …)\n\
         then: {}",
        packet.run_command
    ));
    Ok(Exit(ExitClass::Pass))
}

fn refused_packet(error: &PacketError) -> CommandError {
    match error {
        PacketError::WouldBeRefused { reasons } => reasons
            .iter()
            .fold(CommandError::refused(chain(error)), |told, reason| told.hint(reason)),
        PacketError::NotNeeded { .. } => CommandError::usage(chain(error))
            .hint("run it as it is; set approval_required in the contract to ask all the same"),
        PacketError::Contract(_) | PacketError::Lifetime(_) => CommandError::usage(chain(error)),
        PacketError::Unknown(_) => CommandError::refused(chain(error)),
        PacketError::Store(_) | PacketError::Name(_) => CommandError::failed(error),
    }
}

/// The same words with `run` in the place of `request`, quoted for a shell; and the agent's own words, which come last.
fn run_command(args: &TaskArgs) -> (String, String) {
    let mut words: Vec<OsString> = vec!["cto".into(), "run".into()];
    let mut flag = |name: &str, value: Option<OsString>| {
        if let Some(value) = value {
            words.push(name.into());
            words.push(value);
        }
    };
    flag("--contract", args.contract.as_ref().map(Into::into));
    flag("--engine", args.engine.as_ref().map(Into::into));
    let model = args
        .model
        .as_ref()
        .map(|pair| format!("{}/{}", pair.provider, pair.model));
    flag("--model", model.map(Into::into));
    flag("--profile", args.profile.as_ref().map(Into::into));
    flag("--mode", args.mode.map(|mode| mode.word().into()));
    flag("--sandbox", args.sandbox.as_ref().map(Into::into));
    flag(
        "--workspace",
        args.workspace.map(|kind| format!("{kind:?}").to_lowercase().into()),
    );
    flag("--timeout", args.timeout.map(|seconds| seconds.to_string().into()));
    for toolchain in &args.toolchain {
        flag("--toolchain", Some(toolchain.into()));
    }
    if args.clean_start {
        words.push("--clean-start".into());
    }
    words.extend(args.case.as_ref().map(Into::into));
    let quoted = |words: &[OsString]| {
        let shown: Vec<String> = words.iter().map(|word| quote(&word.to_string_lossy())).collect();
        shown.join(" ")
    };
    let agent = match args.command.as_slice() {
        [] => String::new(),
        command => format!(" -- {}", quoted(command)),
    };
    (quoted(&words), agent)
}

fn quote(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:@%+=,".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    if word.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        return format!("'{}'", word.replace('\'', "'\\''"));
    }
    // Nothing that a terminal obeys is shown; $'…' gives the shell the very bytes.
    let escaped: String = word
        .bytes()
        .map(|byte| match byte {
            b'\'' | b'\\' => format!("\\{}", char::from(byte)),
            b' '..=b'~' => char::from(byte).to_string(),
            other => format!("\\x{other:02x}"),
        })
        .collect();
    format!("$'{escaped}'")
}

pub(super) fn approve(global: &Global, args: &ApproveArgs, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    let stored = read(&harness, &args.packet)?;
    if !output.json() {
        output.print(&format!("{}\n", packet_text(&stored.packet)));
    }
    let held = stored.packet.contract_digest.hex();
    if args.contract_sha256.as_ref().is_some_and(|read| *read != held) {
        let text = "the packet's contract is not the one that you name, and nothing was approved";
        return Err(CommandError::refused(text).hint(format!("cto approvals {} shows the packet", args.packet)));
    }
    let sentence = match &args.sentence {
        Some(sentence) => sentence.clone(),
        None => asked(output)?,
    };
    let saying = Saying::Approve { sentence };
    decide(&harness, &args.packet, &saying, &args.signer, output)
}

pub(super) fn deny(global: &Global, args: &DenyArgs, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    let saying = Saying::Deny {
        reason: args.reason.clone(),
    };
    decide(&harness, &args.packet, &saying, &args.signer, output)
}

fn decide(
    harness: &Harness,
    packet: &str,
    saying: &Saying,
    signer: &SignerArgs,
    output: &Output,
) -> Result<Exit, CommandError> {
    let signing = signing(harness, signer)?;
    let said = say(
        harness,
        packet,
        saying,
        &signing,
        signer.actor.as_deref(),
        ApprovalSource::Operator,
    );
    let statement = said.map_err(|error| unsaid(harness, &error))?;
    if output.json() {
        output.document(&statement);
    } else {
        told(&statement, output);
    }
    Ok(Exit(ExitClass::Pass))
}

fn told(statement: &ApprovalStatement, output: &Output) {
    let shown = cto_schema::escape(statement.actor.as_bytes(), 200);
    match statement.decision {
        ApprovalDecision::Approved => output.note(&format!(
            "{shown} approved packet {} for one run, until {}\nnext: cto approvals {0} shows the command that runs it",
            statement.packet_id, statement.expires_at
        )),
        ApprovalDecision::Denied => output.note(&format!(
            "{shown} denied packet {}; it never works again",
            statement.packet_id
        )),
    }
}

/// Returns what signs: the flag's key, else the settings'.
pub(super) fn signing(harness: &Harness, signer: &SignerArgs) -> Result<Signing, CommandError> {
    let key = signer.key.as_ref().or(harness.settings.approvals.key.as_ref());
    let key = key.cloned().ok_or_else(|| {
        CommandError::refused("failed to sign: no key is named")
            .hint("give --key ~/.ssh/id_ed25519, or the .pub file of a key that your agent holds")
            .hint("or set approvals: key: in harness.yaml; a new key: ssh-keygen -t ed25519")
    })?;
    Ok(Signing {
        key,
        environment: installation::signing_environment(),
    })
}

pub(super) fn unsaid(harness: &Harness, error: &SayError) -> CommandError {
    let refused = CommandError::refused(chain(error));
    match error {
        SayError::Signers(_) | SayError::SignersText { .. } | SayError::NotAllowed { .. } => {
            let path = allowed_signers_path(harness);
            let shown = cto_schema::escape(path.as_os_str().as_encoded_bytes(), 400);
            refused.hint(format!(
                "who may approve stands in {shown}, a line for each key: NAME namespaces=\"{}\" ssh-ed25519 AAAA…",
                cto_schema::APPROVAL_NAMESPACE
            ))
        }
        SayError::Sentence { packet_id } => refused.hint(format!("cto approvals {packet_id} shows the sentence")),
        SayError::Store(ApprovalError::Missing { .. }) => refused.hint("cto approvals lists the packets"),
        _ => refused,
    }
}

/// Asks on the terminal; elsewhere nobody could answer.
fn asked(output: &Output) -> Result<String, CommandError> {
    if output.json() || !std::io::stdin().is_terminal() {
        return Err(
            CommandError::refused("nobody can be asked here, and nothing was approved")
                .hint("give the packet's sentence with --sentence"),
        );
    }
    let mut error = std::io::stderr();
    // A prompt that cannot be shown is answered with nothing, which is not the sentence.
    let shown = write!(error, "\nsay it: ").and_then(|()| error.flush());
    let mut answer = String::new();
    let read = shown.and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    if read.is_err() {
        answer.clear();
    }
    Ok(answer.trim_end_matches(['\n', '\r']).to_owned())
}

fn read(harness: &Harness, packet: &str) -> Result<StoredApproval, CommandError> {
    ApprovalStore::open(&harness.home)
        .read(packet)
        .map_err(|error| CommandError::refused(chain(&error)).hint("cto approvals lists the packets"))
}

pub(super) fn approvals(global: &Global, packet: Option<&str>, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open_without_git(global)?;
    if let Some(packet) = packet {
        return show(&harness, packet, output);
    }
    let store = ApprovalStore::open(&harness.home);
    let names = store.list().map_err(|error| CommandError::failed(&error))?;
    let mut rows: Vec<serde_json::Value> = Vec::new();
    for name in names {
        match store.read(&name) {
            Ok(stored) => rows.push(row(&harness, &stored)),
            Err(error) => rows.push(json!({ "packet_id": name, "state": "unreadable", "problem": chain(&error) })),
        }
    }
    // Newest first; a packet's id tells no order, and one that cannot be read comes last.
    rows.sort_by(|a, b| b["created_at"].as_str().cmp(&a["created_at"].as_str()));
    if output.json() {
        output.document(&json!({ "approvals": rows }));
        return Ok(Exit(ExitClass::Pass));
    }
    if rows.is_empty() {
        output.note("there is no approval packet; cto request makes one");
    }
    for row in &rows {
        let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
        let about = if row["problem"].is_string() {
            cto_schema::escape(text("problem").as_bytes(), 1000)
        } else {
            match row["approval_source"].as_str() {
                Some("validator") => format!("(a validator's own) {}", text("sentence")),
                _ => text("sentence"),
            }
        };
        output.print(&format!("{}  {:<25} {about}\n", text("packet_id"), text("state")));
    }
    Ok(Exit(ExitClass::Pass))
}

fn show(harness: &Harness, packet: &str, output: &Output) -> Result<Exit, CommandError> {
    let stored = read(harness, packet)?;
    let row = row(harness, &stored);
    if output.json() {
        let mut whole = row;
        whole["packet"] = json!(stored.packet);
        whole["decision"] = json!(stored.decision);
        output.document(&whole);
        return Ok(Exit(ExitClass::Pass));
    }
    output.print(&format!("{}\n", packet_text(&stored.packet)));
    output.note(&format!("\nstate: {}", row["state"].as_str().unwrap_or("-")));
    for replay in row["replay"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|path| path.as_str())
    {
        output.note(&format!("  see: {replay}"));
    }
    if let Some(problem) = row["problem"].as_str() {
        output.note(&cto_schema::escape(problem.as_bytes(), 1000));
    }
    if row["execution_allowed"] == json!(true) {
        let command = cto_schema::escape(stored.packet.run_command.as_bytes(), 8000);
        output.note(&format!("run it with: {command}"));
    }
    Ok(Exit(ExitClass::Pass))
}

/// The state of governed execution of one packet, and where it can be replayed.
fn row(harness: &Harness, stored: &StoredApproval) -> serde_json::Value {
    let packet = &stored.packet;
    let said = stored
        .decision
        .as_ref()
        .and_then(|signed| serde_json::from_str::<ApprovalStatement>(&signed.statement).ok());
    let run = stored.consumed.as_ref().map(|consumed| &consumed.run_id);
    let passed = run.is_some_and(|run| {
        let entry = Ledger::open(&harness.home).and_then(|ledger| ledger.find(run));
        let entry = entry.ok().flatten();
        entry.is_some_and(|entry| status_with_the_word(harness, &entry) == Some(Status::Pass))
    });
    let problem = decision_problem(harness, stored);
    // A word that nobody who may approve has signed is none: it grants nothing, and denies nothing.
    let said = said.filter(|_| problem.is_none());
    let expired = cto_evidence::wall_now().as_second() >= packet.expires_at.unix_seconds();
    let granted = said
        .as_ref()
        .is_some_and(|said| said.decision == ApprovalDecision::Approved);
    let state = match (run, &said) {
        (Some(_), _) if passed => "consumed_by_pass_evidence",
        (Some(_), _) => "consumed_by_run",
        (None, Some(said)) if said.decision == ApprovalDecision::Denied => "denied",
        (None, _) if expired => "expired",
        // What the validator said holds for its own runs only, and those are over.
        (None, Some(said)) if said.approval_source != ApprovalSource::Operator => "expired",
        (None, Some(_)) => "approved",
        (None, None) => "requested",
    };
    let place = harness.home.approvals().join(&packet.packet_id);
    let mut replay = vec![place.join("packet.json")];
    replay.extend(stored.decision.as_ref().map(|_| place.join("decision.json")));
    replay.extend(run.map(|run| harness.home.run(run)));
    json!({
        "packet_id": packet.packet_id,
        "state": state,
        "task_id": packet.contract.task_id,
        "engine": packet.engine,
        "stage": packet.stage,
        "sentence": packet.sentence,
        "created_at": packet.created_at,
        "expires_at": packet.expires_at,
        "actor": said.as_ref().map(|said| &said.actor),
        "approval_source": said.as_ref().map(|said| said.approval_source.word()),
        "approval_required": true,
        "approval_granted": granted,
        "approval_consumed": run.is_some(),
        "execution_allowed": state == "approved",
        "execution_scope": packet.execution_scope,
        "run_id": run,
        "problem": problem.map(|problem| format!("the decision on it does not count: {problem}")),
        "replay": replay,
    })
}

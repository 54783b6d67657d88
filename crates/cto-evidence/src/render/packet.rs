//! An approval packet as text that a person can read and copy, and that can do nothing to a terminal or a shell.
//!
//! Printable ASCII only; every line starts with `| `, so that nothing that is pasted is a command; texts of the contract
//! stand in quotes; no newline at the end.

use cto_schema::{ApprovalPacket, Sha256Digest};

/// Longest text that is shown of one field.
const TEXT: usize = 4_000;

/// Draws a packet.
pub fn packet_text(packet: &ApprovalPacket) -> String {
    let contract = &packet.contract;
    let mut page = Page::default();
    page.line("APPROVAL PACKET. It approves nothing, and nothing runs because of it.");
    page.gap();
    page.field("packet", &packet.packet_id);
    page.field("task", &contract.task_id);
    page.field("title", &contract.title);
    page.field("brief", &contract.brief);
    page.field("engine", &packet.engine);
    if !packet.engine_command.is_empty() {
        page.list("its command", &packet.engine_command);
    }
    page.field("stage", &format!("{} ({})", packet.stage, packet.mutation_mode.word()));
    page.field("may change", &packet.allowed_mutation_scope);
    page.field("reaches", &packet.execution_scope);
    page.field("expires", packet.expires_at.as_str());
    page.gap();
    let target = contract.target_repository.as_deref();
    page.field("target", target.unwrap_or("none: a disposable copy is made"));
    if let Some(state) = &packet.target_state {
        page.field("target HEAD", &format!("{} ({})", state.commit, state.head));
    }
    page.field("owner", packet.repository_owner.as_deref().unwrap_or("none is named"));
    page.field(
        "admitted by",
        packet.admission_source.as_deref().unwrap_or("no admission is needed"),
    );
    page.field("risk", risk(packet));
    page.field("authority", &contract.authority_basis);
    page.gap();
    page.list("allowed paths", &contract.allowed_paths);
    page.list("forbidden paths", &packet.forbidden_paths);
    page.list("forbidden actions", &packet.forbidden_actions);
    page.list("success criteria", &contract.success_criteria);
    let commands: Vec<String> = contract
        .verification_commands
        .iter()
        .map(|argv| argv.join(" "))
        .collect();
    page.list("verification", &commands);
    if let Some(why) = &contract.no_test_rationale {
        page.field("no test, because", why);
    }
    page.list("required evidence", &packet.required_evidence);
    page.list("prior evidence", &packet.prior_evidence);
    page.field("rollback", &packet.rollback_expectation);
    page.gap();
    page.line("Bound to, and void when any of it changes:");
    let (there, absent): (Vec<_>, Vec<_>) = packet.bound.iter().partition(|(_, value)| *value != "none");
    for (name, value) in there {
        page.field(name, value);
    }
    let absent: Vec<&str> = absent.into_iter().map(|(name, _)| name.as_str()).collect();
    page.field("and to no", &absent.join(", "));
    page.gap();
    page.field("contract digest", &grouped(&packet.contract_digest));
    page.field("packet digest", &grouped(&packet.digest()));
    page.line("approval_granted: false, execution_allowed: false, executable: false");
    page.gap();
    page.line("To approve, say exactly:");
    page.line(&format!("    {}", ascii(&packet.sentence)));
    page.finish()
}

fn risk(packet: &ApprovalPacket) -> &'static str {
    match packet.risk_class {
        cto_schema::RiskClass::Low => "low",
        cto_schema::RiskClass::Medium => "medium",
        cto_schema::RiskClass::High => "high",
    }
}

/// A digest in groups that two people can compare aloud.
fn grouped(digest: &Sha256Digest) -> String {
    let hex = digest.hex();
    let groups: Vec<&str> = (0..hex.len()).step_by(8).filter_map(|at| hex.get(at..at + 8)).collect();
    groups.join(" ")
}

/// Printable ASCII, whatever the text is.
fn ascii(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let plain = c.is_ascii_graphic() || c == ' ';
            let shown: Vec<char> = if plain { vec![c] } else { c.escape_default().collect() };
            shown
        })
        .collect()
}

#[derive(Default)]
struct Page(Vec<String>);

impl Page {
    fn line(&mut self, text: &str) {
        self.0.push(format!("| {text}"));
    }

    fn gap(&mut self) {
        self.0.push("|".to_owned());
    }

    fn field(&mut self, name: &str, value: &str) {
        let shown = ascii(value);
        let cut = shown
            .get(..TEXT)
            .map_or_else(|| shown.clone(), |head| format!("{head} [cut; see packet.json]"));
        self.line(&format!("{:<18} \"{cut}\"", ascii(name)));
    }

    fn list(&mut self, name: &str, values: &[String]) {
        if values.is_empty() {
            self.line(&format!("{name:<18} none"));
        }
        for (at, value) in values.iter().enumerate() {
            self.field(if at == 0 { name } else { "" }, value);
        }
    }

    fn finish(self) -> String {
        self.0.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::approvals::tests::packet;

    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            Just("\u{1b}[201~rm -rf /\n".to_owned()),
            Just("a\r\nrm -rf ~\n".to_owned()),
            Just("\u{202e}evil\u{2028}x\u{7f}\u{9b}".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn whatever_a_contract_says_the_page_is_inert(texts in proptest::collection::vec(hostile(), 12)) {
            let mut packet = packet("ap-aaaaaaaaaaaaaaaa");
            let take = |at: usize| texts[at].clone();
            packet.sentence = take(0);
            packet.contract.title = take(1);
            packet.contract.brief = take(2);
            packet.contract.task_id = take(3);
            packet.contract.target_repository = Some(take(4));
            packet.contract.allowed_paths = vec![take(5), take(6)];
            packet.contract.verification_commands = vec![vec![take(7)]];
            packet.repository_owner = Some(take(8));
            packet.admission_source = Some(take(9));
            packet.prior_evidence = vec![take(10)];
            packet.bound.insert(take(11), take(0));
            let text = packet_text(&packet);
            prop_assert!(text.bytes().all(|b| b == b'\n' || b.is_ascii_graphic() || b == b' '));
            prop_assert!(text.lines().all(|line| line.starts_with('|')));
            prop_assert!(!text.ends_with('\n'));
        }
    }

    #[test]
    fn the_page_says_what_is_asked_and_how_to_answer() {
        let text = packet_text(&packet("ap-aaaaaaaaaaaaaaaa"));
        for part in [
            "ap-aaaaaaaaaaaaaaaa",
            "I approve T.",
            "executable: false",
            "stage              \"2",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

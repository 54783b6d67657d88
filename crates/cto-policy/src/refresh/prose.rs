//! What a prose says about approvals, and where the proofs say otherwise. The proofs are never rewritten.

use cto_schema::{
    ApprovalProvenance, BundleFacts, ProseMismatch, ProseStatement, RefreshFacts, escape, looks_like_a_secret,
};

/// Longest value that is kept.
const VALUE_BYTES: usize = 200;
/// Most statements that are kept.
const MOST: usize = 500;

/// What a prose can say, under the names that it may use.
const FIELDS: &[(&str, &[&str])] = &[
    ("approval_source", &["approval_source", "approval source"]),
    (
        "actor",
        &["actor", "approver", "approved_by", "approved by", "approval_actor"],
    ),
    ("signer_key", &["signer_key", "signer key", "signing_key"]),
    (
        "packet_id",
        &["packet_id", "packet", "approval_packet", "approval packet"],
    ),
    ("packet_digest", &["packet_digest", "packet digest"]),
    ("execution_scope", &["execution_scope", "execution scope"]),
    ("approval_granted", &["approval_granted", "approval granted"]),
    ("approval_consumed", &["approval_consumed", "approval consumed"]),
    ("consumed_by", &["consumed_by", "consumed by"]),
    ("operator_outcome", &["operator_outcome", "operator outcome"]),
    ("target_commit", &["target_commit", "target commit"]),
];

/// Reads the statements of a prose: lines `name: value` (also in lists, tables and code spans), and "approved by".
/// A line that names a run speaks about it, and so do the lines after it.
pub fn read_prose(text: &str) -> Vec<ProseStatement> {
    let mut found = Vec::new();
    let mut about: Option<String> = None;
    for (index, line) in text.lines().enumerate() {
        let run = line
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .find(|word| is_run_id(word));
        let plain: String = line.chars().filter(|c| !matches!(c, '`' | '*' | '"' | '\'')).collect();
        let plain = plain.trim().trim_start_matches(['-', '+', '#', '>', '|', ' ']);
        let statement = named(plain).or_else(|| approved_by(plain));
        let speaks_of_a_run = statement.as_ref().is_none_or(|(field, _)| *field != "consumed_by");
        if let Some(run) = run.filter(|_| speaks_of_a_run) {
            about = Some(run.to_owned());
        }
        let Some((field, value)) = statement else { continue };
        let shown = if looks_like_a_secret(value).is_some() && !matches!(field, "signer_key" | "packet_digest") {
            "(not repeated: it looks like a secret)".to_owned()
        } else {
            escape(value.as_bytes(), VALUE_BYTES)
        };
        if found.len() < MOST {
            found.push(ProseStatement {
                line: u32::try_from(index + 1).unwrap_or(u32::MAX),
                run_id: about.clone(),
                field: field.to_owned(),
                value: shown,
            });
        }
    }
    found
}

/// `<yyyymmddthhmmssz>-…`, as runs are named.
fn is_run_id(word: &str) -> bool {
    let bytes = word.as_bytes();
    let digits =
        |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    word.len() > 18
        && digits(0..8)
        && bytes.get(8) == Some(&b't')
        && digits(9..15)
        && bytes.get(15..17) == Some(b"z-".as_slice())
        && word.parse::<cto_schema::RunId>().is_ok()
}

fn named(line: &str) -> Option<(&'static str, &str)> {
    let (name, value) = line.split_once([':', '=', '|'])?;
    let name = name.trim().to_lowercase();
    let value = value.trim().trim_end_matches(['|', '.', ',', ';']).trim();
    let (field, _) = FIELDS.iter().find(|(_, names)| names.contains(&name.as_str()))?;
    (!value.is_empty()).then_some((*field, value))
}

fn approved_by(line: &str) -> Option<(&'static str, &str)> {
    let lower = line.to_ascii_lowercase();
    let at = lower.find("approved by ")? + "approved by ".len();
    let rest = line.get(at..)?;
    let end = rest.find([',', ';', '(']).unwrap_or(rest.len());
    let value = rest.get(..end)?.trim().trim_end_matches('.');
    (!value.is_empty()).then_some(("actor", value))
}

/// Returns where a prose says otherwise than the proofs.
pub(super) fn mismatches(facts: &RefreshFacts) -> Vec<ProseMismatch> {
    facts
        .prose
        .iter()
        .filter_map(|statement| mismatch(facts, statement))
        .collect()
}

fn mismatch(facts: &RefreshFacts, statement: &ProseStatement) -> Option<ProseMismatch> {
    let bundles = facts.pins.iter().filter_map(|pin| pin.bundle.as_ref());
    let meant: Vec<&BundleFacts> = bundles
        .filter(|bundle| statement.run_id.as_ref().is_none_or(|run| *run == bundle.run_id))
        .collect();
    // A prose may speak about runs that are not pinned.
    if meant.is_empty() {
        return None;
    }
    let proof: Vec<String> = meant
        .iter()
        .filter_map(|bundle| stated(bundle, &statement.field))
        .collect();
    let agrees = |bundle: &&BundleFacts| {
        let approval = bundle.approval.as_ref();
        stated(bundle, &statement.field).is_some_and(|proof| same(&statement.field, &statement.value, &proof, approval))
    };
    // What is said of all must hold of each; what only one run can have, of one.
    let of_one = matches!(
        statement.field.as_str(),
        "packet_id" | "packet_digest" | "consumed_by" | "target_commit"
    );
    let holds = if of_one {
        meant.iter().any(agrees)
    } else {
        meant.iter().all(agrees)
    };
    (!holds).then(|| ProseMismatch {
        line: statement.line,
        run_id: statement.run_id.clone(),
        field: statement.field.clone(),
        prose: statement.value.clone(),
        proof,
    })
}

fn same(field: &str, said: &str, proof: &str, approval: Option<&ApprovalProvenance>) -> bool {
    let said = said.to_lowercase();
    let proof = proof.to_lowercase();
    if said == proof || (field == "target_commit" && said.len() >= 7 && proof.starts_with(&said)) {
        return true;
    }
    if field != "actor" {
        return false;
    }
    let words: Vec<&str> = said.split_whitespace().collect();
    let names_the_actor = words
        .iter()
        .any(|word| word.trim_matches(['<', '>', '(', ')', '.']) == proof);
    // "the operator" names a role, which is right or wrong as well.
    let role = approval
        .map(|approval| approval.approval_source.word())
        .unwrap_or_default();
    let other = if role == "operator" { "validator" } else { "operator" };
    let names_the_role = words.contains(&role) && !words.iter().any(|word| word.contains('@'));
    (names_the_actor || names_the_role) && !words.contains(&other)
}

fn stated(bundle: &BundleFacts, field: &str) -> Option<String> {
    let approval = bundle.approval.as_ref();
    match field {
        "approval_source" => approval.map(|approval| approval.approval_source.word().to_owned()),
        "actor" => approval.map(|approval| approval.actor.clone()),
        "signer_key" => approval.map(|approval| approval.signer_key.clone()),
        "packet_id" => approval.map(|approval| approval.packet_id.clone()),
        "packet_digest" => approval.map(|approval| approval.packet_digest.to_string()),
        "execution_scope" => approval.map(|approval| approval.execution_scope.clone()),
        "approval_granted" => approval.map(|approval| approval.approval_granted.to_string()),
        "approval_consumed" => approval.map(|approval| approval.approval_consumed.to_string()),
        "consumed_by" => approval.map(|approval| approval.consumed_by.clone()),
        "operator_outcome" => bundle.operator.as_ref().map(|word| word.outcome.word().to_owned()),
        "target_commit" => bundle.target.as_ref().and_then(|target| target.target_commit.clone()),
        _ => None,
    }
}

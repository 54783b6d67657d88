//! JSON and YAML beside the documents: admissions and decisions as a run would judge them, contracts, and plain syntax.

use cto_schema::{
    BuildAdmission, ModelAdmission, PageKind, ProviderDecision, Record, RecordFact, RecordKind, RepositoryAdmission,
    RepositoryStatus, RuleId, Sha256Digest, SourceAdmission, StrictLimits, parse_contract, parse_strict, read_object,
    read_record,
};

use super::notes::Notes;
use super::tree::parse_tree;
use crate::admission::{Alone, judge_decision_alone, judge_model_alone, judge_repository_alone, judge_source_alone};

/// Checks a file that is data. Returns whether it is a record that was judged.
pub(crate) fn check_data(kind: PageKind, extension: &str, bytes: &[u8], now_seconds: i64, notes: &mut Notes) -> bool {
    match (kind, extension) {
        (PageKind::Record, _) => {
            check_record(bytes, now_seconds, notes);
            return true;
        }
        (PageKind::Contract, _) => {
            if let Err(error) = parse_contract(bytes) {
                notes.add(
                    RuleId::ContractInvalid,
                    line_in(&error.to_string()),
                    error.to_string(),
                    "correct the contract; cto decide FILE says the same, and what an engine would make of it",
                );
            }
        }
        (_, "json") => {
            let limits = StrictLimits { bytes: bytes.len() };
            if let Err(error) = parse_strict::<serde_json::Value>(bytes, limits) {
                notes.add(
                    RuleId::JsonInvalid,
                    line_in(&error.to_string()),
                    error.to_string(),
                    "correct the JSON: UTF-8, each key once, no trailing comma",
                );
            }
        }
        (_, "yaml" | "yml") => {
            // What is not UTF-8 was found before.
            if let Ok(text) = std::str::from_utf8(bytes)
                && let Err(error) = parse_tree(text)
            {
                notes.add(
                    RuleId::YamlInvalid,
                    error.line.unwrap_or(0),
                    error.reason,
                    "correct the YAML on this line; indent with spaces and write each key once",
                );
            }
        }
        _ => {}
    }
    false
}

/// The readers of records say the line in their text.
fn line_in(text: &str) -> u32 {
    text.strip_prefix("line ")
        .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

fn check_record(bytes: &[u8], now_seconds: i64, notes: &mut Notes) {
    let invalid = |reason: String, notes: &mut Notes| {
        notes.add(
            RuleId::RecordInvalid,
            line_in(&reason),
            reason,
            "correct the record, or write it with: cto admit",
        );
    };
    let kind = match read_object(bytes) {
        Ok(fields) => RecordKind::guess(&fields),
        Err(error) => return invalid(error.to_string(), notes),
    };
    let judged = match kind {
        None => {
            return invalid(
                "its fields are those of no kind of record, or of several".to_owned(),
                notes,
            );
        }
        Some(RecordKind::Model) => read::<ModelAdmission>(bytes).map(|fact| {
            (
                says(&fact, |record| record.status.as_str() == "admitted"),
                judge_model_alone(fact, now_seconds),
            )
        }),
        Some(RecordKind::Source) => {
            read::<SourceAdmission>(bytes).map(|fact| (true, judge_source_alone(fact, now_seconds)))
        }
        Some(RecordKind::Decision) => read::<ProviderDecision>(bytes).map(|fact| {
            (
                says(&fact, |record| {
                    record.decision_status != cto_schema::DecisionStatus::NotDecided
                }),
                judge_decision_alone(fact, now_seconds),
            )
        }),
        Some(RecordKind::Repository) => read::<RepositoryAdmission>(bytes).map(|fact| {
            (
                says(&fact, |record| record.admission_status == RepositoryStatus::Admitted),
                judge_repository_alone(&fact, now_seconds),
            )
        }),
        // Whether the binary is still the one of the record is a question about this machine: cto admission check asks it.
        Some(RecordKind::Build) => read::<BuildAdmission>(bytes).map(|_| {
            let nothing = Alone {
                status: "admitted",
                reasons: vec![],
                admits: true,
            };
            (true, nothing)
        }),
    };
    match judged {
        Err(reason) => invalid(reason, notes),
        // A record that admits nothing and says so is in order.
        Ok((claims, judged)) if claims && !judged.admits => notes.add(
            RuleId::RecordRefused,
            0,
            format!(
                "a run would refuse it ({}): {}",
                judged.status,
                judged.reasons.join("; ")
            ),
            "correct the record, or renew it with: cto admit; what is not admitted says so itself",
        ),
        Ok(_) => {}
    }
}

fn says<T>(fact: &RecordFact<T>, claim: fn(&T) -> bool) -> bool {
    fact.record.as_ref().is_some_and(claim)
}

fn read<T: Record>(bytes: &[u8]) -> Result<RecordFact<T>, String> {
    let record = read_record::<T>(bytes).map_err(|error| error.to_string())?;
    Ok(RecordFact::read(record, Sha256Digest::of(bytes)))
}

//! What every report and every bundle has (spec 01), and names that no field of a document may have.

/// Fields that every report has.
const REPORT_FIELDS: [&str; 39] = [
    "allowed_mutation_scope",
    "allowed_writes_passed",
    "approval_status",
    "artifact_digests",
    "artifact_paths",
    "artifacts_dir",
    "backend",
    "backend_exit_code",
    "blockers",
    "case_id",
    "case_model",
    "case_model_admission_status",
    "case_model_provider",
    "case_process_started",
    "case_runtime_model_provider",
    "changed_files",
    "core_promotion_status",
    "failure_reason",
    "forbidden_actions_attempted",
    "forbidden_paths_passed",
    "freshness",
    "model_fallback_used",
    "mutation_mode",
    "not_applicable",
    "required_events_passed",
    "run_artifact_dir",
    "run_finished_at",
    "run_id",
    "run_started_at",
    "runtime_default_activation",
    "runtime_workspace_root",
    "schema",
    "source_admission_status",
    "source_repository_mutated",
    "stage",
    "status",
    "tests_passed",
    "verification",
    "harness_version",
];

/// Artifacts of every run.
const ARTIFACTS: [&str; 13] = [
    "SHA256SUMS",
    "attestation.dsse.json",
    "contract.json",
    "decision.json",
    "events.normalized.jsonl",
    "journal.jsonl",
    "patch.diff",
    "report.html",
    "report.json",
    "report.md",
    "test.log",
    "trace.jsonl",
    "write-set.json",
];

/// Proofs of every run that passes.
const OF_A_PASS: [&str; 5] = [
    "allowed-paths.json",
    "clean-end.json",
    "clean-start.json",
    "enforcement.json",
    "forbidden-actions.json",
];

/// Returns the fields of spec 01 that a report has not; `has` says which it has.
pub fn missing_report_fields(has: impl Fn(&str) -> bool) -> Vec<String> {
    let missing = REPORT_FIELDS.iter().filter(|field| !has(field));
    missing.map(|field| (*field).to_owned()).collect()
}

/// Returns the artifacts that a run of a stage has to have and has not; `has` says which it has or excuses.
///
/// `ended_well` is true for a pass, and for a run on which only the operator's word was missing.
pub fn missing_artifacts(stage: Option<u8>, ended_well: bool, has: impl Fn(&str) -> bool) -> Vec<String> {
    let of_stage: &[&str] = match stage.unwrap_or(0) {
        _ if !ended_well => &[],
        2 => &["stage2-no-target-inspection.json"],
        3 => &["stage3-copied-repo-proof.json", "source-non-mutation.json"],
        4 => &[
            "stage4-disposable-sandbox-proof.json",
            "approval.json",
            "branch-policy.json",
            "sandbox-disposition.json",
        ],
        5 => &[
            "stage5-owned-repo-proof.json",
            "approval.json",
            "branch-policy.json",
            "target-admission.json",
        ],
        _ => &[],
    };
    let of_a_pass: &[&str] = if ended_well { &OF_A_PASS } else { &[] };
    let all = ARTIFACTS.iter().chain(of_a_pass).chain(of_stage);
    all.filter(|name| !has(name)).map(|name| (*name).to_owned()).collect()
}

/// Names of fields under which a secret's value would stand.
const SECRET_KEYS: [&str; 20] = [
    "access_key",
    "access_token",
    "api_key",
    "apikey",
    "auth_token",
    "authorization",
    "bearer",
    "bearer_token",
    "client_secret",
    "credential",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "refresh_token",
    "secret",
    "secret_key",
    "session_token",
    "token",
];

/// Returns whether a field's name is one under which a secret's value would stand; the class or the name of a
/// credential may be told, and numbers of tokens are no secret.
pub fn secret_shaped_key(name: &str) -> bool {
    let mut plain = String::with_capacity(name.len());
    let mut was_lower = false;
    for letter in name.chars() {
        // `apiKey` and `api-key` are `api_key`.
        if letter.is_ascii_uppercase() && was_lower {
            plain.push('_');
        }
        was_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        plain.push(if matches!(letter, '-' | ' ' | '.') {
            '_'
        } else {
            letter.to_ascii_lowercase()
        });
    }
    SECRET_KEYS
        .iter()
        .any(|key| plain == *key || plain.ends_with(&format!("_{key}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_names_of_secrets_from_names_about_them() {
        for secret in [
            "token",
            "API_KEY",
            "apiKey",
            "provider-api-key",
            "clientSecret",
            "github_token",
            "Authorization",
            "db_password",
            "OPENAI_API_KEY",
            "aws.secret_key",
        ] {
            assert!(secret_shaped_key(secret), "{secret}");
        }
        for plain in [
            "credential_class",
            "credential_present",
            "tokens",
            "input_tokens",
            "signer_key",
            "keyid",
            "key",
            "secrets",
            "gate.CTO_HARNESS_ALLOW_FAKE",
            "tokenizer",
            "authority_basis",
        ] {
            assert!(!secret_shaped_key(plain), "{plain}");
        }
    }

    #[test]
    fn each_stage_has_its_own_proof_and_a_run_that_failed_has_none() {
        for (stage, proof) in [(2, "stage2-"), (3, "stage3-"), (4, "stage4-"), (5, "stage5-")] {
            let missing = missing_artifacts(Some(stage), true, |name| !name.starts_with("stage"));
            assert_eq!(missing.len(), 1);
            assert!(missing[0].starts_with(proof), "{missing:?}");
            assert_eq!(
                missing_artifacts(Some(stage), false, |name| !name.starts_with("stage")).len(),
                0
            );
        }
        assert_eq!(missing_artifacts(None, false, |_| false).len(), ARTIFACTS.len());
        assert_eq!(missing_report_fields(|name| name != "freshness"), ["freshness"]);
    }
}

//! Hostile records: each is refused with a reason that names the thing, and none is read as another.

use serde_json::{Value, json};

use super::*;

pub(super) const MODEL: &str = r#"{
  "admission_timestamp": "2026-06-01T00:00:00-04:00",
  "allowed_network_class": "local-vllm",
  "approval_source": "operator chat approval on 2026-05-31",
  "credential_source_class": "pi-models-json-local-provider-no-secret",
  "model": "qwen3.6-35b-a3b",
  "provider": "qwen-local",
  "review_trigger": "Before the admission path changes, before local provider endpoint changes.",
  "status": "admitted"
}
"#;

fn model() -> Value {
    serde_json::from_str(MODEL).unwrap()
}

fn source() -> Value {
    json!({
        "admission_status": "admitted",
        "source_name": "case",
        "source_url": "https://example.org/case.git",
        "source_type": "git",
        "observed_branch": "main",
        "pinned_commit": "a1".repeat(20),
        "commit_date": "2026-05-01",
        "retrieval_date": "2026-05-31T10:00:00Z",
        "retrieval_command": "git clone https://example.org/case.git",
        "integrity_reference": format!("sha256:{}", "0f".repeat(32)),
        "licence_note": {"status": "resolved", "licence": "MIT", "permits": ["copied-fixture", "copied-repo"]},
        "protected_source_boundary": "the whole checkout is read-only",
        "allowed_execution_modes": ["copied-fixture"]
    })
}

fn build() -> Value {
    json!({
        "engine": "case",
        "pinned_commit": "a1".repeat(20),
        "checkout_clean": true,
        "build_command": "bun install && bun run build",
        "tool_versions": {"bun": "1.2.3"},
        "binary_path": "/opt/case/bin/ca",
        "binary_size_bytes": 12,
        "binary_sha256": format!("sha256:{}", "0f".repeat(32)),
        "identity_check": {"command": ["--help"], "expected": "Case", "passed": true},
        "command_shape": ["ca", "run", "--task", "<task-file>", "--mode", "unattended"],
        "build_timestamp": "2026-05-31T10:00:00Z"
    })
}

fn repository() -> Value {
    json!({
        "admission_status": "admitted",
        "allowed_paths": ["strings.py", "src/"],
        "approval_source": "operator",
        "approval_timestamp": "2026-06-01",
        "forbidden_actions": crate::contract::FORBIDDEN_ACTIONS,
        "forbidden_paths": [".env"],
        "noncritical_rationale": "a sandbox",
        "operator_outcome_required": true,
        "ownership_evidence": "made for this",
        "repository_owner": "operator",
        "review_trigger": "before any change",
        "risk_classification": "low_risk_noncritical",
        "target_repository_path": "/srv/target"
    })
}

fn decision() -> Value {
    json!({
        "decision_status": "local_provider_required",
        "provider_class": "local_case_compatible",
        "provider": "qwen-local",
        "model": "qwen3.6-35b-a3b",
        "fallback_provider": "",
        "fallback_model": null,
        "approval_source": "operator",
        "credential_source_class": "none",
        "allowed_network_class": "local-vllm",
        "review_trigger": "before any change",
        "evidence_sources": ["notes"],
        "effect": "only a local provider may be used"
    })
}

/// Reads a record of a kind and returns what it says, written again.
fn again(kind: RecordKind, bytes: &[u8]) -> Result<Value, String> {
    fn through<T: Record + Serialize>(bytes: &[u8]) -> Result<Value, String> {
        let record: T = read_record(bytes).map_err(|error| error.to_string())?;
        serde_json::to_value(record).map_err(|error| error.to_string())
    }
    match kind {
        RecordKind::Decision => through::<ProviderDecision>(bytes),
        RecordKind::Model => through::<ModelAdmission>(bytes),
        RecordKind::Source => through::<SourceAdmission>(bytes),
        RecordKind::Build => through::<BuildAdmission>(bytes),
        RecordKind::Repository => through::<RepositoryAdmission>(bytes),
    }
}

fn samples() -> [(RecordKind, Value); 5] {
    [
        (RecordKind::Decision, decision()),
        (RecordKind::Model, model()),
        (RecordKind::Source, source()),
        (RecordKind::Build, build()),
        (RecordKind::Repository, repository()),
    ]
}

#[test]
fn a_record_that_was_read_and_written_reads_the_same() {
    for (kind, sample) in samples() {
        let once = again(kind, sample.to_string().as_bytes()).unwrap_or_else(|e| panic!("{kind:?}: {e}"));
        assert_eq!(again(kind, once.to_string().as_bytes()).unwrap(), once, "{kind:?}");
        let fields = read_object(sample.to_string().as_bytes()).unwrap();
        assert_eq!(RecordKind::guess(&fields), Some(kind));
    }
    assert_eq!(
        again(RecordKind::Model, MODEL.as_bytes()).unwrap(),
        model(),
        "examples keep their very fields"
    );
}

#[test]
fn a_field_too_many_too_few_or_twice_is_refused_at_every_place_of_every_kind() {
    for (kind, sample) in samples() {
        let refused = |text: String, why: &str| {
            let error = again(kind, text.as_bytes()).expect_err(&text);
            assert!(error.contains(why), "{kind:?}: '{why}' is not in '{error}'");
        };
        let mut more = sample.clone();
        more["zzz_other"] = json!(1);
        refused(more.to_string(), "unknown field `zzz_other`");
        for (key, value) in sample.as_object().unwrap() {
            let twice = sample.to_string().replacen('{', &format!("{{\"{key}\":{value},"), 1);
            refused(twice, &format!("duplicate key '{key}'"));
            for wrong in [json!({"a": 1}), json!(1.5)] {
                let mut bent = sample.clone();
                bent[key] = wrong;
                assert!(again(kind, bent.to_string().as_bytes()).is_err(), "{kind:?} {key}");
            }
        }
    }
    for (kind, sample, inner) in [
        (RecordKind::Source, source(), "licence_note"),
        (RecordKind::Build, build(), "identity_check"),
        (RecordKind::Build, build(), "tool_versions"),
    ] {
        let text = sample[inner].to_string();
        let (key, value) = sample[inner].as_object().unwrap().iter().next().unwrap();
        let twice = sample
            .to_string()
            .replace(&text, &text.replacen('{', &format!("{{\"{key}\":{value},"), 1));
        assert!(
            again(kind, twice.as_bytes()).unwrap_err().contains("duplicate key"),
            "{inner}"
        );
    }
}

#[test]
fn documents_that_readers_disagree_on_are_refused() {
    let bytes = MODEL.as_bytes();
    let with = |from: &str, to: &str| MODEL.replacen(from, to, 1).into_bytes();
    let deep = |levels: usize| with("\"admitted\"", &format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
    let cases: [(&str, Vec<u8>, &str); 17] = [
        ("bom", [b"\xef\xbb\xbf", bytes].concat(), "byte order mark"),
        ("utf-16", MODEL.encode_utf16().flat_map(u16::to_le_bytes).collect(), ""),
        (
            "latin-1",
            with("operator", "op\u{e9}rator")
                .iter()
                .copied()
                .filter(|b| *b != 0xc3)
                .collect(),
            "UTF-8",
        ),
        ("crlf", MODEL.replace('\n', "\r\n").into_bytes(), "carriage return"),
        ("lone surrogate", with("operator", "\\ud800"), "hex escape"),
        ("lone low surrogate", with("operator", "\\udc00x"), "line 4"),
        ("nul", with("operator", "a\\u0000b"), "approval_source"),
        ("nan", with("\"admitted\"", "NaN"), "line 9"),
        ("infinity", with("\"admitted\"", "1e999"), "line 9"),
        ("depth 17", deep(16), "deeper"),
        ("depth 1000", deep(1000), "deeper"),
        ("1 MiB", vec![b' '; 1 << 20], "65536"),
        ("empty", vec![], "line"),
        ("array", b"[]".to_vec(), "object"),
        ("two documents", [bytes, bytes].concat(), "trailing"),
        ("comment", with("{", "{ // x\n"), "line 1"),
        ("bidi", with("operator", "op\u{202e}erator"), "approval_source"),
    ];
    for (name, bytes, why) in cases {
        let error = again(RecordKind::Model, &bytes).expect_err(name);
        assert!(error.contains(why), "{name}: '{why}' is not in '{error}'");
    }
    let at_the_limit = [bytes, &vec![b' '; RECORD_MAX_BYTES - bytes.len()]].concat();
    assert!(again(RecordKind::Model, &at_the_limit).is_ok());
    assert!(again(RecordKind::Model, &[&at_the_limit[..], b" "].concat()).is_err());
}

#[test]
fn values_that_are_not_in_their_form_are_refused_by_name() {
    for (field, value) in [
        ("provider", json!("Open AI")),
        ("model", json!("../../x")),
        ("status", json!("Admitted")),
        ("status", json!("admitted ")),
        ("status", json!(true)),
        ("admission_timestamp", json!("yesterday")),
        ("expires_at", json!("2026-02-30")),
        ("approval_source", json!("")),
        ("approval_source", json!(" ")),
        ("allowed_network_class", json!("http://127.0.0.1:8000/v1")),
        ("fallback", json!([{"provider": "openai"}])),
        ("fallback", json!([{"provider": "openai", "model": "m", "x": 1}])),
        ("fallback", json!("openai/m")),
    ] {
        let mut bent = model();
        bent[field] = value;
        let error = again(RecordKind::Model, bent.to_string().as_bytes()).unwrap_err();
        assert!(error.contains(field) || error.contains("field `"), "{field}: {error}");
    }
    for (schema, good) in [
        ("cto/model-admission/1.4", true),
        ("cto/model-admission/2.0", false),
        ("x", false),
    ] {
        let mut bent = model();
        bent["schema"] = json!(schema);
        assert_eq!(
            again(RecordKind::Model, bent.to_string().as_bytes()).is_ok(),
            good,
            "{schema}"
        );
    }
    let error = again(RecordKind::Model, MODEL.replace("\"status\"", "\"statsu\"").as_bytes()).unwrap_err();
    assert!(error.contains("did you mean 'status'?"), "{error}");
    for (field, value) in [
        ("source_url", json!("https://user@example.org/x")),
        ("pinned_commit", json!("main")),
        ("pinned_tag", json!("latest")),
        ("integrity_reference", json!("trust me")),
        ("allowed_execution_modes", json!(["everything"])),
    ] {
        let mut bent = source();
        bent[field] = value;
        let error = again(RecordKind::Source, bent.to_string().as_bytes()).unwrap_err();
        assert!(error.contains(field), "{field}: {error}");
    }
}

#[test]
fn a_secret_in_any_field_of_any_kind_is_refused_and_not_repeated() {
    let secret = ["sk-", "proj-0123456789abcdefABCDEF0123456789"].concat();
    for (kind, sample) in samples() {
        for (key, value) in sample.as_object().unwrap() {
            if !value.is_string() {
                continue;
            }
            let mut bent = sample.clone();
            bent[key] = json!(secret);
            let error = again(kind, bent.to_string().as_bytes()).unwrap_err();
            assert!(error.starts_with(&format!("{key}: ")), "{kind:?}: {error}");
            assert!(!error.contains(&secret), "{error}");
        }
    }
}

#[test]
fn a_kind_is_never_read_as_another() {
    for (kind, sample) in samples() {
        for other in RecordKind::all().iter().filter(|other| **other != kind) {
            assert!(
                again(*other, sample.to_string().as_bytes()).is_err(),
                "{kind:?} as {other:?}"
            );
        }
    }
}

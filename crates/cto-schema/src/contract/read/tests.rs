//! Claims about reading contracts.

use super::*;
use crate::contract::{FORBIDDEN_ACTIONS, MutationMode};

const GOOD: &str = "\
task_id: CTO-1
title: fix slugify
brief: make slugify split on whitespace
allowed_paths: [strings.py]
forbidden_actions: [push]
mutation_mode: copied-fixture
success_criteria: [the tests pass]
verification_commands:
  - [python3, -m, unittest]
";

fn with(line: &str) -> Result<TaskContract, ContractError> {
    parse_contract(format!("{GOOD}{line}\n").as_bytes())
}

#[test]
fn yaml_and_json_of_one_contract_have_one_digest() {
    let yaml = parse_contract(GOOD.as_bytes()).unwrap();
    let json = parse_contract(&serde_json::to_vec(&yaml).unwrap()).unwrap();
    assert_eq!(yaml.digest(), json.digest());
    assert_eq!(yaml.mutation_mode, MutationMode::CopiedFixture);
    assert_eq!(yaml.effective_forbidden_actions().len(), FORBIDDEN_ACTIONS.len());
}

#[test]
fn an_error_names_line_and_field() {
    let text = GOOD.replace("[strings.py]", "[../x]");
    let error = parse_contract(text.as_bytes()).unwrap_err().to_string();
    assert!(
        error.contains("line 4") && error.contains("allowed_paths") && error.contains(".."),
        "{error}"
    );
}

#[test]
fn unknown_fields_duplicates_and_wrong_types_are_errors() {
    for line in [
        "allow_paths: [x]",
        "title: again",
        "requires_diff: yes",
        "requires_diff: .nan",
        "limits: {procesess: 1}",
        "timeouts: {engine_seconds: -1}",
        "timeouts: {engine_seconds: 0}",
        "limits: {memory_mib: .inf}",
        "no_test_rationale: none",
        "scratch_paths: ['/tmp']",
        "scratch_paths: ['a//b']",
        "scratch_paths: ['a\\b']",
        "scratch_paths: ['!a']",
        "scratch_paths: ['u\u{308}ber']",
        "scratch_paths: ['a/.']",
        "forbidden_path_exceptions: [{path: .env, reason: x}]",
        "forbidden_path_exceptions: [{path: .git/, reason: x}]",
        "schema: cto/contract/2.0",
        "dependency_layers: [{name: x, mount: rel, digest: 'sha256:00'}]",
    ] {
        assert!(with(line).is_err(), "accepted: {line}");
    }
}

#[test]
fn a_shell_line_is_not_an_argv() {
    let text = GOOD.replace("[python3, -m, unittest]", "['python3 -m unittest']");
    assert!(
        parse_contract(text.as_bytes())
            .unwrap_err()
            .to_string()
            .contains("sh, -c")
    );
}

#[test]
fn hostile_bytes_are_refused() {
    let mut bom = "\u{feff}".as_bytes().to_vec();
    bom.extend(GOOD.as_bytes());
    assert!(matches!(parse_contract(&bom), Err(ContractError::Encoding)));
    assert!(matches!(parse_contract(b"\xff\xfe"), Err(ContractError::Encoding)));
    assert!(matches!(
        parse_contract(&vec![b' '; MAX_BYTES + 1]),
        Err(ContractError::TooLarge { .. })
    ));
    assert!(parse_contract(b"").is_err());
    assert!(parse_contract(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).as_bytes()).is_err());
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n";
    assert!(parse_contract(bomb.as_bytes()).is_err());
}

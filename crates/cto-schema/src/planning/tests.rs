//! Claims about rules files.

use std::collections::BTreeSet;

use super::*;

fn read(text: &str) -> Result<WorkspaceRules, RulesError> {
    WorkspaceRules::parse(text.as_bytes())
}

#[test]
fn the_built_in_rules_name_every_section() {
    let rules = WorkspaceRules::built_in().unwrap();
    assert!(rules.classes.len() > 5 && rules.limits.files > 0 && !rules.drift.subjects.is_empty());
    let text: serde_json::Value = serde_saphyr::from_str(DEFAULT_WORKSPACE_RULES).unwrap();
    let named: BTreeSet<&str> = text.as_object().unwrap().keys().map(String::as_str).collect();
    let all = serde_json::to_value(&rules).unwrap();
    let all: BTreeSet<&str> = all.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(named, all);
}

#[test]
fn a_file_changes_the_sections_that_it_names_and_no_other() {
    let built_in = WorkspaceRules::built_in().unwrap();
    let rules = read("schema: cto/workspace-rules/1.0\nrequired_files: [A.md]\n").unwrap();
    let expected = WorkspaceRules {
        required_files: vec!["A.md".to_owned()],
        ..built_in
    };
    assert_eq!(rules, expected);
}

#[test]
fn refuses_what_no_rules_file_may_say() {
    for bad in [
        "",
        "schema: cto/workspace-rules/2.0",
        "schema: cto/report/1.0",
        "required_files: []",
        "schema: cto/workspace-rules/1.0\nrequired: []",
        "schema: cto/workspace-rules/1.0\nignore: []\nignore: []",
        "schema: cto/workspace-rules/1.0\nlevels: {no-such-rule: off}",
        "schema: cto/workspace-rules/1.0\nlevels: {file-unreadable: off}",
        "schema: cto/workspace-rules/1.0\nlevels: {review-stale: maybe}",
        "schema: cto/workspace-rules/1.0\nignore: ['[']",
        "schema: cto/workspace-rules/1.0\nvalidators: [{name: x, command: [], timeout_seconds: 5}]",
        "schema: cto/workspace-rules/1.0\nvalidators: [{name: x, command: [a], timeout_seconds: 0}]",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    let error = read("schema: cto/workspace-rules/1.0\nlevels: {review-stal: off}").unwrap_err();
    assert!(error.to_string().contains("did you mean 'review-stale'"), "{error}");
}

#[test]
fn levels_are_changed_by_a_file_but_not_for_what_was_not_read() {
    let rules =
        read("schema: cto/workspace-rules/1.0\nlevels: {review-stale: error, authority-drift: warning, raw-html: off}")
            .unwrap();
    assert_eq!(rules.is_error(RuleId::ReviewStale, false), Some(true));
    assert_eq!(rules.is_error(RuleId::AuthorityDrift, true), Some(false));
    assert_eq!(rules.is_error(RuleId::RawHtml, true), None);
    assert_eq!(rules.is_error(RuleId::FileUnreadable, false), Some(true));
    assert_eq!(rules.is_error(RuleId::StatusDisagrees, false), Some(false));
    assert_eq!(rules.is_error(RuleId::StatusDisagrees, true), Some(true));
    assert_eq!(rules.lowered(), [RuleId::RawHtml, RuleId::AuthorityDrift]);
}

#[test]
fn ids_of_rules_are_unique_and_read_back() {
    let ids: BTreeSet<&str> = RuleId::all().iter().map(|rule| rule.id()).collect();
    assert_eq!(ids.len(), RuleId::all().len());
    for rule in RuleId::all() {
        assert_eq!(RuleId::find(rule.id()), Some(*rule));
        assert!(
            rule.id()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        );
    }
}

//! The corpus: sentences that claim authority and sentences that do not.

use super::super::markdown::read_page;
use super::*;

fn drift() -> Drift {
    Drift::new(&cto_schema::WorkspaceRules::built_in().unwrap().drift)
}

/// Examples: each starts on a line of its own; a line that continues one begins with a lower-case word and no sign.
fn examples(corpus: &str) -> Vec<&str> {
    corpus.lines().filter(|line| !line.trim().is_empty()).collect()
}

/// A row alone is no table.
fn as_document(example: &str) -> String {
    if example.starts_with('|') {
        format!("| Name | Value |\n|---|---|\n{example}\n")
    } else {
        format!("{}\n", example.replace("\\n", "\n"))
    }
}

#[test]
fn every_plain_claim_is_found() {
    let all = examples(include_str!("corpus/claims.md"));
    assert!(all.len() >= 60, "{}", all.len());
    let missed: Vec<&str> = all
        .into_iter()
        .filter(|example| drifted(&read_page(&as_document(example)), &drift()).is_empty())
        .collect();
    assert!(missed.is_empty(), "missed:\n{}", missed.join("\n"));
}

#[test]
fn nothing_else_is_taken_for_a_claim() {
    let all = examples(include_str!("corpus/no-claims.md"));
    assert!(all.len() >= 60, "{}", all.len());
    let wrong: Vec<&str> = all
        .into_iter()
        .filter(|example| !drifted(&read_page(&as_document(example)), &drift()).is_empty())
        .collect();
    assert!(wrong.is_empty(), "false alarms:\n{}", wrong.join("\n"));
}

#[test]
fn a_claim_has_the_line_on_which_it_starts() {
    let page = read_page("# Notes\n\nNothing new. The tests pass.\nCase is the\ndefault backend.\n");
    let found = drifted(&page, &drift());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].line, 4);
    assert_eq!(found[0].sentence, "Case is the default backend");
}

#[test]
fn lists_under_what_denies_them_are_no_claims() {
    for text in [
        "## Non-Goals\n\n- Case is the default backend.\n",
        "This document does not say that:\n\n- Case is the default backend.\n- Codex is authoritative.\n",
        "## Forbidden\n\n1. Case is promoted.\n",
        "```\nCase is the default backend.\n```\n",
        "| Forbidden phrase | Instead |\n|---|---|\n| Case is the default backend | Case is a candidate |\n",
    ] {
        assert_eq!(drifted(&read_page(text), &drift()), [], "{text}");
    }
    for text in [
        "## Status\n\n- Case is the default backend.\n",
        "We decided two things:\n\n- Case is the default backend.\n",
        "## Non-Goals\n\n- Speed.\n\n## Status\n\n- Case is the default backend.\n",
        "## Non-Goals\n\nCase is the default backend.\n",
    ] {
        assert_eq!(drifted(&read_page(text), &drift()).len(), 1, "{text}");
    }
}

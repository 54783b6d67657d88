//! Claims about planning workspaces: the template is in order, and each corruption of it is found as what it is.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Installation, git, snapshot, write};

/// A workspace as `init` makes it.
fn made() -> (Installation, PathBuf) {
    let installation = Installation::new();
    let output = installation.cto(&["workspace", "init", "plan"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let place = installation.dir.path().join("plan");
    (installation, place)
}

fn validated(installation: &Installation, more: &[&str]) -> (i32, Value) {
    installation.json(&[&["workspace", "validate", "plan"], more].concat())
}

/// The rules of errors and warnings.
fn rules(document: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let of = |kind: &str| {
        let found = document[kind].as_array().unwrap();
        found
            .iter()
            .map(|finding| finding["rule"].as_str().unwrap().to_owned())
            .collect()
    };
    (of("errors"), of("warnings"))
}

fn replace(place: &Path, file: &str, from: &str, to: &str) {
    let path = place.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} does not hold: {from}");
    write(&path, text.replacen(from, to, 1).as_bytes());
}

const PRD: &str = "prd/PRD-001.md";
const ISSUES: &str = "issues/PRD-001-issues.md";
const EVIDENCE: &str = "evidence/EVIDENCE-001.md";
const CLOSEOUT: &str = "closeouts/CLOSEOUT-001.md";
const BOARD: &str = "WORKBOARD.yaml";

/// One change of the template.
enum Change {
    /// In a file: this text becomes that.
    Text(&'static str, &'static str, &'static str),
    /// Several of them.
    Texts(&'static [(&'static str, &'static str, &'static str)]),
    /// A file is gone.
    Gone(&'static str),
    /// A file is new, or other.
    File(&'static str, &'static [u8]),
}

use Change::{File, Gone, Text, Texts};

/// What is changed, the one rule that says so, the file and a word of its mend.
const CORRUPTIONS: &[(Change, &str, &str, &str)] = &[
    (
        Text(PRD, "owner: operator\n", ""),
        "front-matter-missing-field",
        PRD,
        "owner",
    ),
    (
        Text(PRD, "---\ntitle", "title"),
        "front-matter-missing",
        PRD,
        "begin the file",
    ),
    (
        Text(PRD, "status: draft", "status: draft\nstatus: draft"),
        "front-matter-invalid",
        PRD,
        "once",
    ),
    (
        Text(PRD, "not-promoted", "promoted"),
        "front-matter-value",
        PRD,
        "core_promotion_status: not-promoted",
    ),
    (
        Text(
            PRD,
            "lifecycle_classification: planning",
            "lifecycle_classification: core",
        ),
        "front-matter-value",
        PRD,
        "planning",
    ),
    (
        Text(PRD, "created: 2", "created: 9"),
        "front-matter-date",
        PRD,
        "2026-05-31",
    ),
    (
        Text(PRD, "description:", "descripton:"),
        "front-matter-unknown-field",
        PRD,
        "optional",
    ),
    (
        Text(PRD, "Not active Core authority.", ""),
        "phrase-missing",
        PRD,
        "to the letter",
    ),
    (
        Text(
            PRD,
            "## Problem",
            "The default is set by `runtime_default_activation: TRUE` elsewhere, never here.\n\n## Problem",
        ),
        "phrase-forbidden",
        PRD,
        "block quote",
    ),
    (
        Text(
            PRD,
            "## Risks\n\n- The machine cannot keep every bound; `cto doctor` says which.\n",
            "",
        ),
        "heading-missing",
        PRD,
        "## Risks",
    ),
    (
        Text(
            PRD,
            "- The machine cannot keep every bound; `cto doctor` says which.\n",
            "",
        ),
        "section-empty",
        PRD,
        "write what",
    ),
    (
        Text(PRD, "## Scope", "## Problem\n\nAgain.\n\n## Scope"),
        "heading-repeated",
        PRD,
        "one heading",
    ),
    (
        Text(
            "README.md",
            "| [CONTEXT.md](CONTEXT.md) |",
            "| [CONTEXT.md](CONTEXT.md) | x |",
        ),
        "table-incomplete",
        "README.md",
        "one cell",
    ),
    (
        Text("README.md", "|---|---|\n", "|---|\n"),
        "table-incomplete",
        "README.md",
        "dashes",
    ),
    (
        Text("CONTEXT.md", "## Core Route Admission Guard", "## Guard"),
        "context-term",
        "CONTEXT.md",
        "Core Route Admission Guard",
    ),
    (
        Text(ISSUES, "### Validator\n\n`cto verify last`\n", ""),
        "issue-field-missing",
        ISSUES,
        "### Validator",
    ),
    (
        Text(ISSUES, "Status: candidate", "Status: ready"),
        "issue-field-value",
        ISSUES,
        "candidate",
    ),
    (
        Text(ISSUES, "Blocked by: CTO-WORK-001", "Blocked by: none"),
        "blockers-disagree",
        ISSUES,
        "same blockers",
    ),
    (
        Text(ISSUES, "Status: blocked", "Status: draft"),
        "status-disagrees",
        ISSUES,
        "make both say",
    ),
    (
        Text(ISSUES, "AC-2: every value", "AC-9: every value"),
        "criterion-unknown",
        ISSUES,
        "name one of",
    ),
    (
        Text(ISSUES, "AC-2: every value", "Every value"),
        "issue-maps-to-nothing",
        ISSUES,
        "AC-1",
    ),
    (
        Text(PRD, "## Validation", "- [ ] AC-4: Nobody works on it.\n\n## Validation"),
        "criterion-uncovered",
        PRD,
        "name it in the issue",
    ),
    (Text(ISSUES, "source: prd/PRD-001.md\n", ""), "none", ISSUES, ""),
    (
        Texts(&[
            (ISSUES, "source: prd/PRD-001.md\n", ""),
            (ISSUES, "[PRD-001](../prd/PRD-001.md)", "PRD-001"),
        ]),
        "issue-without-prd",
        ISSUES,
        "source:",
    ),
    (
        Text(
            ISSUES,
            "## CTO-WORK-002 - ",
            "## CTO-WORK-001 - Again\n\n## CTO-WORK-002 - ",
        ),
        "issue-field-missing",
        ISSUES,
        "add",
    ),
    (
        Text(BOARD, "id: CTO-WORK-002", "id: CTO-WORK-001"),
        "workboard-id-repeated",
        BOARD,
        "of its own",
    ),
    (
        Text(BOARD, "blocked_by: []", "blocked_by: [CTO-WORK-003]"),
        "workboard-cycle",
        BOARD,
        "remove one",
    ),
    (
        Text(BOARD, "[CTO-WORK-001]", "[CTO-WORK-001, CTO-WORK-010]"),
        "workboard-blocker-unknown",
        BOARD,
        "correct the id",
    ),
    (
        Text(BOARD, "type: AFK", "type: AFX"),
        "workboard-value",
        BOARD,
        "type: AFK",
    ),
    (
        Text(BOARD, "    title: Close the work\n", ""),
        "workboard-missing-field",
        BOARD,
        "title",
    ),
    (
        Text(BOARD, "    evidence: []\n", "    evidence: []\n    prio: 1\n"),
        "workboard-unknown-field",
        BOARD,
        "optional_fields",
    ),
    (Text(BOARD, "work:", "werk:"), "workboard-invalid", BOARD, "work:"),
    (
        Text(EVIDENCE, "report status: none", "report status: pass"),
        "claim-without-bundle",
        EVIDENCE,
        "bundle:",
    ),
    (
        Text(
            EVIDENCE,
            "bundle: none",
            "bundle: `20261120t103101z-r1-string-slugify-ib5cvr6ubc`",
        ),
        "bundle-missing",
        EVIDENCE,
        "cto export",
    ),
    (
        Text(EVIDENCE, "report status: none", "report status: green"),
        "claim-unreadable",
        EVIDENCE,
        "blocked",
    ),
    (
        Text(EVIDENCE, "Nothing yet.", "Nothing yet; see [the log](logs/run.log)."),
        "reference-missing",
        EVIDENCE,
        "relative",
    ),
    (
        Text(
            EVIDENCE,
            "Nothing yet.",
            "Nothing yet; see [the log](/var/log/run.log).",
        ),
        "reference-absolute",
        EVIDENCE,
        "relative",
    ),
    (
        Text(
            CLOSEOUT,
            "(../evidence/EVIDENCE-001.md)",
            "(../evidence/EVIDENCE-001.md#shown)",
        ),
        "anchor-missing",
        CLOSEOUT,
        "heading",
    ),
    (
        Text(EVIDENCE, "Nothing yet.", "Nothing yet at commit 0123abc."),
        "commit-unknown",
        EVIDENCE,
        "repositories",
    ),
    (
        Text(CLOSEOUT, "No Core promotion occurs.\n", ""),
        "phrase-missing",
        CLOSEOUT,
        "to the letter",
    ),
    (
        Text(CLOSEOUT, "Open: see", "Case is now the default backend. Open: see"),
        "authority-drift",
        CLOSEOUT,
        "candidate",
    ),
    (
        Text(EVIDENCE, "Nothing yet.", "Nothing yet from http://10.20.30.40:8000/v1."),
        "endpoint-value",
        EVIDENCE,
        "class",
    ),
    (
        Text(EVIDENCE, "Nothing yet.", "Nothing yet: password = hunter2hunter2."),
        "secret-value",
        EVIDENCE,
        "change the credential",
    ),
    (
        Text(EVIDENCE, "Nothing yet.", "<p>Nothing yet.</p>"),
        "raw-html",
        EVIDENCE,
        "Markdown",
    ),
    (
        Text("decisions/provider-decision.json", "not_decided", "decided"),
        "record-invalid",
        "decisions/provider-decision.json",
        "cto admit",
    ),
    (
        Text("admissions/target-repository.json", "\"not_admitted\"", "\"admitted\""),
        "record-refused",
        "admissions/target-repository.json",
        "cto admit",
    ),
    (
        Text("contracts/example.yaml", "[push]", "[pusch]"),
        "contract-invalid",
        "contracts/example.yaml",
        "cto decide",
    ),
    (Gone("CONTEXT.md"), "required-file", "CONTEXT.md", "create it"),
    (
        File("notes/data.json", b"{\"a\":1,\"a\":2}"),
        "json-invalid",
        "notes/data.json",
        "once",
    ),
    (
        File("notes/data.yaml", b"a: [1\nb: 2\n"),
        "yaml-invalid",
        "notes/data.yaml",
        "indent",
    ),
    (
        File("contracts/x.json", b"\xff\xfe"),
        "file-not-utf8",
        "contracts/x.json",
        "UTF-8",
    ),
    (
        File(
            "workspace-rules.yaml",
            b"schema: cto/workspace-rules/1.0\nlimits: {file_bytes: 600, total_bytes: 9000000, files: 100, depth: 4}\n",
        ),
        "file-too-large",
        PRD,
        "limits.file_bytes",
    ),
    (
        File(
            "workspace-rules.yaml",
            b"schema: cto/workspace-rules/1.0\nvalidators: [{name: x, command: ['true'], timeout_seconds: 5}]\n",
        ),
        "validator-not-run",
        "workspace-rules.yaml",
        "--run-validators",
    ),
];

#[test]
fn the_template_is_in_order_as_made_also_under_strict() {
    let (installation, place) = made();
    let before = snapshot(&place);
    for more in [&[][..], &["--strict"]] {
        let (code, document) = validated(&installation, more);
        assert_eq!(code, 0, "{document:#}");
        assert_eq!(document["schema"], "cto/workspace-validation/1.0");
        assert_eq!(
            (&document["ok"], &document["checked"]),
            (&Value::Bool(true), &Value::from(11))
        );
        assert_eq!(rules(&document), (BTreeSet::new(), BTreeSet::new()), "{document:#}");
    }
    assert_eq!(snapshot(&place), before, "validation writes nothing");
    assert!(!installation.home().exists(), "and makes no installation");
}

#[test]
fn each_corruption_is_found_as_what_it_is_and_its_mend_is_told() {
    let (installation, place) = made();
    let template = snapshot(&place);
    assert!(CORRUPTIONS.len() >= 30);
    let mut wrong = Vec::new();
    for (number, (change, rule, file, mend)) in CORRUPTIONS.iter().enumerate() {
        match change {
            Text(file, from, to) => replace(&place, file, from, to),
            Texts(all) => all.iter().for_each(|(file, from, to)| replace(&place, file, from, to)),
            Gone(file) => fs::remove_file(place.join(file)).unwrap(),
            File(file, bytes) => write(&place.join(file), bytes),
        }
        let (code, document) = validated(&installation, &[]);
        let all = document["errors"]
            .as_array()
            .unwrap()
            .iter()
            .chain(document["warnings"].as_array().unwrap());
        let here: Vec<&Value> = all
            .filter(|finding| finding["file"].as_str().unwrap().ends_with(file) && finding["rule"] == *rule)
            .collect();
        let told = here
            .iter()
            .any(|finding| finding["mend"].as_str().unwrap().contains(mend));
        let errors = !document["errors"].as_array().unwrap().is_empty();
        if *rule != "none" && !told || (code == 1) != errors {
            wrong.push(format!("{number}: {rule} in {file} is not told: {document:#}"));
        }
        let (errors, warnings) = rules(&document);
        let others: Vec<&String> = errors
            .union(&warnings)
            .filter(|found| *found != rule && !follows(rule, found))
            .collect();
        if !others.is_empty() {
            wrong.push(format!("{number}: {rule} comes with {others:?}"));
        }
        restore(&place, &template);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A finding that cannot but come with another.
fn follows(rule: &str, found: &str) -> bool {
    matches!(
        (rule, found),
        // Without a workboard, its issues are nowhere.
        ("workboard-invalid", "issue-not-on-board" | "workboard-unknown-field")
            // An entry that lost its id has no issue, and its issue is on no board.
            | ("workboard-id-repeated", "issue-not-on-board" | "workboard-blocker-unknown" | "workboard-cycle")
            | ("workboard-blocker-unknown" | "workboard-cycle", "blockers-disagree")
            | ("workboard-value" | "issue-field-value", "status-disagrees")
            // A criterion that nobody names any more.
            | ("criterion-unknown" | "issue-maps-to-nothing" | "issue-without-prd", "criterion-uncovered")
            | ("issue-field-missing", "heading-repeated" | "issue-maps-to-nothing")
            | ("phrase-forbidden", "authority-drift")
            // What is gone cannot be linked to.
            | ("required-file", "reference-missing")
    )
}

fn restore(place: &Path, template: &[(PathBuf, Vec<u8>)]) {
    for (path, _) in snapshot(place) {
        if path.is_file() && !template.iter().any(|(known, _)| *known == path) {
            fs::remove_file(path).unwrap();
        }
    }
    for (path, bytes) in template
        .iter()
        .filter(|(path, bytes)| !bytes.is_empty() || path.is_file())
    {
        write(path, bytes);
    }
}

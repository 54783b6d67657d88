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
        Text(PRD, "not-promoted", "requested"),
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
        Text("contracts/example.yaml", "copied-repo", "copied-repoo"),
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

/// Runs the demo case; returns its report.
fn run(installation: &Installation) -> Value {
    let (code, report) = installation.json(&["run", "r1-string-slugify"]);
    assert_eq!(code, 0, "{report:#}");
    report
}

fn evidence_of(report: &Value) -> String {
    format!(
        "- bundle: `{}`\n- report status: pass\n- changed files: `strings.py`\n- `patch.diff` has sha256:{}\n- commit {}\n",
        report["run_id"].as_str().unwrap(),
        digest(report, "patch.diff"),
        "0".repeat(7),
    )
}

fn digest(report: &Value, file: &str) -> String {
    let text = report["artifact_digests"][file].as_str().unwrap();
    text.strip_prefix("sha256:").unwrap().to_owned()
}

const NOTHING_RAN: &str = "- bundle: none\n- report status: none\n- changed files: none\n";

#[test]
fn what_a_text_says_of_a_bundle_is_held_against_the_bundle() {
    let (installation, place) = made();
    let report = run(&installation);
    let good = evidence_of(&report).replace("- commit 0000000\n", "");
    replace(&place, EVIDENCE, NOTHING_RAN, &good);
    let (code, document) = validated(&installation, &[]);
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(
        (&document["counts"]["bundles"], &document["counts"]["claims"]),
        (&Value::from(1), &Value::from(3))
    );
    let id = report["run_id"].as_str().unwrap();
    let patch = digest(&report, "patch.diff");
    let other_id = format!("{}a", &id[..id.len() - 1]).replace("aa", "ab");
    for (from, to, rule, mend) in [
        ("status: pass", "status: fail", "claim-status", "report status: pass"),
        (
            "`strings.py`",
            "`strings.py`, `b.py`",
            "claim-changed-files",
            "changed files: strings.py",
        ),
        (
            "`strings.py`",
            "none",
            "claim-changed-files",
            "changed files: strings.py",
        ),
        (
            patch.as_str(),
            &digest(&report, "report.md"),
            "claim-digest",
            patch.as_str(),
        ),
        ("`patch.diff` has", "the bundle has", "none", ""),
        (id, &other_id, "bundle-missing", "cto export"),
    ] {
        replace(&place, EVIDENCE, from, to);
        let (_, document) = validated(&installation, &[]);
        let (errors, warnings) = rules(&document);
        let expected: BTreeSet<String> = [rule]
            .iter()
            .filter(|rule| **rule != "none")
            .map(|rule| (*rule).to_owned())
            .collect();
        assert_eq!(
            (errors, warnings),
            (expected, BTreeSet::new()),
            "{from} → {to}: {document:#}"
        );
        if rule != "none" {
            assert!(
                document["errors"][0]["mend"].as_str().unwrap().contains(mend),
                "{document:#}"
            );
            assert!(document["errors"][0]["line"].as_u64().unwrap() > 10);
        }
        replace(&place, EVIDENCE, to, from);
    }
}

#[test]
fn a_bundle_in_the_workspace_counts_only_while_it_verifies_and_is_looked_at_without_being_named() {
    let (installation, place) = made();
    let report = run(&installation);
    let id = report["run_id"].as_str().unwrap();
    replace(
        &place,
        EVIDENCE,
        NOTHING_RAN,
        &format!("- bundle: `../bundles/{id}`\n- report status: pass\n"),
    );
    fs::create_dir(place.join("bundles")).unwrap();
    let copy = place.join("bundles").join(id);
    for (path, bytes) in snapshot(&installation.bundle(&report)) {
        let to = copy.join(path.strip_prefix(installation.bundle(&report)).unwrap());
        if path.is_dir() {
            fs::create_dir_all(to).unwrap();
        } else {
            write(&to, &bytes);
        }
    }
    let (code, document) = validated(&installation, &[]);
    assert_eq!(code, 0, "{document:#}");
    write(&copy.join("patch.diff"), b"other");
    let (_, document) = validated(&installation, &[]);
    assert_eq!(
        rules(&document).0,
        ["bundle-unverified".to_owned()].into(),
        "{document:#}"
    );
    replace(
        &place,
        EVIDENCE,
        &format!("- bundle: `../bundles/{id}`\n- report status: pass\n"),
        NOTHING_RAN,
    );
    let (_, document) = validated(&installation, &[]);
    assert_eq!(
        rules(&document).0,
        ["bundle-unverified".to_owned()].into(),
        "{document:#}"
    );
    assert_eq!(document["errors"][0]["file"], format!("bundles/{id}"));
    // A stranger's installation trusts no key of this one.
    let stranger = installation.dir.path().join("stranger");
    let output = installation
        .command()
        .args(["--json", "--home"])
        .arg(&stranger)
        .args(["workspace", "validate", "plan"])
        .output();
    let document: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert_eq!(rules(&document).0, ["bundle-unverified".to_owned()].into());
}

#[test]
fn commits_are_asked_of_the_repository_around_the_workspace_and_of_those_that_the_rules_name() {
    let (installation, place) = made();
    let other = installation.repository("other", &[("a", "b")]);
    let other_head = git(&other, &["rev-parse", "HEAD"]).trim().to_owned();
    git(&place, &["init", "--quiet", "--initial-branch=main"]);
    git(&place, &["add", "--all"]);
    git(&place, &["commit", "--quiet", "--message=first"]);
    let head = git(&place, &["rev-parse", "HEAD"]).trim().to_owned();
    let tree = git(&place, &["rev-parse", "HEAD^{tree}"]).trim().to_owned();
    let found = |text: &str| {
        replace(&place, EVIDENCE, "Nothing yet.", text);
        let (_, document) = validated(&installation, &[]);
        replace(&place, EVIDENCE, text, "Nothing yet.");
        rules(&document)
    };
    let none = (BTreeSet::new(), BTreeSet::new());
    let unknown = (BTreeSet::from(["commit-unknown".to_owned()]), BTreeSet::new());
    assert_eq!(found(&format!("At commit {head}.")), none);
    assert_eq!(
        found(&format!("At commit {}1.", &head[..39])),
        if head.ends_with('1') {
            none.clone()
        } else {
            unknown.clone()
        }
    );
    assert_eq!(found(&format!("At commit {tree}.")), unknown, "a tree is no commit");
    assert_eq!(found(&format!("At commit {other_head}.")), unknown);
    write(
        &place.join("workspace-rules.yaml"),
        b"schema: cto/workspace-rules/1.0\nrepositories: ['.', ../other]\n",
    );
    assert_eq!(found(&format!("At commit {other_head}.")), none);
    assert_eq!(found(&format!("At commit {head}.")), none);
}

#[test]
fn what_cannot_be_read_is_a_finding_and_never_a_pass_or_a_crash() {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;
    let (installation, place) = made();
    symlink("..", place.join("loop")).unwrap();
    symlink("/etc/passwd", place.join("prd/secret.md")).unwrap();
    write(&place.join(std::ffi::OsStr::from_bytes(b"bad\xff.md")), b"# x\n");
    write(&place.join("prd/latin.md"), b"---\ntitle: caf\xe9\n---\n");
    write(&place.join("huge.md"), &vec![b'x'; 2 << 20]);
    let deep: PathBuf = std::iter::repeat_n("d", 40).collect();
    fs::create_dir_all(place.join(deep)).unwrap();
    let fifo = place.join("fifo.md");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let (code, document) = validated(&installation, &[]);
    assert_eq!(code, 1);
    let expected = [
        "file-not-utf8",
        "file-special",
        "file-too-large",
        "link-not-followed",
        "name-not-plain",
        "tree-too-large",
    ];
    assert_eq!(rules(&document).0, expected.map(str::to_owned).into(), "{document:#}");
    for finding in document["errors"].as_array().unwrap() {
        assert!(!finding["mend"].as_str().unwrap().is_empty());
    }
    let text = document.to_string();
    assert!(!text.contains("root:"), "nothing behind a link was read");
}

#[test]
fn carriage_returns_change_no_line_and_no_verdict() {
    let (installation, place) = made();
    replace(&place, EVIDENCE, "report status: none", "report status: green");
    let (_, before) = validated(&installation, &[]);
    for (path, bytes) in snapshot(&place).into_iter().filter(|(path, _)| path.is_file()) {
        if path
            .extension()
            .is_some_and(|extension| extension == "md" || extension == "yaml")
        {
            write(
                &path,
                String::from_utf8(bytes).unwrap().replace('\n', "\r\n").as_bytes(),
            );
        }
    }
    let (_, after) = validated(&installation, &[]);
    assert_eq!(before["errors"], after["errors"], "{after:#}");
    assert_eq!(rules(&after).1, ["carriage-return".to_owned()].into());
}

#[test]
fn strict_makes_errors_of_the_named_warnings_and_of_no_other() {
    let (installation, place) = made();
    replace(&place, ISSUES, "Status: candidate", "Status: validated");
    replace(&place, ISSUES, "Blocked by: CTO-WORK-001", "Blocked by: none");
    replace(&place, PRD, "## Scope", "## Problem\n\nAgain.\n\n## Scope");
    replace(&place, BOARD, "status: blocked", "status: validated");
    replace(
        &place,
        BOARD,
        "blocked_by: [CTO-WORK-001]\n    evidence: []",
        "blocked_by: [CTO-WORK-001]\n    evidence: [evidence/EVIDENCE-001.md]",
    );
    replace(&place, EVIDENCE, "description:", "descripton:");
    let named = [
        "acceptance-unticked",
        "blockers-disagree",
        "heading-repeated",
        "status-disagrees",
        "workboard-blocker-order",
    ];
    let (code, document) = validated(&installation, &[]);
    let (errors, warnings) = rules(&document);
    assert_eq!((code, errors), (0, BTreeSet::new()), "{document:#}");
    let mut all: BTreeSet<String> = named.map(str::to_owned).into();
    all.insert("front-matter-unknown-field".to_owned());
    assert_eq!(warnings, all);
    let (code, document) = validated(&installation, &["--strict"]);
    let (errors, warnings) = rules(&document);
    assert_eq!((code, errors), (1, named.map(str::to_owned).into()));
    assert_eq!(warnings, ["front-matter-unknown-field".to_owned()].into());
}

#[test]
fn a_validated_entry_with_evidence_and_ticked_boxes_is_in_order_and_one_without_is_not() {
    let (installation, place) = made();
    replace(
        &place,
        BOARD,
        "status: candidate\n    blocked_by: []\n    evidence: []",
        "status: validated\n    blocked_by: []\n    evidence: [evidence/EVIDENCE-001.md]",
    );
    replace(&place, ISSUES, "Status: candidate", "Status: validated");
    replace(&place, ISSUES, "- [ ] AC-1", "- [x] AC-1");
    replace(&place, BOARD, "status: blocked", "status: candidate");
    replace(&place, ISSUES, "Status: blocked", "Status: candidate");
    let (code, document) = validated(&installation, &["--strict"]);
    assert_eq!(
        (code, rules(&document)),
        (0, (BTreeSet::new(), BTreeSet::new())),
        "{document:#}"
    );
    let (_, board) = installation.json(&["workspace", "board", "plan"]);
    assert_eq!(board["next"], serde_json::json!(["CTO-WORK-002"]));
    replace(
        &place,
        BOARD,
        "[evidence/EVIDENCE-001.md]",
        "[evidence/EVIDENCE-002.md]",
    );
    assert_eq!(
        rules(&validated(&installation, &[]).1).0,
        ["reference-missing".to_owned()].into()
    );
    replace(&place, BOARD, "[evidence/EVIDENCE-002.md]", "[]");
    assert_eq!(
        rules(&validated(&installation, &[]).1).0,
        ["workboard-evidence".to_owned()].into()
    );
}

#[test]
fn init_makes_new_files_only_and_refuses_as_a_whole() {
    let installation = Installation::new();
    let place = installation.dir.path().join("plan");
    write(&place.join("CONTEXT.md"), b"mine");
    let before = snapshot(&place);
    let output = installation.cto(&["workspace", "init", "plan"]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("CONTEXT.md") && said.contains("hint:"), "{said}");
    assert_eq!(snapshot(&place), before);
    // Another file is in nobody's way.
    fs::rename(place.join("CONTEXT.md"), place.join("OTHER.txt")).unwrap();
    let (code, document) = installation.json(&["workspace", "init", "plan"]);
    assert_eq!((code, document["files"].as_array().unwrap().len()), (0, 11));
    assert_eq!(fs::read(place.join("OTHER.txt")).unwrap(), b"mine");
    assert_eq!(validated(&installation, &[]).0, 0);
}

#[test]
fn a_validator_runs_only_when_asked_and_its_failure_is_told() {
    let (installation, place) = made();
    let rules_file = |command: &str, seconds: u32| {
        format!(
            "schema: cto/workspace-rules/1.0\nvalidators:\n  - {{name: mine, command: {command}, timeout_seconds: {seconds}}}\n"
        )
    };
    let says = |command: &str, seconds, more: &[&str]| {
        write(
            &place.join("workspace-rules.yaml"),
            rules_file(command, seconds).as_bytes(),
        );
        let (_, document) = validated(&installation, more);
        (rules(&document).0, document["errors"].to_string())
    };
    let (errors, _) = says("[touch, ran]", 60, &[]);
    assert_eq!(errors, ["validator-not-run".to_owned()].into());
    assert!(!place.join("ran").exists());
    assert_eq!(says("[touch, ran]", 60, &["--run-validators"]).0, BTreeSet::new());
    assert!(place.join("ran").exists(), "it ran in the workspace");
    let (errors, text) = says("[sh, -c, 'echo wrong link; exit 2']", 60, &["--run-validators"]);
    assert_eq!(errors, ["validator-failed".to_owned()].into());
    assert!(text.contains("wrong link"), "{text}");
    let (_, text) = says("[sleep, '600']", 1, &["--run-validators"]);
    assert!(text.contains("did not end within 1 seconds"), "{text}");
}

#[test]
fn rules_that_cannot_be_used_are_an_error_that_names_the_place() {
    let (installation, place) = made();
    for (text, word) in [
        ("schema: cto/workspace-rules/1.0\nrequired: [x]\n", "unknown field"),
        ("schema: cto/workspace-rules/9.0\n", "cto/workspace-rules/9.0"),
        (
            "schema: cto/workspace-rules/1.0\nlevels: {file-unreadable: off}\n",
            "stays an error",
        ),
        ("a: b: c\n", "line 1"),
    ] {
        write(&place.join("workspace-rules.yaml"), text.as_bytes());
        let output = installation.cto(&["workspace", "validate", "plan"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains(word) && said.contains("workspace-rules.yaml") && said.contains("hint:"),
            "{said}"
        );
    }
    // The built-in rules, printed and used as a file, are the built-in rules.
    fs::remove_file(place.join("workspace-rules.yaml")).unwrap();
    let printed = installation.cto(&["workspace", "rules"]).stdout;
    write(&installation.dir.path().join("rules.yaml"), &printed);
    let (code, document) = validated(&installation, &["--rules", "rules.yaml"]);
    assert_eq!((code, &document["rules"]["lowered"]), (0, &serde_json::json!([])));
    let output = installation.cto(&["workspace", "validate", "nowhere"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn lowered_rules_are_named_in_the_result() {
    let (installation, place) = made();
    replace(
        &place,
        CLOSEOUT,
        "Open: see",
        "Case is now the default backend. Open: see",
    );
    write(
        &place.join("workspace-rules.yaml"),
        b"schema: cto/workspace-rules/1.0\nlevels: {authority-drift: off}\n",
    );
    let (code, document) = validated(&installation, &[]);
    assert_eq!(
        (code, &document["rules"]["lowered"]),
        (0, &serde_json::json!(["authority-drift"]))
    );
}

#[test]
fn the_board_shows_order_gates_and_circles_and_its_graphs_hold_any_title() {
    let (installation, place) = made();
    let (code, board) = installation.json(&["workspace", "board", "plan"]);
    assert_eq!((code, &board["schema"]), (0, &Value::from("cto/workspace-board/1.0")));
    assert_eq!(
        board["order"],
        serde_json::json!(["CTO-WORK-001", "CTO-WORK-002", "CTO-WORK-003"])
    );
    assert_eq!(board["next"], serde_json::json!(["CTO-WORK-001"]));
    assert_eq!(board["entries"][2]["human_gates"].as_array().unwrap().len(), 1);
    replace(
        &place,
        BOARD,
        "title: Close the work",
        r#"title: 'a "b" \ <c> & #d ] }}'"#,
    );
    let dot = String::from_utf8(installation.cto(&["workspace", "board", "plan", "--dot"]).stdout).unwrap();
    assert!(
        dot.contains(r#"a \"b\" \\ <c>"#) && dot.contains("n0 -> n1;") && dot.ends_with("}\n"),
        "{dot}"
    );
    let mermaid = String::from_utf8(installation.cto(&["workspace", "board", "plan", "--mermaid"]).stdout).unwrap();
    assert!(
        mermaid.contains("a &quot;b&quot; \\ &lt;c&gt; &amp; &#35;d ] }}") && mermaid.contains("n1 --> n2"),
        "{mermaid}"
    );
    replace(&place, BOARD, "blocked_by: []", "blocked_by: [CTO-WORK-002]");
    let output = installation.cto(&["workspace", "board", "plan"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("CTO-WORK-001 → CTO-WORK-002") && said.contains("Next: nothing"),
        "{said}"
    );
    fs::remove_file(place.join(BOARD)).unwrap();
    let output = installation.cto(&["workspace", "board", "plan"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn watching_tells_what_is_new_and_what_is_mended_and_ends_on_an_interrupt() {
    let (installation, place) = made();
    let mut child = installation
        .command()
        .args(["workspace", "validate", "plan", "--watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("✔ ok")));
    replace(
        &place,
        CLOSEOUT,
        "Open: see",
        "Case is now the default backend. Open: see",
    );
    assert!(lines.any(|line| line.contains("✘ new") && line.contains("authority-drift")));
    assert!(lines.any(|line| line.contains("✘ not ok")));
    replace(
        &place,
        CLOSEOUT,
        "Case is now the default backend. Open: see",
        "Open: see",
    );
    assert!(lines.any(|line| line.contains("✔ gone") && line.contains("authority-drift")));
    // In a new directory as well.
    write(&place.join("prd/more/PRD-002.md"), b"# Nothing\n");
    assert!(lines.any(|line| line.contains("✘ new") && line.contains("front-matter-missing")));
    let id = i32::try_from(child.id()).unwrap().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    // Nobody else holds its output.
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

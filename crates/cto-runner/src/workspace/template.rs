//! The workspace that `cto workspace init` makes: small, complete, and without a finding.

/// Each file and its text; `{today}` is the day on which it is made.
const FILES: &[(&str, &str)] = &[
    ("README.md", include_str!("template/README.md")),
    ("CONTEXT.md", include_str!("template/CONTEXT.md")),
    ("WORKBOARD.yaml", include_str!("template/WORKBOARD.yaml")),
    ("prd/PRD-001.md", include_str!("template/prd/PRD-001.md")),
    (
        "issues/PRD-001-issues.md",
        include_str!("template/issues/PRD-001-issues.md"),
    ),
    (
        "evidence/EVIDENCE-001.md",
        include_str!("template/evidence/EVIDENCE-001.md"),
    ),
    (
        "closeouts/CLOSEOUT-001.md",
        include_str!("template/closeouts/CLOSEOUT-001.md"),
    ),
    ("packets/PACKET-001.md", include_str!("template/packets/PACKET-001.md")),
    (
        "admissions/target-repository.json",
        include_str!("template/admissions/target-repository.json"),
    ),
    (
        "decisions/provider-decision.json",
        include_str!("template/decisions/provider-decision.json"),
    ),
    (
        "contracts/example.yaml",
        include_str!("template/contracts/example.yaml"),
    ),
];

/// Returns the files of a new workspace, each with its path and its text.
pub fn workspace_template() -> Vec<(String, String)> {
    let now = cto_evidence::wall_now().to_string();
    let today = now.get(..10).unwrap_or_default();
    FILES
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.replace("{today}", today)))
        .collect()
}

//! Schema identifiers: `cto/<name>/<major>.<minor>` in every document.

/// The schema of one document type. The major refuses, the minor adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaId {
    /// Document name, for example `report`.
    pub name: &'static str,
    /// Readers refuse any other major.
    pub major: u32,
    /// Readers tolerate any minor.
    pub minor: u32,
}

impl SchemaId {
    /// `contract.json` and contract files. 1.0: first version.
    pub const CONTRACT: Self = Self::new("contract");
    /// `decision.json`. 1.0: first version.
    pub const DECISION: Self = Self::new("decision");
    /// `enforcement.json`. 1.0: first version.
    pub const ENFORCEMENT: Self = Self::new("enforcement");
    /// `report.json`. 1.0: first version.
    pub const REPORT: Self = Self::new("report");
    /// `write-set.json`. 1.0: first version.
    pub const WRITE_SET: Self = Self::new("write-set");
    /// Records of `journal.jsonl`. 1.0: first version.
    pub const JOURNAL: Self = Self::new("journal");
    /// Part and stage proofs. 1.0: first version.
    pub const PROOF: Self = Self::new("proof");
    /// The predicate of `attestation.dsse.json`. 1.0: first version.
    pub const RUN: Self = Self::new("run");
    /// `case.yaml`. 1.0: first version.
    pub const CASE: Self = Self::new("case");
    /// Engine manifests. 1.0: first version.
    pub const ENGINE: Self = Self::new("engine");

    /// `matrix.json`: the report of a matrix of engines, cases and repeats. 1.0: first version.
    pub const MATRIX: Self = Self::new("matrix");
    /// `plan.json` of such a matrix. 1.0: first version.
    pub const MATRIX_PLAN: Self = Self::new("matrix-plan");
    /// Marks of its cells. 1.0: first version.
    pub const MATRIX_CELL: Self = Self::new("matrix-cell");

    /// `plan.json` of an apply. 1.0: first version.
    pub const APPLY: Self = Self::new("apply");
    /// `done.json` of an apply. 1.0: first version.
    pub const APPLY_DONE: Self = Self::new("apply-done");

    /// Model admission records. 1.0: first version.
    pub const MODEL_ADMISSION: Self = Self::new("model-admission");
    /// Source admission records. 1.0: first version.
    pub const SOURCE_ADMISSION: Self = Self::new("source-admission");
    /// Build admission records. 1.0: first version.
    pub const BUILD_ADMISSION: Self = Self::new("build-admission");
    /// Target repository admission records. 1.0: first version.
    pub const REPOSITORY_ADMISSION: Self = Self::new("repository-admission");
    /// Provider decision records. 1.0: first version.
    pub const PROVIDER_DECISION: Self = Self::new("provider-decision");

    /// Approval packets. 1.0: first version.
    pub const APPROVAL_PACKET: Self = Self::new("approval-packet");
    /// What an operator says about a packet. 1.0: first version.
    pub const APPROVAL: Self = Self::new("approval");
    /// The control summary. 1.0: first version.
    pub const CONTROL_SUMMARY: Self = Self::new("control-summary");
    /// What an operator says after a run. 1.0: first version.
    pub const OPERATOR_OUTCOME: Self = Self::new("operator-outcome");
    /// That an installation heard an operator's word. 1.0: first version.
    pub const OUTCOME_HEARD: Self = Self::new("outcome-heard");
    /// That the commit of a run was taken back. 1.0: first version.
    pub const ROLLBACK: Self = Self::new("rollback");

    /// Conflict lists of `cto guard`. 1.0: first version.
    pub const CORE_CONFLICTS: Self = Self::new("core-conflicts");
    /// Route records of `cto guard`. 1.0: first version.
    pub const CORE_ROUTE: Self = Self::new("core-route");
    /// What `cto guard` says. 1.0: first version.
    pub const ROUTE_GUARD: Self = Self::new("route-guard");
    /// `WORKBOARD.yaml`. 1.0: first version.
    pub const WORKBOARD: Self = Self::new("workboard");
    /// Rules of a planning workspace. 1.0: first version.
    pub const WORKSPACE_RULES: Self = Self::new("workspace-rules");
    /// What a validation of a planning workspace found. 1.0: first version.
    pub const WORKSPACE_VALIDATION: Self = Self::new("workspace-validation");
    /// The board of a planning workspace. 1.0: first version.
    pub const WORKSPACE_BOARD: Self = Self::new("workspace-board");
    /// The predicate about a sealed document. 1.0: first version.
    pub const SEALED_DOCUMENT: Self = Self::new("sealed-document");
    /// Comparisons of a candidate with its lanes. 1.0: first version.
    pub const CANDIDATE_COMPARISON: Self = Self::new("candidate-comparison");
    /// Repeatability refreshes. 1.0: first version.
    pub const REFRESH: Self = Self::new("repeatability-refresh");
    /// Core Promotion Decision Packets. 1.0: first version.
    pub const DECISION_PACKET: Self = Self::new("core-promotion-decision-packet");

    /// Audits. 1.0: first version.
    pub const AUDIT: Self = Self::new("audit");

    const fn new(name: &'static str) -> Self {
        Self {
            name,
            major: 1,
            minor: 0,
        }
    }
}

impl std::fmt::Display for SchemaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cto/{}/{}.{}", self.name, self.major, self.minor)
    }
}

/// A document that this reader must not interpret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("schema '{found}' cannot be read as '{expected}'; use the version of cto that wrote it")]
pub struct SchemaError {
    /// What the document says.
    pub found: String,
    /// What this reader knows.
    pub expected: String,
}

/// Checks a document's `schema` text against what the reader knows: same name, same major, any minor.
pub fn check_schema(found: &str, expected: SchemaId) -> Result<(), SchemaError> {
    let refuse = || SchemaError {
        found: found.chars().take(80).collect(),
        expected: expected.to_string(),
    };
    let rest = found
        .strip_prefix("cto/")
        .and_then(|r| r.strip_prefix(expected.name))
        .and_then(|r| r.strip_prefix('/'));
    let (major, minor) = rest.and_then(|version| version.split_once('.')).ok_or_else(refuse)?;
    let known = major.parse() == Ok(expected.major) && minor.parse::<u32>().is_ok();
    if known { Ok(()) } else { Err(refuse()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerates_a_new_minor_and_refuses_a_new_major() {
        assert!(check_schema("cto/report/1.7", SchemaId::REPORT).is_ok());
        for bad in [
            "cto/report/2.0",
            "cto/reports/1.0",
            "report/1.0",
            "cto/report/1",
            "",
            "cto/report/1.x",
        ] {
            assert!(check_schema(bad, SchemaId::REPORT).is_err(), "{bad}");
        }
    }
}

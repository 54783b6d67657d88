//! Whether the engine's binary is the recorded one.

use cto_schema::{AdmissionFacts, BinaryFacts, BuildAdmission, MutationMode};

use super::{Judgement, in_the_future};

/// The lowest stage that needs a build record of every engine.
const NEEDED_FROM_STAGE: u8 = 3;
/// Directories that anybody may write to; a binary there may be discovered, never used.
const TEMPORARY: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", "/run/user"];

/// What a build admission says about a binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildStatus {
    /// The binary is the recorded one.
    Admitted,
    /// There is no record.
    NotAdmitted,
    /// The record cannot be used.
    InvalidAdmission,
    /// The binary is not the recorded one.
    Mismatch,
}

impl BuildStatus {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::NotAdmitted => "not_admitted",
            Self::InvalidAdmission => "invalid_admission",
            Self::Mismatch => "mismatch",
        }
    }
}

/// Judges the binary of an engine by its build record. Without a record a run goes on up to stage 2, unless the engine
/// needs one always; a record that does not hold blocks at every stage.
pub fn judge_build(facts: &AdmissionFacts, engine: &str, mode: MutationMode) -> Judgement<BuildStatus> {
    use BuildStatus as S;
    let needed = facts.decision_required || mode.stage() >= NEEDED_FROM_STAGE;
    if let Some(problem) = &facts.build.problem {
        return Judgement::refuses(
            S::InvalidAdmission,
            format!("the build admission cannot be used: {problem}"),
        );
    }
    let Some(record) = &facts.build.record else {
        return Judgement {
            status: S::NotAdmitted,
            reason: format!("there is no build admission of engine '{engine}'; cto admit build makes one"),
            blocks: needed,
        };
    };
    if in_the_future(&record.build_timestamp, facts.judged_at_seconds) {
        let detail = format!(
            "the build admission is dated in the future ({})",
            record.build_timestamp
        );
        return Judgement::refuses(S::InvalidAdmission, detail);
    }
    if let Some(reason) = wrong_identity(record, engine) {
        return Judgement::refuses(S::Mismatch, reason);
    }
    if let Some(directory) = TEMPORARY.iter().find(|d| is_below(record.binary_path.as_str(), d)) {
        let detail =
            format!("the admitted binary lies below {directory}, which is for discovery only; install it elsewhere");
        return Judgement::refuses(S::Mismatch, detail);
    }
    if let Some(reason) = differs(record, &facts.binary) {
        return Judgement::refuses(S::Mismatch, reason);
    }
    let reason = unpinned(record);
    if needed && !reason.is_empty() {
        return Judgement::refuses(S::NotAdmitted, reason);
    }
    Judgement {
        status: S::Admitted,
        reason: reason.to_owned(),
        blocks: false,
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn wrong_identity(record: &BuildAdmission, engine: &str) -> Option<String> {
    if record.engine.as_str() != engine {
        return Some(format!(
            "the build admission is of engine '{}', not of '{engine}'",
            record.engine
        ));
    }
    if !record.identity_check.passed {
        return Some("the binary did not say what it had to say when the build was admitted".to_owned());
    }
    if engine != "case" {
        return None;
    }
    // `case` on npm is an unrelated package, and a shell keyword.
    let named_case = record.binary_path.as_str().ends_with("/case");
    let packaged_case = record
        .package
        .as_ref()
        .is_some_and(|package| package.name.as_str() == "case");
    let says_case = record
        .identity_check
        .expected
        .as_ref()
        .is_some_and(|text| text.as_str().contains("Case"));
    if named_case || packaged_case {
        return Some("a program or package named 'case' is not the Case CLI; its program is 'ca'".to_owned());
    }
    (!says_case).then(|| "the identity check did not ask for the Case CLI".to_owned())
}

/// What is different between the record and the binary of now.
fn differs(record: &BuildAdmission, binary: &BinaryFacts) -> Option<String> {
    let Some(path) = &binary.path else {
        return Some(format!("the admitted binary cannot be looked at: {}", binary.detail));
    };
    if path != record.binary_path.as_str() {
        return Some(format!(
            "the engine's program is {path} and {} is admitted",
            record.binary_path
        ));
    }
    if !binary.executable {
        return Some(format!("{path} is not executable"));
    }
    if binary.digest != Some(record.binary_sha256) || binary.size_bytes != record.binary_size_bytes {
        return Some(format!(
            "{path} is not the admitted binary: its digest is {} and {} is admitted",
            binary
                .digest
                .map_or_else(|| "not known".to_owned(), |digest| digest.to_string()),
            record.binary_sha256
        ));
    }
    if record.package != binary.package {
        let shown = binary.package.as_ref().map_or_else(
            || "not there".to_owned(),
            |package| {
                format!(
                    "{}@{} with integrity {}",
                    package.name, package.version, package.integrity
                )
            },
        );
        return Some(format!(
            "the installed package is {shown}, which is not the admitted one"
        ));
    }
    (record.package_sha256 != binary.package_digest)
        .then(|| "the files of the installed package are not the admitted ones".to_owned())
}

/// What is missing for a binary to be traced to its source; empty when nothing is.
fn unpinned(record: &BuildAdmission) -> &'static str {
    if record.pinned_commit.is_none() && record.package.is_none() {
        "the build admission pins neither a commit nor a package"
    } else if record.checkout_clean == Some(false) {
        "the binary was built from a checkout with changes of its own"
    } else {
        ""
    }
}

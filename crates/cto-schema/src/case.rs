//! A case: a fixture plus a task contract, from `case.yaml` (spec 05).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::BaselineExpectation;

/// `case.yaml`: what a case directory holds besides its `fixture/` directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Name of the case, `[a-z0-9-]{1,36}`.
    pub case_id: String,
    /// One line for people.
    pub title: String,
    /// The brief that the engine reads.
    pub task: String,
    /// Language, for people.
    pub language: String,
    /// Globs that may change.
    pub allowed_writes: Vec<String>,
    /// Commands whose success verifies the change; the first whose program and modules exist is used.
    pub verification: Vec<Vec<String>>,
    /// Tests and their configuration, restored from the baseline in a second run.
    #[serde(default)]
    pub verification_inputs: Vec<String>,
    /// Files that an accepted change touches, exactly.
    pub expected_change: Vec<String>,
    /// What verification says before the change.
    #[serde(default)]
    pub baseline_expectation: BaselineExpectation,
    /// The edit that the `fake` engine plays: path to new content.
    pub reference_edit: std::collections::BTreeMap<String, String>,
}

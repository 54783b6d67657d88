//! The sections of a rules file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much of a workspace is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TreeLimits {
    /// Largest file, in bytes.
    pub file_bytes: u64,
    /// Most bytes in all.
    pub total_bytes: u64,
    /// Most files.
    pub files: u32,
    /// Most levels of directories.
    pub depth: u32,
}

/// What front matter must say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FrontMatterRules {
    /// The fields that are known.
    pub fields: Vec<FrontMatterField>,
    /// Days after which `last_reviewed` is stale; 0 for never.
    pub review_days: u32,
}

/// A field of front matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FrontMatterField {
    /// Its name; of several names one is enough.
    pub names: Vec<String>,
    /// Whether it may be left out.
    #[serde(default)]
    pub optional: bool,
    /// What its value is.
    #[serde(default)]
    pub kind: FieldKind,
    /// The only values that it may have; any when empty.
    #[serde(default)]
    pub values: Vec<String>,
}

/// What the value of a field is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// A text, number or list that is not empty.
    #[default]
    Text,
    /// A day, `2026-05-31`, that is not in the future.
    Date,
    /// A path of a file, relative to the document or the workspace; what is no path (a URL, prose) is not looked up.
    Path,
}

/// Files that are held against the same rules. A file belongs to the first class that one of its globs matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentClass {
    /// The class, as messages call it.
    pub name: String,
    /// Globs on the path relative to the workspace; `*` does not cross a slash.
    pub paths: Vec<String>,
    /// How such a file is read.
    #[serde(default)]
    pub kind: PageKind,
    /// Whether front matter is required.
    #[serde(default)]
    pub front_matter: bool,
    /// Headings that it must have, each with something below it.
    #[serde(default)]
    pub headings: Vec<String>,
    /// Fields that each of its issues must have.
    #[serde(default)]
    pub issue_fields: Vec<String>,
    /// Terms that it must define.
    #[serde(default)]
    pub terms: Vec<String>,
    /// Phrases that it must hold.
    #[serde(default)]
    pub required_phrases: Vec<String>,
    /// Phrases that it must not hold.
    #[serde(default)]
    pub forbidden_phrases: Vec<String>,
}

/// How the files of a class are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PageKind {
    /// By their extension: Markdown, YAML, JSON; others are looked through for secrets alone.
    #[default]
    Document,
    /// A PRD: its acceptance criteria are what issues map to.
    Prd,
    /// A sequence of issues.
    Issues,
    /// An admission or decision record (JSON).
    Record,
    /// A task contract (YAML or JSON).
    Contract,
}

/// The workboard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkboardRules {
    /// Its file.
    pub file: String,
    /// Keys under which the list of entries may stand; the document may also be the list itself.
    pub lists: Vec<String>,
    /// What an id starts with.
    pub id_prefix: String,
    /// How many digits follow at least.
    pub id_digits: u32,
    /// The types of entries.
    pub types: Vec<String>,
    /// Every status of entries.
    pub statuses: Vec<String>,
    /// The status that rests on evidence.
    pub done: String,
    /// The status that needs a blocker.
    pub blocked: String,
    /// Fields that an entry may have beyond the required.
    pub optional_fields: Vec<String>,
}

/// How PRDs and issues are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRules {
    /// What the id of an acceptance criterion starts with; digits follow.
    pub criterion_prefix: String,
    /// The section of a PRD that lists them.
    pub criteria_heading: String,
    /// The field of an issue whose boxes are ticked before it is done.
    pub acceptance_field: String,
}

/// What a plain claim of authority is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriftRules {
    /// Engines and other things that have no authority here.
    pub subjects: Vec<String>,
    /// Roles that none of them has.
    pub roles: Vec<String>,
    /// States that none of them is in.
    pub states: Vec<String>,
}

/// A command that judges the workspace as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalValidator {
    /// What messages call it.
    pub name: String,
    /// Program and arguments; run in the workspace, without a shell.
    pub command: Vec<String>,
    /// How long it may take, 1 to 3600 seconds.
    pub timeout_seconds: u32,
}

/// A level that a rules file gives a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LevelChoice {
    /// An error.
    Error,
    /// A warning, also under `--strict`.
    Warning,
    /// Not looked at.
    Off,
}

/// The levels that a rules file changes, by rule.
pub(super) type Levels = BTreeMap<super::RuleId, LevelChoice>;

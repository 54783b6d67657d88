//! The rules of a planning workspace as data: a file changes whole sections of the built-in ones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{RuleId, RuleLevel};
use super::sections::{
    DocumentClass, DriftRules, ExternalValidator, FrontMatterRules, LevelChoice, Levels, PlanRules, TreeLimits,
    WorkboardRules,
};
use crate::nearest::explain_yaml;
use crate::version::{SchemaError, SchemaId, check_schema};

/// The built-in rules, with comments; `cto workspace rules` prints them.
pub const DEFAULT_WORKSPACE_RULES: &str = include_str!("default-rules.yaml");

/// The largest rules file, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// Rules of a planning workspace. In a file every section may be left out; the built-in one then holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceRules {
    /// `cto/workspace-rules/1.0`.
    pub schema: String,
    /// Globs of what is not looked at.
    #[serde(default = "built_in_ignore")]
    pub ignore: Vec<String>,
    /// How much is read.
    #[serde(default = "built_in_limits")]
    pub limits: TreeLimits,
    /// Files that must exist.
    #[serde(default = "built_in_required_files")]
    pub required_files: Vec<String>,
    /// What front matter must say.
    #[serde(default = "built_in_front_matter")]
    pub front_matter: FrontMatterRules,
    /// A sentence that every document with front matter holds; none when empty.
    #[serde(default = "built_in_notice")]
    pub notice: String,
    /// Classes of files, the first match wins.
    #[serde(default = "built_in_classes")]
    pub classes: Vec<DocumentClass>,
    /// The workboard.
    #[serde(default = "built_in_workboard")]
    pub workboard: WorkboardRules,
    /// PRDs and issues.
    #[serde(default = "built_in_plan")]
    pub plan: PlanRules,
    /// Authority drift.
    #[serde(default = "built_in_drift")]
    pub drift: DriftRules,
    /// Hosts, with their port where there is one, whose addresses may be written.
    #[serde(default)]
    pub allowed_hosts: Vec<String>,
    /// Repositories in which named commits are looked for, relative to the workspace; `.` is the one around it.
    #[serde(default = "built_in_repositories")]
    pub repositories: Vec<String>,
    /// Commands that judge the workspace as well.
    #[serde(default)]
    pub validators: Vec<ExternalValidator>,
    /// Levels of rules that are not the built-in ones.
    #[serde(default)]
    pub levels: Levels,
}

/// Why rules cannot be used. The caller adds the file.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Over the size limit.
    #[error("the rules have {size} bytes, {MAX_BYTES} are allowed")]
    TooLarge {
        /// Bytes seen.
        size: usize,
    },
    /// Not UTF-8.
    #[error("the rules are not UTF-8")]
    Encoding,
    /// Not YAML, a duplicate or unknown key, or a wrong type.
    #[error("{0}")]
    Syntax(String),
    /// Of another schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A value cannot be used.
    #[error("{field}: {reason}")]
    Value {
        /// Where it stands.
        field: String,
        /// What is wrong with it and how to mend it.
        reason: String,
    },
}

impl WorkspaceRules {
    /// Reads a rules file: strict YAML, no unknown field, no duplicate key.
    pub fn parse(bytes: &[u8]) -> Result<Self, RulesError> {
        if bytes.len() > MAX_BYTES {
            return Err(RulesError::TooLarge { size: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| RulesError::Encoding)?;
        let options = serde_saphyr::options! { strict_booleans: true };
        let rules: Self = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| RulesError::Syntax(explain_yaml(&error.to_string())))?;
        check_schema(&rules.schema, SchemaId::WORKSPACE_RULES)?;
        rules.check()?;
        Ok(rules)
    }

    /// Returns the built-in rules.
    pub fn built_in() -> Result<Self, RulesError> {
        Self::parse(DEFAULT_WORKSPACE_RULES.as_bytes())
    }

    /// Returns whether findings of a rule are errors; `None` when they are not reported.
    pub fn is_error(&self, rule: RuleId, strict: bool) -> Option<bool> {
        if rule.level() == RuleLevel::Fixed {
            return Some(true);
        }
        match self.levels.get(&rule) {
            Some(LevelChoice::Error) => Some(true),
            Some(LevelChoice::Warning) => Some(false),
            Some(LevelChoice::Off) => None,
            None => Some(match rule.level() {
                RuleLevel::Fixed | RuleLevel::Error => true,
                RuleLevel::WarningUnlessStrict => strict,
                RuleLevel::Warning => false,
            }),
        }
    }

    /// Returns the rules whose level was lowered, in order.
    pub fn lowered(&self) -> Vec<RuleId> {
        let lower = |rule: RuleId, choice: LevelChoice| match (rule.level(), choice) {
            (_, LevelChoice::Error) | (RuleLevel::Warning, LevelChoice::Warning) => false,
            (_, LevelChoice::Off | LevelChoice::Warning) => true,
        };
        self.levels
            .iter()
            .filter(|(rule, choice)| lower(**rule, **choice))
            .map(|(rule, _)| *rule)
            .collect()
    }

    fn check(&self) -> Result<(), RulesError> {
        let value = |field: &str, reason: String| {
            Err(RulesError::Value {
                field: field.to_owned(),
                reason,
            })
        };
        if let Some((rule, _)) = self
            .levels
            .iter()
            .find(|(rule, choice)| rule.level() == RuleLevel::Fixed && **choice != LevelChoice::Error)
        {
            return value(
                "levels",
                format!("'{rule}' says that something could not be looked at, and stays an error; remove it"),
            );
        }
        let globs = self
            .classes
            .iter()
            .flat_map(|class| class.paths.iter())
            .chain(&self.ignore);
        for glob in globs {
            if let Err(error) = globset::GlobBuilder::new(glob).literal_separator(true).build() {
                return value("paths", error.to_string());
            }
        }
        for (field, empty) in [
            ("workboard.file", self.workboard.file.is_empty()),
            ("workboard.id_prefix", self.workboard.id_prefix.is_empty()),
            ("plan.criterion_prefix", self.plan.criterion_prefix.is_empty()),
            ("limits.files", self.limits.files == 0),
            ("limits.file_bytes", self.limits.file_bytes == 0),
        ] {
            if empty {
                return value(
                    field,
                    "it is empty or zero; leave it out for the built-in one".to_owned(),
                );
            }
        }
        if let Some(field) = self.front_matter.fields.iter().find(|field| field.names.is_empty()) {
            return value("front_matter.fields", format!("a field has no name: {field:?}"));
        }
        for validator in &self.validators {
            if validator.command.is_empty() || !(1..=3600).contains(&validator.timeout_seconds) {
                let reason = "a validator has a command and a timeout of 1 to 3600 seconds";
                return value("validators", format!("{}: {reason}", validator.name));
            }
        }
        Ok(())
    }
}

/// The built-in sections. Their file has every one of them, so reading it never asks for a default.
fn section<T: Default>(take: fn(WorkspaceRules) -> T) -> T {
    WorkspaceRules::built_in().map(take).unwrap_or_default()
}

fn built_in_ignore() -> Vec<String> {
    section(|rules| rules.ignore)
}

fn built_in_limits() -> TreeLimits {
    section(|rules| rules.limits)
}

fn built_in_required_files() -> Vec<String> {
    section(|rules| rules.required_files)
}

fn built_in_front_matter() -> FrontMatterRules {
    section(|rules| rules.front_matter)
}

fn built_in_notice() -> String {
    section(|rules| rules.notice)
}

fn built_in_classes() -> Vec<DocumentClass> {
    section(|rules| rules.classes)
}

fn built_in_workboard() -> WorkboardRules {
    section(|rules| rules.workboard)
}

fn built_in_plan() -> PlanRules {
    section(|rules| rules.plan)
}

fn built_in_drift() -> DriftRules {
    section(|rules| rules.drift)
}

fn built_in_repositories() -> Vec<String> {
    section(|rules| rules.repositories)
}

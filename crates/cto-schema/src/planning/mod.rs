//! Planning workspaces: the rules that they are held against, what is found, and the board.

mod board;
mod finding;
mod rule;
mod rules;
mod sections;
#[cfg(test)]
mod tests;

pub use board::{BoardEntry, WorkspaceBoard};
pub use finding::{ValidationCounts, ValidationRules, WorkspaceFinding, WorkspaceValidation};
pub use rule::{RuleId, RuleLevel};
pub use rules::{DEFAULT_WORKSPACE_RULES, RulesError, WorkspaceRules};
pub use sections::{
    DocumentClass, DriftRules, ExternalValidator, FieldKind, FrontMatterField, FrontMatterRules, LevelChoice, PageKind,
    PlanRules, TreeLimits, WorkboardRules,
};

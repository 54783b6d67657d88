//! What is always true of an engine.

use cto_gateway::Dialect;

/// What is always true of an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineManifest {
    /// Its name on the command line.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// Whether it is denied until its allow gate is set.
    pub gated: bool,
    /// The variable that allows it, where the settings name one.
    pub gated_by_env: Option<String>,
    /// The highest stage that it may run at without gates of its own.
    pub ungated_up_to_stage: u8,
    /// How its stream is read: `lines`, `jsonl`, or the name of a parser.
    pub parser: String,
    /// The event that ends a complete stream; `None` when the engine promises none.
    pub final_event: Option<String>,
    /// Digest of its manifest's bytes; `None` for an engine that is code.
    pub digest: Option<cto_schema::Sha256Digest>,
    /// How it speaks to a model; `None` when it needs none.
    pub wire: Option<Wire>,
    /// Whether it may be asked to run with a model although it needs none.
    pub model_optional: bool,
    /// Whether it runs only with a provider decision.
    pub needs_decision: bool,
    /// Whether it commits by itself; the change is taken from the overlay either way.
    pub commits: bool,
    /// Globs of log files in the workspace that its parser reads.
    pub logs: Vec<String>,
    /// What it writes in the workspace itself: scratch paths of every run with it.
    pub scratch: Vec<String>,
    /// How long it is idle before the harness looks whether its work is done; `None` when nobody looks.
    pub lifecycle_idle_seconds: Option<u32>,
    /// What it cannot run without.
    pub minimum: MinimumLimits,
}

/// How an engine speaks to a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// The wire formats that it may use.
    pub dialects: Vec<Dialect>,
    /// The provider's name inside the engine, where it accepts only names that it knows.
    pub runtime_provider: Option<String>,
    /// Providers whose session it is only given over a bridge.
    pub bridged: Vec<String>,
}

/// Limits below which the engine does not work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MinimumLimits {
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Processes and threads.
    pub processes: u32,
}

impl EngineManifest {
    /// Returns the name of the variable that allows the engine.
    pub fn allow_gate(&self) -> String {
        let derived = || format!("CTO_HARNESS_ALLOW_{}", self.variable_part());
        self.gated_by_env.clone().unwrap_or_else(derived)
    }

    /// Returns the name of the variable that names the engine's stage.
    pub fn stage_gate(&self) -> String {
        format!("CTO_HARNESS_{}_STAGE", self.variable_part())
    }

    /// Returns the name of the variable that names the engine's program.
    pub fn program_variable(&self) -> String {
        format!("CTO_HARNESS_{}_BIN", self.variable_part())
    }

    /// Returns the name of the variable that bounds the engine's time.
    pub fn timeout_variable(&self) -> String {
        format!("CTO_HARNESS_{}_TIMEOUT_SECONDS", self.variable_part())
    }

    /// The name in upper case, every other character than letters and digits as `_`.
    fn variable_part(&self) -> String {
        let part = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        };
        self.name.chars().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_hold_only_letters_digits_and_underscores() {
        let manifest = EngineManifest {
            name: "my-agent.2".to_owned(),
            ..EngineManifest::default()
        };
        assert_eq!(manifest.allow_gate(), "CTO_HARNESS_ALLOW_MY_AGENT_2");
        assert_eq!(manifest.stage_gate(), "CTO_HARNESS_MY_AGENT_2_STAGE");
        assert_eq!(manifest.program_variable(), "CTO_HARNESS_MY_AGENT_2_BIN");
    }

    #[test]
    fn the_settings_may_name_the_allow_gate() {
        let manifest = EngineManifest {
            name: "x".to_owned(),
            gated_by_env: Some("CTO_HARNESS_ALLOW_CASE".to_owned()),
            ..EngineManifest::default()
        };
        assert_eq!(manifest.allow_gate(), "CTO_HARNESS_ALLOW_CASE");
    }
}

//! Gates: conditions that must be proven before execution, as a table of functions.

mod admissions;
mod rules;
#[cfg(test)]
mod tests;

use cto_schema::{BlockerCode, Facts, TaskContract};

/// What a gate may look at.
#[derive(Clone, Copy, Debug)]
pub struct GateInput<'a> {
    /// The contract, or why it cannot be read.
    pub contract: Result<&'a TaskContract, &'a str>,
    /// What was gathered.
    pub facts: &'a Facts,
}

/// When a gate is asked: no fact about a repository is read before the environment has said yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Contract, engine, evidence and sandbox.
    Environment,
    /// The operator's approval, which nobody can ask for while anything of the environment refuses.
    Approval,
    /// The target.
    Target,
}

/// Why a gate refuses: the code and what was seen.
pub type Refusal = (BlockerCode, String);

/// One condition.
#[derive(Clone, Copy)]
pub struct Gate {
    /// Stable name, as in `required_gates`.
    pub name: &'static str,
    /// When it is asked.
    pub phase: Phase,
    /// Returns a refusal, or `None` when the condition is proven.
    pub judge: fn(&GateInput<'_>) -> Option<Refusal>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Every gate, in the order in which they are asked and reported.
pub const GATES: &[Gate] = &[
    Gate {
        name: "contract",
        phase: Phase::Environment,
        judge: rules::contract,
    },
    Gate {
        name: "mutation-mode",
        phase: Phase::Environment,
        judge: rules::mutation_mode,
    },
    Gate {
        name: "engine-registered",
        phase: Phase::Environment,
        judge: rules::engine_registered,
    },
    Gate {
        name: "engine-allow",
        phase: Phase::Environment,
        judge: rules::engine_allow,
    },
    Gate {
        name: "engine-stage",
        phase: Phase::Environment,
        judge: rules::engine_stage,
    },
    Gate {
        name: "engine-ladder",
        phase: Phase::Environment,
        judge: rules::engine_ladder,
    },
    Gate {
        name: "engine-program",
        phase: Phase::Environment,
        judge: rules::engine_program,
    },
    Gate {
        name: "provider-decision",
        phase: Phase::Environment,
        judge: admissions::provider_decision,
    },
    Gate {
        name: "model-admission",
        phase: Phase::Environment,
        judge: admissions::model_admission,
    },
    Gate {
        name: "source-admission",
        phase: Phase::Environment,
        judge: admissions::source_admission,
    },
    Gate {
        name: "build",
        phase: Phase::Environment,
        judge: admissions::build,
    },
    Gate {
        name: "provider-config",
        phase: Phase::Environment,
        judge: admissions::provider_config,
    },
    Gate {
        name: "provider-auth",
        phase: Phase::Environment,
        judge: admissions::provider_auth,
    },
    Gate {
        name: "repository-admission",
        phase: Phase::Environment,
        judge: rules::repository_admission,
    },
    Gate {
        name: "verification",
        phase: Phase::Environment,
        judge: rules::verification,
    },
    Gate {
        name: "verification-program",
        phase: Phase::Environment,
        judge: rules::verification_program,
    },
    Gate {
        name: "dependency-layers",
        phase: Phase::Environment,
        judge: rules::dependency_layers,
    },
    Gate {
        name: "git",
        phase: Phase::Environment,
        judge: rules::git,
    },
    Gate {
        name: "evidence",
        phase: Phase::Environment,
        judge: rules::evidence,
    },
    Gate {
        name: "sandbox",
        phase: Phase::Environment,
        judge: rules::sandbox,
    },
    Gate {
        name: "limits",
        phase: Phase::Environment,
        judge: rules::limits,
    },
    Gate {
        name: "engine-minimum",
        phase: Phase::Environment,
        judge: rules::engine_minimum,
    },
    Gate {
        name: "approval",
        phase: Phase::Approval,
        judge: rules::approval,
    },
    Gate {
        name: "target",
        phase: Phase::Target,
        judge: rules::target,
    },
    Gate {
        name: "approved-target",
        phase: Phase::Target,
        judge: rules::approved_target,
    },
    Gate {
        name: "target-free",
        phase: Phase::Target,
        judge: rules::target_free,
    },
    Gate {
        name: "clean-start",
        phase: Phase::Target,
        judge: rules::clean_start,
    },
];

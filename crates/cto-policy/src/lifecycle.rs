//! The life of a run: one function that writer, recovery, panel and verifier all replay.

use cto_schema::JournalEvent;

/// Where a run is, as its journal tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunState {
    /// No record yet.
    #[default]
    Unopened,
    /// The run directory exists.
    Opened,
    /// Facts are on record.
    Informed,
    /// The gates said yes.
    Admitted,
    /// The gates said no.
    Refused,
    /// The workspace is being made.
    Preparing,
    /// The cage is closed and the engine waits.
    Caged,
    /// The approval is being consumed.
    Approved,
    /// The engine runs, or ran when the harness died.
    Running,
    /// The engine is gone.
    Exited,
    /// The write set is being read.
    Collecting,
    /// Write set and patch are durable.
    Collected,
    /// The clean room is at work.
    Verifying,
    /// The clean room is done.
    Verified,
    /// Nothing more will be observed.
    Observed,
    /// The verdict is on record.
    Concluded,
    /// A later command closes what was interrupted.
    Recovering,
}

/// A record that the run's state does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("journal record '{event}' cannot follow state {state:?}")]
pub struct IllegalTransition {
    /// The state.
    pub state: RunState,
    /// Name of the record.
    pub event: &'static str,
}

impl RunState {
    /// Returns the state after a record, or says that the journal tells the impossible.
    pub fn next(self, event: &JournalEvent) -> Result<Self, IllegalTransition> {
        use JournalEvent as E;
        let illegal = IllegalTransition {
            state: self,
            event: event.name(),
        };
        match (self, event) {
            (Self::Unopened, E::Opened { .. }) => Ok(Self::Opened),
            (Self::Opened, E::FactsGathered { .. }) => Ok(Self::Informed),
            (Self::Informed, E::Decided { admitted: true, .. }) => Ok(Self::Admitted),
            (Self::Informed, E::Decided { admitted: false, .. }) => Ok(Self::Refused),
            (Self::Admitted, E::WorkspaceIntent { .. }) => Ok(Self::Preparing),
            (Self::Preparing, E::EngineReady { .. }) => Ok(Self::Caged),
            (Self::Caged, E::ApprovalIntent { .. }) => Ok(Self::Approved),
            (Self::Caged | Self::Approved, E::EngineIntent { .. }) => Ok(Self::Running),
            (Self::Running, E::EngineExited { .. }) => Ok(Self::Exited),
            (Self::Exited, E::CollectIntent) => Ok(Self::Collecting),
            (Self::Collecting, E::Collected { .. }) => Ok(Self::Collected),
            (Self::Collected, E::VerifyIntent) => Ok(Self::Verifying),
            (Self::Verifying, E::Verified { .. }) => Ok(Self::Verified),
            // A run may stop observing at any point: that is how failures are closed.
            (state, E::Observed { .. }) if state.is_open() => Ok(Self::Observed),
            (Self::Observed, E::Concluded { .. }) => Ok(Self::Concluded),
            // Also after a verdict: without the seal it is not one yet.
            (state, E::RecoveryIntent { .. }) if state != Self::Unopened => Ok(Self::Recovering),
            _ => Err(illegal),
        }
    }

    /// Returns the state after a whole journal.
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a JournalEvent>) -> Result<Self, IllegalTransition> {
        events.into_iter().try_fold(Self::default(), Self::next)
    }

    /// True from the moment an engine process may exist.
    pub fn engine_may_have_started(self) -> bool {
        match self {
            Self::Running | Self::Exited | Self::Collecting | Self::Collected | Self::Verifying | Self::Verified => {
                true
            }
            Self::Unopened
            | Self::Opened
            | Self::Informed
            | Self::Admitted
            | Self::Refused
            | Self::Preparing
            | Self::Caged
            | Self::Approved
            | Self::Observed
            | Self::Concluded
            | Self::Recovering => false,
        }
    }

    fn is_open(self) -> bool {
        !matches!(self, Self::Unopened | Self::Observed | Self::Concluded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cto_schema::{Facts, Observations, Sha256Digest, Status};

    fn digest() -> Sha256Digest {
        Sha256Digest::of(b"")
    }

    fn accepted() -> Vec<JournalEvent> {
        use JournalEvent as E;
        vec![
            E::Opened {
                schema: String::new(),
                run_id: String::new(),
                nonce: String::new(),
                harness_version: String::new(),
                boot_id: String::new(),
                ledger_head: None,
                contract_digest: None,
                backend: String::new(),
                case_id: String::new(),
            },
            E::FactsGathered {
                facts: Box::new(Facts::default()),
            },
            E::Decided {
                decision_digest: digest(),
                admitted: true,
            },
            E::WorkspaceIntent {
                workspace: String::new(),
                commit: String::new(),
                tree: String::new(),
            },
            E::EngineReady {
                enforcement_digest: digest(),
            },
            E::EngineIntent { argv: vec![] },
            E::EngineExited {
                exit_code: Some(0),
                signal: None,
            },
            E::CollectIntent,
            E::Collected {
                write_set_digest: digest(),
                patch_digest: digest(),
            },
            E::VerifyIntent,
            E::Verified {
                test_log_digest: digest(),
            },
            E::Observed {
                observations: Box::new(Observations::default()),
            },
            E::Concluded {
                status: Status::Pass,
                blockers: vec![],
            },
        ]
    }

    #[test]
    fn the_accepted_journey_is_legal_and_no_step_can_be_skipped() {
        let journey = accepted();
        assert_eq!(RunState::replay(&journey), Ok(RunState::Concluded));
        for skipped in 0..journey.len() - 2 {
            let mut cut = journey.clone();
            cut.remove(skipped);
            let legal = RunState::replay(&cut).is_ok();
            // Only the step right before "observed" may be missing: stopping early is how failures are closed.
            assert_eq!(
                legal,
                skipped == journey.len() - 3,
                "skipped {}",
                journey[skipped].name()
            );
        }
    }

    #[test]
    fn every_interrupted_prefix_can_be_recovered_and_concluded() {
        let journey = accepted();
        for length in 1..=journey.len() {
            let mut prefix = journey[..length].to_vec();
            prefix.push(JournalEvent::RecoveryIntent { last: String::new() });
            prefix.push(journey[11].clone());
            prefix.push(journey[12].clone());
            assert_eq!(RunState::replay(&prefix), Ok(RunState::Concluded), "prefix of {length}");
        }
    }

    #[test]
    fn nothing_follows_a_verdict_but_a_recovery() {
        let mut journey = accepted();
        journey.push(JournalEvent::CollectIntent);
        assert!(RunState::replay(&journey).is_err());
    }
}

//! Required events: which must be there, and in which order (spec 01).

use cto_schema::EventType;

/// Returns what is missing or out of order among the required events of a run that may pass; empty when nothing is.
///
/// `events` are the names of the harness's own events in the order in which they were written.
pub fn missing_events(events: &[String], approval_needed: bool) -> Vec<String> {
    let mut required = vec![
        EventType::RunStarted,
        EventType::TaskContractCreated,
        EventType::PlanUpdated,
    ];
    if approval_needed {
        required.extend([EventType::ApprovalRequested, EventType::ApprovalGranted]);
    }
    required.extend([
        EventType::PatchApplied,
        EventType::GitDiffChecked,
        EventType::VerificationCompleted,
        EventType::RunCompleted,
    ]);
    let mut from = 0;
    let mut missing = Vec::new();
    for name in required.into_iter().map(EventType::name) {
        match events[from..].iter().position(|event| *event == name) {
            Some(offset) => from += offset + 1,
            None if events.contains(&name) => missing.push(format!("{name} (out of order)")),
            None => missing.push(name),
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted() -> Vec<String> {
        [
            "run.started",
            "task.contract.created",
            "plan.updated",
            "engine.message",
            "patch.applied",
            "git.diff.checked",
        ]
        .into_iter()
        .chain(["verification.completed", "run.completed"])
        .map(str::to_owned)
        .collect()
    }

    #[test]
    fn no_required_event_may_be_absent_or_late() {
        assert!(missing_events(&accepted(), false).is_empty());
        for index in (0..accepted().len()).filter(|i| *i != 3) {
            let mut cut = accepted();
            let removed = cut.remove(index);
            assert_eq!(missing_events(&cut, false), std::slice::from_ref(&removed));
            cut.push(removed);
            assert_eq!(missing_events(&cut, false).is_empty(), index == 7);
        }
    }

    #[test]
    fn approval_events_are_required_where_the_mode_needs_them() {
        assert_eq!(
            missing_events(&accepted(), true),
            ["approval.requested", "approval.granted"]
        );
    }
}

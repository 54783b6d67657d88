//! The phases of the Case engine, each a conversation of its own that must end in an envelope.

use serde_json::{Value, json};

use super::{Script, Turn};
use crate::scripted::call::Call;

/// A phase, told by the first line of its system prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Implementer,
    Verifier,
    Reviewer,
    Closer,
    Retrospective,
}

impl Phase {
    /// Returns the phase that a call belongs to.
    pub(super) fn of(call: &Call) -> Option<Self> {
        let first = call.system.lines().find(|line| !line.trim().is_empty())?;
        match first.trim().strip_prefix("# ")?.split_whitespace().next()? {
            "Implementer" => Some(Self::Implementer),
            "Verifier" => Some(Self::Verifier),
            "Reviewer" => Some(Self::Reviewer),
            "Closer" => Some(Self::Closer),
            "Retrospective" => Some(Self::Retrospective),
            _ => None,
        }
    }

    /// Returns what the phase does around `work`, the script of the agent that implements.
    pub(super) fn script(self, work: Script, files: &[&str], rejects: bool) -> Script {
        let looks = || vec![Turn::shell(None, "pwd; ls".to_owned())];
        let (turns, summary) = match self {
            Self::Implementer => (work.turns, work.r#final.as_str()),
            Self::Verifier => (looks(), "The change does what the task asks."),
            Self::Reviewer if rejects => (looks(), "The change is not good enough."),
            Self::Reviewer => (looks(), "The change is small and in scope."),
            Self::Closer => (vec![], "Nothing is published from here."),
            Self::Retrospective => (vec![], "Nothing to improve."),
        };
        let envelope = self.envelope(summary, files, rejects);
        Script {
            turns,
            r#final: format!("{summary}\n\n<<<AGENT_RESULT\n{envelope}\nAGENT_RESULT>>>"),
        }
    }

    fn envelope(self, summary: &str, files: &[&str], rejects: bool) -> Value {
        let rejects = rejects && self == Self::Reviewer;
        let mut envelope = json!({
            "status": "completed",
            "summary": summary,
            "artifacts": {
                "commit": null, "filesChanged": [], "testsPassed": null, "screenshotUrls": [], "evidenceMarkers": [],
                "prUrl": null, "prNumber": null,
            },
            "error": null,
        });
        if self == Self::Implementer {
            envelope["artifacts"]["filesChanged"] = json!(files);
            envelope["artifacts"]["testsPassed"] = json!(true);
        }
        if let Some((role, names)) = self.rubric() {
            let categories = names.iter().map(|name| {
                let failed = rejects && *name == "scope-discipline";
                json!({ "category": name, "verdict": if failed { "fail" } else { "pass" }, "detail": summary })
            });
            envelope["rubric"] = json!({ "role": role, "categories": categories.collect::<Vec<_>>() });
        }
        if self == Self::Reviewer {
            envelope["findings"] = json!({
                "critical": u8::from(rejects), "warnings": 0, "info": 0,
                "details": if rejects { json!([{ "severity": "critical", "message": summary }]) } else { json!([]) },
            });
        }
        envelope
    }

    fn rubric(self) -> Option<(&'static str, [&'static str; 4])> {
        match self {
            Self::Verifier => Some((
                "verifier",
                [
                    "reproduced-scenario",
                    "exercised-changed-path",
                    "evidence-proves-change",
                    "edge-case-checked",
                ],
            )),
            Self::Reviewer => Some((
                "reviewer",
                [
                    "principle-compliance",
                    "test-sufficiency",
                    "scope-discipline",
                    "pattern-fit",
                ],
            )),
            Self::Implementer | Self::Closer | Self::Retrospective => None,
        }
    }
}

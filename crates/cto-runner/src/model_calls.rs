//! What the model gateway records, as events and as the observation that the verdict looks at.

use std::collections::BTreeSet;

use cto_gateway::{CallOutcome, CallRecord, CallSide, Record, RefusalReason, RefusedCall, TokenUsage};
use cto_schema::{EventType, ModelEnd, ModelObservation, ModelOutcome, ModelRefusal, ModelUsage, escape};
use serde_json::{Value, json};

/// Most events of calls; more are counted in the last one.
const MAX_EVENTS: u64 = 2000;
/// Most refusals and violations that are named.
const MAX_NAMED: usize = 20;
/// Longest text of one field.
const MAX_TEXT: usize = 300;

/// The calls of one run, counted as they come: a flood of them costs no memory.
#[derive(Debug)]
pub(crate) struct ModelCalls {
    seen: ModelObservation,
    tokens: TokenUsage,
    cost_micro_usd: Option<u64>,
    last_seq: u32,
    /// Calls that began and have not ended.
    open: u64,
    events: u64,
    suppressed: u64,
    /// Kinds of violations that were told.
    told: BTreeSet<EventType>,
}

impl ModelCalls {
    /// Starts the count for the admitted pair.
    pub(crate) fn new(provider: &str, model: &str) -> Self {
        Self {
            seen: ModelObservation {
                provider: provider.to_owned(),
                model: model.to_owned(),
                ..ModelObservation::default()
            },
            tokens: TokenUsage::default(),
            cost_micro_usd: None,
            last_seq: 0,
            open: 0,
            events: 0,
            suppressed: 0,
            told: BTreeSet::new(),
        }
    }

    /// Counts one record; returns the events that it is, while there is room for them.
    pub(crate) fn take(&mut self, record: &Record) -> Vec<(EventType, Value)> {
        let mut events = vec![match record {
            Record::Ready | Record::Closed => return vec![],
            Record::Begun { .. } => {
                self.open += 1;
                return vec![];
            }
            Record::Unavailable { outcome, detail } => {
                self.seen.unavailable = Some(end(*outcome, detail));
                return vec![];
            }
            Record::Call(call) => {
                self.count(call);
                (EventType::ModelRequest, request(call))
            }
            Record::Refused(call) => (EventType::ModelRefused, self.refuse(call)),
            Record::Egress(connection) => (
                EventType::ModelRequest,
                json!({
                    "seq": connection.seq,
                    "egress": escape(connection.host.as_bytes(), MAX_TEXT),
                    "connected": connection.connected,
                    "sent_bytes": connection.sent_bytes.to_string(),
                    "received_bytes": connection.received_bytes.to_string(),
                    "duration_us": connection.duration_us.to_string(),
                }),
            ),
        }];
        // The first of each violation is told whatever came before it.
        let violation = violation(record).filter(|(kind, _)| self.told.insert(*kind) || self.events < MAX_EVENTS);
        self.events += 1;
        if self.events > MAX_EVENTS {
            self.suppressed += 1;
            events.clear();
        }
        events.extend(violation);
        events
    }

    /// Puts on record that the gateway ended before it had closed its record.
    pub(crate) fn lose(&mut self, how: String) {
        self.seen.lost.get_or_insert(how);
    }

    /// Returns the observation, and the event that says how many calls were not listed.
    pub(crate) fn finish(self) -> (ModelObservation, Option<(EventType, Value)>) {
        let more = (self.suppressed > 0).then(|| {
            let detail = format!("{} more calls were counted and not listed", self.suppressed);
            (
                EventType::ModelRequest,
                json!({ "suppressed": self.suppressed, "detail": detail }),
            )
        });
        let usage = ModelUsage {
            input_tokens: self.tokens.input.to_string(),
            cached_input_tokens: self.tokens.cached_input.to_string(),
            output_tokens: self.tokens.output.to_string(),
            reasoning_tokens: self.tokens.reasoning.to_string(),
            calls_without_usage: self.seen.usage.calls_without_usage,
            cost_micro_usd: self.cost_micro_usd.map(|cost| cost.to_string()),
        };
        (ModelObservation { usage, ..self.seen }, more)
    }

    /// Tells whether the engine waits for its model.
    pub(crate) fn is_waiting(&self) -> bool {
        self.open > 0
    }

    fn count(&mut self, call: &CallRecord) {
        self.open = self.open.saturating_sub(1);
        let seen = &mut self.seen;
        seen.calls += 1;
        let this = end(call.outcome, &call.detail);
        if call.outcome == CallOutcome::Completed {
            seen.completed += 1;
            if call.fallback {
                let pair = format!("{}/{}", call.provider, call.model);
                *seen.fallbacks.entry(escape(pair.as_bytes(), MAX_TEXT)).or_default() += 1;
            }
        } else {
            *seen.failures.entry(this.outcome).or_default() += 1;
        }
        let violation = matches!(call.outcome, CallOutcome::ModelMismatch | CallOutcome::CredentialEchoed);
        if violation && seen.violations.len() < MAX_NAMED {
            seen.violations.push(this.clone());
        }
        // Calls end in another order than they begin; the last one begun is the one that counts.
        if call.outcome != CallOutcome::EngineGone && call.seq >= self.last_seq {
            self.last_seq = call.seq;
            seen.last = Some(this);
        }
        match call.usage {
            Some(usage) => add(&mut self.tokens, usage),
            None if call.outcome == CallOutcome::Completed => seen.usage.calls_without_usage += 1,
            None => {}
        }
        if let Some(cost) = call.cost_micro_usd {
            self.cost_micro_usd = Some(self.cost_micro_usd.unwrap_or(0).saturating_add(cost));
        }
    }

    fn refuse(&mut self, call: &RefusedCall) -> Value {
        let reason = refusal(call.reason);
        let model = call.model.as_deref().map(|model| escape(model.as_bytes(), MAX_TEXT));
        let detail = escape(call.detail.as_bytes(), MAX_TEXT);
        let named = match (&model, reason) {
            (Some(model), ModelRefusal::ModelNotAdmitted) => format!("'{model}'"),
            _ => detail.clone(),
        };
        let refused = self.seen.refused.entry(reason).or_default();
        refused.count += 1;
        if refused.named.len() < MAX_NAMED && !refused.named.contains(&named) {
            refused.named.push(named);
        }
        json!({
            "seq": call.seq,
            "reason": reason,
            "detail": detail,
            "method": escape(call.method.as_bytes(), 20),
            "path": escape(call.path.as_bytes(), MAX_TEXT),
            "model": model,
        })
    }
}

/// What a record is besides a call: an answer of another model that was not passed on, or an attempt to reach a network
/// through the provider.
fn violation(record: &Record) -> Option<(EventType, Value)> {
    match record {
        Record::Call(call) if call.outcome == CallOutcome::ModelMismatch => {
            let served = call
                .served_model
                .as_deref()
                .map(|model| escape(model.as_bytes(), MAX_TEXT));
            let data = json!({ "seq": call.seq, "reason": "served_another_model", "model": served });
            Some((EventType::ModelRefused, data))
        }
        Record::Refused(call) if matches!(call.reason, RefusalReason::ProviderToolNotAdmitted(_)) => {
            let data = json!({
                "seq": call.seq,
                "act": "provider_tool",
                "action": "reach_other_host",
                "detail": escape(call.detail.as_bytes(), MAX_TEXT),
                "outcome": "refused by the model gateway",
            });
            Some((EventType::ForbiddenActionAttempted, data))
        }
        _ => None,
    }
}

fn end(outcome: CallOutcome, detail: &str) -> ModelEnd {
    ModelEnd {
        outcome: kind(outcome),
        detail: escape(detail.as_bytes(), MAX_TEXT),
    }
}

fn add(sum: &mut TokenUsage, usage: TokenUsage) {
    for (sum, part) in [
        (&mut sum.input, usage.input),
        (&mut sum.cached_input, usage.cached_input),
        (&mut sum.output, usage.output),
        (&mut sum.reasoning, usage.reasoning),
    ] {
        *sum = sum.saturating_add(part);
    }
}

fn request(call: &CallRecord) -> Value {
    let shown = |text: &str| escape(text.as_bytes(), MAX_TEXT);
    let usage = call.usage.map(|usage| {
        json!({
            "input_tokens": usage.input.to_string(),
            "cached_input_tokens": usage.cached_input.to_string(),
            "output_tokens": usage.output.to_string(),
            "reasoning_tokens": usage.reasoning.to_string(),
        })
    });
    let side = match call.side {
        CallSide::None => None,
        CallSide::Upstream => Some("provider"),
        CallSide::Engine => Some("engine"),
        CallSide::Gateway => Some("gateway"),
    };
    json!({
        "seq": call.seq,
        "provider": shown(&call.provider),
        "model": shown(&call.model),
        "fallback": call.fallback,
        "dialect": call.dialect,
        "stream": call.stream,
        "retry": call.retry,
        "request_bytes": call.request_bytes.to_string(),
        "request_digest": format!("sha256:{}", call.request_sha256),
        "response_bytes": call.response_bytes.to_string(),
        "response_digest": format!("sha256:{}", call.response_sha256),
        "status": call.status,
        "outcome": kind(call.outcome),
        "failed_on": side,
        "detail": shown(&call.detail),
        "served_model": call.served_model.as_deref().map(shown),
        "finish": call.finish.as_deref().map(shown),
        "tool_calls": call.tool_calls,
        "usage": usage,
        "cost_micro_usd": call.cost_micro_usd.map(|cost| cost.to_string()),
        "first_byte_us": call.first_byte_us.map(|time| time.to_string()),
        "duration_us": call.duration_us.to_string(),
    })
}

/// The gateway's words and the document's are the same; the compiler keeps them so.
fn kind(outcome: CallOutcome) -> ModelOutcome {
    match outcome {
        CallOutcome::Completed => ModelOutcome::Completed,
        CallOutcome::ReasoningOnly => ModelOutcome::ReasoningOnly,
        CallOutcome::Unreachable => ModelOutcome::Unreachable,
        CallOutcome::Unauthorized => ModelOutcome::Unauthorized,
        CallOutcome::NotFound => ModelOutcome::NotFound,
        CallOutcome::RateLimited => ModelOutcome::RateLimited,
        CallOutcome::Rejected => ModelOutcome::Rejected,
        CallOutcome::UpstreamError => ModelOutcome::UpstreamError,
        CallOutcome::UnexpectedStatus => ModelOutcome::UnexpectedStatus,
        CallOutcome::FirstByteTimeout => ModelOutcome::FirstByteTimeout,
        CallOutcome::IdleTimeout => ModelOutcome::IdleTimeout,
        CallOutcome::Cut => ModelOutcome::Cut,
        CallOutcome::Malformed => ModelOutcome::Malformed,
        CallOutcome::TooLarge => ModelOutcome::TooLarge,
        CallOutcome::ModelMismatch => ModelOutcome::ModelMismatch,
        CallOutcome::TruncatedToolCall => ModelOutcome::TruncatedToolCall,
        CallOutcome::CredentialEchoed => ModelOutcome::CredentialEchoed,
        CallOutcome::EngineGone => ModelOutcome::EngineGone,
        CallOutcome::BudgetExhausted => ModelOutcome::BudgetExhausted,
        CallOutcome::CredentialUnavailable => ModelOutcome::CredentialUnavailable,
        CallOutcome::NotConfigured => ModelOutcome::NotConfigured,
    }
}

fn refusal(reason: RefusalReason) -> ModelRefusal {
    match reason {
        RefusalReason::ModelNotAdmitted => ModelRefusal::ModelNotAdmitted,
        RefusalReason::PathNotAdmitted => ModelRefusal::PathNotAdmitted,
        RefusalReason::HostNotAdmitted => ModelRefusal::HostNotAdmitted,
        RefusalReason::AmbiguousRequest => ModelRefusal::AmbiguousRequest,
        RefusalReason::UpgradeNotAdmitted => ModelRefusal::UpgradeNotAdmitted,
        RefusalReason::ProviderToolNotAdmitted(_) => ModelRefusal::ProviderToolNotAdmitted,
        RefusalReason::BodyUnreadable => ModelRefusal::BodyUnreadable,
        RefusalReason::TooLarge => ModelRefusal::TooLarge,
        RefusalReason::TooMany => ModelRefusal::TooMany,
        RefusalReason::RetriesExhausted => ModelRefusal::RetriesExhausted,
        RefusalReason::BudgetExhausted => ModelRefusal::BudgetExhausted,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cto_gateway::Dialect;

    use super::*;

    fn call(seq: u32, outcome: CallOutcome) -> Record {
        Record::Call(CallRecord {
            seq,
            provider: "p".to_owned(),
            model: "m".to_owned(),
            fallback: false,
            dialect: Dialect::Responses,
            stream: true,
            retry: 0,
            request_bytes: 1,
            request_sha256: "00".to_owned(),
            response_bytes: 1,
            response_sha256: "00".to_owned(),
            status: Some(200),
            outcome,
            side: CallSide::None,
            detail: "a\u{1b}[2J".to_owned(),
            served_model: None,
            finish: None,
            tool_calls: 0,
            usage: (outcome == CallOutcome::Completed).then_some(TokenUsage {
                input: 10,
                cached_input: 4,
                output: 3,
                reasoning: 1,
            }),
            cost_micro_usd: Some(5),
            first_byte_us: None,
            duration_us: 1,
        })
    }

    #[test]
    fn calls_add_up_and_the_last_one_begun_counts() {
        let mut calls = ModelCalls::new("p", "m");
        for record in [
            call(1, CallOutcome::Completed),
            call(3, CallOutcome::Completed),
            call(2, CallOutcome::Cut),
            call(4, CallOutcome::EngineGone),
        ] {
            let (kind, data) = calls.take(&record).remove(0);
            assert_eq!(kind, EventType::ModelRequest);
            assert!(!data.to_string().contains('\u{1b}'), "{data}");
        }
        let (seen, more) = calls.finish();
        assert_eq!((seen.calls, seen.completed, more), (4, 2, None));
        assert_eq!(seen.last.unwrap().outcome, ModelOutcome::Completed);
        assert_eq!(seen.usage.input_tokens, "20");
        assert_eq!(seen.usage.cost_micro_usd.as_deref(), Some("20"));
        let expected: BTreeMap<_, _> = [(ModelOutcome::Cut, 1), (ModelOutcome::EngineGone, 1)].into();
        assert_eq!(seen.failures, expected);
    }

    #[test]
    fn the_engine_waits_from_the_beginning_of_a_call_to_its_end() {
        let mut calls = ModelCalls::new("p", "m");
        for (record, is_waiting) in [
            (Record::Begun { seq: 1 }, true),
            (Record::Begun { seq: 2 }, true),
            (call(2, CallOutcome::Completed), true),
            (call(1, CallOutcome::Cut), false),
            (call(3, CallOutcome::EngineGone), false),
        ] {
            calls.take(&record);
            assert_eq!(calls.is_waiting(), is_waiting, "{record:?}");
        }
        assert_eq!(calls.finish().0.calls, 3, "a beginning is no call of its own");
    }

    #[test]
    fn a_flood_is_counted_and_bounded() {
        let mut calls = ModelCalls::new("p", "m");
        let mut events = 0;
        for seq in 1..=5000_u32 {
            let record = Record::Refused(RefusedCall {
                seq,
                reason: RefusalReason::ModelNotAdmitted,
                detail: "d".to_owned(),
                method: "POST".to_owned(),
                path: "/v1/messages".to_owned(),
                model: Some(format!("other-{seq}\u{202e}")),
            });
            events += calls.take(&record).len() as u64;
        }
        let (seen, more) = calls.finish();
        assert_eq!(events, MAX_EVENTS);
        let refused = &seen.refused[&ModelRefusal::ModelNotAdmitted];
        assert_eq!((refused.count, refused.named.len()), (5000, MAX_NAMED));
        assert!(refused.named.iter().all(|named| named.is_ascii()));
        assert_eq!(more.unwrap().1["suppressed"], 3000);
    }
}

//! The check of model calls: events, observation and report count the same, and every answer names its model.

use cto_schema::{EventType, ModelObservation, ModelRefusal};
use serde_json::Value;

use super::documents::differing;
use crate::verify::{Context, Finding, not_applicable, yes};

/// What the events of calls add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    calls: u64,
    completed: u64,
    refused: u64,
    /// Calls that were counted and not listed.
    suppressed: u64,
}

/// Every call is on record, to an admitted model, and none that named another was passed on.
pub(super) fn model(context: &Context<'_>) -> Finding {
    let (report, seen) = (context.report()?, &context.observations()?.model);
    if report.model != *seen {
        return Err("the report's model calls are not those that the journal observed".to_owned());
    }
    let events = context.events()?;
    let of_kind = |kind| {
        events
            .iter()
            .filter(move |(event, _)| event.kind == kind)
            .map(|(event, _)| &event.data)
    };
    let Some(seen) = seen else {
        let none = of_kind(EventType::ModelRequest)
            .chain(of_kind(EventType::ModelRefused))
            .next();
        return match none {
            Some(_) if context.observations()?.interrupted.is_some() => {
                not_applicable("interrupted before the calls were summed up")
            }
            Some(_) => Err("there are events of model calls and no observation of them".to_owned()),
            None => not_applicable("no model gateway was opened"),
        };
    };
    let mut counted = Counted::default();
    for data in of_kind(EventType::ModelRequest) {
        count(data, seen, &mut counted)?;
    }
    // An answer that was not passed on is a call as well, and counted as one.
    let answered = |data: &&Value| {
        data.get("reason")
            .is_some_and(|reason| reason == "served_another_model")
    };
    counted.refused = of_kind(EventType::ModelRefused).filter(|data| !answered(data)).count() as u64;
    let refused = u64::from(seen.refused_calls());
    let whole = counted.suppressed == 0;
    let provider_tools = of_kind(EventType::ForbiddenActionAttempted)
        .any(|data| data.get("act").is_some_and(|act| act == "provider_tool"));
    let judged = seen.refused.contains_key(&ModelRefusal::ProviderToolNotAdmitted);
    differing(&[
        ("tools of the provider", provider_tools == judged),
        ("calls", !whole || counted.calls == u64::from(seen.calls)),
        (
            "completed calls",
            !whole || counted.completed == u64::from(seen.completed),
        ),
        ("refused calls", !whole || counted.refused == refused),
    ])?;
    yes(format!(
        "{} calls to {}/{}, {refused} refused",
        seen.calls, seen.provider, seen.model
    ))
}

fn count(data: &Value, seen: &ModelObservation, counted: &mut Counted) -> Result<(), String> {
    if let Some(suppressed) = data.get("suppressed").and_then(Value::as_u64) {
        counted.suppressed += suppressed;
        return Ok(());
    }
    if data.get("egress").is_some() {
        return Ok(());
    }
    let text = |field: &str| data.get(field).and_then(Value::as_str).unwrap_or_default();
    let (provider, model) = (text("provider"), text("model"));
    let fallback = data.get("fallback").and_then(Value::as_bool) == Some(true);
    if !fallback && (provider, model) != (seen.provider.as_str(), seen.model.as_str()) {
        return Err("a call went to another model than the admitted one".to_owned());
    }
    let outcome = text("outcome");
    let served = data.get("served_model").and_then(Value::as_str);
    if outcome == "completed" && served != Some(model) {
        return Err("a call counts as completed whose answer did not name its model".to_owned());
    }
    counted.calls += 1;
    counted.completed += u64::from(outcome == "completed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen() -> ModelObservation {
        ModelObservation {
            provider: "p".to_owned(),
            model: "m".to_owned(),
            ..ModelObservation::default()
        }
    }

    fn counts(data: &Value) -> Result<Counted, String> {
        let mut counted = Counted::default();
        count(data, &seen(), &mut counted).map(|()| counted)
    }

    #[test]
    fn a_completed_call_names_the_admitted_model() {
        let good =
            json!({"provider": "p", "model": "m", "fallback": false, "outcome": "completed", "served_model": "m"});
        assert_eq!(counts(&good).unwrap().completed, 1);
        for (field, value) in [
            ("served_model", json!("other")),
            ("served_model", Value::Null),
            ("model", json!("other")),
            ("provider", json!("other")),
        ] {
            let mut bad = good.clone();
            bad[field] = value;
            assert!(counts(&bad).is_err(), "{bad}");
        }
        let mut failed = good.clone();
        failed["outcome"] = json!("model_mismatch");
        failed["served_model"] = json!("other");
        assert_eq!(counts(&failed).unwrap().completed, 0);
    }

    #[test]
    fn connections_and_suppressed_calls_are_no_calls() {
        assert_eq!(counts(&json!({"egress": "registry:443"})).unwrap(), Counted::default());
        assert_eq!(counts(&json!({"suppressed": 7})).unwrap().suppressed, 7);
    }
}

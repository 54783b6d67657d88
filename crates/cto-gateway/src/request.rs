//! Judges the body of a call: one admitted model, nothing that the provider would do on its own.

use crate::admit::Refusal;
use crate::gateway::{Gateway, Served};
use crate::json::Json;
use crate::order::Dialect;
use crate::provider_tools::{Finding, findings};
use crate::record::RefusalReason;
use crate::request_fields;
use crate::stream::capped;

/// What a body asks for.
#[derive(Debug)]
pub(crate) struct Judged<'g> {
    pub(crate) served: &'g Served,
    pub(crate) stream: bool,
    /// The most tokens that the answer may have, over all its choices; `None` where the request leaves that open.
    pub(crate) most_output: Option<u64>,
}

/// A body that goes nowhere, and the model that it asked for.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) model: Option<String>,
}

/// Judges a decoded body.
pub(crate) fn judge<'g>(gateway: &'g Gateway, dialect: Dialect, body: &[u8]) -> Result<Judged<'g>, Refused> {
    let refused = |reason, detail: &str, model: Option<&str>| Refused {
        refusal: Refusal::new(reason, detail),
        model: model.map(str::to_owned),
    };
    let json = Json::read(body).filter(|json| matches!(json, Json::Object(_)));
    let json = json.ok_or_else(|| {
        let detail = "no JSON object that every reader reads alike";
        let (refusal, model) = other_model(gateway, body, Refusal::new(RefusalReason::BodyUnreadable, detail));
        Refused { refusal, model }
    })?;
    let model = json.str("model");
    let served = gateway
        .routes
        .iter()
        .find(|served| Some(served.route.model.as_str()) == model);
    let served = served.ok_or_else(|| {
        let detail = "a model that is not admitted, or none";
        refused(RefusalReason::ModelNotAdmitted, detail, model)
    })?;
    for finding in findings(&json) {
        // The admitted model was asked for, too; what is refused is the other one.
        let model = match &finding {
            Finding::OtherModel(name) => json.get(name).and_then(|value| first_other(gateway, value)),
            Finding::Tool(..) | Finding::Stored(_) => model.map(str::to_owned),
        };
        let (reason, detail) = match finding {
            Finding::Tool(tool, _) if gateway.order.provider_tools.contains(&tool) => continue,
            Finding::Tool(tool, name) => (RefusalReason::ProviderToolNotAdmitted(tool), name),
            Finding::OtherModel(name) => (
                RefusalReason::ModelNotAdmitted,
                format!("{name} lets another model answer"),
            ),
            Finding::Stored(name) => (
                RefusalReason::AmbiguousRequest,
                format!("{name}: input that lies with the provider and cannot be judged"),
            ),
        };
        return Err(refused(reason, &detail, model.as_deref()));
    }
    if let Some(field) = request_fields::unknown(dialect, &json, &gateway.order.request_fields) {
        let detail = if field.len() > MOST_FIELD {
            // A part of a name may be a part of a secret, which nobody would find any more.
            format!(
                "a field whose name has {} bytes is none that is known here; turn it off in the engine",
                field.len()
            )
        } else {
            format!(
                "the field '{field}' is none that is known here; turn it off in the engine, or admit it: gateway: \
                 {{request_fields: [{field}]}} in harness.yaml"
            )
        };
        return Err(refused(RefusalReason::AmbiguousRequest, &detail, model));
    }
    let stream = match json.some("stream") {
        None => false,
        Some(Json::Bool(stream)) => *stream,
        Some(_) => {
            return Err(refused(
                RefusalReason::BodyUnreadable,
                "stream is no truth value",
                model,
            ));
        }
    };
    Ok(Judged {
        served,
        stream,
        most_output: most_output(&json),
    })
}

/// The larger of the limits, where there are several: which one counts is the provider's affair.
fn most_output(json: &Json<'_>) -> Option<u64> {
    let limits = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
    let most = limits.iter().filter_map(|name| json.whole(name)).max()?;
    let choices = ["n", "best_of"].iter().filter_map(|name| json.whole(name)).max();
    Some(most.saturating_mul(choices.unwrap_or(1).max(1)))
}

/// The first model in a setting that is not admitted, where its name can be repeated.
fn first_other(gateway: &Gateway, value: &Json<'_>) -> Option<String> {
    let mut found = None;
    value.each_text(&mut |text| {
        let admitted = gateway.routes.iter().any(|served| served.route.model == **text);
        if found.is_none() && !admitted {
            found = Some(capped(text, MOST_MODEL));
        }
    });
    found
}

/// A refused body that names a model which is not admitted asked for it, whatever else was wrong with the request.
pub(crate) fn other_model(gateway: &Gateway, body: &[u8], refusal: Refusal) -> (Refusal, Option<String>) {
    let admitted = |model: &str| gateway.routes.iter().any(|served| served.route.model == model);
    let text = String::from_utf8_lossy(body);
    match named_models(&text).find(|model| !admitted(model)) {
        Some(model) => {
            let detail = format!("{}; it names a model that is not admitted", refusal.detail);
            let model = capped(model, MOST_MODEL);
            (Refusal::new(RefusalReason::ModelNotAdmitted, detail), Some(model))
        }
        None => (refusal, None),
    }
}

/// Longest name of a model that is repeated.
const MOST_MODEL: usize = 200;
/// Longest name of a field that is repeated; its record still has room for how to mend it.
const MOST_FIELD: usize = 32;

/// Finds what a careless reader would take for the model: every string behind a key `model`, in any case.
fn named_models(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let quote = rest.find('"')?;
            rest = rest.get(quote + 1..)?;
            if !rest.get(..6).is_some_and(|key| key.eq_ignore_ascii_case("model\"")) {
                continue;
            }
            let after = rest.get(6..).unwrap_or_default().trim_start();
            let value = after
                .strip_prefix(':')
                .map(str::trim_start)
                .and_then(|value| value.strip_prefix('"'));
            if let Some((model, _)) = value.and_then(|value| value.split_once('"')) {
                return Some(model);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_careless_reader_finds_every_model() {
        let named = |text: &'static str| named_models(text).collect::<Vec<_>>();
        assert_eq!(named(r#"{"model":"a","model" : "b"}"#), ["a", "b"]);
        assert_eq!(named(r#"{"Model":"evil", "x": {"MODEL":"worse"}"#), ["evil", "worse"]);
        assert_eq!(
            named(r#"{"models":["a"],"amodel":"b","model":7,"model""#),
            Vec::<&str>::new()
        );
        assert_eq!(named("\u{0}\"model\":\"x").len(), 0);
        let last = format!("{}\"model\":\"evil\"", "\"model\":\"m-1\",".repeat(16));
        assert_eq!(named_models(&last).find(|model| *model != "m-1"), Some("evil"));
    }
}

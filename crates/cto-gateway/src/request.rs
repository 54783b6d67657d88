//! Judges the body of a call: one admitted model, nothing that the provider would do on its own.

use crate::admit::Refusal;
use crate::gateway::{Gateway, Served};
use crate::json::Json;
use crate::provider_tools::{Finding, findings};
use crate::record::RefusalReason;

/// What a body asks for.
#[derive(Debug)]
pub(crate) struct Judged<'g> {
    pub(crate) served: &'g Served,
    pub(crate) stream: bool,
}

/// A body that goes nowhere, and the model that it asked for.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) model: Option<String>,
}

/// Judges a decoded body.
pub(crate) fn judge<'g>(gateway: &'g Gateway, body: &[u8]) -> Result<Judged<'g>, Refused> {
    let refused = |reason, detail: &str, model: Option<&str>| Refused {
        refusal: Refusal::new(reason, detail),
        model: model.map(str::to_owned),
    };
    let json = Json::read(body).filter(|json| matches!(json, Json::Object(_)));
    let json = json.ok_or_else(|| {
        let detail = "no JSON object that every reader reads alike";
        refused(RefusalReason::BodyUnreadable, detail, None)
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
        return Err(refused(reason, &detail, model));
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
    Ok(Judged { served, stream })
}

//! Asks the upstream before the engine starts: does it have the model, and does the model answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{HeaderMap, Method};
use serde_json::json;
use tokio::time::timeout;

use crate::forward::request_to;
use crate::gateway::{Gateway, Served, Unavailable, nothing_to_serve};
use crate::json::Json;
use crate::order::Dialect;
use crate::record::CallOutcome;
use crate::stream::{self, capped};
use crate::upstream::{outcome_of_status, why_unreachable};

/// A realistic budget: a model that reasons first needs some of it before it says a word.
const TOKENS: u32 = 1024;
/// What is asked, in one word.
pub(crate) const QUESTION: &str = "Reply with the single word: ready";
const MOST_BYTES: usize = 4 << 20;

fn unavailable(outcome: CallOutcome, detail: impl Into<String>) -> Unavailable {
    Unavailable {
        outcome,
        detail: detail.into(),
    }
}

/// Asks the first route in the first wire format.
pub(crate) async fn ask(gateway: &Gateway) -> Result<(), Unavailable> {
    let (Some(served), Some(dialect)) = (gateway.routes.first(), gateway.order.dialects.first()) else {
        return Err(nothing_to_serve());
    };
    let asked = Asked {
        gateway,
        served,
        dialect: *dialect,
    };
    asked.list().await?;
    asked.complete().await
}

struct Asked<'g> {
    gateway: &'g Gateway,
    served: &'g Served,
    dialect: Dialect,
}

impl Asked<'_> {
    /// The list of models must have the admitted one. Servers that keep no list are asked for a completion all the same.
    async fn list(&self) -> Result<(), Unavailable> {
        let path = match self.dialect {
            Dialect::Messages => "/v1/models",
            Dialect::ChatCompletions | Dialect::Responses => "/models",
        };
        let (status, body) = self.ask(Method::GET, path, Bytes::new(), "the list of models").await?;
        match status {
            200 => {}
            404 | 405 | 501 => return Ok(()),
            _ => return Err(self.status(status, "the list of models")),
        }
        let json = Json::read(&body).filter(|json| json.get("data").is_some());
        let json = json.ok_or_else(|| unavailable(CallOutcome::Malformed, "the list of models is no list"))?;
        let model = self.served.route.model.as_str();
        match json.list("data").iter().any(|entry| entry.str("id") == Some(model)) {
            true => Ok(()),
            false => Err(unavailable(
                CallOutcome::NotFound,
                format!("the upstream's list of models does not have {model}"),
            )),
        }
    }

    async fn complete(&self) -> Result<(), Unavailable> {
        let (model, question) = (&self.served.route.model, QUESTION);
        let messages = json!([{"role": "user", "content": question}]);
        let body = match self.dialect {
            Dialect::Responses => json!({
                "model": model, "input": question, "max_output_tokens": TOKENS, "store": false,
            }),
            _ => json!({"model": model, "messages": messages, "max_tokens": TOKENS}),
        };
        let path = self.dialect.upstream_path();
        let body = Bytes::from(body.to_string());
        let (status, body) = self.ask(Method::POST, path, body, "a first completion").await?;
        if status != 200 {
            return Err(self.status(status, "a first completion"));
        }
        let (seen, judged) = stream::whole(&self.gateway.admitted(self.served, self.dialect), &body);
        if let Err(fault) = judged {
            let served = seen.and_then(|seen| seen.served_model);
            let detail = match (fault, served) {
                (stream::Fault::ModelMismatch, Some(served)) => {
                    format!("{model} was asked for and {} answered", served.escape_debug())
                }
                _ => fault.detail().to_owned(),
            };
            return Err(unavailable(fault.outcome(), capped(&detail, 400)));
        }
        match seen.map(|seen| seen.ending()) {
            Some(ending) if ending.outcome == CallOutcome::Completed => Ok(()),
            Some(ending) => Err(unavailable(ending.outcome, ending.detail)),
            None => Err(unavailable(CallOutcome::Malformed, "the first completion says nothing")),
        }
    }

    fn status(&self, status: u16, what: &str) -> Unavailable {
        let provider = &self.served.route.provider;
        unavailable(
            outcome_of_status(status),
            format!("{provider} answered {what} with status {status}"),
        )
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes, what: &str) -> Result<(u16, Bytes), Unavailable> {
        let request = request_to(self.served, self.dialect, (method, path), &HeaderMap::new(), body);
        let request = request.ok_or_else(|| unavailable(CallOutcome::NotConfigured, "the address cannot be used"))?;
        let limits = &self.gateway.order.limits;
        let patience = Duration::from_millis(limits.connect_ms.saturating_add(limits.first_byte_ms));
        let late = |_| unavailable(CallOutcome::FirstByteTimeout, format!("{what} did not come in time"));
        timeout(patience, async {
            let response = self.gateway.client.request(request).await;
            let response = response.map_err(|error| match error.is_connect() {
                true => unavailable(
                    CallOutcome::Unreachable,
                    format!("{}: {}", self.served.route.provider, why_unreachable(&error)),
                ),
                false => unavailable(CallOutcome::Cut, format!("the connection ended before {what}")),
            })?;
            let (status, mut incoming) = (response.status().as_u16(), response.into_body());
            let mut whole = BytesMut::new();
            while let Some(frame) = incoming.frame().await {
                let frame = frame.map_err(|_| unavailable(CallOutcome::Cut, format!("{what} broke off")))?;
                whole.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
                if whole.len() > MOST_BYTES {
                    return Err(unavailable(
                        CallOutcome::TooLarge,
                        format!("{what} is larger than allowed"),
                    ));
                }
            }
            Ok((status, whole.freeze()))
        })
        .await
        .map_err(late)?
    }
}

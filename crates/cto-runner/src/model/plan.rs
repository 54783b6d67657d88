//! What a gateway is ordered to serve: the admitted pair, its fallbacks, and where each is reached.

use std::fmt;

use cto_gateway::{
    Budget, CredentialSource, Dialect, GatewayLimits, GatewayOrder, Preflight, Price, ProviderTool, Route,
};
use cto_schema::ModelPair;

use super::endpoint::Endpoint;

/// An admitted model, and everything that its gateway needs but the credential itself.
#[derive(Clone, Debug)]
pub struct ModelPlan {
    /// What is asked of the upstream before the engine starts.
    pub preflight: Preflight,
    /// Wire formats that engine and provider have in common.
    pub dialects: Vec<Dialect>,
    /// Sizes, times and counts.
    pub limits: GatewayLimits,
    /// Tools of the provider that may reach a network.
    pub provider_tools: Vec<ProviderTool>,
    /// Fields at the top of a request that pass besides those that the gateway knows.
    pub request_fields: Vec<String>,
    /// Host names that package managers may reach.
    pub egress: Vec<String>,
    /// The admitted pair first, then its fallbacks.
    pub(super) planned: Vec<PlannedRoute>,
}

/// A route whose address is not shown.
#[derive(Clone)]
pub(super) struct PlannedRoute {
    pub(super) pair: ModelPair,
    pub(super) endpoint: Endpoint,
    pub(super) credential: CredentialSource,
    pub(super) price: Option<Price>,
}

impl fmt::Debug for PlannedRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlannedRoute")
            .field("pair", &self.pair)
            .field("credential", &super::settings::credential_class(&self.credential))
            .finish_non_exhaustive()
    }
}

impl ModelPlan {
    /// Returns the routes: the admitted pair first. They hold addresses, so they go to the gateway and nowhere else.
    pub(super) fn routes(&self) -> Vec<Route> {
        self.planned
            .iter()
            .map(|route| Route {
                provider: route.pair.provider.to_string(),
                model: route.pair.model.to_string(),
                base_url: route.endpoint.reveal().to_owned(),
                credential: route.credential.clone(),
                price: route.price,
            })
            .collect()
    }

    /// Returns the provider's tools that may be used, as they are written in settings.
    pub(crate) fn provider_tool_words(&self) -> Vec<String> {
        let word = |tool: &ProviderTool| serde_json::to_value(tool).ok()?.as_str().map(str::to_owned);
        self.provider_tools.iter().filter_map(word).collect()
    }

    /// Returns what is said of each address and its credential without showing them; `seal` makes an address unreadable.
    pub(crate) fn bound_endpoints(&self, seal: &dyn Fn(&str) -> String) -> Vec<String> {
        let one = |route: &PlannedRoute| {
            let host = if route.endpoint.is_loopback() {
                "this machine"
            } else {
                "another machine"
            };
            let way = if route.endpoint.is_encrypted() { "https" } else { "http" };
            format!(
                "{}/{} on {host} over {way} with credential {} ({})",
                route.pair.provider,
                route.pair.model,
                super::settings::credential_class(&route.credential),
                seal(route.endpoint.reveal())
            )
        };
        self.planned.iter().map(one).collect()
    }

    /// Returns the gateway's order for a run with a budget.
    pub fn order(&self, budget: Budget) -> GatewayOrder {
        GatewayOrder {
            routes: self.routes(),
            dialects: self.dialects.clone(),
            limits: self.limits.clone(),
            budget,
            provider_tools: self.provider_tools.clone(),
            request_fields: self.request_fields.clone(),
            preflight: self.preflight,
            egress: self.egress.clone(),
        }
    }
}

//! What every call of one gateway shares: routes with their credentials, the client, the accounts, the record stream.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::Uri;
use hyper::header::HeaderValue;
use zeroize::Zeroizing;

use crate::accounts::Accounts;
use crate::admit::Refusal;
use crate::credential::Credential;
use crate::echo::Forms;
use crate::order::{Dialect, GatewayOrder, Route};
use crate::record::{CallOutcome, Record, RefusedCall};
use crate::records_out::RecordsOut;
use crate::stream::{Admitted, capped};
use crate::upstream::{Client, client};

/// The gateway cannot serve.
#[derive(Debug)]
pub(crate) struct Unavailable {
    pub(crate) outcome: CallOutcome,
    pub(crate) detail: String,
}

fn not_configured(detail: String) -> Unavailable {
    Unavailable {
        outcome: CallOutcome::NotConfigured,
        detail,
    }
}

/// Refuses an order that names nothing.
pub(crate) fn nothing_to_serve() -> Unavailable {
    not_configured("the order has no route or no wire format".to_owned())
}

/// A route and what may not be written down about it.
pub(crate) struct Served {
    pub(crate) route: Route,
    pub(crate) fallback: bool,
    pub(crate) base: Uri,
    pub(crate) forms: Forms,
    /// The credential as a header value, in both ways of saying it; marked sensitive.
    pub(crate) bearer: Option<HeaderValue>,
    pub(crate) key: Option<HeaderValue>,
}

impl fmt::Debug for Served {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.route.provider, self.route.model)
    }
}

impl Served {
    fn new(route: &Route, fallback: bool, credential: Option<&Credential>) -> Result<Self, Unavailable> {
        let bad = || not_configured(format!("the address of {} is no http or https address", route.provider));
        let base: Uri = route.base_url.trim_end_matches('/').parse().map_err(|_| bad())?;
        let has_user = base
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'));
        let is_web = matches!(base.scheme_str(), Some("http" | "https"));
        if !is_web || has_user || base.query().is_some() || base.host().is_none_or(str::is_empty) {
            return Err(bad());
        }
        let value = |prefix: &[u8]| {
            let bytes = credential.map(|credential| Zeroizing::new([prefix, credential.as_slice()].concat()));
            let value = bytes.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok());
            value.map(|mut value| {
                value.set_sensitive(true);
                value
            })
        };
        Ok(Self {
            route: route.clone(),
            fallback,
            base,
            forms: credential.map_or_else(Forms::none, |credential| Forms::of(credential)),
            bearer: value(b"Bearer "),
            key: value(b""),
        })
    }
}

/// One gateway.
pub(crate) struct Gateway {
    pub(crate) order: GatewayOrder,
    pub(crate) routes: Vec<Served>,
    pub(crate) accounts: Accounts,
    pub(crate) client: Client,
    records: RecordsOut,
    is_stopping: AtomicBool,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Gateway to {:?}", self.routes)
    }
}

/// Longest text from a request that a record repeats.
const MOST_DETAIL: usize = 200;

impl Gateway {
    /// Puts a gateway together from its order and the credentials of its routes, in the same order.
    pub(crate) fn new(
        order: &GatewayOrder,
        credentials: &[Option<Credential>],
        records: RecordsOut,
    ) -> Result<Self, Unavailable> {
        if order.routes.is_empty() || order.dialects.is_empty() {
            return Err(nothing_to_serve());
        }
        let mut routes: Vec<Served> = Vec::new();
        for (at, route) in order.routes.iter().enumerate() {
            if routes.iter().any(|served| served.route.model == route.model) {
                return Err(not_configured(format!("two routes serve {}", route.model)));
            }
            if order.budget.cost_micro_usd.is_some() && route.price.is_none() {
                return Err(not_configured(format!(
                    "a budget in money needs the prices of {}",
                    route.model
                )));
            }
            let credential = credentials.get(at).and_then(Option::as_ref);
            routes.push(Served::new(route, at > 0, credential)?);
        }
        let needs_roots = routes.iter().any(|served| served.base.scheme_str() == Some("https"));
        Ok(Self {
            client: client(&order.limits, needs_roots).map_err(not_configured)?,
            accounts: Accounts::new(&order.limits, &order.budget),
            order: order.clone(),
            routes,
            records,
            is_stopping: AtomicBool::new(false),
        })
    }

    /// What a response of a route may be.
    pub(crate) fn admitted<'g>(&'g self, served: &'g Served, dialect: Dialect) -> Admitted<'g> {
        Admitted {
            dialect,
            model: &served.route.model,
            forms: &served.forms,
            tools: &self.order.provider_tools,
        }
    }

    /// The run ends: what is dropped from now on was not left by the engine.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Writes a record down.
    pub(crate) fn record(&self, record: Record) {
        self.records.send(record);
    }

    /// Writes a refusal down, as far as refusals still are.
    pub(crate) fn refused(&self, refusal: &Refusal, method: &str, path: &str, model: Option<&str>) {
        let seq = self.accounts.next();
        if self.accounts.is_recorded(refusal.reason) {
            self.record(Record::Refused(RefusedCall {
                seq,
                reason: refusal.reason,
                detail: capped(&refusal.detail, MOST_DETAIL),
                method: capped(method, MOST_DETAIL),
                path: capped(path, MOST_DETAIL),
                model: model.map(|model| capped(model, MOST_DETAIL)),
            }));
        }
    }
}

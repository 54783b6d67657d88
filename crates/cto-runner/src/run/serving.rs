//! The model gateway of one run, from the harness's side.

use std::ffi::OsString;
use std::os::fd::{BorrowedFd, OwnedFd};

use cto_gateway::{CredentialSource, GatewayOrder, GatewayProcess, Record};
use cto_schema::{EventType, ModelObservation};
use serde_json::Value;

use super::{Halt, chain};
use crate::model_calls::ModelCalls;
use crate::request::Harness;
use crate::supervise::{Companion, Heard};

/// Port of the listener in the engine's network.
pub(super) const PORT: u16 = 8080;
/// What the engine holds instead of a credential. Every agent shows its key to the model's shell.
pub(super) const DUMMY_KEY: &str = "cto-holds-the-credential";

/// A gateway that serves; its process holds the credential, the harness does not.
pub(super) struct Serving {
    process: GatewayProcess,
    calls: ModelCalls,
    /// Set once the process has said all or is gone.
    ended: bool,
}

/// What came of starting a gateway.
pub(super) enum Start {
    /// It serves.
    Serving(Box<Serving>),
    /// It cannot; that is what the verdict looks at.
    Unavailable(Box<ModelObservation>),
}

impl Serving {
    /// Starts the gateway's process on the listener of a closed cage, and waits until it serves.
    pub(super) fn start(harness: &Harness, order: &GatewayOrder, listener: OwnedFd) -> Result<Start, Halt> {
        let ignorant = |error: &dyn std::error::Error| Halt::Ignorant(chain(error));
        let (provider, model) = order
            .routes
            .first()
            .map(|route| (route.provider.as_str(), route.model.as_str()))
            .unwrap_or_default();
        let process = GatewayProcess::start(&harness.reexec.program, order, listener, environment(order))
            .map_err(|error| ignorant(&error))?;
        let mut serving = Self {
            process,
            calls: ModelCalls::new(provider, model),
            ended: false,
        };
        for record in serving.process.take().map_err(|error| ignorant(&error))? {
            drop(serving.calls.take(&record));
            if matches!(record, Record::Unavailable { .. }) {
                return Ok(Start::Unavailable(Box::new(serving.calls.finish().0)));
            }
        }
        Ok(Start::Serving(Box::new(serving)))
    }

    /// Ends the gateway after the engine; returns its last events and the observation.
    pub(super) fn end(mut self) -> (Vec<(EventType, Value)>, ModelObservation) {
        let mut events = Vec::new();
        if !self.ended {
            match self.process.finish() {
                Ok(records) => events.extend(records.iter().flat_map(|record| self.calls.take(record))),
                Err(error) => self.calls.lose(chain(&error)),
            }
        }
        let (seen, more) = self.calls.finish();
        events.extend(more);
        (events, seen)
    }
}

/// What a credential's source may need besides its own variable: the desktop keyring, a secret manager's client.
const FOR_SOURCES: [&str; 5] = ["PATH", "HOME", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "LANG"];

/// Hands on the variables that the credentials' sources need. The values go from one environment to the other and are
/// kept nowhere.
#[expect(
    clippy::disallowed_methods,
    reason = "a credential's variable must not be read before its gateway starts, nor be kept"
)]
fn environment(order: &GatewayOrder) -> Vec<(OsString, OsString)> {
    let mut names: Vec<&str> = Vec::new();
    for route in &order.routes {
        match &route.credential {
            CredentialSource::Environment(name) => names.push(name),
            CredentialSource::Keyring { .. } | CredentialSource::Command(_) => names.extend(FOR_SOURCES),
            CredentialSource::None | CredentialSource::File(_) => {}
        }
    }
    names.sort_unstable();
    names.dedup();
    let present = |name: &str| Some((OsString::from(name), std::env::var_os(name)?));
    names.into_iter().filter_map(present).collect()
}

/// A gateway while its engine runs: every record becomes an event at once.
pub(super) struct Listening<'a> {
    pub(super) serving: &'a mut Serving,
    /// Writes one event.
    pub(super) write: &'a mut dyn FnMut(EventType, Value) -> Result<(), Halt>,
    /// The first event that could not be written.
    pub(super) failed: Option<Halt>,
}

impl Companion for Listening<'_> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        (!self.serving.ended).then(|| self.serving.process.records())
    }

    fn is_awaited(&self) -> bool {
        !self.serving.ended && self.serving.calls.is_waiting()
    }

    fn listen(&mut self) -> Heard {
        if self.serving.ended {
            return Heard::Nothing;
        }
        let records = match self.serving.process.take() {
            Ok(records) => records,
            Err(error) => {
                self.serving.calls.lose(chain(&error));
                self.serving.ended = true;
                return Heard::Lost;
            }
        };
        let heard = if records.is_empty() {
            Heard::Nothing
        } else {
            Heard::Something
        };
        for (kind, data) in records.iter().flat_map(|record| self.serving.calls.take(record)) {
            if let Err(halt) = (self.write)(kind, data) {
                self.failed.get_or_insert(halt);
                return Heard::Lost;
            }
        }
        heard
    }
}

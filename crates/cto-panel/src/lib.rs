//! Read-only web views of an installation: it shows, and can start and grant nothing.
//!
//! The crate depends on evidence and schema only. What must be computed from more than evidence comes as a [`Prepared`]
//! value from a [`Writer`] that the program brings; bundles are read and verified here, anew, for every page about one.

mod answer;
mod ask;
mod asset;
mod body;
mod bundle_view;
mod draw;
mod guard;
mod options;
mod pages;
mod panel;
mod route;
mod server;
mod session;
mod snapshot;
mod view;
mod watcher;

pub use options::{OptionsError, PanelOptions};
pub use server::{PanelError, Served, serve};
pub use snapshot::{Prepared, RowOfFailures, Writer};

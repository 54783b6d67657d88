//! The ways to make a jail, and what each of them promises.

mod bare;
mod bwrap;
mod native;

use std::fmt;
use std::path::PathBuf;

use crate::error::JailError;

/// How a provider wants the inner stage to build the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Build {
    /// The inner stage makes the namespaces itself.
    Namespaces,
    /// The bubblewrap program makes them.
    Bubblewrap {
        /// Where the program is.
        program: PathBuf,
        /// What it says of itself.
        version: String,
    },
    /// Nobody does: the program runs on the host.
    Bare,
}

/// One way to make a jail.
pub trait Provider: fmt::Debug + Sync {
    /// Names the provider, for contracts and evidence.
    fn name(&self) -> &'static str;
    /// Names the bounds that must read back as enforced, else there is no jail.
    fn promises(&self) -> &'static [&'static str];
    /// Says how to build, or why this machine cannot.
    fn build(&self) -> Result<Build, JailError>;
}

/// The providers by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// Our own namespaces; the default.
    Native,
    /// The bubblewrap program with our own lock-down inside.
    Bwrap,
    /// No bounds worth the name.
    None,
}

impl ProviderKind {
    /// Returns the provider of this kind.
    pub fn provider(self) -> &'static dyn Provider {
        match self {
            Self::Native => &native::Native,
            Self::Bwrap => &bwrap::Bwrap,
            Self::None => &bare::Bare,
        }
    }
}

/// Every provider, the preferred first.
pub const PROVIDERS: &[&dyn Provider] = &[&native::Native, &bwrap::Bwrap, &bare::Bare];

/// What every provider with a view promises.
const VIEW: &[&str] = &[
    "user_namespace",
    "mount_namespace",
    "pid_namespace",
    "network",
    "ipc",
    "uts",
    "outer_uid",
    "mount_view",
    "sysctl",
    "workspace",
    "file_descriptors",
    "landlock",
    "seccomp",
    "no_new_privs",
    "capabilities",
    "init_hidden",
    "session_keyring",
    "core_dumps",
    "file_size",
    "open_files",
];

pub(crate) use bwrap::find as find_bubblewrap;

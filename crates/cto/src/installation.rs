//! The installation that a command works on: home, settings, git and the environment, read once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cto_evidence::{Home, KnownSecret};
use cto_runner::{Git, Harness, Settings};

use crate::cli::Global;
use crate::error::CommandError;

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Environment,
    File,
    Default,
}

impl Origin {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the environment is read here, once, and nowhere else"
)]
fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns whether the environment asks for no colour (<https://no-color.org>).
pub(crate) fn no_color() -> bool {
    variable("NO_COLOR").is_some()
}

/// Returns `HOME` and `PATH` for the search of toolchains.
pub(crate) fn home_and_path() -> (Option<PathBuf>, std::ffi::OsString) {
    (
        variable("HOME").map(PathBuf::from),
        variable("PATH").unwrap_or_default(),
    )
}

/// What `ssh-keygen` needs to reach the operator: agent, home, terminal, passphrase prompt, security key.
const SIGNING_VARIABLES: [&str; 10] = [
    "SSH_AUTH_SOCK",
    "SSH_ASKPASS",
    "SSH_ASKPASS_REQUIRE",
    "SSH_SK_PROVIDER",
    "SSH_SK_HELPER",
    "HOME",
    "TERM",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "LANG",
];

/// Returns the environment of the program that signs.
pub(crate) fn signing_environment() -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    let mut environment: Vec<_> = SIGNING_VARIABLES
        .iter()
        .filter_map(|name| Some(((*name).into(), variable(name)?)))
        .collect();
    environment.push(("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()));
    environment
}

/// Returns the home directory of the installation and where its name came from.
pub(crate) fn home_path(global: &Global) -> Result<(PathBuf, Origin), CommandError> {
    if let Some(home) = &global.home {
        return Ok((home.clone(), Origin::Flag));
    }
    if let Some(home) = variable("CTO_HOME") {
        return Ok((PathBuf::from(home), Origin::Environment));
    }
    use etcetera::BaseStrategy as _;
    let base = etcetera::choose_base_strategy().map_err(|_| {
        CommandError::usage("failed to find a home directory").hint("set CTO_HOME to a directory for evidence and keys")
    })?;
    Ok((base.data_dir().join("cto"), Origin::Default))
}

/// Opens the home directory alone; enough for everything that only reads.
pub(crate) fn open_home(global: &Global) -> Result<Home, CommandError> {
    let (path, _) = home_path(global)?;
    Home::open(&path).map_err(|error| {
        CommandError::failed(&error).hint("CTO_HOME or --home names the directory for evidence and keys")
    })
}

/// Reads the settings and says where they came from.
pub(crate) fn read_settings(global: &Global, home: &Home) -> Result<(Settings, Option<PathBuf>), CommandError> {
    let default = home.root().join("harness.yaml");
    let path = match &global.config {
        Some(path) => Some(path.clone()),
        None => default.exists().then_some(default),
    };
    let settings = match &path {
        Some(path) => Settings::read(path).map_err(|error| CommandError::usage(crate::error::chain(&error)))?,
        None => Settings::default(),
    };
    Ok((settings, path))
}

/// Opens the whole installation.
pub(crate) fn open(global: &Global) -> Result<Harness, CommandError> {
    let home = open_home(global)?;
    let (settings, _) = read_settings(global, &home)?;
    let git = match &settings.git {
        Some(program) => Git::at(program.clone()),
        None => Git::find()
            .map_err(|error| CommandError::failed(&error).hint("install git 2.40 or newer (Debian has it since 13)"))?,
    };
    let (present, endpoints) = variables(&settings);
    let secrets = secrets(&settings);
    let harness = Harness::new(home, settings, git, gates(), secrets)
        .map_err(|error| CommandError::usage(crate::error::chain(&error)))?;
    Ok(harness.with_variables(present, endpoints))
}

/// Opens an installation for looking at it; a missing git is no obstacle.
pub(crate) fn open_without_git(global: &Global) -> Result<Harness, CommandError> {
    let home = open_home(global)?;
    let (settings, _) = read_settings(global, &home)?;
    let git = settings.git.clone().unwrap_or_else(|| PathBuf::from("/usr/bin/git"));
    let (present, endpoints) = variables(&settings);
    let secrets = secrets(&settings);
    let harness = Harness::new(home, settings, Git::at(git), gates(), secrets)
        .map_err(|error| CommandError::usage(crate::error::chain(&error)))?;
    Ok(harness.with_variables(present, endpoints))
}

/// Returns the variables of the harness that are set, with what may be shown of them: an address is only a class.
pub(crate) fn shown_variables() -> Vec<(String, String)> {
    gates()
        .into_iter()
        .map(|(name, value)| {
            let hidden = name.ends_with("_BASE_URL");
            let shown = if hidden { "configured".to_owned() } else { value };
            (name, shown)
        })
        .collect()
}

/// Returns the names of the variables that are set, and the values of those that the settings name for endpoints.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment is read here, once, and nowhere else"
)]
fn variables(settings: &Settings) -> (BTreeSet<String>, BTreeMap<String, String>) {
    let present = std::env::vars_os()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| name.into_string().ok())
        .collect();
    let value = |name: &str| std::env::var_os(name)?.into_string().ok();
    let endpoints = settings
        .endpoint_variables()
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), value(name)?)))
        .collect();
    (present, endpoints)
}

/// Reads the gates of the environment.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment is read here, once, and nowhere else"
)]
fn gates() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("CTO_HARNESS_"))
        .collect()
}

/// Returns the values of the environment that must not reach evidence.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment is read here, once, and nowhere else"
)]
fn secrets(settings: &Settings) -> Vec<KnownSecret> {
    use std::os::unix::ffi::OsStringExt as _;
    let named = settings.credential_variables();
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_vec())));
    crate::credentials::secrets(variables, &named)
}

/// Returns a toolchain directory that was named on the command line; it must be there.
pub(crate) fn toolchain(path: &Path) -> Result<PathBuf, CommandError> {
    std::fs::canonicalize(path).map_err(|error| {
        let shown = cto_schema::escape(path.as_os_str().as_encoded_bytes(), 400);
        CommandError::usage(format!("failed to find toolchain {shown}: {error}")).hint("cto doctor lists what it found")
    })
}

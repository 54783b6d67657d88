//! How a provider is reached: what is built in, what the settings say, and whether all of it is there.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cto_gateway::{CredentialSource, Dialect};
use cto_schema::{ProviderReach, escape};

use super::endpoint::Endpoint;
use super::settings::{ProviderKind, ProviderSettings, credential_class};
use super::variables::Variables;
use crate::request::Harness;

/// A provider that the program knows without settings.
struct BuiltIn {
    name: &'static str,
    kind: ProviderKind,
    base_url: Option<&'static str>,
    /// The variable that holds its credential.
    credential: Option<&'static str>,
    /// Whether it works without a credential when the variable is not set.
    credential_optional: bool,
    dialects: &'static [Dialect],
}

const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        name: "anthropic",
        kind: ProviderKind::External,
        base_url: Some("https://api.anthropic.com"),
        credential: Some("ANTHROPIC_API_KEY"),
        credential_optional: false,
        dialects: &[Dialect::Messages],
    },
    BuiltIn {
        name: "openai",
        kind: ProviderKind::External,
        base_url: Some("https://api.openai.com/v1"),
        credential: Some("OPENAI_API_KEY"),
        credential_optional: false,
        dialects: &[Dialect::ChatCompletions, Dialect::Responses],
    },
    BuiltIn {
        name: "openrouter",
        kind: ProviderKind::External,
        base_url: Some("https://openrouter.ai/api/v1"),
        credential: Some("OPENROUTER_API_KEY"),
        credential_optional: false,
        dialects: &[Dialect::ChatCompletions, Dialect::Responses],
    },
    // Its credential is an OAuth session of another program: nothing of it is known here.
    BuiltIn {
        name: "openai-codex",
        kind: ProviderKind::External,
        base_url: None,
        credential: None,
        credential_optional: false,
        dialects: &[Dialect::Responses],
    },
    BuiltIn {
        name: "qwen-local",
        kind: ProviderKind::Local,
        base_url: None,
        credential: None,
        credential_optional: true,
        dialects: &[],
    },
    BuiltIn {
        name: "scripted",
        kind: ProviderKind::Local,
        base_url: None,
        credential: Some("CTO_SCRIPTED_KEY"),
        credential_optional: true,
        dialects: &[],
    },
];

/// A provider as it would be used.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) kind: Option<ProviderKind>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) credential: Option<CredentialSource>,
    pub(super) dialects: Vec<Dialect>,
    pub(super) facts: ProviderReach,
}

/// Whose provider is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub(super) harness: &'a Harness,
    pub(super) variables: &'a Variables,
    /// Providers whose session the engine is given only over a bridge.
    pub(super) bridged: &'a [String],
    /// Wire formats of the engine; all when empty.
    pub(super) dialects: &'a [Dialect],
}

/// Finds out how a provider is reached. Nothing secret is read: a credential's source is only looked for.
pub(super) fn reach(asker: &Asker<'_>, name: &str, requested: bool) -> Reached {
    let built_in = BUILT_IN.iter().find(|provider| provider.name == name);
    let none = ProviderSettings::default();
    let settings = asker.harness.settings.providers.get(name).unwrap_or(&none);
    let kind = settings.class.or(built_in.map(|provider| provider.kind));
    let shown = escape(name.as_bytes(), 80);
    let mut reached = Reached {
        kind,
        endpoint: None,
        credential: credential(asker, settings, built_in),
        dialects: dialects(asker, settings, built_in),
        facts: ProviderReach {
            provider: shown.clone(),
            class: kind.map_or("", ProviderKind::word).to_owned(),
            ..ProviderReach::default()
        },
    };
    let Some(kind) = kind else {
        let known = BUILT_IN.iter().map(|provider| provider.name);
        let hint = cto_schema::nearest(name, known).map(|near| format!("did you mean '{near}'? otherwise "));
        reached.facts.endpoint_detail = format!(
            "provider '{shown}' is not known; {}say what it is under providers: in harness.yaml",
            hint.unwrap_or_default()
        );
        return reached;
    };
    let endpoint = endpoint(asker, name, settings, kind, requested, built_in)
        .and_then(|endpoint| private(endpoint, settings, reached.credential.as_ref(), &shown));
    match endpoint {
        Ok(endpoint) if reached.dialects.is_empty() => {
            drop(endpoint);
            reached.facts.endpoint_detail = format!("provider '{shown}' and the engine have no wire format in common");
        }
        Ok(endpoint) => {
            reached.endpoint = Some(endpoint);
            reached.facts.endpoint_configured = true;
        }
        Err(detail) => reached.facts.endpoint_detail = detail,
    }
    let bridge = asker.variables.codex_bridge();
    let is_bridged = asker.bridged.iter().any(|bridged| bridged == name);
    if is_bridged && asker.harness.environment.get(&bridge).is_none_or(|on| on != "1") {
        reached.facts.credential_class = reached.credential.as_ref().map_or("", credential_class).to_owned();
        reached.facts.credential_detail =
            format!("credentials of '{shown}' cannot reach the engine unless its bridge is enabled; set {bridge}=1");
        return reached;
    }
    match &reached.credential {
        None => {
            reached.facts.credential_detail = format!(
                "provider '{shown}' has no credential source; set providers.{shown}.credential in harness.yaml"
            );
        }
        Some(source) => {
            reached.facts.credential_class = credential_class(source).to_owned();
            match present(asker.harness, source) {
                Ok(()) => reached.facts.credential_present = true,
                Err(what) => {
                    reached.facts.credential_detail =
                        format!("the credential of provider '{shown}' is not there: {what}");
                }
            }
        }
    }
    reached
}

fn endpoint(
    asker: &Asker<'_>,
    name: &str,
    settings: &ProviderSettings,
    kind: ProviderKind,
    requested: bool,
    built_in: Option<&BuiltIn>,
) -> Result<Endpoint, String> {
    let local = asker.variables.local_base_url();
    let mut variables: Vec<&str> = settings.base_url_env.as_deref().into_iter().collect();
    if kind == ProviderKind::Local {
        // The variable is about the requested provider; a fallback's own settings know better.
        variables.insert(if requested { 0 } else { variables.len() }, &local);
    }
    let shown = escape(name.as_bytes(), 80);
    for variable in &variables {
        let Some(value) = asker.harness.endpoint(variable) else {
            continue;
        };
        let endpoint: Endpoint = value
            .parse()
            .map_err(|error| format!("{variable} cannot be used: {error}"))?;
        return encrypted(endpoint, kind, &shown);
    }
    let default = || {
        built_in
            .and_then(|provider| provider.base_url)
            .and_then(|url| url.parse().ok())
    };
    let configured = settings.base_url.clone().or_else(default);
    let endpoint = configured.ok_or_else(|| {
        let mend = match (kind, settings.base_url_env.as_deref()) {
            (ProviderKind::Local, _) => local.clone(),
            (ProviderKind::External, Some(variable)) => variable.to_owned(),
            (ProviderKind::External, None) => format!("providers.{shown}.base_url in harness.yaml"),
        };
        format!("provider '{shown}' has no endpoint; set {mend}")
    })?;
    encrypted(endpoint, kind, &shown)
}

/// A credential is sent to an external provider only where nobody can read along.
fn encrypted(endpoint: Endpoint, kind: ProviderKind, shown: &str) -> Result<Endpoint, String> {
    if kind == ProviderKind::External && !endpoint.is_encrypted() {
        return Err(format!("provider '{shown}' is external and its endpoint is not https"));
    }
    Ok(endpoint)
}

/// A credential goes over a network in the clear only where the operator says so.
fn private(
    endpoint: Endpoint,
    settings: &ProviderSettings,
    credential: Option<&CredentialSource>,
    shown: &str,
) -> Result<Endpoint, String> {
    let clear = !endpoint.is_encrypted() && !endpoint.is_loopback();
    let has_credential = credential.is_some_and(|source| *source != CredentialSource::None);
    if clear && has_credential && !settings.plain_http {
        return Err(format!(
            "the credential of provider '{shown}' would go over a network in the clear: its endpoint is neither https nor \
             on this machine; set providers.{shown}.plain_http: true in harness.yaml where that network is yours"
        ));
    }
    Ok(endpoint)
}

fn credential(asker: &Asker<'_>, settings: &ProviderSettings, built_in: Option<&BuiltIn>) -> Option<CredentialSource> {
    if settings.credential.is_some() {
        return settings.credential.clone();
    }
    let built_in = built_in?;
    match built_in.credential {
        Some(name) if !built_in.credential_optional || asker.harness.has_variable(name) => {
            Some(CredentialSource::Environment(name.to_owned()))
        }
        _ => built_in.credential_optional.then_some(CredentialSource::None),
    }
}

fn dialects(asker: &Asker<'_>, settings: &ProviderSettings, built_in: Option<&BuiltIn>) -> Vec<Dialect> {
    const ALL: [Dialect; 3] = [Dialect::ChatCompletions, Dialect::Responses, Dialect::Messages];
    let speaks = |list: &[Dialect], dialect: &Dialect| list.is_empty() || list.contains(dialect);
    let own = match built_in {
        Some(built_in) if settings.dialects.is_empty() => built_in.dialects,
        _ => &settings.dialects,
    };
    ALL.into_iter()
        .filter(|dialect| speaks(own, dialect) && speaks(asker.dialects, dialect))
        .collect()
}

/// Tells whether a credential's source is there, without reading it.
fn present(harness: &Harness, source: &CredentialSource) -> Result<(), String> {
    match source {
        CredentialSource::None => Ok(()),
        CredentialSource::Environment(name) if harness.has_variable(name) => Ok(()),
        CredentialSource::Environment(name) => Err(format!("set {}", escape(name.as_bytes(), 80))),
        CredentialSource::File(path) => private_file(path),
        // Asking the keyring would read the credential; the gateway does that, and says so when it cannot.
        CredentialSource::Keyring { .. } => Ok(()),
        CredentialSource::Command(argv) => {
            let program = argv.first().map(Path::new).unwrap_or(Path::new(""));
            let runs =
                std::fs::metadata(program).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
            if program.is_absolute() && runs {
                Ok(())
            } else {
                Err("its command is no absolute path of a program".to_owned())
            }
        }
    }
}

/// A file that the gateway would read; the gateway itself says which one it takes.
fn private_file(path: &Path) -> Result<(), String> {
    let shown = escape(path.as_os_str().as_encoded_bytes(), 200);
    let meta = std::fs::symlink_metadata(path).map_err(|error| format!("{shown}: {error}"))?;
    match cto_gateway::credential_file_fault(&meta) {
        Some(fault) => Err(format!("{shown} {fault}")),
        None => Ok(()),
    }
}

/// Returns whether a provider is known without settings.
pub(crate) fn is_built_in(name: &str) -> bool {
    BUILT_IN.iter().any(|provider| provider.name == name)
}

/// Returns the variables that hold the credentials of built-in providers.
pub(super) fn built_in_credentials() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().filter_map(|provider| provider.credential)
}

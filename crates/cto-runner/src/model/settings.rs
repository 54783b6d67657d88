//! Settings about models: providers, the gateway, and run profiles. None holds a secret.

use std::collections::{BTreeMap, BTreeSet};

use cto_gateway::{CredentialSource, Dialect, GatewayLimits, Price, ProviderTool};
use cto_schema::{ModelName, ProviderName};
use serde::{Deserialize, Serialize};

use super::endpoint::Endpoint;
use super::provider::{built_in_credentials, is_built_in};
use crate::settings::Settings;

/// A provider of models, by name in `providers:`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderSettings {
    /// Whether it runs elsewhere or with the operator; needed for names that are not built in.
    pub class: Option<ProviderKind>,
    /// Its base address.
    pub base_url: Option<Endpoint>,
    /// The variable that holds its base address.
    pub base_url_env: Option<String>,
    /// Where the gateway takes its credential from.
    #[serde(serialize_with = "as_class", deserialize_with = "source")]
    pub credential: Option<CredentialSource>,
    /// Whether its credential may go over plain http to another machine; only for a network that is the operator's own.
    pub plain_http: bool,
    /// Wire formats that it speaks; all when empty.
    pub dialects: Vec<Dialect>,
    /// Prices by model, in millionths of a US dollar for a million tokens.
    pub prices: BTreeMap<String, Price>,
}

/// Reads a credential's source. What stands in its place may be the credential: no error repeats it.
fn source<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<CredentialSource>, D::Error> {
    let read = serde_json::Value::deserialize(deserializer)
        .ok()
        .and_then(|value| serde_json::from_value(value).ok());
    read.ok_or_else(|| {
        serde::de::Error::custom(
            "credential says where the credential lies, and never what it is: {environment: NAME}, {file: /PATH}, \
             {keyring: {service: …, account: …}}, {command: [/PROGRAM, …]} or none",
        )
    })
}

#[expect(clippy::ref_option, reason = "serde hands fields over by reference")]
fn as_class<S: serde::Serializer>(credential: &Option<CredentialSource>, serializer: S) -> Result<S::Ok, S::Error> {
    match credential {
        Some(source) => serializer.serialize_str(credential_class(source)),
        None => serializer.serialize_none(),
    }
}

/// Returns the class of a credential's source, which is all that is ever shown.
pub(crate) fn credential_class(source: &CredentialSource) -> &'static str {
    match source {
        CredentialSource::None => "none",
        CredentialSource::Environment(_) => "environment",
        CredentialSource::File(_) => "file",
        CredentialSource::Keyring { .. } => "keyring",
        CredentialSource::Command(_) => "command",
    }
}

/// Where a provider runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Elsewhere.
    External,
    /// With the operator.
    Local,
}

impl ProviderKind {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Local => "local",
        }
    }
}

/// Settings of the model gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewaySettings {
    /// Sizes, times and counts.
    pub limits: GatewayLimits,
    /// Tools that the provider would run, and that may reach a network.
    pub provider_tools: Vec<ProviderTool>,
    /// Fields at the top of a request that pass besides those that the gateway knows.
    pub request_fields: Vec<String>,
    /// Host names with port that package managers may reach.
    pub egress: Vec<String>,
}

/// The fixed settings of a loop that is run often; binary and admission still come from the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProfileSettings {
    /// The engine.
    pub engine: Option<String>,
    /// The model's provider.
    pub provider: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The stage that the engine is open for; its variable comes before it.
    pub stage: Option<u8>,
    /// Limits.
    pub limits: ProfileLimits,
}

/// Limits of a profile; a stricter one of the contract stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProfileLimits {
    /// Longest run of the engine.
    pub timeout_seconds: Option<u32>,
    /// Most tokens.
    pub tokens: Option<u32>,
    /// Most cost, in millionths of a US dollar.
    pub cost_micro_usd: Option<u32>,
}

impl Settings {
    /// Returns the names of the variables that hold endpoints, besides those of the harness's own names.
    pub fn endpoint_variables(&self) -> Vec<&str> {
        let named = self
            .providers
            .values()
            .filter_map(|provider| provider.base_url_env.as_deref());
        named.collect()
    }

    /// Returns the names of the variables that hold a provider's credential, by the settings or built in.
    pub fn credential_variables(&self) -> BTreeSet<String> {
        let named = self
            .providers
            .values()
            .filter_map(|provider| match &provider.credential {
                Some(CredentialSource::Environment(name)) => Some(name.as_str()),
                _ => None,
            });
        let named = named.map(str::to_owned);
        named.chain(built_in_credentials().map(str::to_owned)).collect()
    }

    /// Returns what is wrong with the settings about models.
    pub(crate) fn check_models(&self) -> Result<(), String> {
        for (name, provider) in &self.providers {
            name.parse::<ProviderName>()
                .map_err(|rule| format!("providers: {rule}"))?;
            let at = |what: &str| format!("providers.{name}: {what}");
            if provider.class.is_none() && !is_built_in(name) {
                return Err(at("say whether its class is external or local"));
            }
            if provider
                .base_url_env
                .as_deref()
                .is_some_and(|variable| !is_variable(variable))
            {
                return Err(at("base_url_env is the name of a variable: A-Z, 0-9 and '_'"));
            }
            match &provider.credential {
                Some(CredentialSource::Environment(variable)) if !is_variable(variable) => {
                    return Err(at("credential.environment is the name of a variable, never a value"));
                }
                Some(CredentialSource::File(path)) if !path.is_absolute() => {
                    return Err(at("credential.file is an absolute path"));
                }
                Some(CredentialSource::Command(argv))
                    if !argv.first().is_some_and(|program| program.starts_with('/')) =>
                {
                    return Err(at("credential.command starts with the absolute path of a program"));
                }
                _ => {}
            }
        }
        for (name, profile) in &self.profiles {
            let at = |what: String| format!("profiles.{name}: {what}");
            if profile.provider.is_some() != profile.model.is_some() {
                return Err(at("name both provider and model, or neither".to_owned()));
            }
            pair_of(profile.provider.as_deref(), profile.model.as_deref()).map_err(at)?;
            if profile.stage.is_some_and(|stage| !(1..=6).contains(&stage)) {
                return Err(at("stage is 1 to 6".to_owned()));
            }
        }
        for (name, engine) in &self.engines {
            pair_of(engine.model_provider.as_deref(), engine.model.as_deref())
                .map_err(|e| format!("engines.{name}: {e}"))?;
        }
        Ok(())
    }
}

fn pair_of(provider: Option<&str>, model: Option<&str>) -> Result<(), String> {
    if let Some(provider) = provider {
        provider.parse::<ProviderName>().map_err(|rule| rule.to_string())?;
    }
    if let Some(model) = model {
        model.parse::<ModelName>().map_err(|rule| rule.to_string())?;
    }
    Ok(())
}

fn is_variable(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

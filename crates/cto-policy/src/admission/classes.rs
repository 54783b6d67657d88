//! The classes that a record names, held against how its providers are reached.

use cto_schema::ProviderReach;

/// Parts of a network class that say that the model runs with the operator.
const LOCAL: [&str; 4] = ["local", "localhost", "loopback", "lan"];
/// Parts of a network class that say that it runs elsewhere.
const EXTERNAL: [&str; 5] = ["external", "hosted", "remote", "internet", "public"];
/// Parts of a credential class that say where a credential lies; other words are the operator's own.
const CREDENTIAL: [(&str, &str); 6] = [
    ("environment", "environment"),
    ("env", "environment"),
    ("file", "file"),
    ("keyring", "keyring"),
    ("command", "command"),
    ("none", "none"),
];

/// Returns what contradicts a record's classes; `record` says which record it is.
///
/// A network class has to say whether it is local, external, or both; one that says neither admits nothing. A provider
/// that nobody knows has a gate of its own.
pub(super) fn contradiction(
    record: &str,
    network: &str,
    credential: &str,
    providers: &[ProviderReach],
) -> Option<String> {
    let parts = |class: &str| -> Vec<String> {
        let parts = class.split(|c: char| !c.is_ascii_alphanumeric());
        parts.map(str::to_ascii_lowercase).collect()
    };
    let (network_parts, credential_parts) = (parts(network), parts(credential));
    let says = |words: &[&str]| network_parts.iter().any(|part| words.contains(&part.as_str()));
    let places: Vec<&str> = CREDENTIAL
        .iter()
        .filter(|(word, _)| credential_parts.iter().any(|part| part == word))
        .map(|(_, place)| *place)
        .collect();
    for reach in providers.iter().filter(|reach| !reach.class.is_empty()) {
        let (provider, class) = (&reach.provider, reach.class.as_str());
        let words: &[&str] = if class == "local" { &LOCAL } else { &EXTERNAL };
        if !says(&LOCAL) && !says(&EXTERNAL) {
            return Some(format!(
                "the {record}'s allowed_network_class is '{network}', which says neither local nor external"
            ));
        }
        if !says(words) {
            return Some(format!(
                "provider '{provider}' is {class}, and the {record}'s allowed_network_class is '{network}'"
            ));
        }
        let found = reach.credential_class.as_str();
        if !places.is_empty() && !found.is_empty() && !places.contains(&found) {
            return Some(format!(
                "the credential of provider '{provider}' is of class {found}, and the {record}'s \
                 credential_source_class is '{credential}'"
            ));
        }
    }
    None
}

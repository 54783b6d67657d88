//! The classes that a record names, held against how its providers are reached.

use cto_schema::ProviderReach;

/// Parts of a network class that say that the model runs with the operator.
const LOCAL: [&str; 4] = ["local", "localhost", "loopback", "lan"];
/// Parts of a network class that say that it runs elsewhere.
const EXTERNAL: [&str; 5] = ["external", "hosted", "remote", "internet", "public"];
/// Words that turn what follows into its opposite. A class says what is allowed; nobody has to guess at what is not.
const NEGATIONS: [&str; 21] = [
    "no",
    "not",
    "non",
    "never",
    "neither",
    "nor",
    "none",
    "without",
    "except",
    "excluding",
    "excluded",
    "minus",
    "but",
    "deny",
    "denied",
    "forbid",
    "forbidden",
    "block",
    "blocked",
    "disallowed",
    "prohibited",
];
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
/// A network class has to say whether it is local, external, or both; one that says neither, or says what is not, admits
/// nothing, whatever the providers are. A provider that nobody knows has a gate of its own.
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
    if let Some(word) = network_parts.iter().find(|part| NEGATIONS.contains(&part.as_str())) {
        return Some(format!(
            "the {record}'s allowed_network_class is '{network}'; say what is allowed, without '{word}'"
        ));
    }
    if !says(&LOCAL) && !says(&EXTERNAL) {
        return Some(format!(
            "the {record}'s allowed_network_class is '{network}', which says neither local nor external"
        ));
    }
    for reach in providers.iter().filter(|reach| !reach.class.is_empty()) {
        let (provider, class) = (&reach.provider, reach.class.as_str());
        let words: &[&str] = if class == "local" { &LOCAL } else { &EXTERNAL };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(network: &str, class: &str) -> bool {
        let reach = ProviderReach {
            provider: "lab".to_owned(),
            class: class.to_owned(),
            ..ProviderReach::default()
        };
        contradiction("record", network, "", &[reach]).is_none()
    }

    #[test]
    fn a_network_class_admits_what_it_says_in_whole_words_and_nothing_by_what_it_denies() {
        for (network, local, external) in [
            ("local", true, false),
            ("local-vllm", true, false),
            ("LAN only", true, false),
            ("loopback", true, false),
            ("hosted-model", false, true),
            ("external-and-local-provider", true, true),
            ("codex-oauth-hosted-model-plus-local-vllm-fallback", true, true),
            ("not-local", false, false),
            ("non-local", false, false),
            ("no-local-network", false, false),
            ("external-only-never-local", false, false),
            ("external-but-local", false, false),
            ("local-without-internet", false, false),
            ("nonlocal", false, false),
            ("localized", false, false),
            ("none", false, false),
            ("vllm", false, false),
            ("", false, false),
        ] {
            assert_eq!(admits(network, "local"), local, "{network}");
            assert_eq!(admits(network, "external"), external, "{network}");
            // Judged without a provider, as `cto admission check` does.
            let alone = contradiction("record", network, "", &[]).is_none();
            assert_eq!(alone, local || external, "{network}");
        }
    }
}

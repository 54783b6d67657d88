//! Values that no document may hold: what looks like a secret, and addresses of endpoints.

use cto_schema::{RuleId, looks_like_a_secret};

use super::notes::Notes;

/// Looks through the lines of a text. `known` are the lines on which the redactor's rules hit, with the rule.
pub(crate) fn check_values(text: &str, known: &[(u32, String)], allowed_hosts: &[String], notes: &mut Notes) {
    let mend = "remove it, and change the credential: it was written down; name its class or its variable instead";
    for (line, rule) in known {
        notes.add(
            RuleId::SecretValue,
            *line,
            format!("a value has the shape of a secret ({rule})"),
            mend,
        );
    }
    for (number, line) in (1_u32..).zip(text.lines()) {
        let seen = known.iter().any(|(at, _)| *at == number);
        if !seen
            && may_hold_a_secret(line)
            && let Some(reason) = looks_like_a_secret(line)
        {
            notes.add(RuleId::SecretValue, number, reason, mend);
        }
        if let Some(kind) = endpoint(line, allowed_hosts) {
            notes.add(
                RuleId::EndpointValue,
                number,
                format!("the line holds {kind}"),
                "write the class of the endpoint (for example local-vllm) or the name of its variable; a public address can be added to allowed_hosts in the rules file",
            );
        }
    }
}

/// Cheap: whatever looks like a secret has a digit in it, a user in an address, or the first line of a key.
fn may_hold_a_secret(line: &str) -> bool {
    line.bytes().any(|byte| byte.is_ascii_digit()) || line.contains("://") || line.contains("-----BEGIN")
}

/// Names that are kept for examples (RFC 2606, RFC 6761).
const EXAMPLES: [&str; 7] = [
    "example.com",
    "example.org",
    "example.net",
    ".example",
    ".invalid",
    ".test",
    "example.edu",
];
/// Names of private machines.
const PRIVATE: [&str; 6] = [".local", ".internal", ".lan", ".corp", ".home.arpa", ".intranet"];

/// Returns what a line holds that says where a model or a private machine is reached.
fn endpoint(line: &str, allowed: &[String]) -> Option<&'static str> {
    for (at, mark) in line.match_indices("://") {
        let scheme = line[..at]
            .rsplit(|c: char| !c.is_ascii_alphanumeric())
            .next()
            .unwrap_or_default();
        if !matches!(
            scheme.to_ascii_lowercase().as_str(),
            "http" | "https" | "ws" | "wss" | "tcp"
        ) {
            continue;
        }
        let rest = &line[at + mark.len()..];
        let end = rest
            .find(|c: char| c.is_whitespace() || "\"'`<>)]},;|".contains(c))
            .unwrap_or(rest.len());
        if let Some(kind) = address(&rest[..end], allowed) {
            return Some(kind);
        }
    }
    let bare = |word: &&str| {
        let (host, port) = word.rsplit_once(':').unwrap_or((word, ""));
        let numeric = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        numeric && (host == "localhost" || is_ipv4(host)) && !is_allowed(word, host, allowed)
    };
    let words = line.split(|c: char| c.is_whitespace() || "\"'`<>()[]{},;|=".contains(c));
    let hit = words.filter(|word| !word.contains('/')).any(|word| bare(&word));
    hit.then_some("the address of a machine")
}

fn address(address: &str, allowed: &[String]) -> Option<&'static str> {
    let (authority, path) = address.split_once('/').unwrap_or((address, ""));
    let host_and_port = authority.rsplit('@').next().unwrap_or(authority).to_ascii_lowercase();
    let (host, port) = match host_and_port.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
        _ => (host_and_port.as_str(), ""),
    };
    let example = EXAMPLES.iter().any(|name| host.ends_with(name));
    if host.is_empty() || example || is_allowed(&host_and_port, host, allowed) || host.starts_with(['$', '{']) {
        return None;
    }
    if is_ipv4(host) || host.starts_with('[') || host == "localhost" {
        return Some("the address of a machine");
    }
    if !host.contains('.') || PRIVATE.iter().any(|end| host.ends_with(end)) {
        return Some("the address of a private machine");
    }
    let model = path == "v1"
        || path.starts_with("v1/")
        || path.ends_with("/v1")
        || path.contains("/v1/chat")
        || path.contains("/v1/models");
    if model || !matches!(port, "" | "80" | "443") {
        return Some("the address of an endpoint");
    }
    None
}

fn is_allowed(host_and_port: &str, host: &str, allowed: &[String]) -> bool {
    allowed.iter().any(|name| name == host_and_port || name == host)
}

fn is_ipv4(text: &str) -> bool {
    text.parse::<std::net::Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_endpoints_and_private_machines_are_found_and_ordinary_links_are_not() {
        for bad in [
            "see http://10.1.2.3:8000/v1",
            "`http://localhost:8080`",
            "https://models.provider.io/v1",
            "https://api.provider.io:8443/x",
            "http://gpu-box/v1/chat",
            "https://wiki.corp.internal/page",
            "base is 192.168.0.7:9000",
            "localhost:8000",
            "ws://[::1]:80/x",
        ] {
            assert!(endpoint(bad, &[]).is_some(), "{bad}");
        }
        for good in [
            "https://github.com/x/y/blob/main/a.md#L1",
            "https://docs.provider.io/guide/v1.2",
            "http://example.org:8000/v1",
            "version 1.2.3.4 of it",
            "at 10:30:00 it ran",
            "a://b",
            "file:///etc/x",
            "${BASE}://x",
        ] {
            assert_eq!(endpoint(good, &[]), None, "{good}");
        }
        assert_eq!(
            endpoint("http://localhost:8080/x", &["localhost:8080".to_owned()]),
            None
        );
    }
}

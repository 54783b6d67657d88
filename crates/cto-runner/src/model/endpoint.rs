//! The address of a model's server: used by the gateway, shown nowhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, de};

/// A base address over http or https. Its value leaves only through [`Endpoint::reveal`]; it is written as a class.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(String);

/// A text that is no usable base address; the text is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an endpoint is http:// or https:// with a host and a path, without user, password, query, fragment or spaces")]
pub struct InvalidEndpoint;

impl Endpoint {
    /// Returns the address, for the gateway's order alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns whether it is on this machine: a loopback address, or the name that always means one.
    pub fn is_loopback(&self) -> bool {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        if let Some(inner) = authority.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            return inner
                .parse::<std::net::Ipv6Addr>()
                .is_ok_and(|address| address.is_loopback());
        }
        let host = authority.split(':').next().unwrap_or_default();
        host == "localhost"
            || host
                .parse::<std::net::Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
    }

    /// Returns whether what is sent there is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"))
            .ok_or(InvalidEndpoint)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an IPv6 address stand in brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host_good = match inner {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
                    && host.starts_with(|c: char| c.is_ascii_alphanumeric())
            }
        };
        let port_good = port.is_none_or(|port| {
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|number| number > 0)
        });
        let path_good = path
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._~/-:@+".contains(&b))
            && !path.split('/').any(|part| matches!(part, "." | ".."));
        if text.len() <= 512 && host_good && port_good && path_good {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(InvalidEndpoint)
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Endpoint(configured)")
    }
}

impl Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("configured")
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_addresses_and_no_credentials() {
        for good in [
            "http://127.0.0.1:8000/v1",
            "https://example.org",
            "http://[::1]:8000/v1/",
            "http://vllm.lan:1/x/y",
        ] {
            assert!(good.parse::<Endpoint>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:8000",
            "ftp://x",
            "http://",
            "http:///v1",
            "http://user@host/v1",
            "http://user:word@host/v1",
            "http://host:0/v1",
            "http://host:99999/v1",
            "http://host:/v1",
            "http://host/v1?key=x",
            "http://host/v1#x",
            "http://host/../v1",
            "http://ho st/v1",
            "http://host/v1\n",
            "http://host\\@evil/v1",
            "http://[::1/v1",
            "HTTP://host/v1",
            "http://höst/v1",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn knows_what_is_on_this_machine() {
        for (text, expected) in [
            ("http://127.0.0.1:8000/v1", true),
            ("http://127.9.9.9", true),
            ("https://[::1]:8000/v1", true),
            ("http://localhost/v1", true),
            ("http://10.0.0.1/v1", false),
            ("http://127.0.0.1.example.org/v1", false),
            ("http://localhost.example.org", false),
            ("http://[2001:db8::1]/127.0.0.1", false),
            // Resolvers read it as an address, and not all as this one.
            ("http://0177.0.0.1/v1", false),
            ("http://example.org/127.0.0.1", false),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().is_loopback(), expected, "{text}");
        }
    }

    #[test]
    fn is_shown_nowhere() {
        let secret = "http://10.11.12.13:4567/v1";
        let endpoint: Endpoint = secret.parse().unwrap();
        let shown = format!("{endpoint:?} {}", serde_json::to_string(&endpoint).unwrap());
        assert!(!shown.contains("10.11") && !shown.contains("4567"), "{shown}");
        let error = format!(
            "{:?} {}",
            InvalidEndpoint,
            "http://10.11.12.13:x".parse::<Endpoint>().unwrap_err()
        );
        assert!(!error.contains("10.11"), "{error}");
        assert_eq!(endpoint.reveal(), secret);
    }
}

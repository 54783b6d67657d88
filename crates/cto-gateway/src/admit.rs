//! Decides from the head of a request where it may go; everything that is not named here goes nowhere.

use hyper::header::{CONNECTION, EXPECT, HOST, UPGRADE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Version};

use crate::order::Dialect;
use crate::record::RefusalReason;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A call of the model.
    Call(Dialect, Query),
    /// The list of admitted models.
    Models,
    /// Whether anybody is there.
    Hello,
    /// A connection to an admitted host.
    Connect(String),
}

/// The query that goes on with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    None,
    /// Claude Code's `?beta=true`.
    Beta,
}

/// A request that goes nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: RefusalReason,
    pub(crate) detail: String,
}

impl Refusal {
    pub(crate) fn new(reason: RefusalReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

impl Dialect {
    /// The wire format that a path belongs to.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        match path {
            "/v1/chat/completions" => Some(Self::ChatCompletions),
            "/v1/responses" => Some(Self::Responses),
            "/v1/messages" => Some(Self::Messages),
            _ => None,
        }
    }

    /// What follows the base of a route.
    pub(crate) fn upstream_path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/chat/completions",
            Self::Responses => "/responses",
            Self::Messages => "/v1/messages",
        }
    }
}

/// Judges method, target and routing headers. `port` is the listener's.
pub(crate) fn admit(parts: &Parts, port: u16, dialects: &[Dialect], egress: &[String]) -> Result<Asked, Refusal> {
    if parts.version != Version::HTTP_11 {
        return Err(Refusal::new(
            RefusalReason::AmbiguousRequest,
            "a version other than HTTP/1.1",
        ));
    }
    if parts.method == Method::CONNECT {
        return connect(parts, egress);
    }
    if parts.uri.scheme().is_some() || parts.uri.authority().is_some() {
        let host = parts.uri.host().unwrap_or_default();
        return Err(Refusal::new(
            RefusalReason::HostNotAdmitted,
            format!("an absolute address: {host}"),
        ));
    }
    let host = only(&parts.headers, HOST.as_str())?.unwrap_or_default();
    if ![format!("127.0.0.1:{port}"), format!("localhost:{port}")].contains(&host.to_ascii_lowercase()) {
        return Err(Refusal::new(RefusalReason::HostNotAdmitted, format!("the host {host}")));
    }
    upgrades(&parts.headers)?;
    let (path, query) = (parts.uri.path(), parts.uri.query());
    match (parts.method.as_str(), path, query) {
        ("GET" | "HEAD", "/", None) => return Ok(Asked::Hello),
        ("GET", "/v1/models", _) => return Ok(Asked::Models),
        _ => {}
    }
    let dialect = Dialect::of_path(path).filter(|dialect| dialects.contains(dialect));
    match (parts.method.as_str(), dialect, query) {
        ("POST", Some(dialect), None) => Ok(Asked::Call(dialect, Query::None)),
        ("POST", Some(Dialect::Messages), Some("beta=true")) => Ok(Asked::Call(Dialect::Messages, Query::Beta)),
        _ => Err(Refusal::new(
            RefusalReason::PathNotAdmitted,
            "no admitted method and path",
        )),
    }
}

fn only<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::new(
            RefusalReason::AmbiguousRequest,
            format!("several headers {name}"),
        ));
    }
    let text = first.map(|value| value.to_str()).transpose();
    text.map_err(|_| {
        Refusal::new(
            RefusalReason::AmbiguousRequest,
            format!("a header {name} that is no text"),
        )
    })
}

fn upgrades(headers: &HeaderMap) -> Result<(), Refusal> {
    let asks = |value: &hyper::header::HeaderValue| {
        value
            .to_str()
            .unwrap_or("upgrade")
            .to_ascii_lowercase()
            .contains("upgrade")
    };
    if headers.contains_key(UPGRADE)
        || headers.contains_key("http2-settings")
        || headers.get_all(CONNECTION).iter().any(asks)
    {
        return Err(Refusal::new(RefusalReason::UpgradeNotAdmitted, "a protocol upgrade"));
    }
    let expected = only(headers, EXPECT.as_str())?;
    if expected.is_some_and(|value| !value.eq_ignore_ascii_case("100-continue")) {
        return Err(Refusal::new(
            RefusalReason::AmbiguousRequest,
            "an expectation other than 100-continue",
        ));
    }
    Ok(())
}

fn connect(parts: &Parts, egress: &[String]) -> Result<Asked, Refusal> {
    let target = parts
        .uri
        .authority()
        .map(|authority| authority.as_str().to_ascii_lowercase())
        .unwrap_or_default();
    match egress.iter().find(|admitted| admitted.to_ascii_lowercase() == target) {
        Some(admitted) => Ok(Asked::Connect(admitted.clone())),
        None => Err(Refusal::new(
            RefusalReason::HostNotAdmitted,
            format!("a connection to {target}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use hyper::http::request::Parts;
    use hyper::{Request, Version};

    use super::{Asked, Query, admit};
    use crate::order::Dialect;
    use crate::record::RefusalReason;

    const DIALECTS: &[Dialect] = &[Dialect::ChatCompletions, Dialect::Messages];

    fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target).version(Version::HTTP_11);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn asked(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Asked, RefusalReason> {
        let egress = ["packages.example:443".to_owned()];
        admit(&parts(method, target, headers), 8080, DIALECTS, &egress).map_err(|refusal| refusal.reason)
    }

    const HOST: (&str, &str) = ("host", "127.0.0.1:8080");

    #[test]
    fn only_the_named_paths_and_methods_go_through() {
        assert_eq!(
            asked("POST", "/v1/chat/completions", &[HOST]),
            Ok(Asked::Call(Dialect::ChatCompletions, Query::None))
        );
        assert_eq!(
            asked("POST", "/v1/messages?beta=true", &[("host", "localhost:8080")]),
            Ok(Asked::Call(Dialect::Messages, Query::Beta))
        );
        assert_eq!(asked("GET", "/v1/models?client_version=1", &[HOST]), Ok(Asked::Models));
        assert_eq!(asked("HEAD", "/", &[HOST]), Ok(Asked::Hello));
        for (method, target) in [
            ("POST", "/v1/responses"),
            ("GET", "/v1/chat/completions"),
            ("POST", "/v1/chat/completions?x=1"),
            ("POST", "/v1/chat/completions/"),
            ("POST", "/V1/chat/completions"),
            ("POST", "/v1//chat/completions"),
            ("POST", "/v1/x/../chat/completions"),
            ("POST", "/v1/chat%2fcompletions"),
            ("POST", "/v1/messages/count_tokens"),
            ("POST", "/v1/files"),
            ("DELETE", "/v1/models"),
        ] {
            assert_eq!(
                asked(method, target, &[HOST]),
                Err(RefusalReason::PathNotAdmitted),
                "{method} {target}"
            );
        }
    }

    #[test]
    fn hosts_upgrades_and_expectations_are_judged() {
        let path = "/v1/chat/completions";
        for host in [
            "evil.example",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.0.0.1:8080@evil.example",
            "",
        ] {
            assert_eq!(
                asked("POST", path, &[("host", host)]),
                Err(RefusalReason::HostNotAdmitted),
                "{host}"
            );
        }
        assert_eq!(
            asked("POST", "http://127.0.0.1:8080/v1/chat/completions", &[HOST]),
            Err(RefusalReason::HostNotAdmitted)
        );
        assert_eq!(asked("POST", path, &[HOST, HOST]), Err(RefusalReason::AmbiguousRequest));
        for header in [
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("http2-settings", "x"),
        ] {
            assert_eq!(
                asked("POST", path, &[HOST, header]),
                Err(RefusalReason::UpgradeNotAdmitted),
                "{header:?}"
            );
        }
        assert_eq!(
            asked("POST", path, &[HOST, ("expect", "x")]),
            Err(RefusalReason::AmbiguousRequest)
        );
        assert!(asked("POST", path, &[HOST, ("expect", "100-Continue")]).is_ok());
    }

    #[test]
    fn connections_go_to_admitted_hosts_only() {
        assert_eq!(
            asked("CONNECT", "Packages.Example:443", &[]),
            Ok(Asked::Connect("packages.example:443".to_owned()))
        );
        for target in [
            "packages.example:80",
            "evil.example:443",
            "x@packages.example:443",
            "packages.example.:443",
        ] {
            assert_eq!(
                asked("CONNECT", target, &[]),
                Err(RefusalReason::HostNotAdmitted),
                "{target}"
            );
        }
    }
}

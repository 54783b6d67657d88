//! Who is answered at all: by method, name, origin and session, before any page looks at the request.

use hyper::Method;
use hyper::header::{self, HeaderName};

use crate::answer::ApiError;
use crate::ask::Ask;
use crate::panel::Panel;
use crate::session::same_secret;

/// Refuses what is not a look at this server by somebody who may look. `Ok` says nothing about the session.
pub(crate) fn admit(panel: &Panel, ask: &Ask) -> Result<(), ApiError> {
    // The name comes first: a page of another site that reaches us by rebinding its name learns nothing else.
    let host = ask.header(&header::HOST).unwrap_or_default();
    if !is_ours(panel, host) {
        return Err(ApiError::Misdirected);
    }
    if !matches!(ask.method, Method::GET | Method::HEAD) {
        return Err(ApiError::ReadOnly);
    }
    let site = HeaderName::from_static("sec-fetch-site");
    if ask.has(&site) && !matches!(ask.header(&site), Some("same-origin" | "none")) {
        return Err(ApiError::CrossSite);
    }
    let own = |origin: &str| {
        let name = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        name.is_some_and(|name| name == host)
    };
    if ask.has(&header::ORIGIN) && !ask.header(&header::ORIGIN).is_some_and(own) {
        return Err(ApiError::CrossSite);
    }
    Ok(())
}

/// Says whether a request may see anything but the login page.
pub(crate) fn may_look(panel: &Panel, ask: &Ask) -> bool {
    if let Some(secret) = &panel.options.secret {
        let said = ask.header(&header::AUTHORIZATION).unwrap_or_default();
        if said
            .strip_prefix("Bearer ")
            .is_some_and(|said| same_secret(said, secret))
        {
            return true;
        }
        // A secret that is asked for is asked for always; the session of a local browser is no way around it elsewhere.
        if !panel.options.listen.ip().is_loopback() {
            return false;
        }
    }
    let cookie = ask.cookie(&session_cookie(panel.port));
    !panel.options.login || cookie.is_some_and(|session| panel.sessions.holds(session))
}

/// Returns the name of the session's cookie. Cookies are not kept apart by port, so the port is in the name.
pub(crate) fn session_cookie(port: u16) -> String {
    format!("cto_session_{port}")
}

/// Returns the name of the cookie that remembers the theme.
pub(crate) fn theme_cookie(port: u16) -> String {
    format!("cto_theme_{port}")
}

fn is_ours(panel: &Panel, host: &str) -> bool {
    let port = panel.port;
    let own = ["127.0.0.1", "localhost", "[::1]"];
    let loopback = own.iter().any(|name| *host == format!("{name}:{port}"));
    loopback || panel.options.hosts.iter().any(|known| known == host)
}

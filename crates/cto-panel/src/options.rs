//! How a panel is served: where, to whom, and what of it.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Bounds of a secret, in bytes.
const LONGEST_SECRET: usize = 512;
const SHORTEST_SECRET: usize = 32;

/// How a panel is served.
#[derive(Clone, Debug)]
pub struct PanelOptions {
    /// The address; anything but loopback needs `secret`.
    pub listen: SocketAddr,
    /// Whether a browser must log in with the link that is printed at the start.
    pub login: bool,
    /// What every request must carry as `Authorization: Bearer …`, for a panel behind a proxy.
    pub secret: Option<String>,
    /// Names, with or without port, under which a proxy passes requests on.
    pub hosts: Vec<String>,
    /// Whether patches, logs and test output of owned repositories are shown.
    pub evidence_content: bool,
    /// The directory of the installation.
    pub home: PathBuf,
}

/// A panel that must not be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Others could reach it, and nothing would ask who they are.
    #[error("serve on {0}: other machines reach it, so it needs a secret that every request carries")]
    Open(SocketAddr),
    /// The secret could be guessed, or does not fit into a header.
    #[error("use the secret: it must have 32 to 512 printable characters without a space")]
    Secret,
    /// Content would be shown to whoever the proxy lets in.
    #[error("show evidence content on {0}: it is shown on loopback only")]
    Content(SocketAddr),
}

impl PanelOptions {
    /// Refuses what would open the installation to others.
    pub fn check(&self) -> Result<(), OptionsError> {
        let loopback = self.listen.ip().is_loopback();
        if !loopback && self.secret.is_none() {
            return Err(OptionsError::Open(self.listen));
        }
        if !loopback && self.evidence_content {
            return Err(OptionsError::Content(self.listen));
        }
        let fits = |secret: &String| {
            (SHORTEST_SECRET..=LONGEST_SECRET).contains(&secret.len())
                && secret.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if self.secret.as_ref().is_some_and(|secret| !fits(secret)) {
            return Err(OptionsError::Secret);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(listen: &str) -> PanelOptions {
        PanelOptions {
            listen: listen.parse().unwrap(),
            login: true,
            secret: None,
            hosts: vec![],
            evidence_content: false,
            home: PathBuf::new(),
        }
    }

    #[test]
    fn another_address_than_loopback_needs_a_secret_that_cannot_be_guessed() {
        assert_eq!(options("127.0.0.1:0").check(), Ok(()));
        assert_eq!(options("[::1]:0").check(), Ok(()));
        for open in ["0.0.0.0:1", "[::]:1", "192.168.0.2:1"] {
            let mut options = options(open);
            assert!(matches!(options.check(), Err(OptionsError::Open(_))), "{open}");
            for short in ["", "short", &"x y".repeat(20), &"x".repeat(31)] {
                options.secret = Some(short.to_owned());
                assert_eq!(options.check(), Err(OptionsError::Secret), "{short}");
            }
            options.secret = Some("x".repeat(32));
            assert_eq!(options.check(), Ok(()));
            options.evidence_content = true;
            assert!(matches!(options.check(), Err(OptionsError::Content(_))));
        }
    }
}

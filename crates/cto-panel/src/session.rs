//! Who may look: a link that works once, the session that it opens, or the secret of a proxy.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

/// How long a link works.
const LINK_TIME: Duration = Duration::from_secs(60);
/// How long a session lasts.
const SESSION_TIME: Duration = Duration::from_secs(12 * 60 * 60);
/// Most sessions; the oldest goes.
const SESSIONS: usize = 16;
/// How soon after a link another one is made, when somebody came with an old one.
const NEXT_LINK: Duration = Duration::from_secs(10);

/// The sessions of a panel. Secrets are kept as digests, so that comparing them tells nothing about them.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    link: Option<([u8; 32], Instant)>,
    made: Option<Instant>,
    open: VecDeque<([u8; 32], Instant)>,
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Draws a secret of 256 bits.
fn draw() -> io::Result<String> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).map_err(io::Error::other)?;
    Ok(data_encoding::BASE32_NOPAD.encode(&bits).to_ascii_lowercase())
}

/// Compares two secrets by their digests.
pub(crate) fn same_secret(a: &str, b: &str) -> bool {
    digest(a) == digest(b)
}

impl Sessions {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a link's key; the one before works no more.
    pub(crate) fn link(&self) -> io::Result<String> {
        let key = draw()?;
        let mut inner = self.inner();
        let now = Instant::now();
        inner.link = Some((digest(&key), now + LINK_TIME));
        inner.made = Some(now);
        Ok(key)
    }

    /// Makes another link's key for somebody whose link is over, unless one was made a moment ago.
    pub(crate) fn next_link(&self) -> Option<String> {
        let made = self.inner().made;
        if made.is_some_and(|made| made.elapsed() < NEXT_LINK) {
            return None;
        }
        self.link().ok()
    }

    /// Opens a session for a link's key; the key works once.
    pub(crate) fn open(&self, key: &str) -> Option<String> {
        let mut inner = self.inner();
        let (held, until) = inner.link?;
        if held != digest(key) {
            return None;
        }
        inner.link = None;
        if Instant::now() > until {
            return None;
        }
        let session = draw().ok()?;
        while inner.open.len() >= SESSIONS {
            inner.open.pop_front();
        }
        inner.open.push_back((digest(&session), Instant::now() + SESSION_TIME));
        Some(session)
    }

    /// Says whether a session is open.
    pub(crate) fn holds(&self, session: &str) -> bool {
        let (asked, now) = (digest(session), Instant::now());
        self.inner()
            .open
            .iter()
            .any(|(held, until)| *held == asked && now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_works_once_and_opens_one_session() {
        let sessions = Sessions::default();
        assert!(sessions.open("").is_none() && !sessions.holds(""));
        let key = sessions.link().unwrap();
        assert!(sessions.open("another").is_none());
        let session = sessions.open(&key).unwrap();
        assert!(sessions.holds(&session) && !sessions.holds(&key));
        assert!(sessions.open(&key).is_none(), "a second time");
        let old = sessions.link().unwrap();
        let new = sessions.link().unwrap();
        assert!(sessions.open(&old).is_none() && sessions.open(&new).is_some());
    }

    #[test]
    fn the_oldest_of_many_sessions_goes() {
        let sessions = Sessions::default();
        let open = || sessions.open(&sessions.link().unwrap()).unwrap();
        let first = open();
        for _ in 0..SESSIONS {
            open();
        }
        assert!(!sessions.holds(&first));
    }
}

//! Approvals on disk: packets, what was said about them, and that each is consumed at most once.
//!
//! `approvals/<packet id>/` holds `packet.json` (canonical bytes), `decision.json` (statement and signature, in one
//! file so that neither is ever without the other) and `consumed.json`. Each is created once and never replaced; the
//! kernel decides which of two runs was first.

mod signature;
mod signers;
#[cfg(test)]
pub(crate) mod tests;

use std::io;
use std::path::PathBuf;

use cto_schema::{ApprovalPacket, RunId, Sha256Digest, SignedStatement, StrictLimits, parse_strict};
use serde::{Deserialize, Serialize};

pub use signature::{CheckedSignature, check_signature};
pub use signers::{AllowedSigners, SignersError};

use crate::clock::{rfc3339, wall_now};
use crate::durable;
use crate::home::Home;

const PACKET: &str = "packet.json";
const DECISION: &str = "decision.json";
const CONSUMED: &str = "consumed.json";

/// Longest document of an approval.
const DOCUMENT: StrictLimits = StrictLimits { bytes: 2 << 20 };

/// Why approvals could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// There is no such packet.
    #[error("find approval packet '{packet_id}'; cto approvals lists them")]
    Missing {
        /// Its name, escaped.
        packet_id: String,
    },
    /// Something was said about the packet already.
    #[error("decide on packet '{packet_id}': that was done already, and stays; make a new packet with cto request")]
    Decided {
        /// The packet.
        packet_id: String,
    },
    /// The packet was consumed already.
    #[error("consume packet '{packet_id}': another run was first")]
    Consumed {
        /// The packet.
        packet_id: String,
    },
    /// A document is not what it must be.
    #[error("read {}: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("use {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// `consumed.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumption {
    /// The run that consumed it.
    pub run_id: RunId,
    /// When, RFC 3339 UTC.
    pub consumed_at: String,
}

/// A packet and everything that was said and done about it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredApproval {
    /// The packet.
    pub packet: ApprovalPacket,
    /// Digest of its bytes.
    pub packet_digest: Sha256Digest,
    /// What was said; null when nobody has said anything.
    pub decision: Option<SignedStatement>,
    /// Who consumed it; null when nobody has.
    pub consumed: Option<Consumption>,
}

/// The approvals of one installation.
#[derive(Debug)]
pub struct ApprovalStore<'a> {
    home: &'a Home,
}

impl<'a> ApprovalStore<'a> {
    /// Opens the approvals of a home.
    pub fn open(home: &'a Home) -> Self {
        Self { home }
    }

    /// Draws the name of a new packet.
    pub fn fresh_id() -> io::Result<String> {
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        Ok(format!(
            "ap-{}",
            data_encoding::BASE32_NOPAD.encode(&random).to_ascii_lowercase()
        ))
    }

    /// Puts a new packet on record and returns its directory.
    pub fn add(&self, packet: &ApprovalPacket) -> Result<PathBuf, ApprovalError> {
        let place = self.place(&packet.packet_id)?;
        let failed = |source| ApprovalError::Io {
            path: place.clone(),
            source,
        };
        let dir = self.home.approvals_dir();
        durable::make_dir_at(dir, &packet.packet_id).map_err(failed)?;
        let own = durable::open_dir_at(dir, &packet.packet_id).map_err(failed)?;
        durable::write_new(&own, PACKET, &packet.canonical()).map_err(failed)?;
        durable::sync_dir(dir).map_err(failed)?;
        Ok(place)
    }

    /// Returns the names of all packets, sorted.
    pub fn list(&self) -> Result<Vec<String>, ApprovalError> {
        let names = durable::names(self.home.approvals_dir()).map_err(|source| ApprovalError::Io {
            path: self.home.approvals(),
            source,
        })?;
        Ok(names.into_iter().filter(|name| is_packet_id(name)).collect())
    }

    /// Removes what a process that died while it wrote left in the packets' directories; returns how many files.
    pub fn sweep(&self) -> io::Result<u64> {
        let mut removed = 0;
        for name in durable::names(self.home.approvals_dir())? {
            if !is_packet_id(&name) {
                continue;
            }
            let dir = match durable::open_dir_at(self.home.approvals_dir(), &name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            for name in durable::names(&dir)? {
                if durable::is_of_the_dead(&name) {
                    durable::remove_at(&dir, &name)?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Reads a packet and what was said and done about it.
    pub fn read(&self, packet_id: &str) -> Result<StoredApproval, ApprovalError> {
        let dir = self.dir(packet_id)?;
        let place = self.place(packet_id)?;
        let bytes = self.bytes(&dir, packet_id, PACKET)?.ok_or_else(|| missing(packet_id))?;
        let damaged = |name: &str, reason: String| ApprovalError::Damaged {
            path: place.join(name),
            reason,
        };
        let packet: ApprovalPacket =
            parse_strict(&bytes, DOCUMENT).map_err(|error| damaged(PACKET, error.to_string()))?;
        if packet.canonical() != bytes || packet.packet_id != packet_id {
            return Err(damaged(
                PACKET,
                "it is not the packet that was written there".to_owned(),
            ));
        }
        if packet.contract.digest() != packet.contract_digest {
            return Err(damaged(PACKET, "its contract is not the one that it names".to_owned()));
        }
        let decision = self.document(&dir, packet_id, DECISION)?;
        let consumed = self.document(&dir, packet_id, CONSUMED)?;
        Ok(StoredApproval {
            packet_digest: Sha256Digest::of(&bytes),
            packet,
            decision,
            consumed,
        })
    }

    /// Puts on record what was said about a packet; the first word stays.
    pub fn decide(&self, packet_id: &str, signed: &SignedStatement) -> Result<(), ApprovalError> {
        let dir = self.dir(packet_id)?;
        let bytes = serde_json::to_vec(signed).map_err(|error| self.failed(packet_id, DECISION, error.into()))?;
        durable::write_new(&dir, DECISION, &bytes).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => ApprovalError::Decided {
                packet_id: packet_id.to_owned(),
            },
            _ => self.failed(packet_id, DECISION, source),
        })
    }

    /// Puts on record that somebody tried to decide and was refused.
    pub fn note_refusal(&self, packet_id: &str, reason: &str) -> Result<(), ApprovalError> {
        let dir = self.dir(packet_id)?;
        let at = rfc3339(wall_now());
        let mut random = [0; 5];
        let drawn = getrandom::fill(&mut random).map_err(io::Error::other);
        drawn.map_err(|source| self.failed(packet_id, "refused", source))?;
        let suffix = data_encoding::BASE32_NOPAD.encode(&random).to_ascii_lowercase();
        let name = format!("refused-{}-{suffix}.json", at.replace(':', ""));
        let text = serde_json::json!({ "refused_at": at, "reason": reason }).to_string();
        durable::write_new(&dir, &name, text.as_bytes()).map_err(|source| self.failed(packet_id, &name, source))
    }

    /// Consumes an approval for a run: exactly one of any number of runs that try succeeds, and what was consumed stays
    /// so whatever happens next. Durable when it returns.
    pub fn consume(&self, packet_id: &str, run_id: &RunId) -> Result<Consumption, ApprovalError> {
        let dir = self.dir(packet_id)?;
        let consumption = Consumption {
            run_id: run_id.clone(),
            consumed_at: rfc3339(wall_now()),
        };
        let bytes = serde_json::to_vec(&consumption).map_err(|error| self.failed(packet_id, CONSUMED, error.into()))?;
        match durable::write_new(&dir, CONSUMED, &bytes) {
            Ok(()) => Ok(consumption),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(ApprovalError::Consumed {
                packet_id: packet_id.to_owned(),
            }),
            Err(source) => Err(self.failed(packet_id, CONSUMED, source)),
        }
    }

    fn dir(&self, packet_id: &str) -> Result<std::os::fd::OwnedFd, ApprovalError> {
        let place = self.place(packet_id)?;
        match durable::open_dir_at(self.home.approvals_dir(), packet_id) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing(packet_id)),
            other => other.map_err(|source| ApprovalError::Io { path: place, source }),
        }
    }

    /// Nothing but a packet's own name is ever put in a path.
    fn place(&self, packet_id: &str) -> Result<PathBuf, ApprovalError> {
        if is_packet_id(packet_id) {
            Ok(self.home.approvals().join(packet_id))
        } else {
            Err(missing(packet_id))
        }
    }

    fn bytes(&self, dir: &std::os::fd::OwnedFd, packet_id: &str, name: &str) -> Result<Option<Vec<u8>>, ApprovalError> {
        durable::read_if_present_at(dir, name).map_err(|source| self.failed(packet_id, name, source))
    }

    fn document<T: serde::de::DeserializeOwned>(
        &self,
        dir: &std::os::fd::OwnedFd,
        packet_id: &str,
        name: &str,
    ) -> Result<Option<T>, ApprovalError> {
        let Some(bytes) = self.bytes(dir, packet_id, name)? else {
            return Ok(None);
        };
        parse_strict(&bytes, DOCUMENT)
            .map(Some)
            .map_err(|error| ApprovalError::Damaged {
                path: self.home.approvals().join(packet_id).join(name),
                reason: error.to_string(),
            })
    }

    fn failed(&self, packet_id: &str, name: &str, source: io::Error) -> ApprovalError {
        ApprovalError::Io {
            path: self.home.approvals().join(packet_id).join(name),
            source,
        }
    }
}

fn missing(packet_id: &str) -> ApprovalError {
    ApprovalError::Missing {
        packet_id: cto_schema::escape(packet_id.as_bytes(), 80),
    }
}

/// `ap-` and sixteen base32 characters.
fn is_packet_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte);
    text.strip_prefix("ap-")
        .is_some_and(|rest| rest.len() == 16 && rest.bytes().all(plain))
}

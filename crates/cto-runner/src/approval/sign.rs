//! Signing with the operator's SSH key, as git does: `ssh-keygen -Y sign` asks for the passphrase, the touch or the agent,
//! and no private key ever enters this process.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cto_schema::{APPROVAL_NAMESPACE, escape};

/// Where `ssh-keygen` may be; nothing is looked up in the search path.
const PLACES: [&str; 3] = ["/usr/bin/ssh-keygen", "/usr/local/bin/ssh-keygen", "/bin/ssh-keygen"];

/// Longest public key file.
const PUBLIC_MAX: u64 = 16 << 10;

/// How to sign.
#[derive(Clone, Debug, Default)]
pub struct Signing {
    /// The private key's file; or the public one, whose private half an agent holds.
    pub key: PathBuf,
    /// What `ssh-keygen` is given of the environment: the agent's socket, home, terminal, security key provider.
    pub environment: Vec<(OsString, OsString)>,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// There is no `ssh-keygen`.
    #[error("find ssh-keygen; install it (Debian: openssh-client)")]
    NoProgram,
    /// The public half cannot be read.
    #[error("read the public key {}: {reason}", .path.display())]
    PublicKey {
        /// Its file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// `ssh-keygen` did not sign.
    #[error("sign with {}: {said}", .key.display())]
    Refused {
        /// The key.
        key: PathBuf,
        /// What it said, escaped.
        said: String,
    },
    /// It could not be run.
    #[error("run {program}")]
    Run {
        /// The program.
        program: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl Signing {
    /// Returns the public half in the form of OpenSSH: the file itself, or the one beside it with `.pub`.
    pub fn public_key(&self) -> Result<String, SignError> {
        let mut beside = self.key.clone().into_os_string();
        if self.key.extension().is_none_or(|extension| extension != "pub") {
            beside.push(".pub");
        }
        let path = PathBuf::from(beside);
        let failed = |reason: String| SignError::PublicKey {
            path: path.clone(),
            reason,
        };
        let mut text = Vec::new();
        let read = std::fs::File::open(&path)
            .and_then(|file| std::io::Read::read_to_end(&mut std::io::Read::take(file, PUBLIC_MAX), &mut text));
        read.map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8(text).map_err(|_| failed("it is not text".to_owned()))?;
        let mut words = text.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some(kind), Some(key)) => Ok(format!("{kind} {key}")),
            _ => Err(failed("it is not a public key".to_owned())),
        }
    }
}

/// Makes a key that lives as long as a directory: for proofs on repositories that the harness made itself.
#[expect(
    clippy::disallowed_methods,
    reason = "ssh-keygen makes the key as an operator would; it is given a directory of the harness and nothing else"
)]
pub(crate) fn ephemeral(directory: &Path) -> Result<Signing, SignError> {
    let program = ssh_keygen()?;
    let key = directory.join("validator");
    let made = std::process::Command::new(program)
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "validator", "-f"])
        .arg(&key)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(|source| SignError::Run { program, source })?;
    if made.status.success() {
        return Ok(Signing {
            key,
            environment: vec![],
        });
    }
    Err(SignError::Refused {
        key,
        said: escape(made.stderr.trim_ascii(), 400),
    })
}

/// Returns where `ssh-keygen` is.
pub fn ssh_keygen() -> Result<&'static str, SignError> {
    PLACES
        .into_iter()
        .find(|place| Path::new(place).is_file())
        .ok_or(SignError::NoProgram)
}

/// Signs bytes in the namespace of approvals; returns the armored signature.
#[expect(
    clippy::disallowed_methods,
    reason = "ssh-keygen talks to the operator's agent and terminal; it sees our bytes and is given nothing of a run"
)]
pub(super) fn sign(signing: &Signing, bytes: &[u8]) -> Result<String, SignError> {
    let program = ssh_keygen()?;
    let run = |source| SignError::Run { program, source };
    let mut child = std::process::Command::new(program)
        .args(["-q", "-Y", "sign", "-n", APPROVAL_NAMESPACE, "-f"])
        .arg(&signing.key)
        .env_clear()
        .envs(signing.environment.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(run)?;
    if let Some(mut input) = child.stdin.take() {
        // A program that refuses the key does not read; its words say why.
        drop(input.write_all(bytes));
    }
    let output = child.wait_with_output().map_err(run)?;
    let armored = String::from_utf8(output.stdout).unwrap_or_default();
    if output.status.success() && !armored.is_empty() {
        return Ok(armored);
    }
    Err(SignError::Refused {
        key: signing.key.clone(),
        said: escape(output.stderr.trim_ascii(), 400),
    })
}

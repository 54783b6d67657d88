//! Artifacts of a run directory: whole files, redacted files and streams.

use std::io;
use std::os::fd::OwnedFd;

use cto_schema::{SecretFinding, Sha256Digest};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::durable;
use crate::redact::{KnownSecret, Redactor};
use crate::run_dir::name::{ArtifactName, is_reserved, parse};
use crate::run_dir::{Artifact, RunDir, RunDirError};

impl RunDir {
    /// Writes a text of the harness's own: temporary name, write, fsync, rename that refuses an existing name, fsync of
    /// the directory. Returns the digest of its bytes.
    ///
    /// Whatever the text was made from, no secret gets in: what nobody took out before is replaced here and added to
    /// [`RunDir::secrets`]. What more than one document tells has to be [`RunDir::clean`] before, so that all say the same.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<Sha256Digest, RunDirError> {
        let (bytes, findings) = self.redactor.redact_own(name, bytes);
        self.secrets.extend(findings);
        self.put(name, &bytes)
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<Sha256Digest, RunDirError> {
        let parsed = checked(name)?;
        if let Err(source) = self.try_write(parsed, bytes) {
            return Err(self.failed(name, source));
        }
        Ok(self.wrote(name, Sha256Digest::of(bytes)))
    }

    /// Writes several artifacts of the top directory like [`RunDir::write`], but with one fsync of the directory for
    /// all of them: on a disk that costs half. After a failure none of them counts as written.
    pub fn write_together(&mut self, files: &[(&str, &[u8])]) -> Result<Vec<Sha256Digest>, RunDirError> {
        for (name, _) in files {
            if !checked(name)?.parent.is_empty() {
                return Err(RunDirError::Name {
                    artifact: (*name).to_owned(),
                });
            }
        }
        let mut clean = Vec::with_capacity(files.len());
        for (name, bytes) in files {
            let (bytes, findings) = self.redactor.redact_own(name, bytes);
            self.secrets.extend(findings);
            clean.push((*name, bytes));
        }
        let shown: Vec<(&str, &[u8])> = clean.iter().map(|(name, bytes)| (*name, bytes.as_ref())).collect();
        match durable::write_new_together(&self.dir, &shown) {
            Ok(()) => Ok(shown
                .iter()
                .map(|(name, bytes)| self.wrote(name, Sha256Digest::of(bytes)))
                .collect()),
            Err((at, source)) => Err(self.failed(files.get(at).map_or("", |file| file.0), source)),
        }
    }

    /// Writes an artifact after replacing every secret in it by `[redacted sha256:<12 hex>]`.
    pub fn write_redacted(
        &mut self,
        name: &str,
        bytes: &[u8],
    ) -> Result<(Sha256Digest, Vec<SecretFinding>), RunDirError> {
        let (bytes, findings) = self.redactor.redact(name, bytes);
        self.secrets.extend(findings.iter().cloned());
        Ok((self.put(name, &bytes)?, findings))
    }

    /// Returns the secrets in bytes that would become an artifact.
    pub fn scan(&self, name: &str, bytes: &[u8]) -> Vec<SecretFinding> {
        self.redactor.scan(name, bytes)
    }

    /// Returns the secrets in a text of the harness's own, in which digests are none.
    pub fn scan_own(&self, name: &str, bytes: &[u8]) -> Vec<SecretFinding> {
        self.redactor.redact_own(name, bytes).1
    }

    /// Returns a name without the secrets in it; `None` when it holds none.
    pub fn clean_name(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.redactor.clean_name(name)
    }

    /// Returns a document whose every text is without secrets; what was found is added to [`RunDir::secrets`].
    pub fn clean<T: Serialize + DeserializeOwned>(&mut self, artifact: &str, document: T) -> Result<T, RunDirError> {
        self.cleaned(artifact, document)
    }

    /// Makes exact secrets known, in addition to the rules: values that the gateway injects, canaries.
    pub fn know_secrets(&mut self, secrets: &[KnownSecret]) {
        self.known = secrets.to_vec();
        self.redactor = Redactor::with_known(secrets);
    }

    /// Says which values are public: a known secret that is exactly one of them is none. Returns the names of those.
    pub fn know_public(&mut self, values: &[String]) -> Vec<String> {
        let is_public = |secret: &KnownSecret| values.iter().any(|value| value.as_bytes() == secret.value);
        if !self.known.iter().any(is_public) {
            return Vec::new();
        }
        let (public, secret): (Vec<_>, Vec<_>) = std::mem::take(&mut self.known).into_iter().partition(is_public);
        self.know_secrets(&secret);
        public.into_iter().map(|secret| secret.name).collect()
    }

    /// Returns whether an artifact of this name exists; also one that a recovery found.
    pub fn exists(&self, name: &str) -> bool {
        self.artifacts.contains_key(name)
    }

    /// Reads an artifact back; `None` when there is none.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, RunDirError> {
        if !self.exists(name) {
            return Ok(None);
        }
        let parsed = parse(name).ok_or_else(|| RunDirError::Name {
            artifact: name.to_owned(),
        })?;
        let mut dir = None;
        let found = parsed
            .parent
            .split('/')
            .filter(|part| !part.is_empty())
            .try_for_each(|part| {
                dir = Some(durable::open_dir_at(dir.as_ref().unwrap_or(&self.dir), part)?);
                Ok(())
            });
        let read = found.and_then(|()| durable::read_at(dir.as_ref().unwrap_or(&self.dir), parsed.file));
        read.map(Some).map_err(|source| RunDirError::ArtifactRead {
            artifact: name.to_owned(),
            source,
        })
    }

    fn wrote(&mut self, name: &str, digest: Sha256Digest) -> Sha256Digest {
        self.artifacts.insert(
            name.to_owned(),
            Artifact {
                digest,
                mono_ns: self.clock.mono_ns(),
            },
        );
        digest
    }

    fn try_write(&mut self, name: ArtifactName<'_>, bytes: &[u8]) -> io::Result<()> {
        let written = self.with_dir(name.parent, |dir| durable::write_new(dir, name.file, bytes));
        if written.is_err() {
            self.remove_empty(name.parent);
        }
        written
    }

    /// Removes a directory, and those above it, that nothing came into: a bundle has no empty ones. One that holds
    /// something stays, as the system itself sees to.
    fn remove_empty(&mut self, path: &str) {
        let mut path = path;
        while !path.is_empty() {
            let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
            let parent = self.subdirs.get(above).unwrap_or(&self.dir);
            if durable::remove_empty_dir_at(parent, name).is_err() {
                return;
            }
            self.subdirs.remove(path);
            path = above;
        }
    }

    /// Runs `act` on the handle of a directory below the run directory, made when it is missing.
    fn with_dir<T>(&mut self, parent: &str, act: impl FnOnce(&OwnedFd) -> io::Result<T>) -> io::Result<T> {
        let mut above = String::new();
        for part in parent.split('/').filter(|part| !part.is_empty()) {
            let path = if above.is_empty() {
                part.to_owned()
            } else {
                format!("{above}/{part}")
            };
            if !self.subdirs.contains_key(&path) {
                let opened = enter(self.subdirs.get(&above).unwrap_or(&self.dir), part)?;
                self.subdirs.insert(path.clone(), opened);
            }
            above = path;
        }
        act(self.subdirs.get(&above).unwrap_or(&self.dir))
    }
}

/// Opens a directory, made durably when it is missing.
pub(crate) fn enter(dir: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    match durable::open_dir_at(dir, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            durable::make_dir_at(dir, name)?;
            durable::sync_dir(dir)?;
            durable::open_dir_at(dir, name)
        }
        other => other,
    }
}

fn checked(name: &str) -> Result<ArtifactName<'_>, RunDirError> {
    match parse(name) {
        Some(parsed) if !is_reserved(name) => Ok(parsed),
        _ => Err(RunDirError::Name {
            artifact: name.to_owned(),
        }),
    }
}

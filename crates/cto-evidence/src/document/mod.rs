//! Sealed documents: a small signed directory for a document that is no run, made once and never changed.
//!
//! `$CTO_HOME/<kind>/<id>/` holds the document, its Markdown twin, what else belongs to it, `SHA256SUMS` and
//! `attestation.dsse.json`. It is made under a temporary name, made durable, and renamed: a name that is there is whole.

mod check;
mod find;
mod follows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use cto_schema::{
    DOCUMENT_PREDICATE_TYPE, DocumentKind, DocumentPredicate, DocumentStatement, RunId, STATEMENT_TYPE, SchemaId,
    Sha256Digest, Subject,
};
use data_encoding::HEXLOWER;
use serde::Serialize;

use crate::clock::{rfc3339, wall_now};
use crate::durable;
use crate::home::{Home, HomeError};
use crate::keys::Signer;
use crate::manifest::{self, ATTESTATION, ManifestError, SUMS};
use crate::run_dir::name;

pub(crate) use check::document_kind;
pub use check::{DocumentSeen, document_predicate, read_document};
pub use find::{document_path, documents};
pub use follows::Reach;

/// Longest document; a matrix of many thousand cells fits.
pub(crate) const DOCUMENT_BYTES: usize = 32 << 20;

/// What the signature of a document does not prove.
const LIMITS: &str = "this signature proves that the holder of the key wrote this document over the bundles that it names; \
not that the host below it was sound, nor that a change in those bundles is right";

/// Why a document was not sealed. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The home.
    #[error("use the directory of sealed documents")]
    Home(#[from] HomeError),
    /// It cannot be expressed, or is over a limit.
    #[error("express {} '{id}': {reason}", .kind.word())]
    Express {
        /// What it is.
        kind: DocumentKind,
        /// Its id.
        id: RunId,
        /// What is wrong.
        reason: String,
    },
    /// A file could not be written.
    #[error("write {} '{id}'", .kind.word())]
    Write {
        /// What it is.
        kind: DocumentKind,
        /// Its id.
        id: RunId,
        /// The system's error.
        source: io::Error,
    },
    /// What is on disk is not what was written.
    #[error("make SHA256SUMS of {} '{id}'", .kind.word())]
    Manifest {
        /// What it is.
        kind: DocumentKind,
        /// Its id.
        id: RunId,
        /// The cause.
        source: ManifestError,
    },
}

/// The name of a new document: its id, when it is made, and a nonce that an operator's word can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentName {
    /// What it is.
    pub kind: DocumentKind,
    /// `<utc>-<kind>-<10 base32 characters>`.
    pub id: RunId,
    /// RFC 3339 UTC.
    pub made_at: String,
    nonce: String,
}

impl DocumentName {
    /// Draws a name, as of now.
    pub fn fresh(kind: DocumentKind) -> io::Result<Self> {
        let mut bits = [0; 39];
        getrandom::fill(&mut bits).map_err(io::Error::other)?;
        let (unique, nonce) = bits.split_at(7);
        let now = wall_now();
        let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let unique: [u8; 7] = unique.try_into().map_err(io::Error::other)?;
        Ok(Self {
            kind,
            id: RunId::new(&stamp, kind.word(), unique),
            made_at: rfc3339(now),
            nonce: HEXLOWER.encode(nonce),
        })
    }
}

/// A document that is to be sealed.
#[derive(Clone, Debug)]
pub struct DocumentDraft<'a, T> {
    /// Its name.
    pub name: &'a DocumentName,
    /// The document itself.
    pub document: &'a T,
    /// Its Markdown twin.
    pub markdown: &'a str,
    /// Other files, by plain name.
    pub more: &'a [(&'a str, &'a [u8])],
    /// What it rests on: the id of each bundle or document, with the digest of its `SHA256SUMS`.
    pub rests_on: BTreeMap<String, Sha256Digest>,
}

/// A sealed document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedDocument {
    /// What it is.
    pub kind: DocumentKind,
    /// Its id.
    pub id: RunId,
    /// Its directory.
    pub path: PathBuf,
    /// Digest of `SHA256SUMS`.
    pub manifest_digest: Sha256Digest,
    /// Digest of `attestation.dsse.json`, which an operator's word names.
    pub attestation_digest: Sha256Digest,
}

impl SealedDocument {
    /// Writes and signs a document: temporary directory, files, `SHA256SUMS`, signature, each durable, then its name.
    pub fn seal<T: Serialize>(
        home: &Home,
        signer: &Signer,
        draft: &DocumentDraft<'_, T>,
    ) -> Result<Self, DocumentError> {
        let DocumentName { kind, id, .. } = draft.name;
        let failed = |source| DocumentError::Write {
            kind: *kind,
            id: id.clone(),
            source,
        };
        let place = home.kind_dir(*kind)?;
        let temporary = durable::make_temporary_dir_at(&place).map_err(failed)?;
        let made = durable::open_dir_at(&place, &temporary)
            .map_err(failed)
            .and_then(|dir| fill(&dir, signer, draft))
            .and_then(|digests| {
                durable::rename_new(&place, &temporary, id.as_str()).map_err(failed)?;
                durable::sync_dir(&place).map_err(failed)?;
                Ok(digests)
            });
        let (manifest_digest, attestation_digest) = match made {
            Ok(digests) => digests,
            Err(error) => {
                // The first error is the one to report; a temporary name is no document.
                durable::remove_tree_at(&place, &temporary).unwrap_or_default();
                return Err(error);
            }
        };
        Ok(Self {
            kind: *kind,
            id: id.clone(),
            path: home.document(*kind, id),
            manifest_digest,
            attestation_digest,
        })
    }
}

/// Writes everything into an empty directory; returns the digests of `SHA256SUMS` and of the envelope.
fn fill<T: Serialize>(
    dir: &OwnedFd,
    signer: &Signer,
    draft: &DocumentDraft<'_, T>,
) -> Result<(Sha256Digest, Sha256Digest), DocumentError> {
    let DocumentName {
        kind,
        id,
        made_at,
        nonce,
    } = draft.name;
    let inexpressible = |reason: String| DocumentError::Express {
        kind: *kind,
        id: id.clone(),
        reason,
    };
    let failed = |source| DocumentError::Write {
        kind: *kind,
        id: id.clone(),
        source,
    };
    let mut document = serde_json::to_vec_pretty(draft.document).map_err(|error| inexpressible(error.to_string()))?;
    document.push(b'\n');
    if document.len() > DOCUMENT_BYTES {
        return Err(inexpressible(format!(
            "it has {} bytes, {DOCUMENT_BYTES} are allowed",
            document.len()
        )));
    }
    if let Some((odd, _)) = draft
        .more
        .iter()
        .find(|(file, _)| file.contains('/') || name::parse(file).is_none() || [SUMS, ATTESTATION].contains(file))
    {
        let shown = cto_schema::escape(odd.as_bytes(), 80);
        return Err(inexpressible(format!("'{shown}' may not stand beside a document")));
    }
    let twin = kind.markdown_file();
    let mut files: Vec<(&str, &[u8])> = vec![(kind.file(), &document), (&twin, draft.markdown.as_bytes())];
    files.extend(draft.more);
    durable::write_new_together(dir, &files).map_err(|(_, source)| failed(source))?;
    // What is signed is what can be read back.
    let on_disk = manifest::digests(dir).map_err(|source| DocumentError::Manifest {
        kind: *kind,
        id: id.clone(),
        source,
    })?;
    let written = files
        .iter()
        .map(|(file, bytes)| ((*file).to_owned(), Sha256Digest::of(bytes)));
    if on_disk != written.collect() {
        return Err(inexpressible("what is on disk is not what was written".to_owned()));
    }
    let sums = manifest::text(&on_disk);
    let manifest_digest = Sha256Digest::of(&sums);
    let statement = DocumentStatement {
        kind: STATEMENT_TYPE.to_owned(),
        subject: vec![Subject::new(SUMS, &manifest_digest)],
        predicate_type: DOCUMENT_PREDICATE_TYPE.to_owned(),
        predicate: DocumentPredicate {
            schema: SchemaId::SEALED_DOCUMENT.to_string(),
            kind: *kind,
            document_id: id.to_string(),
            nonce: nonce.clone(),
            document: kind.file().to_owned(),
            document_digest: Sha256Digest::of(&document),
            harness_version: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: made_at.clone(),
            rests_on: draft.rests_on.clone(),
            limits_of_this_statement: LIMITS.to_owned(),
        },
    };
    let envelope = serde_json::to_vec(&statement)
        .and_then(|statement| serde_json::to_vec(&signer.envelope(&statement)))
        .map_err(|error| inexpressible(error.to_string()))?;
    durable::write_new_together(dir, &[(SUMS, &sums), (ATTESTATION, &envelope)])
        .map_err(|(_, source)| failed(source))?;
    Ok((manifest_digest, Sha256Digest::of(&envelope)))
}

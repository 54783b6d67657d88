//! Where an engine's records lie, and reading them once.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use cto_evidence::Redactor;
use cto_schema::{RECORD_MAX_BYTES, Record, RecordFact, RecordKind, Sha256Digest, escape, read_record};

use super::variables::Variables;
use crate::authority::{Distrust, Links, read_authority};
use crate::engine::EngineManifest;
use crate::request::Harness;
use crate::settings::EngineSettings;

/// A record's file and who named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// The file.
    pub path: PathBuf,
    /// `environment`, `file` or `default`.
    pub by: &'static str,
}

/// Returns where a record of an engine is looked for: the variable, the settings, or the installation's own directory.
pub fn record_place(harness: &Harness, manifest: &EngineManifest, kind: RecordKind) -> RecordPlace {
    let variable = Variables::of(manifest).record(kind);
    if let Some(path) = harness.environment.get(&variable).filter(|path| !path.is_empty()) {
        return RecordPlace {
            path: path.into(),
            by: "environment",
        };
    }
    let settings = harness.settings.engines.get(&manifest.name);
    if let Some(path) = settings.and_then(|settings| named(settings, kind)) {
        return RecordPlace {
            path: path.to_owned(),
            by: "file",
        };
    }
    RecordPlace {
        path: own_place(harness, &manifest.name, kind),
        by: "default",
    }
}

/// Returns where an installation keeps a record of an engine when nobody names another file.
pub fn own_place(harness: &Harness, engine: &str, kind: RecordKind) -> PathBuf {
    let name: String = engine
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    harness
        .home
        .root()
        .join("admissions")
        .join(name.trim_start_matches('.'))
        .join(format!("{}.json", kind.word()))
}

fn named(settings: &EngineSettings, kind: RecordKind) -> Option<&Path> {
    match kind {
        RecordKind::Decision => settings.provider_decision_file.as_deref(),
        RecordKind::Model => settings.model_admission_file.as_deref(),
        RecordKind::Source => settings.source_admission_file.as_deref(),
        RecordKind::Build => settings.build_admission_file.as_deref(),
        RecordKind::Repository => settings.target_admission_file.as_deref(),
    }
}

/// Reads a record as a fact: once, by its descriptor, with the digest of the very bytes that were read.
pub fn read_fact<T: Record>(path: &Path) -> RecordFact<T> {
    let bytes = match read_authority(path, Links::Refused, RECORD_MAX_BYTES as u64) {
        Ok(bytes) => bytes,
        Err(error) => {
            return match &error.reason {
                Distrust::Unreadable(cause) if cause.kind() == ErrorKind::NotFound => RecordFact::absent(),
                _ => RecordFact::unusable(error.to_string(), None),
            };
        }
    };
    let digest = Sha256Digest::of(&bytes);
    let shown = escape(path.as_os_str().as_encoded_bytes(), 400);
    if let Some(finding) = Redactor::default().scan(T::KIND.word(), &bytes).first() {
        let problem = format!("{shown}: it holds what looks like a credential ({})", finding.rule);
        return RecordFact::unusable(problem, Some(digest));
    }
    match read_record::<T>(&bytes) {
        Ok(record) => RecordFact::read(record, digest),
        Err(error) => RecordFact::unusable(format!("{shown}: {error}"), Some(digest)),
    }
}

//! `harness.yaml`: non-secret settings of an installation, read strictly from a named place only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::authority::{AuthorityError, Links, read_authority};
use crate::model::{GatewaySettings, ProfileSettings, ProviderSettings};

/// The largest settings file, in bytes.
const MAX_BYTES: u64 = 256 * 1024;

/// Settings of an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Directories that hold case directories, besides the embedded cases.
    pub cases: Vec<PathBuf>,
    /// Engine when none is named; `fake` when absent.
    pub default_lane: Option<String>,
    /// Engines: more of them, and what the embedded ones are given.
    pub engines: BTreeMap<String, EngineSettings>,
    /// Providers of models, by name.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// The model gateway.
    pub gateway: GatewaySettings,
    /// Named run profiles.
    pub profiles: BTreeMap<String, ProfileSettings>,
    /// Sandbox settings.
    pub sandbox: SandboxSettings,
    /// `overlay` or `copied`; probed when absent.
    pub workspace: Option<WorkspaceKind>,
    /// Directories that every sandbox sees read-only at their own path, with `bin` on its search path.
    pub toolchains: Vec<PathBuf>,
    /// Who may approve, and with which key.
    pub approvals: ApprovalSettings,
    /// Where bundles go; `$CTO_HOME/runs` when absent.
    pub runs_root: Option<PathBuf>,
    /// Absolute path of git; found in /usr/local/bin and /usr/bin when absent.
    pub git: Option<PathBuf>,
}

/// What the settings say about one engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineSettings {
    /// Absolute path of its manifest; absent for an embedded engine.
    pub manifest: Option<PathBuf>,
    /// Absolute path of its program; `CTO_HARNESS_<NAME>_BIN` comes before it.
    pub program: Option<PathBuf>,
    /// The variable that allows it, in place of `CTO_HARNESS_ALLOW_<NAME>`.
    pub gated_by_env: Option<String>,
    /// The provider of the requested model.
    pub model_provider: Option<String>,
    /// The requested model.
    pub model: Option<String>,
    /// The file of its provider decision.
    pub provider_decision_file: Option<PathBuf>,
    /// The file of its model admission.
    pub model_admission_file: Option<PathBuf>,
    /// The file of its source admission.
    pub source_admission_file: Option<PathBuf>,
    /// The file of its build admission.
    pub build_admission_file: Option<PathBuf>,
    /// The file of its target repository admission.
    pub target_admission_file: Option<PathBuf>,
}

/// Sandbox settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxSettings {
    /// `native`, `bwrap` or `none`; `native` when absent.
    pub provider: Option<String>,
    /// Uid of engines when the harness is root; 64001 when absent.
    pub engine_uid: Option<u32>,
    /// Gid of engines when the harness is root; the uid when absent.
    pub engine_gid: Option<u32>,
}

/// Who may approve, and with which key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalSettings {
    /// The allowed signers (ssh-keygen(1)); `$CTO_HOME/allowed_signers` when absent.
    pub allowed_signers: Option<PathBuf>,
    /// The key that `cto approve`, `cto deny` and `cto outcome` sign with, where no flag names one.
    pub key: Option<PathBuf>,
}

/// How the workspace is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceKind {
    /// An overlay over the baseline; the upper layer is the write set.
    Overlay,
    /// A copy of the baseline; the write set is a full walk.
    Copied,
}

impl WorkspaceKind {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Copied => "copied",
        }
    }
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read, or is not the operator's.
    #[error(transparent)]
    Read(#[from] AuthorityError),
    /// The file is too large, not UTF-8, or not the expected shape.
    #[error("use settings {}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and nearest known name where there is one.
        reason: String,
    },
}

impl Settings {
    /// Reads a settings file; unknown keys are errors that name the nearest known one.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let invalid = |reason: String| SettingsError::Invalid {
            path: path.to_owned(),
            reason,
        };
        let bytes = read_authority(path, Links::Followed, MAX_BYTES)?;
        let text = String::from_utf8(bytes).map_err(|_| invalid("it is not UTF-8".to_owned()))?;
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let options = serde_saphyr::options! { strict_booleans: true };
        let settings: Self = serde_saphyr::from_str_with_options(&text, options)
            .map_err(|error| invalid(cto_schema::explain_yaml(&error.to_string())))?;
        settings.check_models().map_err(invalid)?;
        match settings.sandbox.provider.as_deref() {
            None | Some("native" | "bwrap" | "none") => {}
            Some("vercel" | "noSandbox") => {
                return Err(invalid(
                    "this provider keeps no bound that the kernel of this machine enforces; use native".to_owned(),
                ));
            }
            Some(other) => {
                let shown = cto_schema::escape(other.as_bytes(), 60);
                return Err(invalid(format!(
                    "sandbox provider '{shown}' is not one of native, bwrap, none"
                )));
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, SettingsError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("harness.yaml");
        let mut file = std::fs::File::create(&path).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        Settings::read(&path)
    }

    #[test]
    fn an_unknown_key_is_an_error_with_the_nearest_name() {
        let error = read("toolchain: [/opt/x]").unwrap_err().to_string();
        assert!(error.contains("did you mean 'toolchains'"), "{error}");
        assert!(
            read("sandbox: {provider: vercel}")
                .unwrap_err()
                .to_string()
                .contains("use native")
        );
        assert!(read("workspace: worktree").is_err());
    }

    #[test]
    fn no_error_repeats_what_stands_in_the_place_of_a_credential() {
        for credential in [
            "sk-real-key",
            "{sk-real-key: x}",
            "[sk-real-key]",
            "{environment: sk-real-key}",
        ] {
            let error = read(&format!(
                "providers:\n  lab: {{class: local, credential: {credential}}}\n"
            ))
            .unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(!said.contains("sk-real-key") && said.contains("credential"), "{said}");
        }
        for credential in ["none", "{environment: LAB_KEY}", "{file: /k}", "{command: [/bin/x]}"] {
            read(&format!(
                "providers:\n  lab: {{class: local, credential: {credential}}}\n"
            ))
            .unwrap();
        }
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(read("").unwrap(), Settings::default());
        assert_eq!(
            read("workspace: copied").unwrap().workspace,
            Some(WorkspaceKind::Copied)
        );
    }
}

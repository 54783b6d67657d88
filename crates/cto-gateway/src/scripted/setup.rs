//! What to set so that an engine talks to a scripted model.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

/// The engines that can be set up, by the word that their variables hold.
pub const ENGINES: &[&str] = &["codex", "pi", "claude", "opencode", "case"];

/// The admitted pair.
const PROVIDER: &str = "scripted";
const MODEL: &str = "scripted-fix";

/// Why an admission was not written.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The directory cannot be made.
    #[error("make the directory {}", .0.display())]
    Directory(PathBuf, #[source] io::Error),
    /// The file cannot be written.
    #[error("write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
}

/// Returns the variables for an engine, names and values, in the order in which they are set.
pub fn setup_lines(engine: &str, address: SocketAddr, admission: Option<&Path>) -> Vec<(String, String)> {
    let prefix = format!("CTO_HARNESS_{}", engine.to_ascii_uppercase());
    let base_url = match engine {
        "claude" => format!("http://{address}"),
        _ => format!("http://{address}/v1"),
    };
    let mut lines = vec![
        (
            format!("CTO_HARNESS_ALLOW_{}", engine.to_ascii_uppercase()),
            "1".to_owned(),
        ),
        (format!("{prefix}_STAGE"), "2".to_owned()),
        (format!("{prefix}_MODEL_PROVIDER"), PROVIDER.to_owned()),
        (format!("{prefix}_MODEL"), MODEL.to_owned()),
        (format!("{prefix}_LOCAL_BASE_URL"), base_url),
    ];
    if let Some(admission) = admission {
        let path = admission.to_string_lossy().into_owned();
        lines.push((format!("{prefix}_MODEL_ADMISSION_FILE"), path));
    }
    lines
}

/// Writes a model admission for each engine into a directory, mode 0600; returns their paths in the order of
/// [`ENGINES`].
///
/// # Errors
///
/// When the directory or a file cannot be written.
pub fn write_admissions(directory: &Path, admitted_at: &str) -> Result<Vec<PathBuf>, SetupError> {
    fs::create_dir_all(directory).map_err(|error| SetupError::Directory(directory.to_owned(), error))?;
    let directory = directory
        .canonicalize()
        .map_err(|error| SetupError::Directory(directory.to_owned(), error))?;
    let admission = json!({
        "admission_timestamp": admitted_at,
        "allowed_network_class": "local-scripted-model",
        "approval_source": "cto dev scripted-model --setup",
        "credential_source_class": "none",
        "model": MODEL,
        "provider": PROVIDER,
        "review_trigger": "Before anything but the scripted model is served under this name.",
        "status": "admitted",
    });
    let text = format!("{admission:#}\n");
    let mut written = vec![];
    for engine in ENGINES {
        let path = directory.join(format!("model-admission.{engine}.json"));
        replace(&path, &text).map_err(|error| SetupError::Write(path.clone(), error))?;
        written.push(path);
    }
    Ok(written)
}

/// Puts a new file in the place of whatever has this name, through no link.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::Value;

    use super::*;

    #[test]
    fn an_engine_gets_its_variables_and_an_admission_that_only_its_user_reads() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().join("new/admissions");
        for _ in 0..2 {
            write_admissions(&at, "2026-01-02T03:04:05Z").unwrap();
        }
        let written = write_admissions(&at, "2026-01-02T03:04:06Z").unwrap();
        assert_eq!(written.len(), ENGINES.len());
        let address = SocketAddr::from(([127, 0, 0, 1], 4321));
        for (engine, path) in ENGINES.iter().zip(&written) {
            let mode = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let admission: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            let mut fields: Vec<&str> = admission.as_object().unwrap().keys().map(String::as_str).collect();
            fields.sort_unstable();
            assert_eq!(
                fields,
                [
                    "admission_timestamp",
                    "allowed_network_class",
                    "approval_source",
                    "credential_source_class",
                    "model",
                    "provider",
                    "review_trigger",
                    "status"
                ]
            );
            assert_eq!(admission["admission_timestamp"], "2026-01-02T03:04:06Z");
            let lines = setup_lines(engine, address, Some(path));
            let value = |end: &str| {
                let line = lines.iter().find(|(name, _)| name.ends_with(end));
                line.unwrap().1.clone()
            };
            assert_eq!(admission["model"], value("_MODEL").as_str());
            assert_eq!(admission["provider"], value("_MODEL_PROVIDER").as_str());
            assert_eq!(value("_MODEL_ADMISSION_FILE"), path.to_str().unwrap());
            assert_eq!(value("_LOCAL_BASE_URL").ends_with("/v1"), *engine != "claude");
            assert_eq!(lines[0].0, format!("CTO_HARNESS_ALLOW_{}", engine.to_uppercase()));
        }
    }
}

//! Making a build record: where the binary comes from, what it says it is, and its digest.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use cto_schema::{
    BuildAdmission, IdentityCheck, Line, RecordFact, RecordedPath, Sha256Digest, WebAddress, Word, escape,
};

use super::identity::ask_program;
use crate::model::look_at_binary;
use crate::package::installed_package;
use crate::request::Harness;
use crate::run::chain;
use crate::source::SourceRepository;

/// What a build record is made from.
#[derive(Clone, Debug, Default)]
pub struct BuildRequest {
    /// The engine.
    pub engine: String,
    /// The binary; an absolute or relative path, never a bare name.
    pub binary: PathBuf,
    /// Whether an interpreter starts it, and which directories it needs.
    pub interpreted: bool,
    /// Directories that the binary needs to start.
    pub binds: Vec<PathBuf>,
    /// The checkout that it was built from.
    pub source: Option<PathBuf>,
    /// Where the checkout comes from.
    pub source_url: Option<String>,
    /// The directory of the installed package that it belongs to.
    pub package: Option<PathBuf>,
    /// How it was built.
    pub build_command: Option<String>,
    /// Versions of tools by name.
    pub tools: Vec<(String, String)>,
    /// What it is asked with, and what must occur in its answer.
    pub identity: Option<(Vec<String>, String)>,
    /// The shape of command that the harness uses.
    pub command_shape: Vec<String>,
}

/// Makes a build record. The binary is asked what it is in a cage; nothing else of it runs.
pub fn make_build(harness: &Harness, request: &BuildRequest) -> Result<BuildAdmission, String> {
    if request
        .binary
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .count()
        < 2
        && !request.binary.is_absolute()
        && !request.binary.starts_with("./")
    {
        let shown = escape(request.binary.as_os_str().as_encoded_bytes(), 100);
        return Err(format!(
            "'{shown}' is a bare name, which could mean anything; give the path of the binary"
        ));
    }
    let binary = look_at_binary(&request.binary, request.interpreted);
    let (Some(path), Some(digest)) = (&binary.path, binary.digest) else {
        return Err(binary.detail);
    };
    if !binary.executable {
        return Err(format!("{path} is not executable"));
    }
    let package = match &request.package {
        Some(root) => {
            let root = std::fs::canonicalize(root).map_err(|error| format!("{}: {error}", root.display()))?;
            let installed = installed_package(&root)?;
            Some((installed, recorded::<RecordedPath>(&root.to_string_lossy())?))
        }
        None => None,
    };
    let (pinned_commit, checkout_clean) = match &request.source {
        Some(directory) => {
            let (commit, clean) = checkout(harness, directory)?;
            (Some(recorded(&commit)?), Some(clean))
        }
        None => (None, None),
    };
    let line = |text: &String| recorded::<Line>(text);
    let mut tool_versions = BTreeMap::new();
    for (name, version) in &request.tools {
        tool_versions.insert(recorded::<Word>(name)?, line(version)?);
    }
    Ok(BuildAdmission {
        schema: None,
        engine: recorded(&request.engine)?,
        source_url: request.source_url.as_deref().map(recorded::<WebAddress>).transpose()?,
        pinned_commit,
        checkout_clean,
        build_command: request.build_command.as_ref().map(line).transpose()?,
        tool_versions,
        package_sha256: package.as_ref().map(|(installed, _)| installed.digest),
        package_root: package.as_ref().map(|(_, root)| root.clone()),
        package: package.map(|(installed, _)| installed.pin),
        identity_check: identity(harness, request, Path::new(path))?,
        binary_path: recorded(path)?,
        binary_size_bytes: binary.size_bytes,
        binary_sha256: digest,
        command_shape: request.command_shape.iter().map(line).collect::<Result<_, _>>()?,
        build_timestamp: recorded(&cto_evidence::rfc3339(cto_evidence::wall_now()))?,
    })
}

/// Judges a record that was just made, as a run would; the error says why no run would take it.
pub fn judge_made_build(record: &BuildAdmission, interpreted: bool) -> Result<(), String> {
    let path = Path::new(record.binary_path.as_str());
    let facts = cto_schema::AdmissionFacts {
        judged_at_seconds: cto_evidence::wall_now().as_second(),
        binary: crate::model::binary_facts(Some(path), interpreted, record),
        build: RecordFact::read(record.clone(), Sha256Digest::of(b"")),
        ..cto_schema::AdmissionFacts::default()
    };
    let judged = cto_policy::judge_build(&facts, record.engine.as_str(), cto_schema::MutationMode::CopiedFixture);
    if judged.blocks { Err(judged.reason) } else { Ok(()) }
}

fn recorded<T>(text: &str) -> Result<T, String>
where
    T: std::str::FromStr<Err = cto_schema::InvalidText>,
{
    text.parse()
        .map_err(|rule| format!("'{}': {rule}", escape(text.as_bytes(), 100)))
}

/// Returns the commit of a checkout, and whether it has no change of its own.
fn checkout(harness: &Harness, directory: &Path) -> Result<(String, bool), String> {
    let source = SourceRepository::open(directory).map_err(|error| chain(&error))?;
    let commit = source.head_commit().map_err(|error| chain(&error))?;
    let keep = tempfile::Builder::new()
        .prefix("checkout-")
        .tempdir_in(harness.home.work())
        .map_err(|error| error.to_string())?;
    let dirty = source
        .dirty_paths(&harness.git, keep.path())
        .map_err(|error| chain(&error))?;
    Ok((commit, dirty.shown.is_empty()))
}

fn identity(harness: &Harness, request: &BuildRequest, binary: &Path) -> Result<IdentityCheck, String> {
    let Some((arguments, expected)) = &request.identity else {
        return Ok(IdentityCheck {
            command: vec![],
            expected: None,
            passed: true,
            answer_sha256: None,
        });
    };
    let mut binds = request.binds.clone();
    binds.extend(
        binary
            .parent()
            .map(Path::to_owned)
            .filter(|directory| !directory.starts_with("/usr")),
    );
    let answer = ask_program(harness, binary, arguments, &binds)
        .map_err(|reason| format!("asking {} what it is failed: {reason}", binary.display()))?;
    let passed = String::from_utf8_lossy(&answer).contains(expected.as_str());
    Ok(IdentityCheck {
        command: arguments.iter().map(|word| recorded(word)).collect::<Result<_, _>>()?,
        expected: Some(recorded(expected)?),
        passed,
        answer_sha256: Some(Sha256Digest::of(&answer)),
    })
}

//! A program in a PyPI package, found by the files that an installer leaves in a virtual environment.

use std::fs;
use std::path::{Path, PathBuf};

use cto_schema::{EnginePypi, Sha256Digest};

use super::{Installation, is_program, record};
use crate::engine::Package;

/// Looks for the package in one environment: `bin`, and `lib/python3.*/site-packages`.
pub(super) fn find(pypi: &EnginePypi, root: &Path, how: &str) -> Option<Installation> {
    let program = root.join("bin").join(&pypi.script);
    if !is_program(&program) {
        return None;
    }
    let (version, information) = packages(root)
        .iter()
        .find_map(|packages| information(packages, &normal(&pypi.package)))?;
    let mut binds = vec![root.to_owned()];
    binds.extend(base(root));
    Some(Installation {
        program,
        interpreter: None,
        binds,
        package: Some(Package {
            registry: "pypi",
            name: pypi.package.clone(),
            version,
            // It lists every file with its hash, so its own stands for all.
            integrity: record(&information.join("RECORD")).map(|bytes| Sha256Digest::of(&bytes).to_string()),
        }),
        how: how.to_owned(),
    })
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    found.sort();
    found
}

fn packages(root: &Path) -> Vec<PathBuf> {
    let versions = entries(&root.join("lib"));
    let named = versions.iter().filter(|path| name(path).starts_with("python3"));
    named.map(|path| path.join("site-packages")).collect()
}

fn information(packages: &Path, wanted: &str) -> Option<(String, PathBuf)> {
    entries(packages).into_iter().find_map(|path| {
        let name = name(&path);
        let (package, version) = name.strip_suffix(".dist-info")?.rsplit_once('-')?;
        let version = cto_schema::escape(version.as_bytes(), 80);
        (normal(package) == wanted).then_some((version, path.clone()))
    })
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Normalizes a name as PyPI does: runs of `-`, `_` and `.` are one `-`.
fn normal(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// Returns where the environment's Python itself lies.
fn base(root: &Path) -> Option<PathBuf> {
    let configuration = record(&root.join("pyvenv.cfg"))?;
    let text = String::from_utf8_lossy(&configuration).into_owned();
    let home = text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "home").then(|| value.trim().to_owned())
    })?;
    let bin = fs::canonicalize(home).ok()?;
    let prefix = bin.parent().filter(|_| bin.ends_with("bin"))?;
    // More than one directory: `/` or `/opt` would show everything.
    (prefix.components().count() > 2 || prefix == Path::new("/usr")).then(|| prefix.to_owned())
}

//! A program in a PyPI package, found by the files that an installer leaves in a virtual environment.

use std::fs;
use std::path::{Path, PathBuf};

use cto_schema::{EnginePypi, escape};

use super::{Installation, is_program};
use crate::engine::Package;
use crate::package::stated_distribution;

/// Looks for the package in one environment: `bin`, and `lib/python3.*/site-packages`. One that is there with a record
/// that cannot be read is an error.
pub(super) fn find(pypi: &EnginePypi, root: &Path, how: &str) -> Result<Option<Installation>, String> {
    let program = root.join("bin").join(&pypi.script);
    let wanted = normal(&pypi.package);
    let information = || {
        packages(root)
            .iter()
            .find_map(|packages| information(packages, &wanted))
    };
    let Some(information) = is_program(&program).then(information).flatten() else {
        return Ok(None);
    };
    let stated = stated_distribution(&information)?;
    let mut binds = vec![root.to_owned()];
    binds.extend(base(root));
    Ok(Some(Installation {
        program,
        interpreter: None,
        binds,
        package: Some(Package {
            registry: "pypi",
            name: pypi.package.clone(),
            version: escape(stated.version.as_bytes(), 80),
            integrity: stated.integrity,
        }),
        how: how.to_owned(),
    }))
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

fn information(packages: &Path, wanted: &str) -> Option<PathBuf> {
    entries(packages).into_iter().find(|path| {
        let name = name(path);
        let package = name.strip_suffix(".dist-info").and_then(|name| name.rsplit_once('-'));
        package.is_some_and(|(package, _)| normal(package) == wanted)
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
    let text = fs::read_to_string(root.join("pyvenv.cfg")).ok()?;
    let home = text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "home").then(|| value.trim().to_owned())
    })?;
    let bin = fs::canonicalize(home).ok()?;
    let prefix = bin.parent().filter(|_| bin.ends_with("bin"))?;
    // More than one directory: `/` or `/opt` would show everything.
    (prefix.components().count() > 2 || prefix == Path::new("/usr")).then(|| prefix.to_owned())
}

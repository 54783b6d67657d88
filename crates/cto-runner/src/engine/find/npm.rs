//! A program in an npm package, found by the files that npm leaves.

use std::fs;
use std::path::{Path, PathBuf};

use cto_schema::{EngineNative, EngineNpm, escape};

use super::{Installation, is_program};
use crate::engine::Package;
use crate::package::stated_npm;

/// Looks for the package in one `node_modules` directory. One that is there with a record that cannot be read is an
/// error.
pub(super) fn find(npm: &EngineNpm, modules: &Path, how: &str) -> Result<Option<Installation>, String> {
    let own = modules.join(&npm.package);
    let Some(held) = held(npm, modules, &own) else {
        return Ok(None);
    };
    let holder = stated_npm(&held.directory)?;
    let integrity = holder.as_ref().and_then(|holder| holder.integrity.clone());
    // The native package may have been installed alone.
    let known = match (stated_npm(&own)?, native(npm)) {
        (Some(own), _) => Some((&npm.package, own.version)),
        (None, Some(native)) => holder.map(|holder| (&native.package, holder.version)),
        (None, None) => None,
    };
    let package = known.map(|(name, version)| Package {
        registry: "npm",
        name: name.clone(),
        version: escape(version.as_bytes(), 80),
        integrity: integrity.map(|integrity| escape(integrity.as_bytes(), 200)),
    });
    Ok(Some(Installation {
        program: held.program,
        interpreter: npm.script.as_ref().map(|_| "node".to_owned()),
        binds: vec![held.tree],
        package,
        how: how.to_owned(),
    }))
}

/// A program, the package that holds it, and the directory that must be shown for it.
struct Held {
    program: PathBuf,
    directory: PathBuf,
    tree: PathBuf,
}

fn native(npm: &EngineNpm) -> Option<&EngineNative> {
    npm.native.get(std::env::consts::ARCH)
}

fn held(npm: &EngineNpm, modules: &Path, own: &Path) -> Option<Held> {
    if let Some(script) = &npm.script {
        return Some(Held {
            program: fs::canonicalize(own.join(script)).ok().filter(|path| path.is_file())?,
            directory: own.to_owned(),
            // Its dependencies lie beside it.
            tree: fs::canonicalize(modules).ok()?,
        });
    }
    let native = native(npm)?;
    let places = [
        modules.join(&native.package),
        own.join("node_modules").join(&native.package),
    ];
    let directory = places.into_iter().find(|place| is_program(&place.join(&native.path)))?;
    Some(Held {
        program: fs::canonicalize(directory.join(&native.path)).ok()?,
        tree: fs::canonicalize(&directory).ok()?,
        directory,
    })
}

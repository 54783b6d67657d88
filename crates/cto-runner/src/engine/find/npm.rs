//! A program in an npm package, found by the files that npm leaves.

use std::fs;
use std::path::{Path, PathBuf};

use cto_schema::EngineNpm;
use serde_json::Value;

use super::{Installation, is_program, record};
use crate::engine::Package;

/// Looks for the package in one `node_modules` directory.
pub(super) fn find(npm: &EngineNpm, modules: &Path, how: &str) -> Option<Installation> {
    let own = modules.join(&npm.package);
    let (program, holder, binds, interpreter) = match &npm.script {
        Some(script) => {
            let program = fs::canonicalize(own.join(script)).ok().filter(|path| path.is_file())?;
            // Its dependencies lie beside it.
            let tree = fs::canonicalize(modules).ok()?;
            (program, own.clone(), vec![tree], Some("node".to_owned()))
        }
        None => {
            let native = npm.native.get(std::env::consts::ARCH)?;
            let places = [
                modules.join(&native.package),
                own.join("node_modules").join(&native.package),
            ];
            let holder = places.into_iter().find(|place| is_program(&place.join(&native.path)))?;
            let program = fs::canonicalize(holder.join(&native.path)).ok()?;
            let tree = fs::canonicalize(&holder).ok()?;
            (program, holder, vec![tree], None)
        }
    };
    let native = npm.native.get(std::env::consts::ARCH).map(|native| &native.package);
    let own = version(&own).map(|version| (&npm.package, version));
    // The native package may have been installed alone.
    let package = own.or_else(|| Some((native?, version(&holder)?)));
    let package = package.map(|(name, version)| Package {
        registry: "npm",
        name: name.clone(),
        version,
        integrity: integrity(modules, &holder),
    });
    Some(Installation {
        program,
        interpreter,
        binds,
        package,
        how: how.to_owned(),
    })
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&record(path)?).ok()
}

fn version(package: &Path) -> Option<String> {
    let value = json(&package.join("package.json"))?;
    let version = value["version"].as_str()?;
    Some(cto_schema::escape(version.as_bytes(), 80))
}

/// Returns the integrity hash of the package that holds the program, as npm recorded it when it installed it.
fn integrity(modules: &Path, holder: &Path) -> Option<String> {
    let name = Path::new("node_modules").join(holder.strip_prefix(modules).ok()?);
    let key = name.to_str()?;
    let locks: [PathBuf; 2] = [
        modules.join(".package-lock.json"),
        modules.parent()?.join("package-lock.json"),
    ];
    locks.iter().find_map(|lock| {
        let value = json(lock)?;
        let integrity = value["packages"][key]["integrity"].as_str()?;
        Some(cto_schema::escape(integrity.as_bytes(), 200))
    })
}

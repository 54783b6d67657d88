//! Where an engine's program is: named by the operator, or in a directory that the operator maps. Nothing is executed.

mod npm;
mod pypi;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cto_schema::{EngineDocument, EngineTaskFiles, escape};

use super::{EngineManifest, Installation, Places, Search};
use crate::toolchains::{find_program, from_root, search_path};

/// Looks for an engine's program: the variable first, then the settings, then the mapped directories.
pub(super) fn search(
    document: &EngineDocument,
    about: &EngineManifest,
    settings: Option<&Path>,
    places: &Places<'_>,
) -> Search {
    let variable = about.program_variable();
    let from_environment = places.environment.get(&variable).filter(|value| !value.is_empty());
    let named = match (from_environment, settings) {
        (Some(path), _) => Some((PathBuf::from(path), variable.clone())),
        (None, Some(path)) => Some((path.to_owned(), "harness.yaml".to_owned())),
        (None, None) => None,
    };
    let result = match named {
        // A name that does not hold is never replaced by something else.
        Some((path, how)) => by_path(document, &path, &how).map_err(|problem| vec![format!("{how}: {problem}")]),
        None => in_toolchains(document, &variable, places.toolchains),
    };
    let result = result.and_then(|found| with_interpreter(found, places.toolchains));
    match result {
        Ok(mut found) => {
            let shown = |path: &PathBuf| {
                path.starts_with("/usr") || places.toolchains.iter().any(|root| path.starts_with(root))
            };
            found.binds.retain(|path| !shown(path));
            Search::Found(Box::new(found))
        }
        Err(looked) => Search::Missing {
            looked,
            mend: mend(document, &variable),
        },
    }
}

fn mend(document: &EngineDocument, variable: &str) -> String {
    let find = &document.find;
    let package = match (&find.npm, &find.pypi) {
        (Some(npm), _) => format!("install the npm package {} and ", npm.package),
        (None, Some(pypi)) => format!(
            "install the PyPI package {} into a virtual environment and ",
            pypi.package
        ),
        (None, None) => String::new(),
    };
    if find.only_by_variable {
        return format!("set {variable} to the absolute path of its program");
    }
    format!(
        "{package}set {variable} to the absolute path of its program, or map its directory (toolchains: in harness.yaml)"
    )
}

fn in_toolchains(
    document: &EngineDocument,
    variable: &str,
    toolchains: &[PathBuf],
) -> Result<Installation, Vec<String>> {
    let mut looked = vec![format!("{variable} is not set")];
    if document.find.only_by_variable {
        return Err(looked);
    }
    for root in toolchains {
        match in_toolchain(document, root) {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => looked.push(format!("not in {}", shown(root))),
            // What is there and cannot be known is never replaced by something else.
            Err(problem) => return Err(vec![format!("in {}: {problem}", shown(root))]),
        }
    }
    if toolchains.is_empty() {
        looked.push("no directory is mapped".to_owned());
    }
    Err(looked)
}

fn in_toolchain(document: &EngineDocument, root: &Path) -> Result<Option<Installation>, String> {
    let how = format!("toolchain {}", shown(root));
    let find = &document.find;
    if let Some(npm) = &find.npm {
        let places = [
            root.to_owned(),
            root.join("node_modules"),
            root.join("lib/node_modules"),
        ];
        for modules in places.iter().filter(|place| place.ends_with("node_modules")) {
            if let Some(found) = npm::find(npm, modules, &how)? {
                return Ok(Some(found));
            }
        }
    }
    if let Some(pypi) = &find.pypi
        && let Some(found) = pypi::find(pypi, root, &how)?
    {
        return Ok(Some(found));
    }
    let bin = from_root(root).bin;
    let program = find.names.iter().find_map(|name| find_program(name, &bin));
    Ok(program.and_then(|program| plain(document, &program, &how).ok()))
}

/// Takes what the operator named; a package's wrapper stands for the package.
fn by_path(document: &EngineDocument, path: &Path, how: &str) -> Result<Installation, String> {
    if !path.is_absolute() {
        return Err(format!("'{}' is no absolute path", shown(path)));
    }
    let real = fs::canonicalize(path).map_err(|error| format!("{}: {error}", shown(path)))?;
    if let Some(npm) = &document.find.npm {
        for modules in real.ancestors().filter(|place| place.ends_with("node_modules")) {
            if let Some(found) = npm::find(npm, modules, how)? {
                return Ok(found);
            }
        }
    }
    if let Some(pypi) = &document.find.pypi {
        // A virtual environment's programs are no links, but its directory may be reached by one.
        let roots = [path, &real].map(|program| program.parent().and_then(Path::parent));
        for root in roots.into_iter().flatten() {
            if let Some(found) = pypi::find(pypi, root, how)? {
                return Ok(found);
            }
        }
    }
    plain(document, &real, how)
}

/// Takes one program file as it is.
fn plain(document: &EngineDocument, program: &Path, how: &str) -> Result<Installation, String> {
    if !is_program(program) {
        return Err(format!("{} is no program", shown(program)));
    }
    let native = document.find.npm.as_ref().is_some_and(|npm| !npm.native.is_empty());
    if native && is_script(program) {
        return Err(format!(
            "{} is a wrapper script; name the native program of its package",
            shown(program)
        ));
    }
    // A run would show it, and with it a repository of the host.
    let above = || program.ancestors().filter(|place| place.parent().is_some());
    let in_repository = || above().any(|place| place.join(".git").exists());
    if document.task_files == EngineTaskFiles::Case && in_repository() {
        return Err(format!(
            "{} lies in a git repository, which a run would show to the agent; copy it to a directory of its own",
            shown(program)
        ));
    }
    let root = match document.task_files {
        EngineTaskFiles::Case => package_root(program),
        EngineTaskFiles::None => None,
    };
    Ok(Installation {
        program: program.to_owned(),
        interpreter: None,
        binds: vec![root.unwrap_or_else(|| program.to_owned())],
        package: None,
        how: how.to_owned(),
    })
}

/// Returns the nearest directory above a program that is a package: its prompts and templates lie there.
pub(super) fn package_root(program: &Path) -> Option<PathBuf> {
    let above = program.ancestors().skip(1);
    above
        .filter(|place| place.join("package.json").is_file())
        .map(Path::to_owned)
        .next()
}

/// Makes sure that an interpreter can be had in the sandbox.
fn with_interpreter(found: Installation, toolchains: &[PathBuf]) -> Result<Installation, Vec<String>> {
    let Some(name) = &found.interpreter else {
        return Ok(found);
    };
    let enabled: Vec<_> = toolchains.iter().map(|root| from_root(root)).collect();
    if find_program(name, &search_path(&enabled)).is_some() {
        return Ok(found);
    }
    Err(vec![format!(
        "{} is there, but '{name}' is not in the sandbox; install it or map its directory",
        shown(&found.program)
    )])
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn is_script(path: &Path) -> bool {
    let mut head = [0u8; 2];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head == *b"#!"
}

fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes(), 200)
}

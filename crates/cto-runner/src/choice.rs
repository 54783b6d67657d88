//! Which of a case's verification commands this machine can run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use cto_schema::TaskContract;

use crate::cases::{LoadedCase, contract_for};
use crate::facts::program_in_view;

/// Returns the contract of a case with its first verification command whose program and module exist in the view;
/// with its first command where none does, so that the gate can name what is missing.
pub(crate) fn contract_in_view(case: &LoadedCase, toolchains: &[PathBuf]) -> TaskContract {
    let usable = |argv: &Vec<String>| {
        argv.first()
            .is_some_and(|program| program_in_view(OsStr::new(program), toolchains))
            && python_module(argv).is_none_or(|module| module_in_view(module, toolchains))
    };
    let index = case.case.verification.iter().position(usable).unwrap_or(0);
    contract_for(case, index)
}

/// Returns the module of `python3 -m module …`.
fn python_module(argv: &[String]) -> Option<&str> {
    let program = Path::new(argv.first()?).file_name()?.to_str()?;
    if !program.starts_with("python") {
        return None;
    }
    let at = argv.iter().position(|word| word == "-m")?;
    argv.get(at + 1).map(String::as_str)
}

fn module_in_view(module: &str, toolchains: &[PathBuf]) -> bool {
    // Part of every Python.
    if matches!(module, "unittest" | "doctest" | "compileall") {
        return true;
    }
    let libraries = toolchains
        .iter()
        .map(|root| root.join("lib"))
        .chain(["/usr/lib", "/usr/local/lib"].map(PathBuf::from));
    libraries.into_iter().flat_map(|lib| pythons(&lib)).any(|python| {
        ["site-packages", "dist-packages"]
            .iter()
            .any(|packages| python.join(packages).join(module).exists())
    })
}

fn pythons(lib: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(lib).into_iter().flatten().filter_map(Result::ok);
    entries
        .filter(|e| e.file_name().to_string_lossy().starts_with("python3"))
        .map(|e| e.path())
        .collect()
}

//! The engine's binary as it is now.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cto_schema::{BinaryFacts, BuildAdmission, escape};

use crate::baseline::beneath::digest_reader;
use crate::package::installed_package;

/// Looks at a program: where it really lies, its size and its digest. `interpreted` programs need not be executable.
pub fn look_at_binary(program: &Path, interpreted: bool) -> BinaryFacts {
    let failed = |error: &std::io::Error| BinaryFacts {
        detail: format!("{}: {error}", escape(program.as_os_str().as_encoded_bytes(), 300)),
        ..BinaryFacts::default()
    };
    let path = match std::fs::canonicalize(program) {
        Ok(path) => path,
        Err(error) => return failed(&error),
    };
    let meta = match std::fs::metadata(&path) {
        Ok(meta) if meta.is_file() => meta,
        Ok(_) => return failed(&std::io::Error::other("it is not a regular file")),
        Err(error) => return failed(&error),
    };
    match File::open(&path).and_then(digest_reader) {
        Err(error) => failed(&error),
        Ok((digest, size_bytes)) => BinaryFacts {
            path: Some(escape(path.as_os_str().as_encoded_bytes(), 1024)),
            size_bytes,
            digest: Some(digest),
            executable: interpreted || meta.permissions().mode() & 0o111 != 0,
            ..BinaryFacts::default()
        },
    }
}

/// Looks at a program and at the package that a record says it belongs to.
pub(crate) fn binary_facts(program: Option<&Path>, interpreted: bool, record: &BuildAdmission) -> BinaryFacts {
    let Some(program) = program else {
        return BinaryFacts {
            detail: "the engine's program was not found".to_owned(),
            ..BinaryFacts::default()
        };
    };
    let mut facts = look_at_binary(program, interpreted);
    if let Some(root) = &record.package_root {
        match installed_package(Path::new(root.as_str())) {
            Ok(package) => {
                facts.package = Some(package.pin);
                facts.package_digest = Some(package.digest);
            }
            Err(problem) => {
                facts.path = None;
                facts.detail = problem;
            }
        }
    }
    facts
}

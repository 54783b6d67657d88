//! A sealed bundle with one file replaced: every check reads it, and none of the bundles verifies.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use cto_evidence::{Bundle, Home, Keys, TrustedKeys, verify_bundle};
use libfuzzer_sys::fuzz_target;

struct Base {
    bundle: PathBuf,
    keys: TrustedKeys,
    files: Vec<(PathBuf, Vec<u8>)>,
}

static BASE: LazyLock<Base> = LazyLock::new(|| {
    let home = Home::open(&cto_fuzz::made_home()).unwrap();
    let keys = TrustedKeys::of_installation(&Keys::open(&home).unwrap()).unwrap();
    let made = cto_fuzz::made_bundle();
    let bundle = cto_fuzz::scratch().join(made.file_name().unwrap());
    cto_fuzz::copy(&made, &bundle);
    assert!(verify_bundle(&Bundle::open(&bundle).unwrap(), &keys, None).ok());
    let mut names: Vec<PathBuf> = fs::read_dir(&bundle)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.retain(|path| path.is_file());
    names.sort();
    let files = names
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    Base { bundle, keys, files }
});

fuzz_target!(|data: &[u8]| {
    let Some((which, content)) = data.split_first() else {
        return;
    };
    let (path, original) = &BASE.files[usize::from(*which) % BASE.files.len()];
    fs::write(path, content).unwrap();
    if let Ok(bundle) = Bundle::open(&BASE.bundle) {
        let outcome = verify_bundle(&bundle, &BASE.keys, None);
        assert_eq!(outcome.ok(), content == original, "{}", path.display());
    }
    fs::write(path, original).unwrap();
});

//! `case.yaml` in a directory that is otherwise a good case.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use cto_runner::{check_case, load_case};
use libfuzzer_sys::fuzz_target;

static CASE: LazyLock<PathBuf> = LazyLock::new(|| {
    let case = cto_fuzz::scratch().join("r1-string-slugify");
    cto_fuzz::copy(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/r1-string-slugify"),
        &case,
    );
    case
});

fuzz_target!(|data: &[u8]| {
    std::fs::write(CASE.join("case.yaml"), data).unwrap();
    let loaded = load_case(&CASE);
    assert!(loaded.is_ok() || !check_case(&CASE).is_empty(), "{loaded:?}");
});

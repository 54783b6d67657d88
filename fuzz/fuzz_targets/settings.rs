//! `harness.yaml`.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use cto_runner::Settings;
use libfuzzer_sys::fuzz_target;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| cto_fuzz::scratch().join("harness.yaml"));

fuzz_target!(|data: &[u8]| {
    std::fs::write(&*FILE, data).unwrap();
    if let Ok(settings) = Settings::read(&FILE) {
        let again: Settings = serde_json::from_slice(&serde_json::to_vec(&settings).unwrap()).unwrap();
        assert_eq!(again, settings);
    }
});

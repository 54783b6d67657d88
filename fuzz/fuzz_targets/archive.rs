//! `.tar.zst`: raw bytes, and any tar in a good frame. Nothing from one is taken outside its directory.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use cto_evidence::{Bundle, ReadLimits, TrustedKeys, verify_bundle};
use libfuzzer_sys::fuzz_target;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| cto_fuzz::scratch().join("bundle.tar.zst"));

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    let framed = if kind % 4 == 0 {
        bytes.to_vec()
    } else {
        zstd::encode_all(bytes, 1).unwrap()
    };
    std::fs::write(&*FILE, framed).unwrap();
    let limits = ReadLimits {
        files: 100,
        file_bytes: 1 << 20,
        total_bytes: 4 << 20,
        ..ReadLimits::default()
    };
    if let Ok(bundle) = Bundle::open_within(&FILE, limits) {
        for name in bundle.files().keys() {
            assert!(name.split('/').all(|part| !matches!(part, "" | "." | "..")), "{name:?}");
        }
        assert!(!verify_bundle(&bundle, &TrustedKeys::default(), None).ok());
    }
});

//! The patch scanner: where a chunk ends must make no difference.
#![no_main]

use cto_evidence::PatchScan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((size, patch)) = data.split_first() else {
        return;
    };
    let whole = PatchScan::of(patch);
    let mut parts = PatchScan::default();
    for chunk in patch.chunks(usize::from(*size) + 1) {
        parts.feed(chunk);
    }
    parts.finish();
    assert_eq!(whole.paths(), parts.paths());
    for touched in whole.paths().unwrap_or_default() {
        assert!(!touched.path.is_empty() && !touched.path.starts_with(b"/"));
        assert!(
            touched
                .path
                .split(|byte| *byte == b'/')
                .all(|part| !matches!(part, b"" | b"." | b".."))
        );
    }
});

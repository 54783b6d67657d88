//! The redactor: what it returns holds nothing that it finds, and no exact secret.
#![no_main]

use std::sync::LazyLock;

use cto_evidence::{KnownSecret, Redactor};
use libfuzzer_sys::fuzz_target;

const SECRET: &[u8] = b"q7Zr4xWm";

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
    Redactor::with_known(&[KnownSecret {
        name: "fuzz".to_owned(),
        value: SECRET.to_vec(),
    }])
});

fuzz_target!(|data: &[u8]| {
    let (clean, findings) = REDACTOR.redact("backend/stdout.log", data);
    assert_eq!(findings.is_empty(), *clean == *data);
    assert!(!clean.windows(SECRET.len()).any(|window| window == SECRET));
    let again = REDACTOR.scan("backend/stdout.log", &clean);
    assert!(again.is_empty(), "{again:?} in {}", String::from_utf8_lossy(&clean));
});

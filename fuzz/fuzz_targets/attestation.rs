//! DSSE envelope and in-toto statement.
#![no_main]

use cto_schema::{Envelope, Statement, pre_authentication_encoding};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(envelope) = cto_fuzz::round_trip::<Envelope>(data) {
        let encoded = pre_authentication_encoding(&envelope.payload_type, envelope.payload.as_bytes());
        assert!(encoded.ends_with(envelope.payload.as_bytes()));
    }
    cto_fuzz::round_trip::<Statement>(data);
});

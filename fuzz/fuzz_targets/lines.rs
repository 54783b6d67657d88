//! Lines of journal, events and trace, and the documents of a bundle.
#![no_main]

use cto_policy::RunState;
use cto_schema::{EligibilityDecision, Enforcement, Event, JournalRecord, Report, Span, WriteSet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut state = RunState::default();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        if let Some(record) = cto_fuzz::round_trip::<JournalRecord>(line) {
            state = state.next(&record.event).unwrap_or(state);
        }
        cto_fuzz::round_trip::<Event>(line);
        cto_fuzz::round_trip::<Span>(line);
    }
    cto_fuzz::round_trip::<Report>(data);
    cto_fuzz::round_trip::<WriteSet>(data);
    cto_fuzz::round_trip::<EligibilityDecision>(data);
    cto_fuzz::round_trip::<Enforcement>(data);
});

//! The contract's strict reader: what it accepts has one canonical form, which it accepts as the same contract.
#![no_main]

use cto_policy::Scope;
use cto_schema::parse_contract;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(contract) = parse_contract(data) {
        let canonical = contract.canonical();
        let again = parse_contract(&canonical).expect("the canonical form is a contract");
        assert_eq!(again, contract);
        assert_eq!(again.canonical(), canonical);
        assert!(Scope::of(&contract).is_ok(), "accepted, and its paths cannot be judged");
    }
});

//! An unsealed run with one appended file replaced: recovery closes it, and it is no pass.
#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use cto_evidence::{Bundle, Home, Keys, TrustedKeys, verify_bundle};
use cto_runner::{Git, Harness, RecoveryOutcome, Settings, recover};
use cto_schema::{RunId, Status};
use libfuzzer_sys::fuzz_target;

const FILES: [&str; 3] = ["journal.jsonl", "events.normalized.jsonl", "trace.jsonl"];

struct Base {
    made: PathBuf,
    name: String,
    harness: Harness,
    keys: TrustedKeys,
}

static BASE: LazyLock<Base> = LazyLock::new(|| {
    let made = cto_fuzz::made_bundle();
    let name = made.file_name().unwrap().to_str().unwrap().to_owned();
    let home = Home::open(&cto_fuzz::scratch().join("home")).unwrap();
    let keys = Keys::open(&home).unwrap();
    keys.ensure_signing_key().unwrap();
    let keys = TrustedKeys::of_installation(&keys).unwrap();
    let harness = Harness::new(home, Settings::default(), Git::find().unwrap(), BTreeMap::new(), vec![]);
    Base {
        made,
        name,
        harness,
        keys,
    }
});

fuzz_target!(|data: &[u8]| {
    let Some((which, content)) = data.split_first() else {
        return;
    };
    let home = &BASE.harness.home;
    let run = home.run(&BASE.name.parse::<RunId>().unwrap());
    for name in [
        "ledger.sqlite",
        "ledger.sqlite-wal",
        "ledger.sqlite-shm",
        "ledger.sqlite-journal",
    ] {
        drop(fs::remove_file(home.root().join(name)));
    }
    drop(fs::remove_dir_all(&run));
    cto_fuzz::copy(&BASE.made, &run);
    for name in [
        "attestation.dsse.json",
        "SHA256SUMS",
        "report.json",
        "report.md",
        "report.html",
    ] {
        fs::remove_file(run.join(name)).unwrap();
    }
    fs::write(run.join(FILES[usize::from(*which) % FILES.len()]), content).unwrap();
    fs::write(home.live().join(&BASE.name), b"").unwrap();
    let recovered = recover(&BASE.harness).unwrap();
    let closed = matches!(
        recovered[0].outcome,
        RecoveryOutcome::Closed(Status::Blocked | Status::Fail)
    );
    assert!(closed, "{recovered:?}");
    let outcome = verify_bundle(&Bundle::open(&run).unwrap(), &BASE.keys, None);
    // A journal that lost what a document rests on is damage, and checks may say so.
    assert_ne!(outcome.status, Some(Status::Pass));
});

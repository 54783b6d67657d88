//! Prints what the writer's operations cost on the disk under the directory given as the first argument.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cto_evidence::{Home, Keys, Ledger, LedgerFilter, NewEntry, OpenedInfo, Redactor, RunClock, RunDir, fresh_run_id};
use cto_schema::{EventType, Sha256Digest, Status};

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("/dev/shm"), PathBuf::from);
    let place = tempfile::tempdir_in(&root)?;
    scan();
    home(place.path())?;
    let home = Home::open(&place.path().join("home"))?;
    keys(&home)?;
    run(&home)?;
    ledger(&home)
}

fn scan() {
    let redactor = Redactor::default();
    let text = "fn main() { let value = compute(41); assert_eq!(value, 42, \"a message of some length\"); }\n";
    let bytes = text.repeat((64 << 20) / text.len()).into_bytes();
    let started = Instant::now();
    redactor.scan("x", b"one line");
    println!("first scan in a process, of one line: {:?}", started.elapsed());
    let started = Instant::now();
    redactor.scan("x", &bytes);
    println!("scan: {:.0} MB/s", 67.1 / started.elapsed().as_secs_f64());
    let mut state = 0x2545_f491_u32;
    let noise: Vec<u8> = (0..64 << 20)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[(state >> 26) as usize]
        })
        .collect();
    let started = Instant::now();
    redactor.scan("x", &noise);
    println!("scan of noise: {:.0} MB/s", 67.1 / started.elapsed().as_secs_f64());
}

fn median(name: &str, mut samples: Vec<f64>) {
    samples.sort_by(f64::total_cmp);
    let last = samples.len() - 1;
    println!(
        "{name}: {:.0} us median, {:.0} us p90",
        samples[samples.len() / 2],
        samples[last * 9 / 10]
    );
}

fn timed<T>(samples: &mut Vec<f64>, act: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = act();
    samples.push(started.elapsed().as_secs_f64() * 1e6);
    done
}

fn home(place: &Path) -> Result<(), Box<dyn Error>> {
    let mut samples = Vec::new();
    for _ in 0..200 {
        timed(&mut samples, || Home::open(&place.join("home")))?;
    }
    median("Home::open", samples);
    Ok(())
}

fn keys(home: &Home) -> Result<(), Box<dyn Error>> {
    let mut samples = Vec::new();
    Keys::open(home)?.ensure_signing_key()?;
    for _ in 0..200 {
        timed(&mut samples, || Keys::open(home)?.ensure_signing_key())?;
    }
    median("Keys::open + signer", samples);
    Ok(())
}

fn run(home: &Home) -> Result<(), Box<dyn Error>> {
    let (mut create, mut write, mut event) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..100 {
        let clock = RunClock::start();
        let run_id = fresh_run_id(&clock, "timing")?;
        let opened = OpenedInfo {
            case_id: "timing".into(),
            backend: "fake".into(),
            harness_version: "0".into(),
            contract_digest: None,
            ledger_head: None,
            cgroup_prefix: String::new(),
        };
        let mut run = timed(&mut create, || RunDir::create(home, run_id, opened, clock))?;
        for number in 0..10 {
            timed(&mut write, || {
                run.write(&format!("artifact-{number}.json"), &[b'x'; 4096])
            })?;
            timed(&mut event, || {
                run.event(EventType::PlanUpdated, serde_json::json!({"step": number}))
            })?;
        }
    }
    median("RunDir::create", create);
    median("write of 4 KiB", write);
    median("required event", event);
    Ok(())
}

fn ledger(home: &Home) -> Result<(), Box<dyn Error>> {
    let mut samples = Vec::new();
    let clock = RunClock::start();
    for _ in 0..200 {
        let new = NewEntry {
            run_id: fresh_run_id(&clock, "timing")?,
            case_id: "timing".into(),
            backend: "fake".into(),
            stage: Some(2),
            mutation_mode: None,
            status: Status::Pass,
            first_blocker: None,
            started_at: clock.started_ts(),
            finished_at: clock.ts(),
            duration_ms: 1,
            manifest_digest: Sha256Digest::of(b"m"),
            attestation_digest: Sha256Digest::of(b"a"),
        };
        timed(&mut samples, || -> Result<(), cto_evidence::LedgerError> {
            let ledger = Ledger::open(home)?;
            ledger.head()?;
            ledger.append(&new)?;
            Ok(())
        })?;
    }
    median("ledger open + head + append + close", samples);
    let ledger = Ledger::open(home)?;
    let started = Instant::now();
    let listed = ledger.list(&LedgerFilter::default())?.len();
    println!("list of {listed}: {:?}", started.elapsed());
    let started = Instant::now();
    ledger.check()?;
    println!("check of {listed}: {:?}", started.elapsed());
    Ok(())
}

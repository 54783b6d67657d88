//! What governing costs: `cto` and the bare shell sequence in turn on the same repositories; run by `scripts/bench`.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people that measures other programs"
)]

mod agent;
mod gateway;
mod measure;
mod place;
mod table;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use cto_evidence::{Home, Ledger, NewEntry, RunClock, fresh_run_id};
use cto_runner::{Git, Harness, RunRequest, Settings, Stop, Task, Unwatched, Watch};
use cto_schema::{Sha256Digest, Status};

use crate::measure::{Sample, median, run};
use crate::place::{Installation, Repository};
use crate::table::{Row, Table};

type Fallible<T> = Result<T, Box<dyn Error>>;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cto");
/// The case whose runs by the `fake` engine fill the installation.
const CASE: &str = "r1-string-slugify";
const MIB: f64 = 1_048_576.0;

struct Options {
    place: PathBuf,
    quick: bool,
    json: Option<PathBuf>,
    /// The gateway's benchmark.
    gateway: Option<PathBuf>,
    /// A directory with installed agents.
    agents: Option<PathBuf>,
}

impl Options {
    fn read() -> Fallible<Self> {
        let (mut place, mut quick, mut json) = (None, false, None);
        let (mut gateway, mut agents) = (None, None);
        let mut words = std::env::args_os().skip(1);
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--place") => place = words.next().map(PathBuf::from),
                Some("--json") => json = words.next().map(PathBuf::from),
                Some("--gateway") => gateway = words.next().map(PathBuf::from),
                Some("--agents") => agents = words.next().map(PathBuf::from),
                Some("--quick") => quick = true,
                // Cargo says so to every benchmark.
                Some("--bench") => {}
                _ => return Err(format!("unknown argument {}", word.display()).into()),
            }
        }
        let place = place.ok_or("no --place: start it with scripts/bench, which mounts a tmpfs")?;
        Ok(Self {
            place,
            quick,
            json,
            gateway,
            agents,
        })
    }

    fn repeats(&self, quick: usize, full: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

fn main() -> ExitCode {
    // The runs that this process does itself start their cages as this program.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == cto_runner::INNER_ARGUMENT)
    {
        return cto_runner::inner_stage();
    }
    match bench() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Measures everything; false when a goal is missed.
fn bench() -> Fallible<bool> {
    let options = Options::read()?;
    let mut table = Table::new(&options.place);
    start(&options, &mut table)?;
    gateway::gateway(&options, &mut table)?;
    agent::agents(&options, &mut table)?;
    governed(&options, &mut table, "small", 5, 10, 4.0)?;
    governed(&options, &mut table, "big", 100, 500, 0.05)?;
    large_log(&options, &mut table)?;
    many_bundles(&options, &mut table)?;
    long_ledger(&options, &mut table)?;
    same_after_many(&options, &mut table)?;
    println!("\n{}", table.markdown());
    if let Some(file) = &options.json {
        std::fs::write(file, table.json())?;
    }
    Ok(table.ok())
}

/// How fast the program starts, and how large it is.
fn start(options: &Options, table: &mut Table) -> Fallible<()> {
    eprintln!("start");
    let mut samples = Vec::new();
    for _ in 0..options.repeats(21, 101) {
        samples.push(run(PROGRAM.as_ref(), &["--help"], &options.place, &[])?.ms());
    }
    table.add(Row::most("cto --help", "ms", 10.0, median(&samples)));
    let bytes = std::fs::metadata(PROGRAM)?.len();
    table.add(Row::most("release binary", "MiB", 30.0, bytes as f64 / MIB));
    Ok(())
}

/// One governed run against the bare sequence, in turn; the ratio is the median of the pairs' ratios.
fn governed(options: &Options, table: &mut Table, name: &str, directories: u32, files: u32, goal: f64) -> Fallible<()> {
    let count = directories * files + 2;
    eprintln!("{count} files");
    let repository = Repository::make(&options.place, name, directories, files)?;
    let installation = Installation::new(&options.place, name);
    let contract = repository.contract()?;
    // Baseline, result of the baseline and self-test are cached by the first run, and git's index by the first status.
    let first = installation.agent(&contract, &[], "echo x >> README.md")?;
    installation.agent(&contract, &["--clean-start"], "echo x >> README.md")?;
    repository.bare()?;
    let rounds = if count > 1000 {
        options.repeats(5, 11)
    } else {
        options.repeats(11, 41)
    };
    let (mut bare, mut plain, mut clean) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare.push(repository.bare()?);
        plain.push(installation.agent(&contract, &[], "echo x >> README.md")?);
        clean.push(installation.agent(&contract, &["--clean-start"], "echo x >> README.md")?);
    }
    let ratios = |of: &[Sample]| {
        let pairs: Vec<f64> = of.iter().zip(&bare).map(|(run, bare)| run.ms() / bare.ms()).collect();
        median(&pairs)
    };
    let ms = |of: &[Sample]| median(&of.iter().map(Sample::ms).collect::<Vec<_>>());
    let mut peak = 0_f64;
    for _ in 0..3 {
        let used = installation.account(&place::agent(&contract, &[], "echo x >> README.md"))?;
        peak = used.peak_mib.max(peak);
    }
    table.add(Row::fact(&format!("{count} files: bare sequence"), "ms", ms(&bare)));
    table.add(Row::ratio(
        &format!("{count} files: governed run"),
        ms(&plain),
        goal,
        ratios(&plain),
    ));
    table.add(Row::most(
        &format!("{count} files: peak of one process"),
        "MiB",
        64.0,
        peak,
    ));
    let what = format!("{count} files: governed run with --clean-start");
    table.add(Row::note(&what, ms(&clean), ratios(&clean)));
    table.add(Row::fact(
        &format!("{count} files: first run, baseline not cached"),
        "ms",
        first.ms(),
    ));
    Ok(())
}

/// Verification speed on a bundle whose size is almost all one log.
fn large_log(options: &Options, table: &mut Table) -> Fallible<()> {
    eprintln!("large log");
    let repository = Repository::make(&options.place, "log", 1, 1)?;
    let installation = Installation::new(&options.place, "log");
    let script =
        "echo x >> README.md; yes 'The quick brown fox jumps over the lazy dog, line after line.' | head -c 15728640";
    installation.agent(&repository.contract()?, &[], script)?;
    let bundle = installation.only_bundle()?;
    let bytes = place::size(&bundle)?;
    let mut speeds = Vec::new();
    for _ in 0..options.repeats(7, 21) {
        let used = installation.account(&["verify".as_ref(), bundle.as_os_str()])?;
        // Processor time and not wall time: "per core" must not depend on how many there are.
        speeds.push(bytes as f64 / 1e6 / used.cpu_seconds);
    }
    table.add(Row::least(
        "cto verify, bundle of 15 MiB",
        "MB/s of a core",
        500.0,
        median(&speeds),
    ));
    Ok(())
}

/// Verification of many small bundles, made by as many runs.
fn many_bundles(options: &Options, table: &mut Table) -> Fallible<()> {
    let count = options.repeats(100, 1000);
    eprintln!("{count} runs of fake");
    let installation = Installation::new(&options.place, "many");
    let started = Instant::now();
    for _ in 0..count {
        installation.cto(&["run".as_ref(), CASE.as_ref()])?;
    }
    let each = started.elapsed().as_secs_f64() * 1000.0 / count as f64;
    table.add(Row::fact(&format!("cto run {CASE}"), "ms", each));
    let mut seconds = Vec::new();
    for _ in 0..options.repeats(5, 5) {
        let done = installation.cto(&["verify".as_ref(), "--all".as_ref()])?;
        seconds.push(done.seconds * 1000.0 / count as f64);
    }
    table.add(Row::most(
        "cto verify --all, per 1000 bundles",
        "s",
        5.0,
        median(&seconds),
    ));
    Ok(())
}

/// Listing runs of a ledger with ten thousand entries.
fn long_ledger(options: &Options, table: &mut Table) -> Fallible<()> {
    eprintln!("10000 ledger entries");
    let installation = Installation::new(&options.place, "ledger");
    let home = Home::open(&installation.home)?;
    let ledger = Ledger::open(&home)?;
    let clock = RunClock::start();
    for _ in 0..10_000 {
        ledger.append(&NewEntry {
            run_id: fresh_run_id(&clock, "bench")?,
            case_id: "bench".to_owned(),
            backend: "fake".to_owned(),
            stage: Some(2),
            mutation_mode: None,
            status: Status::Pass,
            first_blocker: None,
            started_at: clock.started_ts(),
            finished_at: clock.ts(),
            duration_ms: 1,
            manifest_digest: Sha256Digest::of(b"manifest"),
            attestation_digest: Sha256Digest::of(b"attestation"),
        })?;
    }
    drop(ledger);
    for (words, name) in [
        (&["runs"][..], "cto runs, 10000 entries"),
        (&["runs", "--limit", "10000"][..], "cto runs --limit 10000"),
    ] {
        let mut samples = Vec::new();
        for _ in 0..options.repeats(7, 21) {
            let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
            samples.push(installation.cto(&words)?.ms());
        }
        table.add(Row::most(name, "ms", 100.0, median(&samples)));
    }
    Ok(())
}

/// Many runs in one process, as a service would do them: what it holds and what it leaves must not grow.
fn same_after_many(options: &Options, table: &mut Table) -> Fallible<()> {
    let count = options.repeats(60, 300);
    eprintln!("{count} runs in one process");
    let installation = Installation::new(&options.place, "same");
    let home = Home::open(&installation.home)?;
    let harness = Harness::new(
        home,
        Settings::default(),
        Git::find()?,
        std::collections::BTreeMap::new(),
        vec![],
    )?;
    let stop = Stop::new()?;
    let mut early = None;
    for number in 0..count {
        let case = cto_runner::find_case(CASE, &[])?;
        let request = RunRequest::of(Task::Case(Box::new(case)), "fake".to_owned());
        let watch = Watch {
            observer: &Unwatched,
            stop: &stop,
        };
        let outcome = cto_runner::run(&harness, &request, watch)?;
        if outcome.status != Status::Pass {
            return Err(format!("run {number} did not pass: {:?}", outcome.blockers).into());
        }
        // By then every cache is made and the allocator has what it needs.
        if number + 1 == count / 3 {
            early = Some(measure::held(&installation.home)?);
        }
    }
    let early = early.ok_or("too few runs")?;
    let late = measure::held(&installation.home)?;
    let grown = (late.rss_kib as f64 - early.rss_kib as f64) / 1024.0;
    table.add(Row::most(
        &format!("memory grown over {} runs", count - count / 3),
        "MiB",
        1.0,
        grown,
    ));
    for (name, before, after) in [
        ("open descriptors", early.descriptors, late.descriptors),
        ("mounts", early.mounts, late.mounts),
        ("cgroups named cto-*", early.cgroups, late.cgroups),
        ("temporary files", early.temporary, late.temporary),
    ] {
        let more = after as f64 - before as f64;
        table.add(Row::most(&format!("{name} more than before"), "", 0.0, more));
    }
    Ok(())
}

fn shell(script: &str, at: &Path) -> Fallible<Sample> {
    run(Path::new("/bin/sh"), &["-c", script], at, &[])
}

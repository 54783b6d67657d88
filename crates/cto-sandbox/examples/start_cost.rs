//! Prints the median cost of one jail, from the order to the empty namespace.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement, not a product"
)]

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cto_sandbox::{DEFAULT_ENGINE_ID, JailSpec, Limits, Observe, Program, ProviderKind, Reexec, Workspace, prepare};

fn tree(base: &Path, files: usize) -> PathBuf {
    let root = base.join(format!("tree-{files}"));
    for index in 0..files {
        let directory = root.join(format!("d{}", index / 500));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("f{index}")), "content").unwrap();
    }
    drop(chown(&root, Some(DEFAULT_ENGINE_ID), Some(DEFAULT_ENGINE_ID)));
    root
}

fn main() {
    let base = tempfile::tempdir().unwrap();
    let program = std::env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .join("../cto-jail-test");
    let reexec = Reexec { program };
    let only_idle = std::env::args().any(|word| word == "idle");
    for provider in [ProviderKind::Native, ProviderKind::Bwrap] {
        for (files, observe, idle_ms) in [(10, false, 0), (10, true, 0), (50_000, false, 0), (10, false, 300)] {
            if provider == ProviderKind::Bwrap && files > 10 {
                continue;
            }
            if only_idle && idle_ms == 0 {
                continue;
            }
            let lower = tree(base.path(), files);
            let mut times: [Vec<u128>; 4] = Default::default();
            for round in 0..if idle_ms > 0 { 21 } else { 101 } {
                std::thread::sleep(Duration::from_millis(idle_ms));
                let spec = JailSpec {
                    name: format!("cost-{}-{round}", std::process::id()),
                    workspace: Workspace::Overlay {
                        lowers: vec![lower.clone()],
                    },
                    changes: Vec::new(),
                    home: Vec::new(),
                    read_only: Vec::new(),
                    masks: Vec::new(),
                    listen: None,
                    binds: Vec::new(),
                    program: Program::Argv(vec!["/bin/true".into()]),
                    env: Vec::new(),
                    limits: Limits::default(),
                    engine_uid: None,
                    engine_gid: None,
                    observe: if observe { Observe::Everything } else { Observe::Nothing },
                    workdir: PathBuf::new(),
                    scratch_dir: base.path().to_owned(),
                };
                let start = Instant::now();
                let prepared = prepare(provider.provider(), &spec, &reexec).unwrap();
                times[0].push(start.elapsed().as_micros());
                let middle = Instant::now();
                let (exited, exports) = prepared.start().unwrap().wait_empty().unwrap();
                times[1].push(middle.elapsed().as_micros());
                assert_eq!(exited.code, Some(0), "{exited:?}");
                let end = Instant::now();
                drop(exports);
                times[2].push(end.elapsed().as_micros());
                times[3].push(start.elapsed().as_micros());
            }
            let [prepare, run, close, all] = times.map(|mut times| {
                times.sort_unstable();
                times[times.len() / 2]
            });
            println!(
                "{provider:?} files {files} observe {observe} idle {idle_ms} ms: prepare {prepare} us, run {run} us, close {close} us, all {all} us"
            );
        }
    }
}

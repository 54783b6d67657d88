//! `cto import`, from two installations: each refusal is the accepted import with one change.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Installation, program, snapshot, write};

/// An installation that made a run and exported it, and one that trusts its key.
struct Two {
    origin: Installation,
    here: Installation,
    run_id: String,
    archive: PathBuf,
}

impl Two {
    fn new() -> Self {
        let origin = Installation::new();
        let (exit, report) = origin.json(&["run", "r1-string-slugify"]);
        assert_eq!(exit, 0, "{report:#}");
        let run_id = report["run_id"].as_str().unwrap().to_owned();
        let archive = origin.dir.path().join(format!("{run_id}.tar.zst"));
        assert_eq!(
            origin
                .json(&["export", &run_id, "--output", archive.to_str().unwrap()])
                .0,
            0
        );
        let here = Installation::new();
        let two = Self {
            origin,
            here,
            run_id,
            archive,
        };
        two.trust(&two.origin, "build-host");
        two
    }

    fn trust(&self, whose: &Installation, name: &str) {
        let (_, shown) = whose.json(&["key", "show"]);
        let pem = self.here.dir.path().join(format!("{name}.pem"));
        write(&pem, shown["public_key_pem"].as_str().unwrap().as_bytes());
        assert_eq!(
            self.here
                .json(&["key", "trust", pem.to_str().unwrap(), "--name", name])
                .0,
            0
        );
    }

    fn import(&self, bundle: &Path) -> (i32, Value) {
        self.here.json(&["import", bundle.to_str().unwrap()])
    }

    /// Imports and returns exit code and reasons; nothing must be left of it.
    fn refused(&self, bundle: &Path) -> (i32, Vec<String>) {
        let (exit, said) = self.import(bundle);
        assert_eq!(said["ok"], false, "{said:#}");
        self.nothing_is_left();
        let reasons = said["reasons"].as_array().unwrap().iter();
        (
            exit,
            reasons
                .map(|reason| reason["code"].as_str().unwrap().to_owned())
                .collect(),
        )
    }

    fn nothing_is_left(&self) {
        let left = fs::read_dir(self.here.home().join("imported")).unwrap().count();
        assert_eq!(left, 0, "{:?}", snapshot(&self.here.home().join("imported")).first());
        let (_, runs) = self.here.json(&["runs"]);
        assert_eq!(runs, json!({ "runs": [], "imported": [] }));
    }

    /// A copy of the bundle's directory that a test may change.
    fn copy(&self, name: &str) -> PathBuf {
        let place = self.here.dir.path().join(name);
        fs::create_dir_all(&place).unwrap();
        let source = self.origin.home().join("runs").join(&self.run_id);
        let copied = Command::new("cp").arg("-a").arg(source).arg(&place).status().unwrap();
        assert!(copied.success());
        place.join(&self.run_id)
    }
}

#[test]
fn takes_in_a_run_that_another_installation_made_and_says_whence() {
    let two = Two::new();
    let (exit, said) = two.import(&two.archive);
    assert_eq!(
        (exit, &said["ok"], &said["already_here"]),
        (0, &json!(true), &json!(false)),
        "{said:#}"
    );
    assert_eq!(said["import"]["origin_name"], "build-host");
    let placed = two.here.home().join("imported").join(&two.run_id);
    let made = two.origin.home().join("runs").join(&two.run_id);
    let files = |root: &Path| {
        let all = snapshot(root).into_iter().filter(|(path, _)| path.is_file());
        all.map(|(path, bytes)| (path.strip_prefix(root).unwrap().to_owned(), bytes))
            .collect::<Vec<_>>()
    };
    assert_eq!(files(&placed), files(&made));
    // The same bytes again are no news.
    let (exit, said) = two.import(&two.archive);
    assert_eq!((exit, &said["already_here"]), (0, &json!(true)), "{said:#}");
    // It is visible, marked, and no run of this installation.
    let (_, runs) = two.here.json(&["runs"]);
    assert_eq!(runs["runs"], json!([]));
    assert_eq!(runs["imported"][0]["run_id"], json!(two.run_id));
    assert_eq!(runs["imported"][0]["origin_name"], "build-host");
    let (_, none) = two.here.json(&["runs", "--status", "fail"]);
    assert_eq!(none["imported"], json!([]));
    let text = String::from_utf8(two.here.cto(&["runs"]).stdout).unwrap();
    assert!(text.contains("imported") && text.contains("build-host"), "{text}");
    assert_eq!(two.here.cto(&["show", "last"]).status.code(), Some(3));
    let shown = two.here.cto(&["show", &two.run_id]);
    assert!(shown.status.success());
    assert!(
        String::from_utf8(shown.stderr)
            .unwrap()
            .contains("another installation")
    );
    let (exit, verified) = two.here.json(&["verify", &two.run_id]);
    assert_eq!(exit, 0, "{verified:#}");
    assert_eq!(verified["bundles"][0]["import"]["origin_name"], "build-host");
    assert_eq!(two.here.json(&["verify", "--all"]).0, 0);
    let again = two.here.dir.path().join("again.tar.zst");
    let export = ["export", &two.run_id, "--output", again.to_str().unwrap()];
    assert_eq!(two.here.json(&export).0, 0);
    assert_eq!(fs::read(&again).unwrap(), fs::read(&two.archive).unwrap());
}

#[test]
fn takes_in_a_directory_as_well_and_a_key_that_is_named() {
    let two = Two::new();
    let copy = two.copy("copied");
    let (_, keys) = two.origin.json(&["key", "show"]);
    let keyid = keys["trusted"][0]["keyid"].as_str().unwrap().to_owned();
    let with = |key: &str| {
        two.here
            .cto(&["--json", "import", copy.to_str().unwrap(), "--trusted-key", key])
    };
    assert_eq!(with("nobody").status.code(), Some(2));
    // A key that is trusted here and did not sign it.
    let (_, own) = two.here.json(&["key", "show"]);
    let own = own["trusted"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["signing"] == true);
    let wrong = with(own.unwrap()["keyid"].as_str().unwrap());
    assert_eq!(wrong.status.code(), Some(5));
    assert!(String::from_utf8(wrong.stdout).unwrap().contains("untrusted_key"));
    two.nothing_is_left();
    assert_eq!(with(&keyid[..12]).status.code(), Some(0));
    assert_eq!(with("build-host").status.code(), Some(0));
}

#[test]
fn an_imported_run_counts_for_nothing_here() {
    let two = Two::new();
    let before = two.here.json(&["ladder", "--engine", "fake"]).1;
    assert_eq!(two.import(&two.archive).0, 0);
    assert_eq!(two.here.json(&["ladder", "--engine", "fake"]).1, before);
    // At its origin the same bundle does count.
    assert_ne!(two.origin.json(&["ladder", "--engine", "fake"]).1, before);
    let key = two.here.dir.path().join("none");
    let outcome = [
        "outcome",
        &two.run_id,
        "accept",
        "--reason",
        "x",
        "--key",
        key.to_str().unwrap(),
    ];
    let refused = two.here.cto(&outcome);
    assert_eq!(refused.status.code(), Some(3));
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains("failed to find run")
    );
    assert_eq!(two.here.cto(&["rollback", &two.run_id]).status.code(), Some(3));
}

#[test]
fn refuses_what_is_unsigned_changed_or_signed_by_a_stranger() {
    let two = Two::new();
    let unsealed = two.copy("unsealed");
    fs::remove_file(unsealed.join("attestation.dsse.json")).unwrap();
    assert_eq!(two.refused(&unsealed), (5, vec!["not_sealed".to_owned()]));
    let unlisted = two.copy("unlisted");
    fs::remove_file(unlisted.join("SHA256SUMS")).unwrap();
    let (exit, codes) = two.refused(&unlisted);
    assert_eq!((exit, codes.contains(&"not_sealed".to_owned())), (5, true), "{codes:?}");
    let changed = two.copy("changed");
    let mut patch = fs::OpenOptions::new()
        .append(true)
        .open(changed.join("patch.diff"))
        .unwrap();
    patch.write_all(b"x").unwrap();
    drop(patch);
    let (exit, codes) = two.refused(&changed);
    assert!(
        exit == 5 && codes.iter().all(|code| code == "does_not_verify"),
        "{codes:?}"
    );
    let added = two.copy("added");
    write(&added.join("extra.json"), b"{}");
    assert_eq!(two.refused(&added).0, 5);
    let renamed = two.copy("renamed");
    let other = renamed.parent().unwrap().join(two.run_id.replace("slugify", "slugifx"));
    fs::rename(&renamed, &other).unwrap();
    assert_eq!(two.refused(&other).0, 5);
    let stranger = Installation::new();
    let (_, report) = stranger.json(&["run", "r1-string-slugify"]);
    let (exit, codes) = two.refused(&stranger.bundle(&report));
    assert_eq!((exit, codes), (5, vec!["untrusted_key".to_owned()]));
    // With its key it is welcome.
    two.trust(&stranger, "stranger");
    assert_eq!(two.import(&stranger.bundle(&report)).0, 0);
}

#[test]
fn refuses_its_own_runs_where_they_are_gone_and_another_bundle_of_a_run() {
    let two = Two::new();
    let (_, report) = two.here.json(&["run", "r1-string-slugify"]);
    let own = two.here.bundle(&report);
    let moved = two.here.dir.path().join("moved");
    fs::create_dir(&moved).unwrap();
    // Here already, as a run of its own.
    let (exit, said) = two.import(&own);
    assert_eq!((exit, &said["already_here"]), (0, &json!(true)), "{said:#}");
    // A bundle that this installation signed, and that its ledger does not know.
    let copied = Command::new("cp").arg("-a").arg(&own).arg(&moved).status().unwrap();
    assert!(copied.success());
    fs::remove_file(two.here.home().join("ledger.sqlite")).unwrap();
    fs::remove_dir_all(&own).unwrap();
    let (exit, said) = two.import(&moved.join(own.file_name().unwrap()));
    assert_eq!(
        (exit, &said["reasons"][0]["code"]),
        (3, &json!("made_here")),
        "{said:#}"
    );
    // Something else has the run's name.
    let squatter = two.here.home().join("runs").join(&two.run_id);
    fs::create_dir(&squatter).unwrap();
    let (exit, said) = two.import(&two.archive);
    assert_eq!(
        (exit, &said["reasons"][0]["code"]),
        (3, &json!("other_bundle_of_this_run")),
        "{said:#}"
    );
    fs::remove_dir(&squatter).unwrap();
    let in_the_way = two.here.home().join("imported").join(&two.run_id);
    fs::create_dir(&in_the_way).unwrap();
    let refused = two.here.cto(&["import", two.archive.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(in_the_way.is_dir(), "what is not cto's is left alone");
    assert_eq!(two.here.json(&["verify", "--all"]).0, 5);
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(two.import(&two.archive).0, 0);
}

/// Packs files into a `.tar.zst` as a hostile author would.
fn pack(path: &Path, python: &str) {
    let script = format!(
        "import io, subprocess, sys, tarfile\nraw = io.BytesIO()\ntar = tarfile.open(fileobj=raw, mode='w', format=tarfile.USTAR_FORMAT)\n\
         def add(name, data=b'x', kind=tarfile.REGTYPE, link=''):\n    info = tarfile.TarInfo(name)\n    info.type = kind\n    info.linkname = link\n    \
         info.size = len(data) if kind == tarfile.REGTYPE else 0\n    tar.addfile(info, io.BytesIO(data) if info.size else None)\n\
         {python}\ntar.close()\nsubprocess.run(['zstd', '-q', '-f', '-o', sys.argv[1]], input=raw.getvalue(), check=True)\n"
    );
    let made = Command::new("python3")
        .args(["-c", &script])
        .arg(path)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn refuses_archives_that_reach_out_or_hold_what_no_bundle_holds() {
    let two = Two::new();
    let victim = two.here.dir.path().join("victim");
    write(&victim, b"untouched");
    let run = &two.run_id;
    let archive = two.here.dir.path().join("hostile.tar.zst");
    for python in [
        format!("add('{run}/../../../victim', b'hit')"),
        "add('../victim', b'hit')".to_owned(),
        format!("add('{}', b'hit')", victim.display()),
        format!(
            "add('{run}/a', kind=tarfile.SYMTYPE, link='{}')\nadd('{run}/a', b'hit')",
            victim.display()
        ),
        format!(
            "add('{run}/d', kind=tarfile.SYMTYPE, link='{}')\nadd('{run}/d/victim', b'hit')",
            victim.parent().unwrap().display()
        ),
        format!("add('{run}/a', kind=tarfile.LNKTYPE, link='{}')", victim.display()),
        format!("add('{run}/report.json')\nadd('{run}/report.json', b'other')"),
        format!("add('{run}/a')\nadd('other-run/a')"),
        format!("add('{run}/a', kind=tarfile.FIFOTYPE)"),
        format!("add('{run}/a', kind=tarfile.CHRTYPE)"),
        format!("add('{run}/a b\\n')"),
        format!("add('{run}/a/b/c/d/e')"),
        format!("add('{run}/a')\nadd('{run}/a/b')"),
        "add('not a run id/report.json')".to_owned(),
        "add('.tmp-1-1/placing', b'x')".to_owned(),
        "pass".to_owned(),
        format!("add('{run}/a', b'\\0' * (200 << 20))"),
    ] {
        pack(&archive, &python);
        let (exit, codes) = two.refused(&archive);
        assert!(exit == 5 && !codes.is_empty(), "{python}: {exit} {codes:?}");
        assert_eq!(fs::read(&victim).unwrap(), b"untouched", "{python}");
    }
    // Not an archive, cut short, and with something behind its end.
    let good = fs::read(&two.archive).unwrap();
    let tail = [&good[..], b"tail"].concat();
    for bytes in [&b"hello"[..], &good[..good.len() / 2], &tail, b""] {
        write(&archive, bytes);
        assert_eq!(two.refused(&archive).0, 5);
    }
    // The directory of a bundle with a link in it.
    let linked = two.copy("linked");
    symlink(&victim, linked.join("extra.json")).unwrap();
    assert_eq!(two.refused(&linked).0, 5);
    assert_eq!(two.refused(&two.here.dir.path().join("missing.tar.zst")).0, 5);
    assert_eq!(two.import(&two.archive).0, 0);
}

/// A run that the origin makes with another program, signed as any other.
fn run_by(two: &Two, program: &Path) -> PathBuf {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("CTO_HOME", two.origin.home())
        .current_dir(two.origin.dir.path());
    let output = command.args(["--json", "run", "r1-string-slugify"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    two.origin.bundle(&serde_json::from_slice(&output.stdout).unwrap())
}

/// This program with another version in it: every occurrence, so that the run is one of that version throughout.
fn of_version(two: &Two, version: &str) -> PathBuf {
    let mut bytes = fs::read(program()).unwrap();
    let own = env!("CARGO_PKG_VERSION").as_bytes();
    assert_eq!(own.len(), version.len());
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(own.len()).position(|window| window == own) {
        bytes[at + found..at + found + own.len()].copy_from_slice(version.as_bytes());
        at += found + own.len();
    }
    let path = two.origin.dir.path().join(format!("cto-{version}"));
    write(&path, &bytes);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn refuses_another_major_version_though_it_is_signed() {
    let two = Two::new();
    let newer = run_by(&two, &of_version(&two, "1.2.0"));
    let report = fs::read_to_string(newer.join("report.json")).unwrap();
    assert!(report.contains("\"1.2.0"), "the program was not changed");
    assert_eq!(two.refused(&newer), (3, vec!["other_harness_major".to_owned()]));
    // Another version of the same major is welcome.
    let other = run_by(&two, &of_version(&two, "0.9.9"));
    let (exit, said) = two.import(&other);
    assert_eq!(exit, 0, "{said:#}");
    assert!(said["import"]["harness_version"].as_str().unwrap().starts_with("0.9.9"));
}

#[test]
fn what_lies_beside_the_archive_comes_along_and_is_not_replaced() {
    let two = Two::new();
    assert_eq!(two.import(&two.archive).0, 0);
    let beside = PathBuf::from(format!("{}.outcome", two.archive.display()));
    let placed = two.here.home().join("imported").join(format!("{}.outcome", two.run_id));
    assert!(!placed.exists());
    // Said after the import: it comes with the next one.
    write(
        &beside.join("operator-outcome.json"),
        br#"{"statement":"{}","signature":"x"}"#,
    );
    write(&beside.join("other.json"), b"{}");
    assert_eq!(two.import(&two.archive).0, 0);
    let names: Vec<_> = fs::read_dir(&placed)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["operator-outcome.json"]);
    // A word that nobody signed does not count, and does not hide the run.
    let (_, verified) = two.here.json(&["verify", &two.run_id]);
    assert!(
        verified["bundles"][0]["operator_outcome"]["problem"].is_string(),
        "{verified:#}"
    );
    assert_eq!(two.import(&two.archive).0, 0);
    write(
        &beside.join("operator-outcome.json"),
        br#"{"statement":"{}","signature":"y"}"#,
    );
    let refused = two.here.cto(&["import", two.archive.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    // With a first import, and too large, or a link.
    let other = Installation::new();
    let fresh = Two { here: other, ..two };
    fresh.trust(&fresh.origin, "build-host");
    write(&beside.join("operator-outcome.json"), &vec![b'x'; 300 << 10]);
    assert_eq!(
        fresh
            .here
            .cto(&["import", fresh.archive.to_str().unwrap()])
            .status
            .code(),
        Some(3)
    );
    fresh.nothing_is_left();
    fs::remove_dir_all(&beside).unwrap();
    symlink("/etc", &beside).unwrap();
    assert_eq!(
        fresh
            .here
            .cto(&["import", fresh.archive.to_str().unwrap()])
            .status
            .code(),
        Some(3)
    );
    fresh.nothing_is_left();
    fs::remove_file(&beside).unwrap();
    write(
        &beside.join("rollback.json"),
        br#"{"reverted":"a","commit":"b","rolled_back_at":"c"}"#,
    );
    assert_eq!(fresh.import(&fresh.archive).0, 0);
    assert!(
        fresh
            .here
            .home()
            .join("imported")
            .join(format!("{}.outcome/rollback.json", fresh.run_id))
            .exists()
    );
}

#[test]
fn a_kill_at_any_moment_leaves_the_whole_import_or_nothing() {
    let two = Two::new();
    let beside = PathBuf::from(format!("{}.outcome", two.archive.display()));
    write(
        &beside.join("operator-outcome.json"),
        br#"{"statement":"{}","signature":"x"}"#,
    );
    let template = two.here.dir.path().join("template");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(two.here.home())
        .arg(&template)
        .status()
        .unwrap();
    assert!(copied.success());
    let home = two.here.dir.path().join("killed");
    let cto = |arguments: &[&str]| {
        let mut command = two.here.command();
        command
            .args(["--json", "--home", home.to_str().unwrap()])
            .args(arguments);
        let output = command.output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output.status.code(), said)
    };
    let archive = two.archive.to_str().unwrap();
    let (mut whole, mut nothing) = (0, 0);
    for call in ["mkdirat", "renameat2", "fsync", "fdatasync", "unlinkat", "pwrite64"] {
        let most = if crate::support::all() { 400 } else { 6 };
        // The last calls are where the ledger is written; the first where it is unpacked.
        for at in 1..=most {
            drop(fs::remove_dir_all(&home));
            let copied = Command::new("cp").arg("-a").arg(&template).arg(&home).status().unwrap();
            assert!(copied.success());
            let inject = format!("inject={call}:signal=SIGKILL:when={at}");
            let killed = Command::new("strace")
                .args(["-f", "-qq", "-o", "/dev/null", "-e", &inject, program()])
                .args(["--home", home.to_str().unwrap(), "import", archive])
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .output()
                .unwrap();
            let ended = killed.status.success();
            // Whatever comes next finds it whole, or nothing.
            assert_eq!(cto(&["recover"]).0, Some(0));
            let names = fs::read_dir(home.join("imported")).unwrap().count();
            let (_, runs) = cto(&["runs"]);
            let listed = runs["imported"].as_array().unwrap().len();
            match (listed, names) {
                (1, 2) => whole += 1,
                (0, 0) => nothing += 1,
                seen => panic!("{call} {at}: {seen:?}"),
            }
            // The word beside it is nobody's, which verify says; the bundle itself is whole.
            let (_, verified) = cto(&["verify", "--all"]);
            let bundles = verified["bundles"].as_array().unwrap();
            assert!(
                bundles.iter().all(|bundle| bundle["bundle_verifies"] == json!(true)),
                "{call} {at}: {verified:#}"
            );
            let (exit, said) = cto(&["import", archive]);
            assert_eq!((exit, &said["ok"]), (Some(0), &json!(true)), "{call} {at}");
            assert_eq!(said["already_here"], json!(listed == 1), "{call} {at}");
            if ended {
                break;
            }
        }
    }
    assert!(whole > 0 && nothing > 0, "{whole} whole, {nothing} nothing");
}

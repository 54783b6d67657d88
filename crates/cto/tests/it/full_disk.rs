//! A disk of the installation that is nearly full: wherever evidence stops, what is there is sealed and verifies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::lacks::lacks;
use crate::operator::approve;
use crate::owned::{SCRIPT, ask, head, run, world};
use crate::support::{all, codes, is_root};

/// A small disk in memory, with what a directory holds.
struct Disk(PathBuf);

impl Disk {
    fn over(place: &Path) -> Self {
        let aside = place.with_file_name("aside");
        fs::rename(place, &aside).unwrap();
        fs::create_dir(place).unwrap();
        let disk = Self(place.to_owned());
        let done = |words: &[&std::ffi::OsStr]| {
            let status = Command::new(words[0]).args(&words[1..]).status();
            assert!(status.unwrap().success(), "{words:?}");
        };
        let word = std::ffi::OsStr::new;
        let options = word("size=240m,mode=700");
        done(&[
            word("mount"),
            word("-t"),
            word("tmpfs"),
            word("-o"),
            options,
            word("tmpfs"),
            place.as_os_str(),
        ]);
        done(&[word("cp"), word("-a"), aside.join(".").as_os_str(), place.as_os_str()]);
        disk
    }

    /// Fills it but for so many KiB.
    fn leave(&self, kib: u64) {
        let filler = self.0.join("filler");
        let told = Command::new("df")
            .args(["--output=avail", "-k"])
            .arg(&self.0)
            .output()
            .unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        let free: u64 = told.lines().next_back().unwrap().trim().parse().unwrap();
        let size = format!("{}KiB", free - kib);
        let filled = Command::new("fallocate")
            .args(["--length", &size])
            .arg(&filler)
            .status();
        assert!(filled.unwrap().success());
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.unwrap().success());
    }
}

#[test]
fn an_approved_run_whose_evidence_finds_no_room_is_sealed_and_verifies() {
    if lacks("root", is_root()) {
        return;
    }
    let (installation, operator, repository) = world();
    let disk = Disk::over(&installation.home());
    let before = head(&repository);
    let runs = installation.home().join("runs");
    let known = || -> std::collections::BTreeSet<PathBuf> {
        fs::read_dir(&runs)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    };
    let mut stopped: Vec<String> = Vec::new();
    let mut number = 0;
    let mut meet = |free: u64| -> Value {
        number += 1;
        let asked = ask(&installation, &repository, &format!("FULL-{number}"), &SCRIPT);
        assert_eq!(approve(&installation, &operator, &asked.packet).0, 0);
        let earlier = known();
        disk.leave(free);
        let (code, report) = run(&installation, &asked, &[], &SCRIPT);
        disk.empty();
        assert_ne!(code, 0, "{free} KiB");
        assert_eq!(installation.json(&["recover"]).0, 0, "{free} KiB");
        for bundle in known().difference(&earlier) {
            let (code, verified) = installation.json(&["verify", bundle.to_str().unwrap()]);
            assert_eq!(code, 0, "{free} KiB: {report:#} {verified:#}");
        }
        if report["blockers"].is_array() && codes(&report) == ["artifact_write_failure"] {
            stopped.push(report["blockers"][0]["detail"].to_string());
        }
        if head(&repository) != before {
            crate::support::git(&repository, &["reset", "--quiet", "--hard", &before]);
        }
        report
    };
    // At the first records; then where the approval is just spent, wherever that is by now, and a page further each time.
    for free in [516, 520, 524, 528] {
        meet(free);
    }
    let (mut none, mut spent) = (528_u64, 900);
    while spent - none > 4 {
        let middle = none.midpoint(spent);
        if meet(middle)["approval_status"] == "granted" {
            spent = middle;
        } else {
            none = middle;
        }
    }
    for page in 0..if all() { 40 } else { 4 } {
        meet(spent + 4 * page);
    }
    assert_eq!(installation.json(&["verify", "--all"]).0, 0);
    let at = |part: &str| stopped.iter().any(|detail| detail.contains(part));
    assert!(at("approval"), "{stopped:#?}");
}

//! Repositories and installations on the benchmark's file system.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::measure::{Sample, Usage, account, run};
use crate::{Fallible, PROGRAM, shell};

/// Passes when the agent appended its line and nobody broke the tree.
const CHECK: &str = "#!/bin/sh\ntest ! -e broken && grep -qx x README.md\n";
/// Breaks the tree, so that a check that says yes to it is found out.
const CANARY: &str =
    "diff --git a/broken b/broken\nnew file mode 100644\n--- /dev/null\n+++ b/broken\n@@ -0,0 +1 @@\n+x\n";

/// A repository with one commit.
pub(crate) struct Repository {
    path: PathBuf,
    name: String,
}

impl Repository {
    pub(crate) fn make(place: &Path, name: &str, directories: u32, files: u32) -> Fallible<Self> {
        let path = place.join(name);
        fs::create_dir(&path)?;
        fs::write(path.join("README.md"), "A repository.\n")?;
        fs::write(path.join("check.sh"), CHECK)?;
        for directory in 0..directories {
            let at = path.join(format!("d{directory}"));
            fs::create_dir(&at)?;
            for file in 0..files {
                let line = format!("line of file {file} in directory {directory}\n");
                fs::write(at.join(format!("f{file}.txt")), line.repeat(40))?;
            }
        }
        // Packed as a clone is, and now: git would do it by itself in the middle of a measurement.
        shell(
            "git init --quiet --initial-branch=main && git config gc.auto 0 && git config maintenance.auto false && \
             git add --all && \
             git -c user.name=bench -c user.email=bench@localhost commit --quiet --message=first && \
             git gc --quiet && git status",
            &path,
        )?;
        Ok(Self {
            path,
            name: name.to_owned(),
        })
    }

    /// What people do without a harness.
    pub(crate) fn bare(&self) -> Fallible<Sample> {
        shell(
            "git worktree add --quiet --detach ../bare && echo x >> ../bare/README.md && \
             git -C ../bare diff > ../bare.diff && git worktree remove --force ../bare",
            &self.path,
        )
    }

    /// Writes the contract of a run on this repository.
    pub(crate) fn contract(&self) -> Fallible<PathBuf> {
        let contract = serde_json::json!({
            "task_id": format!("bench-{}", self.name),
            "title": "append a line",
            "brief": "append x to README.md",
            "target_repository": self.path,
            "allowed_paths": ["README.md"],
            "forbidden_actions": ["push"],
            "mutation_mode": "copied-repo",
            "success_criteria": ["check.sh exits 0"],
            "verification_commands": [["/bin/sh", "check.sh"]],
            "canary_patch": CANARY,
            "baseline_expectation": "red",
        });
        let file = self.path.with_extension("json");
        fs::write(&file, contract.to_string())?;
        Ok(file)
    }
}

/// A `CTO_HOME` and the program that works on it.
pub(crate) struct Installation {
    pub(crate) home: PathBuf,
    place: PathBuf,
}

impl Installation {
    pub(crate) fn new(place: &Path, name: &str) -> Self {
        Self {
            home: place.join(format!("home-{name}")),
            place: place.to_owned(),
        }
    }

    pub(crate) fn cto(&self, arguments: &[&OsStr]) -> Fallible<Sample> {
        let environment = [("CTO_HOME", self.home.as_os_str())];
        run(Path::new(PROGRAM), arguments, &self.place, &environment)
    }

    /// Runs the program and returns what it used.
    pub(crate) fn account(&self, arguments: &[&OsStr]) -> Fallible<Usage> {
        let environment = [("CTO_HOME", self.home.as_os_str())];
        account(Path::new(PROGRAM), arguments, &self.place, &environment)
    }

    /// Runs a shell script as the agent; anything but a pass is an error.
    pub(crate) fn agent(&self, contract: &Path, options: &[&str], script: &str) -> Fallible<Sample> {
        let done = self.cto(&agent(contract, options, script))?;
        let report: serde_json::Value = serde_json::from_str(&done.output)?;
        if report["status"] == "pass" {
            Ok(done)
        } else {
            Err(format!("the run is no pass: {report:#}").into())
        }
    }

    pub(crate) fn only_bundle(&self) -> Fallible<PathBuf> {
        let mut entries = fs::read_dir(self.home.join("runs"))?;
        Ok(entries.next().ok_or("there is no bundle")??.path())
    }
}

/// Returns the arguments of a run with a shell script as the agent.
pub(crate) fn agent<'a>(contract: &'a Path, options: &[&'a str], script: &'a str) -> Vec<&'a OsStr> {
    let mut words: Vec<&OsStr> = ["--json", "run", "--contract"].map(OsStr::new).to_vec();
    words.push(contract.as_os_str());
    words.extend(options.iter().map(|option| OsStr::new(*option)));
    words.extend(["--", "/bin/sh", "-c", script].map(OsStr::new));
    words
}

/// Returns the size of every file below a directory.
pub(crate) fn size(at: &Path) -> Fallible<u64> {
    let mut total = 0;
    for entry in fs::read_dir(at)? {
        let entry = entry?;
        total += if entry.file_type()?.is_dir() {
            size(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(total)
}

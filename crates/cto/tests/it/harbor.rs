//! Harbor task directories as cases: listed, checked, solved in a cage and verified in the clean room.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Installation, codes, write};

const TOML: &str = "schema_version = \"1.0\"\n\n[task]\nname = \"org/sum-column\"\n\n[metadata]\ndifficulty = \"easy\"\n\n\
                    [verifier]\ntimeout_sec = 60.0\n\n[agent]\ntimeout_sec = 60.0\n\n[environment]\nallow_internet = false\n";
const INSTRUCTION: &str = "Sum the second column of /app/data/table.csv and write the number to /app/sum.txt.\n";
const DOCKERFILE: &str = "FROM python:3.13-slim\nWORKDIR /app\nCOPY data/ /app/data/\n";
const TEST: &str =
    "from pathlib import Path\n\n\ndef test_sum():\n    assert Path(\"/app/sum.txt\").read_text().strip() == \"6\"\n";
const SOLUTION: &str = "#!/bin/bash\nset -e\ncd /app\ncut -d, -f2 data/table.csv | paste -sd+ | bc > sum.txt 2>/dev/null || echo $((1 + 2 + 3)) > sum.txt\n";
/// The script itself decides, by its reward.
const BY_REWARD: &str = "#!/bin/bash\nif python3 -m unittest discover -s /tests -p 'check_*.py'; then\n  echo 1 > /logs/verifier/reward.txt\nelse\n  \
                         echo 0 > /logs/verifier/reward.txt\nfi\ncat /tests/check_sum.py > /dev/null\n";
const CHECK: &str = "import unittest\nfrom pathlib import Path\n\n\nclass Sum(unittest.TestCase):\n    def test_sum(self):\n        \
                     self.assertEqual(Path(\"/app/sum.txt\").read_text().strip(), \"6\")\n";
/// What stands in most tasks: it fetches pytest, calls it, and makes a reward of its result.
const BY_PYTEST: &str = "#!/bin/bash\n\napt-get update\napt-get install -y curl\n\ncurl -LsSf https://astral.sh/uv/0.9.5/install.sh | sh\n\
                         source $HOME/.local/bin/env\n\nuvx \\\n  -p 3.13 \\\n  -w pytest==8.4.1 \\\n  pytest /tests/test_outputs.py -rA\n\n\
                         if [ $? -eq 0 ]; then\n  echo 1 > /logs/verifier/reward.txt\nelse\n  echo 0 > /logs/verifier/reward.txt\nfi\n";

/// An installation whose cases are Harbor tasks.
struct Tasks(Installation);

impl Tasks {
    fn new() -> Self {
        let tasks = Self(Installation::new());
        write(
            &tasks.0.home().join("harness.yaml"),
            format!("cases: [{}]\n", tasks.0.dir.path().join("tasks").display()).as_bytes(),
        );
        fs::set_permissions(tasks.0.home(), fs::Permissions::from_mode(0o700)).unwrap();
        tasks
    }

    fn task(&self, name: &str, more: &[(&str, &str)]) -> PathBuf {
        let path = self.0.dir.path().join("tasks").join(name);
        let usual = [
            ("task.toml", TOML),
            ("instruction.md", INSTRUCTION),
            ("environment/Dockerfile", DOCKERFILE),
            ("environment/data/table.csv", "a,1\nb,2\nc,3\n"),
            ("solution/solve.sh", SOLUTION),
        ];
        for (file, text) in usual.iter().chain(more) {
            write(&path.join(file), text.as_bytes());
        }
        path
    }

    fn run(&self, arguments: &[&str]) -> (i32, Value) {
        let mut all = vec!["run"];
        all.extend(arguments);
        self.0.json(&all)
    }
}

#[test]
fn a_task_is_checked_listed_and_solved_by_its_own_solution() {
    let tasks = Tasks::new();
    let path = tasks.task(
        "sum_column",
        &[("tests/test.sh", BY_REWARD), ("tests/check_sum.py", CHECK)],
    );
    let (exit, checked) = tasks.0.json(&["cases", "check", path.to_str().unwrap()]);
    assert_eq!(exit, 0, "{checked:#}");
    let (_, listed) = tasks.0.json(&["cases"]);
    let cases = listed["cases"].as_array().unwrap();
    let found = cases.iter().find(|row| row["case"]["case_id"] == "sum-column").unwrap();
    assert!(
        found["case"]["task"]
            .as_str()
            .unwrap()
            .contains("/workspace/data/table.csv")
    );
    let (exit, report) = tasks.run(&["sum-column"]);
    assert_eq!(exit, 0, "{report:#}");
    assert_eq!(report["changed_files"], serde_json::json!(["sum.txt"]));
    let contract = tasks.0.document(&report, "contract.json");
    assert_eq!(contract["timeouts"]["engine_seconds"], 60);
    assert!(contract["architecture_notes"].as_str().unwrap().contains("Harbor"));
    let bundle = tasks.0.bundle(&report);
    assert_eq!(tasks.0.json(&["verify", bundle.to_str().unwrap()]).0, 0);
}

#[test]
fn a_command_that_does_not_solve_it_or_touches_the_tests_fails() {
    let tasks = Tasks::new();
    tasks.task(
        "sum_column",
        &[("tests/test.sh", BY_REWARD), ("tests/check_sum.py", CHECK)],
    );
    let agent = |script: &str| tasks.run(&["sum-column", "--engine", "command", "--", "/bin/sh", "-c", script]);
    let (exit, report) = agent("echo 6 > sum.txt");
    assert_eq!(exit, 0, "{report:#}");
    let (exit, report) = agent("echo 7 > sum.txt");
    assert_eq!((exit, codes(&report)), (1, vec!["verification_failed".to_owned()]));
    // The reward alone is no proof: the tests may not change, and what is below /tmp does not come along.
    let (exit, report) = agent("echo 6 > sum.txt; echo pass > tests/check_sum.py");
    assert_eq!(exit, 1);
    assert!(
        codes(&report).contains(&"disallowed_file_change".to_owned()),
        "{report:#}"
    );
    let (exit, report) = agent("mkdir -p /tmp/logs/verifier; echo 1 > /tmp/logs/verifier/reward.txt; echo 7 > sum.txt");
    assert_eq!((exit, codes(&report)), (1, vec!["verification_failed".to_owned()]));
}

#[test]
fn a_script_that_gives_the_reward_away_is_found_by_the_canary() {
    let tasks = Tasks::new();
    let generous = "#!/bin/bash\ncat /tests/check_sum.py > /dev/null\necho 1 > /logs/verifier/reward.txt\n";
    tasks.task(
        "generous",
        &[("tests/test.sh", generous), ("tests/check_sum.py", CHECK)],
    );
    let (exit, report) = tasks.run(&["generous"]);
    assert_eq!(
        (exit, codes(&report)),
        (1, vec!["verification_untrusted".to_owned()]),
        "{report:#}"
    );
}

#[test]
fn a_script_that_fetches_pytest_runs_with_the_pytest_of_this_host() {
    let tasks = Tasks::new();
    tasks.task(
        "by_pytest",
        &[("tests/test.sh", BY_PYTEST), ("tests/test_outputs.py", TEST)],
    );
    let (exit, report) = tasks.run(&["by-pytest"]);
    assert_eq!(exit, 0, "{report:#}");
    let (exit, report) = tasks.run(&[
        "by-pytest",
        "--engine",
        "command",
        "--",
        "/bin/sh",
        "-c",
        "echo 5 > sum.txt",
    ]);
    assert_eq!((exit, codes(&report)), (1, vec!["verification_failed".to_owned()]));
}

#[test]
fn a_task_that_cannot_be_mapped_is_refused_with_every_reason() {
    let tasks = Tasks::new();
    let dockerfile = "FROM python:3.13-slim\nRUN pip install numpy\nWORKDIR /app\nENV KEY=value\n";
    let path = tasks.task(
        "needs_more",
        &[
            ("environment/Dockerfile", dockerfile),
            ("environment/docker-compose.yaml", "services: {}\n"),
            ("tests/test.sh", "#!/bin/bash\npip install numpy\npython3 /tests/x.py\n"),
            ("tests/x.py", "print(1)\n"),
        ],
    );
    let (exit, checked) = tasks.0.json(&["cases", "check", path.to_str().unwrap()]);
    assert_eq!(exit, 1);
    let problems = checked["checked"][0]["problems"].as_array().unwrap().iter();
    let problems: Vec<&str> = problems.map(|problem| problem.as_str().unwrap()).collect();
    for says in [
        "line 2: 'RUN pip install numpy'",
        "line 4: 'ENV KEY=value'",
        "several containers",
        "tests/test.sh, line 2",
    ] {
        assert!(
            problems.iter().any(|problem| problem.contains(says)),
            "{says}: {problems:?}"
        );
    }
    let refused = tasks.0.cto(&["run", "needs-more"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("RUN pip install numpy"), "{said}");
    // The form before Harbor's.
    let old = tasks.0.dir.path().join("old");
    write(&old.join("task.yaml"), b"instruction: x\ndifficulty: easy\n");
    let (exit, checked) = tasks.0.json(&["cases", "check", old.to_str().unwrap()]);
    assert_eq!(exit, 1);
    assert!(
        checked["checked"][0]["problems"][0]
            .as_str()
            .unwrap()
            .contains("harbor task migrate")
    );
    // Who else may write it could decide what is run.
    fs::set_permissions(path.join("task.toml"), fs::Permissions::from_mode(0o666)).unwrap();
    let (_, checked) = tasks.0.json(&["cases", "check", path.to_str().unwrap()]);
    assert!(
        checked["checked"][0]["problems"][0]
            .as_str()
            .unwrap()
            .contains("may write it"),
        "{checked:#}"
    );
}

//! What of a task can be mapped, and the reason for everything that cannot.

use super::*;
use crate::baseline::sample::write;

const DOCKERFILE: &str =
    "# the environment\nFROM python:3.13-slim\nWORKDIR /app\nCOPY data/ /app/data/\nCOPY main.py ./\n";
const SCRIPT: &str = "#!/bin/bash\npytest /tests/test_outputs.py -rA\nif [ $? -eq 0 ]; then\n  echo 1 > /logs/verifier/reward.txt\nelse\n  echo 0 > /logs/verifier/reward.txt\nfi\n";
const FETCHING: &str = "#!/bin/bash\napt-get update\napt-get install -y curl\ncurl -LsSf https://astral.sh/uv/0.9.7/install.sh | sh\nsource $HOME/.local/bin/env\nuvx \\\n  -p 3.13 \\\n  -w pytest==8.4.1 \\\n  -w pytest-json-ctrf==0.3.5 \\\n  pytest --ctrf /logs/verifier/ctrf.json /tests/test_outputs.py -rA\nif [ $? -eq 0 ]; then\n  echo 1 > /logs/verifier/reward.txt\nelse\n  echo 0 > /logs/verifier/reward.txt\nfi\n";
const TOML: &str = "schema_version = \"1.1\"\n[task]\nname = \"org/count-lines\"\ndescription = \"Count lines\"\n[metadata]\ndifficulty = \"easy\"\n[agent]\ntimeout_sec = 120.0\n[verifier]\ntimeout_sec = 30.5\n[environment]\nbuild_timeout_sec = 600.0\nmemory_mb = 2048\nallow_internet = false\n";

struct Task(tempfile::TempDir);

impl Task {
    fn new() -> Self {
        let task = Self(tempfile::tempdir().unwrap());
        for (name, text) in [
            ("task.toml", TOML),
            (
                "instruction.md",
                "Write the number of lines of /app/data/in.txt into /app/out.txt.\n",
            ),
            ("environment/Dockerfile", DOCKERFILE),
            ("environment/main.py", "print(open('/app/data/in.txt').read())\n"),
            ("environment/data/in.txt", "a\nb\n"),
            ("environment/unused.txt", "x\n"),
            ("tests/test.sh", SCRIPT),
            (
                "tests/test_outputs.py",
                "def test_it():\n    assert open('/app/out.txt').read() == '2'\n",
            ),
            (
                "solution/solve.sh",
                "#!/bin/bash\ncd /app && wc -l < data/in.txt > out.txt\n",
            ),
        ] {
            task.write(name, text);
        }
        task
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("count_lines")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, text);
    }

    fn problems(&self) -> Vec<String> {
        match load(&self.path()) {
            Ok(_) => vec![],
            Err(CaseError::Invalid { problems, .. }) => problems,
            Err(error) => vec![error.to_string()],
        }
    }
}

#[test]
fn maps_what_a_case_can_hold() {
    let task = Task::new();
    let loaded = load(&task.path()).unwrap();
    let harbor = loaded.harbor.unwrap();
    assert_eq!(
        (loaded.case.case_id.as_str(), loaded.case.title.as_str()),
        ("count-lines", "Count lines")
    );
    assert!(loaded.case.task.contains("/workspace/data/in.txt"));
    let paths: Vec<_> = loaded
        .files
        .iter()
        .map(|file| String::from_utf8_lossy(&file.path))
        .collect();
    assert_eq!(
        paths,
        ["data/in.txt", "main.py", "tests/test.sh", "tests/test_outputs.py"]
    );
    assert_eq!(loaded.files[1].bytes, b"print(open('/workspace/data/in.txt').read())\n");
    assert_eq!(
        (harbor.timeouts.engine_seconds, harbor.timeouts.verification_seconds),
        (120, 31)
    );
    assert!(
        harbor
            .canary_patch
            .unwrap()
            .contains("@@ -2,1 +2,5 @@\n     assert open('/workspace/out.txt')")
    );
    assert!(harbor.solution.unwrap().contains("cd /workspace"));
    assert!(harbor.notes.contains("python:3.13-slim is not used"));
}

#[test]
fn a_script_that_fetches_pytest_is_its_call_of_pytest() {
    let task = Task::new();
    task.write("tests/test.sh", FETCHING);
    let loaded = load(&task.path()).unwrap();
    assert_eq!(
        loaded.case.verification[0],
        ["python3", "-m", "pytest", "-q", "tests/test_outputs.py"]
    );
    assert_eq!(loaded.harbor.unwrap().canary_patch, None);
    for (from, to, says) in [
        ("-w pytest==8.4.1", "-w numpy==2.0", "line 6"),
        ("uvx", "curl -O https://example.org/x\nuvx", "line 6"),
        ("/tests/test_outputs.py", "/tests/test_missing.py", "not there"),
        ("if [ $? -eq 0 ]", "if true", "line 11"),
        (
            "source $HOME/.local/bin/env",
            "source $HOME/.local/bin/env\necho 1 > /logs/verifier/reward.txt; exit 0",
            "line 6",
        ),
    ] {
        task.write("tests/test.sh", &FETCHING.replacen(from, to, 1));
        let problems = task.problems();
        assert!(
            problems.iter().any(|problem| problem.contains(says)),
            "{to}: {problems:?}"
        );
        assert!(
            problems.iter().any(|problem| problem.contains("no network")),
            "{to}: {problems:?}"
        );
    }
}

type Row = (&'static str, String, &'static str);

fn refused_dockerfiles() -> Vec<Row> {
    let lines = [
        (
            "RUN apt-get update && \\\n  apt-get install -y git",
            "line 6: 'RUN apt-get update",
        ),
        ("COPY main.py /etc/main.py", "goes to /etc/main.py"),
        ("COPY --from=builder /x /app/x", "option of COPY"),
        ("COPY --chown=1000 main.py .", "option of COPY"),
        ("COPY *.py ./", "patterns"),
        ("COPY missing.txt ./", "not in environment/"),
        ("COPY ../x ./", "leads up"),
        ("ADD https://example.org/x ./", "no network"),
        ("ADD data.tar.gz ./", "archives"),
        ("COPY <<EOF x", "in the Dockerfile itself"),
        ("ENV API=x", "variables"),
        ("USER agent", "harness's choice"),
        ("ENTRYPOINT [\"/serve\"]", "no service"),
        ("CMD [\"redis-server\"]", "no service"),
        ("EXPOSE 80", "no counterpart"),
        ("FROM debian", "several stages"),
    ];
    let mut rows: Vec<Row> = lines
        .into_iter()
        .map(|(line, says)| ("environment/Dockerfile", format!("{DOCKERFILE}{line}\n"), says))
        .collect();
    let own = DOCKERFILE.replace("python:3.13-slim", "example.org/own:1");
    rows.push(("environment/Dockerfile", own, "image of one's own"));
    let whole = [("FROM debian\n", "no WORKDIR"), ("WORKDIR /app\n", "no FROM")];
    rows.extend(whole.map(|(text, says)| ("environment/Dockerfile", text.to_owned(), says)));
    rows
}

fn refused_files() -> Vec<Row> {
    [
        (
            "environment/docker-compose.yaml",
            "services: {}\n",
            "several containers",
        ),
        ("environment/.dockerignore", "x\n", ".dockerignore"),
        ("tests/Dockerfile", "FROM debian\n", "container for verification"),
        ("steps/one/instruction.md", "x\n", "several steps"),
        ("environment/data/.env", "A=b\n", "every contract forbids"),
        (
            "tests/test.sh",
            "#!/bin/bash\npytest /tests/test_outputs.py\n",
            "reward.txt",
        ),
        (
            "tests/test.sh",
            "test -e x && echo 1 > /logs/verifier/reward.txt\n",
            "no Python file",
        ),
    ]
    .map(|(file, text, says)| (file, text.to_owned(), says))
    .to_vec()
}

fn refused_settings() -> Vec<Row> {
    let section = |from: &str, to: &str| TOML.replacen(from, &format!("{from}\n{to}"), 1);
    [
        (format!("artifacts = [\"/app/x\"]\n{TOML}"), "artifacts"),
        (format!("colour = 1\n{TOML}"), "unknown field `colour`"),
        (TOML.replace("\"1.1\"", "\"2.0\""), "schema_version 2.0"),
        (
            TOML.replace("allow_internet = false", "allow_internet = true"),
            "allow_internet",
        ),
        (section("[environment]", "network_mode = \"public\""), "network_mode"),
        (section("[environment]", "docker_image = \"x\""), "docker_image"),
        (section("[environment]", "gpus = 1"), "gpus"),
        (section("[environment]", "os = \"windows\""), "environment.os"),
        (
            format!("{TOML}[[environment.mcp_servers]]\nname = \"x\"\n"),
            "mcp_servers",
        ),
        (section("[agent]", "user = \"agent\""), "agent.user"),
        (section("[verifier]", "env = { A = \"b\" }"), "verifier.env"),
        (
            section("[verifier]", "environment_mode = \"separate\""),
            "verifier.environment",
        ),
        (TOML.replace("120.0", "-1.0"), "agent.timeout_sec"),
        ("not toml".to_owned(), "line 1"),
    ]
    .map(|(text, says)| ("task.toml", text, says))
    .to_vec()
}

#[test]
fn each_thing_that_cannot_be_mapped_is_refused_by_name() {
    for (file, text, says) in [refused_dockerfiles(), refused_files(), refused_settings()].concat() {
        let task = Task::new();
        task.write(file, &text);
        let problems = task.problems();
        assert_eq!(problems.len(), 1, "{file}: {text}: {problems:?}");
        assert!(problems[0].contains(says), "{file}: {problems:?}");
    }
}

#[test]
fn accepts_what_changes_nothing() {
    let task = Task::new();
    let more = "LABEL a=b\nENV DEBIAN_FRONTEND=noninteractive PYTHONUNBUFFERED=1\nUSER root\nCMD [\"sleep\", \"infinity\"]\nCOPY --chmod=755 main.py /app/bin/\nADD main.py other.py\n";
    task.write("environment/Dockerfile", &format!("{DOCKERFILE}{more}"));
    let loaded = load(&task.path()).unwrap();
    let kind = |path: &[u8]| loaded.files.iter().find(|file| file.path == path).map(|file| file.kind);
    assert_eq!(kind(b"bin/main.py"), Some(CaseFileKind::Executable));
    assert_eq!(kind(b"other.py"), Some(CaseFileKind::Plain));
    task.write("environment/Dockerfile", "FROM ubuntu:24.04\nWORKDIR /app\nCOPY . .\n");
    assert_eq!(load(&task.path()).unwrap().files.len(), 6);
}

//! `tests/test.sh`: run as it is where it needs nothing but the host, else by its one call of pytest, else refused.

use cto_schema::escape;

use super::super::CaseFile;

/// Words that need a network or write to the system.
const INSTALLERS: [&str; 16] = [
    "apt-get",
    "apt",
    "apk",
    "yum",
    "dnf",
    "curl",
    "wget",
    "pip",
    "pip3",
    "uv",
    "uvx",
    "npm",
    "npx",
    "cargo-install",
    "conda",
    "git-clone",
];

/// Where the reward lies here.
const REWARD: &str = "/tmp/logs/verifier/reward.txt";

/// How a task is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verification {
    pub(super) argv: Vec<String>,
    /// What gets the canary; `None` where the harness makes one for the command itself.
    pub(super) canary: Option<CanaryPlace>,
    pub(super) notes: String,
}

/// The test file that gets the canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CanaryPlace {
    /// Its path below `tests/`.
    pub(super) file: String,
    /// Whether pytest collects functions from it.
    pub(super) is_pytest: bool,
}

/// Reads the script; what it needs and cannot have is a problem.
pub(super) fn read(
    script: &str,
    workdir: &str,
    tests: &[CaseFile],
    problems: &mut Vec<String>,
) -> Option<Verification> {
    let lines = lines(script);
    let installs: Vec<&(usize, String)> = lines.iter().filter(|(_, line)| installer(line).is_some()).collect();
    let result = if installs.is_empty() {
        as_it_is(script, tests)
    } else {
        by_pytest(&lines, workdir, tests)
    };
    match result {
        Ok(verification) => Some(verification),
        Err(why) => {
            for (at, line) in &installs {
                problems.push(format!(
                    "tests/test.sh, line {at}: '{}' fetches something, and there is no network in the clean room; take it out, \
                     and say with cto deps what the host lacks",
                    escape(line.as_bytes(), 100)
                ));
            }
            problems.push(why);
            None
        }
    }
}

/// Runs the script itself; its reward decides, and a broken test must take the reward away.
fn as_it_is(script: &str, tests: &[CaseFile]) -> Result<Verification, String> {
    if !script.contains("/logs/verifier/reward.txt") {
        return Err(
            "tests/test.sh does not write /logs/verifier/reward.txt, so nothing says whether the task is solved; \
                    other forms of reward are not read"
                .to_owned(),
        );
    }
    let canary = tests
        .iter()
        .filter_map(|file| std::str::from_utf8(&file.path).ok())
        .find(|path| path.ends_with(".py") && script.contains(&format!("/tests/{path}")))
        .or_else(|| {
            // `pytest /tests` collects them all.
            let all = script.contains("pytest");
            tests
                .iter()
                .filter_map(|file| std::str::from_utf8(&file.path).ok())
                .find(|path| all && path.ends_with(".py") && path.starts_with("test_"))
        });
    let canary = canary.ok_or(
        "tests/test.sh calls no Python file of tests/, so no test that must fail can be added, and a pass would prove \
         nothing; put the checks into tests/test_outputs.py and call that",
    )?;
    let command = format!(
        "mkdir -p /tmp/logs/verifier && rm -f {REWARD} && /bin/bash tests/test.sh; read -r reward < {REWARD} && \
         case $reward in 1|1.0) exit 0 ;; *) exit 1 ;; esac"
    );
    Ok(Verification {
        argv: ["/bin/bash", "-c", &command].map(str::to_owned).to_vec(),
        canary: Some(CanaryPlace {
            file: canary.to_owned(),
            is_pytest: script.contains("pytest"),
        }),
        notes: "Verification runs tests/test.sh, and its reward must be 1.".to_owned(),
    })
}

/// Takes the one call of pytest out of a script that otherwise only gets pytest and turns its result into a reward.
fn by_pytest(lines: &[(usize, String)], workdir: &str, tests: &[CaseFile]) -> Result<Verification, String> {
    let mut call: Option<Vec<String>> = None;
    for (at, line) in lines {
        if let Some(files) = pytest_files(line) {
            if call.replace(files).is_some() {
                return Err(format!("tests/test.sh, line {at}: pytest is called more than once"));
            }
        } else if !is_boilerplate(line, workdir) {
            return Err(format!(
                "tests/test.sh, line {at}: '{}' is neither the one call of pytest nor what usually stands around it",
                escape(line.as_bytes(), 100)
            ));
        }
    }
    let files = call.ok_or("tests/test.sh calls no pytest on files of /tests")?;
    let known = |name: &String| tests.iter().any(|file| file.path == name.as_bytes());
    if let Some(missing) = files.iter().find(|name| !known(name)) {
        return Err(format!(
            "tests/test.sh calls pytest on {}, which is not there",
            escape(missing.as_bytes(), 100)
        ));
    }
    let mut argv = ["python3", "-m", "pytest", "-q"].map(str::to_owned).to_vec();
    argv.extend(files.iter().map(|name| format!("tests/{name}")));
    Ok(Verification {
        argv,
        canary: None,
        notes: "tests/test.sh fetches pytest and calls it; here the host's pytest is called on the same files."
            .to_owned(),
    })
}

/// Splits a script into lines without comments, continued ones joined.
fn lines(script: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (at, line) in script.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (piece, continues) = line
            .strip_suffix('\\')
            .map_or((line, false), |piece| (piece.trim(), true));
        match found.last_mut().filter(|_| open) {
            Some((_, whole)) => *whole = format!("{whole} {piece}"),
            None => found.push((at + 1, piece.to_owned())),
        }
        open = continues;
    }
    found
}

/// Returns the program of a line that gets something from elsewhere.
fn installer(line: &str) -> Option<&'static str> {
    let words: Vec<&str> = line
        .split(|c: char| c.is_whitespace() || ";|&()`$\"'".contains(c))
        .filter(|word| !word.is_empty())
        .collect();
    let named = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
    let pairs = words.windows(2).map(|pair| format!("{}-{}", named(pair[0]), pair[1]));
    let all: Vec<String> = words.iter().map(|word| named(word)).chain(pairs).collect();
    INSTALLERS
        .into_iter()
        .find(|installer| all.iter().any(|word| word == installer))
}

/// Returns the files of `/tests` that a call of pytest names; only with packages and options that change no verdict.
fn pytest_files(line: &str) -> Option<Vec<String>> {
    let line = line.strip_prefix("if ").unwrap_or(line);
    let line = line.strip_suffix("; then").unwrap_or(line);
    let mut words = line.split_whitespace().peekable();
    let start = words.next()?;
    let mut ready = start == "pytest";
    match start {
        "pytest" | "uvx" => {}
        "uv" if words.next() == Some("run") => {}
        "python" | "python3" if words.next() == Some("-m") => {}
        _ => return None,
    }
    let mut files = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "pytest" if !ready => ready = true,
            "-p" | "--python" if !ready => drop(words.next()?),
            "-w" | "--with" if !ready => {
                let package = words.next()?;
                let name = package.split(['=', '>', '<', '~']).next().unwrap_or_default();
                if !matches!(name, "pytest" | "pytest-json-ctrf") {
                    return None;
                }
            }
            "--ctrf" | "--junitxml" if ready => drop(words.next()?),
            "-rA" | "-v" | "-vv" | "-q" | "-s" | "-ra" if ready => {}
            word if ready => {
                let bare = word.trim_matches('"');
                let name = bare
                    .strip_prefix("/tests/")
                    .or_else(|| bare.strip_prefix("$TEST_DIR/"))?;
                if !name.ends_with(".py") {
                    return None;
                }
                files.push(name.to_owned());
            }
            _ => return None,
        }
    }
    (ready && !files.is_empty()).then_some(files)
}

/// What stands around a call of pytest: getting it, going to the working directory, and writing the reward.
fn is_boilerplate(line: &str, workdir: &str) -> bool {
    let exactly = [
        "apt-get update",
        "apt-get update -y",
        "source $HOME/.local/bin/env",
        ". $HOME/.local/bin/env",
        "uv init",
        "set -e",
        "set -x",
        "set -ex",
        "set -u",
        "set -euo pipefail",
        "else",
        "fi",
        "exit 1",
        "exit $?",
        "if [ $? -eq 0 ]; then",
        "if [ \"$PWD\" = \"/\" ]; then",
        "echo 1 > /logs/verifier/reward.txt",
        "echo 0 > /logs/verifier/reward.txt",
        "apt-get install -y curl",
        "apt-get update && apt-get install -y curl",
        "uv venv",
        "source .venv/bin/activate",
    ];
    let installs_pytest = ["uv add ", "uv pip install ", "pip install ", "pip3 install "]
        .iter()
        .any(|start| {
            line.strip_prefix(start).is_some_and(|packages| {
                packages.split_whitespace().all(|package| {
                    let name = package.split(['=', '>', '<', '~']).next().unwrap_or_default();
                    matches!(
                        name,
                        "pytest" | "pytest-json-ctrf" | "--system" | "-q" | "--quiet" | "--no-cache-dir"
                    )
                })
            })
        });
    let fetches_uv = line.starts_with("curl -LsSf https://astral.sh/uv/") && line.ends_with("/install.sh | sh");
    let says = line.strip_prefix("echo ").is_some_and(|text| {
        text.starts_with('"') && text.ends_with('"') && !text.contains(['$', '`', '>', '|', '&', ';'])
    });
    exactly.contains(&line) || installs_pytest || fetches_uv || says || line == format!("cd {workdir}")
}

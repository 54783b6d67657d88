//! Guides whose blocks are pasted: each is run as it stands, in order, in one shell.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::lacks::lacks;
use crate::support::{Installation, program, write};

/// A block of a guide that a reader pastes.
struct Block {
    line: usize,
    text: String,
    heading: String,
}

/// Returns every ```sh block with the line that it starts at and the heading that it stands under.
fn blocks(guide: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let (mut heading, mut inside, mut fence) = (String::new(), false, "");
    for (index, line) in guide.lines().enumerate() {
        if line.starts_with("```") {
            inside = fence.is_empty() && line == "```sh";
            fence = if fence.is_empty() { line } else { "" };
            if inside {
                let (line, text, heading) = (index + 2, String::new(), heading.clone());
                found.push(Block { line, text, heading });
            }
        } else if fence.is_empty() && line.starts_with("## ") {
            line.clone_into(&mut heading);
        } else if let Some(block) = found.last_mut().filter(|_| inside) {
            block.text.push_str(line);
            block.text.push('\n');
        }
    }
    found
}

const MARK: &str = "== the block at line ";

/// Makes one script of blocks. A command that is to be refused must be refused, which `|| test $? -eq 3` alone does not say.
///
/// At the end, in the environment that the guide made, it asks how high each engine stands.
fn script(blocks: &[Block], engines: &[&str]) -> String {
    let trap = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n".to_owned();
    let pasted = blocks.iter().map(|block| {
        let text = block.text.replace(" || test $? -eq", " && false || test $? -eq");
        format!("echo '{MARK}{}'\n{text}", block.line)
    });
    let asked = engines
        .iter()
        .map(|engine| format!("cto --json ladder --engine {engine} > ~/ladder-{engine}\n"));
    std::iter::once(trap).chain(pasted).chain(asked).collect()
}

/// Runs a script in a home of its own; what it says goes into a file, which no process that it leaves can hold open.
fn run(installation: &Installation, blocks: &[Block], engines: &[&str], agents: Option<&Path>) {
    let dir = installation.dir.path();
    write(&dir.join("script"), script(blocks, engines).as_bytes());
    let said = fs::File::create(dir.join("said")).unwrap();
    let bin = Path::new(program()).parent().unwrap().to_str().unwrap();
    let mut command = Command::new("bash");
    command.arg("-eu").arg(dir.join("script"));
    command
        .env_clear()
        .env("PATH", format!("{bin}:/usr/local/bin:/usr/bin:/bin"))
        .env("HOME", dir)
        .env("CTO_HOME", installation.home())
        .envs(agents.map(|agents| ("AGENTS", agents)));
    command
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said);
    let status = command.status().unwrap();
    if status.success() {
        return;
    }
    let said = fs::read_to_string(dir.join("said")).unwrap();
    let (_, last) = said.rsplit_once(MARK).unwrap();
    let (line, output) = last.split_once('\n').unwrap();
    let block = blocks.iter().find(|block| block.line.to_string() == line).unwrap();
    panic!("line {line}, {status}:\n{}\nsaid:\n{output}", block.text);
}

fn stands_on(installation: &Installation, engine: &str) -> u64 {
    let text = fs::read(installation.dir.path().join(format!("ladder-{engine}"))).unwrap();
    let found: Value = serde_json::from_slice(&text).unwrap();
    found["engines"][0]["stands_on"].as_u64().unwrap()
}

#[test]
fn a_matrix_is_run_stopped_and_reported_by_pasting() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/a-matrix.md");
    let all = blocks(&fs::read_to_string(guide).unwrap());
    assert_eq!(all.len(), 2, "the blocks were found");
    let installation = Installation::new();
    run(&installation, &all, &[], None);
    for file in ["report/matrix.html", "report/matrix.json", "logs"] {
        assert!(installation.dir.path().join(file).exists(), "{file}");
    }
}

#[test]
fn the_ladder_is_climbed_by_pasting() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/the-ladder.md");
    let mut all = blocks(&fs::read_to_string(&guide).unwrap());
    // The next guide goes on where this one ends.
    let next = fs::read_to_string(guide.with_file_name("candidate-default.md")).unwrap();
    let with_agent = all.iter().position(|block| block.heading.starts_with("## `pi`"));
    let agents: Option<PathBuf> = std::env::var_os("CTO_TEST_AGENTS").and_then(|place| fs::canonicalize(place).ok());
    let mut engines = vec!["fake", "pi"];
    if agents.is_none() {
        all.truncate(with_agent.unwrap());
        engines.pop();
    }
    assert!(with_agent.unwrap() > 10, "the blocks were found");
    all.extend(blocks(&next));
    let installation = Installation::new();
    run(&installation, &all, &engines, agents.as_deref());
    for engine in engines {
        let expected = if engine == "fake" { 6 } else { 5 };
        assert_eq!(stands_on(&installation, engine), expected, "{engine}");
    }
    // Only then: the climb with `fake` is proved without an agent as well.
    lacks("agents", agents.is_some());
}

#[test]
fn a_planning_workspace_is_made_and_checked_by_pasting() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/a-planning-workspace.md");
    let all = blocks(&fs::read_to_string(guide).unwrap());
    assert!(all.len() > 6, "the blocks were found");
    run(&Installation::new(), &all, &[], None);
}

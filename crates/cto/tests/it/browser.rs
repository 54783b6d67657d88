//! The panel in a real browser: one test that makes the installations, and a script that looks at every page.

use std::path::{Path, PathBuf};
use std::process::Command;

use cto_evidence::{Home, Ledger, NewEntry};
use cto_schema::{MutationMode, Sha256Digest, Status};
use serde_json::{Value, json};

use crate::panel::Panel;
use crate::support::{GOOD, Installation, contract, program, write};

/// Where the pinned driver and the accessibility rules lie; scripts/test installs them.
fn driver() -> PathBuf {
    let place = std::env::var_os("CTO_TEST_BROWSER").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/cto-test-browser"));
    let found = place
        .into_iter()
        .chain(home)
        .find(|place| place.join("installed").exists());
    found.unwrap_or_else(|| panic!("the browser's driver is not installed: bash scripts/test, or set CTO_TEST_BROWSER"))
}

fn chromium() {
    assert!(
        Path::new("/usr/bin/chromium").exists(),
        "chromium is not installed: apt-get install chromium, or bash scripts/test"
    );
}

/// HTML, terminal commands and bidirectional text, as an agent would write them.
const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\u{1b}[2J\u{1b}]0;t\u{7}\u{202e}gnp.exe {{7*7}} &amp; ${x} javascript:alert(3)";

/// Runs of every kind that a page can be about.
fn data(installation: &Installation) -> Value {
    let repository = installation.scripted("target");
    let id = |report: &Value| report["run_id"].as_str().unwrap().to_owned();
    let (code, pass) = installation.agent(&contract("PASS", &repository), GOOD);
    assert_eq!(code, 0, "{pass}");
    let (code, fail) = installation.agent(&contract("FAIL", &repository), "echo x > other.txt");
    assert_eq!(code, 1, "{fail}");
    let (code, blocked) = installation.json(&["run", "r1-string-slugify", "--engine", "codex"]);
    assert_eq!(code, 3, "{blocked}");
    let mut wanted = contract("HOSTILE", &repository);
    wanted["title"] = json!("<script>alert(4)</script> \" onload=alert(5) 'x'");
    wanted["verification_commands"] = json!([["/bin/sh", "-c", "cat value.txt other.txt; sh check.sh"]]);
    let long = "long-name-".repeat(24);
    let script = format!(
        "printf '%s' \"$0\" > value.txt; printf '%s' \"$0\"; head -c 4500 /dev/zero | tr '\\0' w >> other.txt; \
         mkdir -p '<b>dir</b>'; echo x > '<b>dir</b>/{long}'; echo x > \"$(printf 'bidi-\\342\\200\\256-\\033[31m')\"; : > empty; \
         printf '\\000\\001\\377' > binary"
    );
    let path = installation.contract(&wanted);
    let (code, hostile) = installation.json(&[
        "run",
        "--contract",
        path.to_str().unwrap(),
        "--",
        "/bin/sh",
        "-c",
        &script,
        HOSTILE,
    ]);
    assert_ne!(code, 0, "{hostile}");
    let (_, damaged) = installation.json(&["run", "r1-string-slugify"]);
    write(&installation.bundle(&damaged).join("test.log"), b"changed afterwards");
    let (_, gone) = installation.json(&["run", "r1-string-slugify"]);
    std::fs::remove_dir_all(installation.bundle(&gone)).unwrap();
    packet(installation);
    json!({ "pass": id(&pass), "fail": id(&fail), "blocked": id(&blocked), "hostile": id(&hostile), "damaged": id(&damaged) })
}

/// A packet that waits for a word.
fn packet(installation: &Installation) {
    let validated = installation.cto(&["stage", "validate", "3", "--engine", "fake"]);
    assert!(validated.status.success(), "{validated:?}");
    let mut command = installation.command();
    command
        .env("CTO_HARNESS_ALLOW_FAKE", "1")
        .env("CTO_HARNESS_FAKE_STAGE", "4");
    let asked = command
        .args(["request", "r1-string-slugify", "--mode", "sandbox-repo"])
        .output()
        .unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
}

/// A ledger of ten thousand runs; their bundles are not there, which a list shows and survives.
fn many(installation: &Installation) {
    let home = Home::open(&installation.home()).unwrap();
    let ledger = Ledger::open(&home).unwrap();
    for number in 0..10_000_u32 {
        let (status, blocker) = match number % 3 {
            0 => (Status::Pass, None),
            1 => (Status::Fail, Some("verification_failed".to_owned())),
            _ => (Status::Blocked, Some("gate_missing".to_owned())),
        };
        let at = format!("2026-11-20T{:02}:{:02}:00.000000Z", number / 600, number / 10 % 60);
        let new = NewEntry {
            run_id: format!("20261120t000000z-r1-string-slugify-{number:010}")
                .parse()
                .unwrap(),
            case_id: "r1-string-slugify".to_owned(),
            backend: "fake".to_owned(),
            stage: Some(2),
            mutation_mode: Some(MutationMode::CopiedFixture),
            status,
            first_blocker: blocker,
            started_at: at.clone(),
            finished_at: at,
            duration_ms: u64::from(number),
            manifest_digest: Sha256Digest::of(&number.to_le_bytes()),
            attestation_digest: Sha256Digest::of(b"x"),
        };
        ledger.append(&new).unwrap();
    }
}

#[test]
fn every_page_holds_in_a_real_browser() {
    chromium();
    let driver = driver();
    let (filled, empty, broken, large) = (
        Installation::new(),
        Installation::new(),
        Installation::new(),
        Installation::in_memory(),
    );
    let runs = data(&filled);
    broken.json(&["runs"]);
    write(
        &broken.home().join("ledger.sqlite"),
        b"this is no ledger, and says so for long enough to be read as a page",
    );
    many(&large);
    let serve = |installation| Panel::start(installation, &["--no-login"]);
    let (data_panel, empty_panel, error_panel, many_panel) =
        (serve(&filled), serve(&empty), serve(&broken), serve(&large));
    let base = |panel: &Panel| format!("http://127.0.0.1:{}", panel.port);
    data_panel.ready("");
    empty_panel.ready("");
    many_panel.ready("");
    assert_eq!(error_panel.get("/", "").0, 503);
    let slow = filled.contract(&contract("SLOW", &filled.dir.path().join("target")));
    let plan = json!({
        "states": {
            "data": { "base": base(&data_panel), "runs": runs },
            "empty": { "base": base(&empty_panel), "runs": {} },
            "error": { "base": base(&error_panel), "runs": {}, "status": [503] },
        },
        "many": base(&many_panel),
        "program": program(),
        "directory": filled.dir.path(),
        "environment": { "PATH": "/usr/local/bin:/usr/bin:/bin", "CTO_HOME": filled.home() },
        "slow": ["run", "--contract", slow, "--", "/bin/sh", "-c", format!("sleep 6; {GOOD}")],
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/test.mjs");
    if let Some(file) = std::env::var_os("CTO_TEST_PLAN") {
        write(Path::new(&file), plan.to_string().as_bytes());
        std::thread::park_timeout(std::time::Duration::from_secs(3600));
    }
    let output = Command::new("node")
        .arg(script)
        .arg(plan.to_string())
        .env("CTO_TEST_BROWSER", driver)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    assert!(
        output.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let found: Value = serde_json::from_str(&told).unwrap();
    assert!(found["facts"]["checked"].as_u64().unwrap() > 150, "{told}");
}

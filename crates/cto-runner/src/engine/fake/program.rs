//! The body of the `fake` engine; it runs inside the cage, locked down like any engine.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::play::Step;

/// Plays a script, as the embedded program `fake`; returns its exit code.
///
/// A step that the cage refuses is not an error of the play: real agents go on as well.
pub(crate) fn play(input: &str) -> i32 {
    let Ok(steps) = serde_json::from_str::<Vec<Step>>(input) else {
        return 64;
    };
    let mut last_path = String::new();
    for step in steps {
        if let Step::Exit { code } = step {
            return code;
        }
        if let Err(error) = perform(&step, &mut last_path) {
            say(&serde_json::json!({ "type": "fake.tool", "tool": format!("refused: {error}") }).to_string());
        }
    }
    0
}

fn perform(step: &Step, last_path: &mut String) -> io::Result<()> {
    match step {
        Step::Emit { line } => say(&line.to_string()),
        Step::Garble => say("AGENT_RESULT {"),
        Step::Write { path, content } => {
            path.clone_into(last_path);
            create_parent(path)?;
            File::create(path)?.write_all(content.as_bytes())?;
        }
        Step::Append { path, content } => {
            let path = if path.is_empty() { last_path.as_str() } else { path };
            create_parent(path)?;
            OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)?
                .write_all(content.as_bytes())?;
        }
        Step::Pipe { path } => {
            rustix::fs::mknodat(
                rustix::fs::CWD,
                path,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RUSR,
                0,
            )?;
        }
        Step::Fill { path } => fill(path)?,
        Step::Run { argv } => drop(child(argv).status()?),
        Step::Leave { argv } => drop(child(argv).spawn()?),
        Step::Connect { address } => {
            let address: SocketAddr = address.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
            drop(TcpStream::connect_timeout(&address, Duration::from_secs(2))?);
        }
        Step::Hang => hang(),
        Step::Exit { .. } => {}
    }
    Ok(())
}

fn say(line: &str) {
    // A closed pipe means that the harness is gone; then nobody listens.
    if writeln!(io::stdout(), "{line}").is_err() {
        hang();
    }
}

fn create_parent(path: &str) -> io::Result<()> {
    Path::new(path).parent().map_or(Ok(()), std::fs::create_dir_all)
}

fn fill(path: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    let block = vec![b'x'; 1 << 20];
    loop {
        file.write_all(&block)?;
    }
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the engine, inside the cage: its children are its own"
)]
fn child(argv: &[String]) -> std::process::Command {
    let mut command = std::process::Command::new(argv.first().map_or("", String::as_str));
    command.args(&argv[1..]).stdin(std::process::Stdio::null());
    command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    command
}

//! Takes a credential from its source, inside the gateway's process and nowhere else.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, kill_process_group, pidfd_open};
use zeroize::Zeroizing;

use crate::order::CredentialSource;

/// No credential is longer.
const MOST_BYTES: usize = 16 << 10;
/// A secret manager may have to ask its server.
pub(crate) const COMMAND_PATIENCE: Duration = Duration::from_secs(20);

/// A credential; the bytes are wiped when it is dropped.
pub(crate) type Credential = Zeroizing<Vec<u8>>;

/// Why there is no credential; names the source, never a value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialError {
    #[error("the variable {0} is not set")]
    Unset(String),
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error("{path} {what}")]
    Exposed { path: String, what: &'static str },
    #[error("{program}: {source}")]
    Program { program: String, source: io::Error },
    #[error("{program} ended with {status}")]
    Failed { program: String, status: String },
    #[error("{program} did not end within {} s", COMMAND_PATIENCE.as_secs())]
    Slow { program: String },
    #[error("the program of the source is no absolute path")]
    Relative,
    #[error("{0} gave no credential: empty, too long, or more than one word")]
    Shape(String),
}

/// Takes the credential; `None` where the upstream wants none.
pub(crate) fn take(
    source: &CredentialSource,
    environment: &[(OsString, OsString)],
) -> Result<Option<Credential>, CredentialError> {
    let (name, bytes) = match source {
        CredentialSource::None => return Ok(None),
        CredentialSource::Environment(name) => {
            let found = environment.iter().find(|(key, _)| key == name.as_str());
            let (_, value) = found.ok_or_else(|| CredentialError::Unset(name.clone()))?;
            let value = value.as_encoded_bytes().to_vec();
            (format!("the variable {name}"), Zeroizing::new(value))
        }
        CredentialSource::File(path) => (path.display().to_string(), file(path)?),
        CredentialSource::Keyring { service, account } => {
            let words = ["lookup", "service", service, "account", account];
            ("the keyring".to_owned(), program("secret-tool", &words, environment)?)
        }
        CredentialSource::Command(argv) => {
            let words: Vec<&str> = argv.iter().map(String::as_str).collect();
            let (first, rest) = words
                .split_first()
                .filter(|(first, _)| first.starts_with('/'))
                .ok_or(CredentialError::Relative)?;
            ((*first).to_owned(), program(first, rest, environment)?)
        }
    };
    let word = Zeroizing::new(bytes.trim_ascii().to_vec());
    match !word.is_empty() && word.len() <= MOST_BYTES && word.iter().all(u8::is_ascii_graphic) {
        true => Ok(Some(word)),
        false => Err(CredentialError::Shape(name)),
    }
}

/// What is wrong with a file as a place for a credential; `None` where it is a regular file of mode 0600 or stricter that
/// belongs to whoever asks.
pub fn credential_file_fault(metadata: &Metadata) -> Option<&'static str> {
    if !metadata.is_file() {
        Some("is no regular file")
    } else if metadata.uid() != geteuid().as_raw() {
        Some("belongs to another user")
    } else if metadata.mode() & 0o177 != 0 {
        Some("can be reached by others; run: chmod 600")
    } else {
        None
    }
}

fn file(path: &Path) -> Result<Credential, CredentialError> {
    let name = path.display().to_string();
    let failed = |source| CredentialError::File {
        path: name.clone(),
        source,
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let mut opened = File::from(opened);
    let metadata = opened.metadata().map_err(failed)?;
    match credential_file_fault(&metadata) {
        Some(what) => Err(CredentialError::Exposed { path: name, what }),
        None => read(&mut opened).map_err(failed),
    }
}

/// Reads at most one byte more than a credential may have, in a buffer that never moves.
fn read(from: &mut impl Read) -> io::Result<Credential> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 1));
    from.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the gateway alone may ask for a credential, and a secret manager is a program"
)]
fn program(name: &str, words: &[&str], environment: &[(OsString, OsString)]) -> Result<Credential, CredentialError> {
    let failed = |source| CredentialError::Program {
        program: name.to_owned(),
        source,
    };
    let mut child = Command::new(name)
        .args(words)
        .env_clear()
        .envs(environment.iter().map(|(key, value)| (key, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let result = answer(name, &mut child);
    if result.is_err() {
        // Whatever it started is of its group.
        if let Some(group) = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default()) {
            let _was_gone = kill_process_group(group, Signal::KILL);
        }
        drop(child.wait());
    }
    result
}

fn answer(name: &str, child: &mut Child) -> Result<Credential, CredentialError> {
    let failed = |source: io::Error| CredentialError::Program {
        program: name.to_owned(),
        source,
    };
    let slow = || CredentialError::Slow {
        program: name.to_owned(),
    };
    let deadline = Instant::now() + COMMAND_PATIENCE;
    let mut stdout = child
        .stdout
        .take()
        .ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    let ended = pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| failed(errno.into()))?;
    let mut bytes = Zeroizing::new(vec![0; MOST_BYTES + 1]);
    let mut filled = 0;
    while filled < bytes.len() {
        // What it leaves behind may hold the pipe open; whatever it said itself is in the pipe when it has ended.
        match wait(&stdout, Some(&ended), deadline).map_err(failed)? {
            Waited::Late => return Err(slow()),
            Waited::Ended => break,
            Waited::Ready => {}
        }
        match stdout.read(&mut bytes[filled..]).map_err(failed)? {
            0 => break,
            read => filled += read,
        }
    }
    if filled > MOST_BYTES {
        return Err(CredentialError::Shape(name.to_owned()));
    }
    bytes.truncate(filled);
    if wait(&ended, None, deadline).map_err(failed)? == Waited::Late {
        return Err(slow());
    }
    let status = child.wait().map_err(failed)?;
    match status.success() {
        true => Ok(bytes),
        false => Err(CredentialError::Failed {
            program: name.to_owned(),
            status: status.to_string(),
        }),
    }
}

/// What came first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waited {
    /// The descriptor has something to read, or its end.
    Ready,
    /// The other one has ended, and there is nothing to read.
    Ended,
    /// The deadline.
    Late,
}

/// Waits until a descriptor has something to read, or else until the other one has.
fn wait(descriptor: &impl AsFd, ended: Option<&OwnedFd>, deadline: Instant) -> io::Result<Waited> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut all = vec![PollFd::new(descriptor, PollFlags::IN)];
        all.extend(ended.map(|ended| PollFd::new(ended, PollFlags::IN)));
        match poll(&mut all, Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(0) => return Ok(Waited::Late),
            Ok(_) if all.first().is_some_and(|first| !first.revents().is_empty()) => return Ok(Waited::Ready),
            Ok(_) => return Ok(Waited::Ended),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::{Credential, CredentialError, take};
    use crate::order::CredentialSource;

    fn taken(source: &CredentialSource) -> Result<Option<Credential>, CredentialError> {
        let environment = [("KEY", "from-environment\n"), ("EMPTY", " "), ("TWO", "a b")];
        let environment = environment.map(|(key, value)| (OsString::from(key), OsString::from(value)));
        take(source, &environment)
    }

    fn says(source: &CredentialSource, part: &str) {
        let text = taken(source).unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    }

    fn shell(script: &str) -> CredentialSource {
        CredentialSource::Command(["/bin/sh", "-c", script].map(str::to_owned).to_vec())
    }

    #[test]
    fn each_source_gives_its_word_without_the_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::File::create(&path)
            .unwrap()
            .set_permissions(Permissions::from_mode(0o600))
            .unwrap();
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), b"from-file\n").unwrap();
        for (source, word) in [
            (CredentialSource::Environment("KEY".to_owned()), "from-environment"),
            (CredentialSource::File(path), "from-file"),
            (shell("echo from-command"), "from-command"),
            // What it leaves behind has its standard output, too.
            (shell("sleep 30 & echo from-command"), "from-command"),
        ] {
            assert_eq!(
                taken(&source).unwrap().unwrap().as_slice(),
                word.as_bytes(),
                "{source:?}"
            );
        }
        assert!(taken(&CredentialSource::None).unwrap().is_none());
    }

    #[test]
    fn files_that_others_reach_or_that_are_no_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let file = std::fs::File::create(&path).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o700] {
            file.set_permissions(Permissions::from_mode(mode)).unwrap();
            says(&CredentialSource::File(path.clone()), "chmod 600");
        }
        file.set_permissions(Permissions::from_mode(0o600)).unwrap();
        says(&CredentialSource::File(path.clone()), "gave no credential");
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        says(&CredentialSource::File(link), "symbolic link");
        says(&CredentialSource::File(dir.path().to_owned()), "no regular file");
        says(&CredentialSource::File(dir.path().join("none")), "No such file");
        assert!(Path::new("/dev/zero").exists());
        says(&CredentialSource::File("/dev/zero".into()), "no regular file");
    }

    #[test]
    fn programs_that_fail_say_too_much_or_nothing_are_refused() {
        says(&shell("echo secret; exit 3"), "exit status: 3");
        says(&shell("yes"), "gave no credential");
        says(&shell("true"), "gave no credential");
        says(&shell("echo two words"), "gave no credential");
        says(
            &CredentialSource::Command(vec!["/no/such/program".to_owned()]),
            "No such file",
        );
        says(&CredentialSource::Command(vec!["sh".to_owned()]), "absolute");
        says(&CredentialSource::Command(Vec::new()), "absolute");
        for name in ["UNSET", "EMPTY", "TWO"] {
            assert!(
                taken(&CredentialSource::Environment(name.to_owned())).is_err(),
                "{name}"
            );
        }
    }
}

//! The one place that starts git, under an environment that no repository, user or host can configure.

mod error;
mod process;
mod quote;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use cto_schema::escape;

use crate::watch::Stop;

pub use error::GitError;
pub(crate) use process::GitProcess;
pub(crate) use quote::quote_path;

/// Where git is looked for, in this order; `PATH` is never asked, because a target could put a git there.
pub const GIT_DIRECTORIES: [&str; 2] = ["/usr/local/bin", "/usr/bin"];
/// The oldest git whose options are all used here.
pub const OLDEST_GIT: (u32, u32) = (2, 40);
/// How long one call may take: an object that is a FIFO must not hold a run for ever.
const CALL_LIMIT: Duration = Duration::from_secs(600);

/// Settings that hold for every call, because git reads them from nowhere else.
const SETTINGS: [&str; 20] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.autocrlf=false",
    "core.fileMode=true",
    "core.symlinks=true",
    "core.quotePath=true",
    "core.askPass=/bin/false",
    // Both are unchecked copies of what the objects say: a hostile repository could make them lie.
    "core.commitGraph=false",
    "core.multiPackIndex=false",
    "pack.useBitmaps=false",
    "protocol.allow=never",
    "safe.bareRepository=explicit",
    "safe.directory=*",
    "gc.auto=0",
    "maintenance.auto=false",
    "diff.external=",
    "submodule.recurse=false",
];

/// A git program.
#[derive(Clone, Debug)]
pub struct Git {
    program: PathBuf,
    version: OnceLock<(u32, u32)>,
    started: Arc<AtomicU64>,
    limit: Duration,
    stop: Option<Stop>,
}

impl Git {
    /// Finds git in [`GIT_DIRECTORIES`].
    pub fn find() -> Result<Self, GitError> {
        let usable = |path: &Path| {
            path.metadata()
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        };
        let mut candidates = GIT_DIRECTORIES.iter().map(|directory| Path::new(directory).join("git"));
        candidates
            .find(|path| usable(path))
            .map(Self::at)
            .ok_or_else(|| GitError::Missing {
                searched: GIT_DIRECTORIES
                    .iter()
                    .map(|directory| (*directory).to_owned())
                    .collect(),
            })
    }

    /// Uses the program at an absolute path.
    pub fn at(program: PathBuf) -> Self {
        Self {
            program,
            version: OnceLock::new(),
            started: Arc::default(),
            limit: CALL_LIMIT,
            stop: None,
        }
    }

    /// Returns a git whose calls also end when the operator wants to stop.
    ///
    /// It is for what comes before the engine; afterwards the evidence is worth waiting for.
    pub(crate) fn stopped_by(&self, stop: &Stop) -> Self {
        Self {
            stop: Some(stop.clone()),
            ..self.clone()
        }
    }

    /// Uses another limit than the usual one for each call.
    pub(crate) fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Returns the program's path.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Returns how many processes were started: the cached way must start none.
    pub fn processes_started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Returns the version, asked once, and refuses one that is too old.
    pub fn version(&self) -> Result<(u32, u32), GitError> {
        if let Some(version) = self.version.get() {
            return Ok(*version);
        }
        let said = self.run(GitCall::new("version").cap(4096))?;
        let text = String::from_utf8_lossy(&said);
        let version = text
            .strip_prefix("git version ")
            .and_then(parse_version)
            .filter(|found| *found >= OLDEST_GIT);
        let version = version.ok_or_else(|| GitError::Version {
            program: self.program.clone(),
            said: escape(text.trim_end().as_bytes(), 100),
        })?;
        Ok(*self.version.get_or_init(|| version))
    }

    /// Runs a call to its end and returns what it wrote.
    pub(crate) fn run(&self, call: GitCall) -> Result<Vec<u8>, GitError> {
        let cap = call.cap;
        let mut process = self.start(call)?;
        let mut output = Vec::new();
        let read = process.by_ref().take(cap.saturating_add(1)).read_to_end(&mut output);
        if let Err(source) = read {
            return Err(process.explain(source));
        }
        if output.len() as u64 > cap {
            return Err(process.too_large(cap));
        }
        process.finish()?;
        Ok(output)
    }

    /// Runs `first | second` and returns what the second wrote; the first one's failure is told first.
    pub(crate) fn pipe(&self, first: GitCall, second: GitCall) -> Result<Vec<u8>, GitError> {
        let mut source = self.start(first)?;
        let second = match source.take_output() {
            Some(stdout) => second.input(Input::Pipe(stdout)),
            None => second,
        };
        match self.run(second) {
            // The first one is stuck as well; dropping it ends it.
            Err(error @ (GitError::TimedOut { .. } | GitError::Stopped { .. })) => Err(error),
            result => {
                source.finish()?;
                result
            }
        }
    }

    /// Starts a call whose output is read as it comes.
    pub(crate) fn start(&self, call: GitCall) -> Result<GitProcess, GitError> {
        let command = call
            .arguments
            .first()
            .map(|word| word.to_string_lossy().into_owned())
            .unwrap_or_default();
        let failed = |source| GitError::Io {
            program: self.program.clone(),
            source,
        };
        let mut child = self.command(&call);
        let input = match call.input {
            Input::None => Stdio::null(),
            Input::Bytes(bytes) => Stdio::from(memory_file(&bytes).map_err(failed)?),
            Input::File(file) => Stdio::from(file),
            Input::Pipe(stdout) => Stdio::from(stdout),
        };
        if let Some(directory) = &call.directory {
            child.current_dir(directory);
        } else {
            child.current_dir("/");
        }
        child.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let until = Instant::now() + self.limit;
        let process = GitProcess::start(&mut child, command, self.stop.clone(), until).map_err(failed)?;
        self.started.fetch_add(1, Ordering::Relaxed);
        Ok(process)
    }

    #[expect(clippy::disallowed_methods, reason = "tool.rs is the one module that starts git")]
    fn command(&self, call: &GitCall) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().envs([
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_LITERAL_PATHSPECS", "1"),
            ("GIT_CEILING_DIRECTORIES", "/"),
            ("LC_ALL", "C"),
            ("TZ", "UTC"),
            ("HOME", "/nonexistent"),
            ("PATH", "/usr/bin:/bin"),
        ]);
        command.envs(call.environment.iter().map(|(name, value)| (name, value)));
        for setting in SETTINGS.iter().chain(&call.settings) {
            command.arg("-c").arg(setting);
        }
        command.args(&call.arguments);
        command
    }
}

/// What a call reads.
#[derive(Debug)]
pub(crate) enum Input {
    None,
    Bytes(Vec<u8>),
    File(File),
    Pipe(ChildStdout),
}

/// One call of git.
#[derive(Debug)]
pub(crate) struct GitCall {
    arguments: Vec<OsString>,
    settings: Vec<&'static str>,
    environment: Vec<(&'static str, OsString)>,
    directory: Option<PathBuf>,
    input: Input,
    cap: u64,
}

impl GitCall {
    pub(crate) fn new(command: &str) -> Self {
        let arguments = vec![OsString::from(command)];
        Self {
            arguments,
            settings: Vec::new(),
            environment: Vec::new(),
            directory: None,
            input: Input::None,
            cap: 64 << 20,
        }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// A git directory that the harness made; never a target's.
    pub(crate) fn git_dir(self, path: &Path) -> Self {
        self.variable("GIT_DIR", path.as_os_str())
    }

    pub(crate) fn work_tree(self, path: &Path) -> Self {
        self.variable("GIT_WORK_TREE", path.as_os_str())
    }

    pub(crate) fn index_file(self, path: &Path) -> Self {
        self.variable("GIT_INDEX_FILE", path.as_os_str())
    }

    /// Lends the objects of another repository, and nothing else of it.
    pub(crate) fn alternate_objects(self, objects: &Path) -> Self {
        self.alternate_object_directories(&[objects])
    }

    /// Lends the objects of several repositories.
    pub(crate) fn alternate_object_directories(self, directories: &[&Path]) -> Self {
        let quoted = directories.iter().map(|path| quote_path(path.as_os_str().as_bytes()));
        let joined = OsString::from_vec(quoted.collect::<Vec<_>>().join(&b':'));
        self.variable("GIT_ALTERNATE_OBJECT_DIRECTORIES", &joined)
    }

    /// For `check-ignore`, which refuses to be told that paths are literal.
    pub(crate) fn unmarked_paths(self) -> Self {
        self.variable("GIT_LITERAL_PATHSPECS", OsStr::new("0"))
    }

    /// Says who moves a ref, for its log.
    pub(crate) fn committer(self, name: &str, email: &str, seconds: i64) -> Self {
        self.variable("GIT_COMMITTER_NAME", OsStr::new(name))
            .variable("GIT_COMMITTER_EMAIL", OsStr::new(email))
            .variable("GIT_COMMITTER_DATE", OsStr::new(&format!("{seconds} +0000")))
    }

    /// Lets git refresh an index, which is then the harness's own.
    pub(crate) fn allow_index_refresh(self) -> Self {
        self.variable("GIT_OPTIONAL_LOCKS", OsStr::new("1"))
    }

    /// Adds a setting of this call alone.
    pub(crate) fn setting(mut self, setting: &'static str) -> Self {
        self.settings.push(setting);
        self
    }

    /// Keeps git from making durable what is thrown away, or what the caller makes durable as a whole.
    pub(crate) fn unsynced(self) -> Self {
        self.setting("core.fsync=none")
    }

    pub(crate) fn directory(mut self, path: &Path) -> Self {
        self.directory = Some(path.to_owned());
        self
    }

    pub(crate) fn input(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    /// Takes at most so many bytes of output.
    pub(crate) fn cap(mut self, bytes: u64) -> Self {
        self.cap = bytes;
        self
    }

    fn variable(mut self, name: &'static str, value: &OsStr) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }
}

/// Puts input in memory, so that no second thread has to feed it.
fn memory_file(bytes: &[u8]) -> io::Result<File> {
    use std::io::Seek as _;
    let mut file = File::from(rustix::fs::memfd_create("git-input", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim_end().split(['.', ' ']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests;

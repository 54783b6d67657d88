//! An engine whose program is a stub: it gets what the engine would get, writes that down, and plays its stream.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use cto_sandbox::{HOME, Program, WORKSPACE};
use cto_schema::{EngineDocument, EngineParser, EngineStream};

use crate::engine::{
    Engine, EngineError, EngineManifest, EngineOutput, EngineTask, HomeFile, Installation, Invocation, Keep,
    Normalized, Places, Search, sample_stream,
};
use crate::ground::PROGRAM;

/// Where the stub's own files lie in the private home.
const OWN: &str = ".cto-stub";
/// Where what it saw lies below `backend/`.
pub(super) const SEEN: &str = "stub";

/// What the stub does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Play {
    /// It makes the change and prints a whole stream.
    Complete,
    /// It makes the change, and its stream ends before its final event.
    WithoutEnd,
    /// It prints a text on standard error and ends with 1, its stream unfinished.
    Says(String),
    /// It makes the change, prints a whole stream, and ends with 3.
    ExitsWithThree,
    /// It does nothing, for longer than anybody waits.
    Hangs,
    /// It makes the change, commits it, prints a whole stream, and stays.
    CommitsAndStays,
}

/// What the engine was to be started with.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The arguments after the program.
    pub(super) argv: Vec<OsString>,
    /// The arguments as evidence shows them.
    pub(super) shown: Vec<String>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) home: BTreeMap<PathBuf, Vec<u8>>,
    pub(super) inputs: BTreeMap<PathBuf, Vec<u8>>,
}

/// An engine with a stub in place of its program.
#[derive(Debug)]
pub(super) struct Stub {
    inner: Arc<dyn Engine>,
    about: EngineManifest,
    play: Play,
    edit: BTreeMap<String, String>,
    asked: Mutex<Option<Asked>>,
}

impl Stub {
    /// `edit` is the change that it makes: files and their content.
    pub(super) fn new(inner: Arc<dyn Engine>, play: Play, edit: BTreeMap<String, String>) -> Self {
        let mut about = inner.manifest().clone();
        // Nobody wants to wait for as long as for a real one.
        about.lifecycle_idle_seconds = about.lifecycle_idle_seconds.map(|_| 1);
        Self {
            inner,
            about,
            play,
            edit,
            asked: Mutex::new(None),
        }
    }

    /// Returns what the engine was to be started with; `None` when no run came so far.
    pub(super) fn asked(&self) -> Option<Asked> {
        self.asked.lock().ok()?.clone()
    }

    /// How its stream is read.
    fn stream(&self) -> EngineStream {
        self.inner.document().map_or(
            EngineStream {
                parser: EngineParser::Lines,
                final_event: None,
                jsonl: None,
                logs: vec![],
            },
            |document| document.stream.clone(),
        )
    }

    fn script(&self, inputs: &BTreeMap<PathBuf, Vec<u8>>) -> String {
        let seen = format!("{HOME}/{OWN}/seen");
        let mut script = format!(
            "mkdir -p {seen}\nprintf '%s\\0' \"$@\" > {seen}/argv\nenv -0 > {seen}/env\n\
             cd {HOME} && find . -type f ! -path './{OWN}/*' -exec sha256sum {{}} + > {seen}/home\ncd {WORKSPACE}\n\
             : > {seen}/inputs\n"
        );
        let looks = inputs
            .keys()
            .map(|path| format!("sha256sum '{}' >> {seen}/inputs\n", path.display()));
        script.extend(looks);
        let edit: String = self
            .edit
            .keys()
            .map(|path| format!("cp {HOME}/{OWN}/edit/'{path}' '{path}'\n"))
            .collect();
        let print = match self.stream().logs.first() {
            Some(glob) => {
                let log = glob.replace('*', "run-stub");
                let directory = Path::new(&log).parent().unwrap_or(Path::new("."));
                format!("mkdir -p '{}'\ncp {HOME}/{OWN}/stream '{log}'\n", directory.display())
            }
            None => format!("cat {HOME}/{OWN}/stream\n"),
        };
        let rest = match &self.play {
            Play::Complete | Play::WithoutEnd => format!("{edit}{print}"),
            Play::Says(_) => format!("{print}cat {HOME}/{OWN}/said >&2\nexit 1\n"),
            Play::ExitsWithThree => format!("{edit}{print}exit 3\n"),
            Play::Hangs => "sleep 600\n".to_owned(),
            Play::CommitsAndStays => format!(
                "{edit}git -c user.name=stub -c user.email=stub@cto.invalid commit --quiet --all --message=change\n\
                 {print}sleep 600\n"
            ),
        };
        script.push_str(&rest);
        script
    }

    fn files(&self, inputs: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<HomeFile> {
        let file = |name: &str, content: Vec<u8>| HomeFile {
            path: Path::new(OWN).join(name),
            content,
            mode: 0o600,
        };
        let whole = sample_stream(&self.stream());
        let stream = match self.play {
            Play::WithoutEnd | Play::Says(_) => without_last_line(&whole),
            _ => whole,
        };
        let mut files = vec![file("play", self.script(inputs).into_bytes()), file("stream", stream)];
        if let Play::Says(text) = &self.play {
            files.push(file("said", format!("{text}\n").into_bytes()));
        }
        for (path, content) in &self.edit {
            files.push(file(&format!("edit/{path}"), content.clone().into_bytes()));
        }
        files
    }
}

fn without_last_line(bytes: &[u8]) -> Vec<u8> {
    let whole = bytes.trim_ascii_end();
    let end = whole.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    whole[..end].to_vec()
}

impl Engine for Stub {
    fn manifest(&self) -> &EngineManifest {
        &self.about
    }

    fn document(&self) -> Option<&EngineDocument> {
        self.inner.document()
    }

    fn search(&self, places: &Places<'_>) -> Search {
        if self.inner.document().is_none() {
            return self.inner.search(places);
        }
        match std::fs::canonicalize(PROGRAM) {
            Ok(program) => Search::Found(Box::new(Installation {
                program,
                interpreter: None,
                binds: vec![],
                package: None,
                how: "a stub".to_owned(),
            })),
            Err(error) => Search::Missing {
                looked: vec![format!("{PROGRAM}: {error}")],
                mend: "install a shell".to_owned(),
            },
        }
    }

    fn program(&self, task: &EngineTask<'_>) -> Option<OsString> {
        self.inner.program(task)
    }

    fn invocation(&self, task: &EngineTask<'_>) -> Result<Invocation, EngineError> {
        let mut invocation = self.inner.invocation(task)?;
        let words = match &invocation.program {
            Program::Argv(argv) => argv.get(1..).unwrap_or_default().to_vec(),
            Program::Embedded { .. } => vec![],
        };
        let inputs: BTreeMap<_, _> = invocation
            .inputs
            .iter()
            .map(|file| (file.path.clone(), file.content.clone()))
            .collect();
        if let Ok(mut asked) = self.asked.lock() {
            *asked = Some(Asked {
                argv: words.clone(),
                shown: invocation.shown.get(1..).unwrap_or_default().to_vec(),
                env: invocation.env.clone(),
                home: invocation
                    .home
                    .iter()
                    .map(|file| (file.path.clone(), file.content.clone()))
                    .collect(),
                inputs: inputs.clone(),
            });
        }
        let play = format!("{HOME}/{OWN}/play");
        let argv = [PROGRAM, &play].map(OsString::from).into_iter().chain(words);
        invocation.program = Program::Argv(argv.collect());
        invocation.home.extend(self.files(&inputs));
        invocation.keep.push(Keep {
            from: Path::new(OWN).join("seen"),
            to: SEEN.to_owned(),
            max_bytes: 4 << 20,
        });
        Ok(invocation)
    }

    fn normalize(&self, output: &EngineOutput<'_>) -> Normalized {
        self.inner.normalize(output)
    }
}

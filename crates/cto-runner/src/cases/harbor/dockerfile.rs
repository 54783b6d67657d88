//! The Dockerfile of a task, as far as files can be had from it without building anything.

use cto_schema::escape;

use super::super::{CaseFile, CaseFileKind};

/// Images that bring nothing but a distribution or a language, which the host has to bring.
const PLAIN_IMAGES: [&str; 9] = [
    "ubuntu",
    "debian",
    "alpine",
    "python",
    "node",
    "golang",
    "rust",
    "ghcr.io/laude-institute/t-bench/ubuntu-24-04",
    "ghcr.io/laude-institute/t-bench/python-3-13",
];
/// Variables that change nothing that a case is about.
const PLAIN_VARIABLES: [&str; 8] = [
    "DEBIAN_FRONTEND",
    "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE",
    "PIP_NO_CACHE_DIR",
    "LANG",
    "LC_ALL",
    "TZ",
    "TERM",
];

/// What a Dockerfile gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dockerfile {
    pub(super) image: String,
    /// Where the task works: absolute, without a slash at its end.
    pub(super) workdir: String,
    copies: Vec<Copy>,
}

/// One `COPY`, with its destination absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Copy {
    line: usize,
    sources: Vec<String>,
    to: String,
    into_directory: bool,
    mode: Option<CaseFileKind>,
}

/// Reads a Dockerfile; each instruction that would need a build is a problem of its own.
pub(super) fn read(text: &str, problems: &mut Vec<String>) -> Option<Dockerfile> {
    let mut found = Dockerfile::default();
    let before = problems.len();
    for (line, instruction) in instructions(text) {
        let (word, rest) = instruction
            .split_once(char::is_whitespace)
            .unwrap_or((&instruction, ""));
        if let Err(why) = found.take(line, &word.to_ascii_uppercase(), rest.trim()) {
            let shown = escape(instruction.as_bytes(), 100);
            problems.push(format!("environment/Dockerfile, line {line}: '{shown}': {why}"));
        }
    }
    if found.image.is_empty() {
        problems.push("environment/Dockerfile has no FROM".to_owned());
    }
    if problems.len() == before && matches!(found.workdir.as_str(), "" | "/") {
        problems.push(
            "environment/Dockerfile has no WORKDIR below /; the working directory becomes the workspace, so name one"
                .to_owned(),
        );
    }
    (problems.len() == before).then_some(found)
}

/// Splits a text into instructions, each with its first line; continued lines are joined.
fn instructions(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('#') || (line.is_empty() && !open) {
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

impl Dockerfile {
    fn take(&mut self, line: usize, word: &str, rest: &str) -> Result<(), String> {
        match word {
            "FROM" => self.from(rest),
            "WORKDIR" => {
                self.workdir = absolute(&self.workdir, rest.trim_matches('"'))?;
                Ok(())
            }
            "COPY" | "ADD" => self.copy(line, word, rest),
            "LABEL" | "MAINTAINER" => Ok(()),
            "ENV" => environment(rest),
            "USER" if matches!(rest, "root" | "0" | "root:root" | "0:0") => Ok(()),
            "CMD" if idles(rest) => Ok(()),
            "RUN" => Err(
                "nothing is built here, so nothing that it would install or make is there; freeze packages with \
                          cto deps in a case of your own, and put files into environment/ and COPY them"
                    .to_owned(),
            ),
            "USER" => Err("who runs in a cage is the harness's choice; leave it away".to_owned()),
            "CMD" | "ENTRYPOINT" => Err("no service runs beside the agent; leave it away".to_owned()),
            _ => Err("it has no counterpart here; leave it away if the task does without".to_owned()),
        }
    }

    fn from(&mut self, rest: &str) -> Result<(), String> {
        if !self.image.is_empty() {
            return Err("a build of several stages cannot be made here".to_owned());
        }
        let mut words = rest.split_whitespace().filter(|word| !word.starts_with("--platform="));
        let image = words.next().unwrap_or_default();
        image.clone_into(&mut self.image);
        let untagged = image.split('@').next().unwrap_or_default();
        let name = match untagged.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => name,
            _ => untagged,
        };
        let plain = name.strip_prefix("docker.io/").unwrap_or(name);
        let plain = plain.strip_prefix("library/").unwrap_or(plain);
        if words.next().is_some_and(|word| !word.eq_ignore_ascii_case("as")) || !PLAIN_IMAGES.contains(&plain) {
            return Err(
                "the files of an image of one's own are not here; start from a plain image (ubuntu, debian, python, …) and \
                 COPY what the task needs"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn copy(&mut self, line: usize, word: &str, rest: &str) -> Result<(), String> {
        if rest.contains("<<") {
            return Err("text in the Dockerfile itself is not read; put it into a file and COPY that".to_owned());
        }
        let mut mode = None;
        let mut words = Vec::new();
        for piece in pieces(rest)? {
            match piece.strip_prefix("--chmod=") {
                Some("755" | "0755" | "+x" | "a+x" | "775" | "0775" | "777" | "0777") => {
                    mode = Some(CaseFileKind::Executable);
                }
                Some("644" | "0644" | "664" | "0664" | "666" | "0666") => mode = Some(CaseFileKind::Plain),
                Some(_) => return Err("this mode has no counterpart here; use 644 or 755".to_owned()),
                None if piece.starts_with("--") => {
                    return Err("an option of COPY has no counterpart here, other than --chmod".to_owned());
                }
                None => words.push(piece),
            }
        }
        let to = words.pop().ok_or("it names no destination")?;
        if words.is_empty() {
            return Err("it names no source".to_owned());
        }
        for source in &words {
            if source.contains("://") || source.starts_with("git@") {
                return Err("there is no network; put the file into environment/".to_owned());
            }
            if source.contains(['*', '?', '[', '$']) {
                return Err("patterns and variables are not read; name the files".to_owned());
            }
            if word == "ADD"
                && [".tar", ".gz", ".tgz", ".xz", ".bz2", ".zst"]
                    .iter()
                    .any(|end| source.ends_with(end))
            {
                return Err("archives are not unpacked; unpack it in environment/".to_owned());
            }
        }
        let into_directory = to.ends_with('/') || to.ends_with("/.") || to == "." || words.len() > 1;
        let to = absolute(&self.workdir, &to)?;
        self.copies.push(Copy {
            line,
            sources: words,
            into_directory: into_directory || to == self.workdir,
            to,
            mode,
        });
        Ok(())
    }

    /// Returns the files of the working directory; a copy that leads elsewhere is a problem.
    pub(super) fn fixture(&self, context: &[CaseFile], problems: &mut Vec<String>) -> Vec<CaseFile> {
        let mut files: Vec<CaseFile> = Vec::new();
        for copy in &self.copies {
            for source in &copy.sources {
                match self.copied(copy, source, context) {
                    Ok(more) => {
                        for file in more {
                            // A later copy replaces what an earlier one put there.
                            files.retain(|known| known.path != file.path);
                            files.push(file);
                        }
                    }
                    Err(why) => problems.push(format!("environment/Dockerfile, line {}: {why}", copy.line)),
                }
            }
        }
        files
    }

    fn copied(&self, copy: &Copy, source: &str, context: &[CaseFile]) -> Result<Vec<CaseFile>, String> {
        let shown = escape(source.as_bytes(), 120);
        let from = absolute("/", source)?;
        let from = from.trim_start_matches('/');
        let below = if from.is_empty() {
            String::new()
        } else {
            format!("{from}/")
        };
        let target = format!("{}/", self.workdir);
        let inside = |path: &str| -> Result<Vec<u8>, String> {
            path.strip_prefix(&target).map(|path| path.as_bytes().to_vec()).ok_or_else(|| {
                format!(
                    "'{shown}' goes to {}, and only what lies below the working directory {} is the workspace; COPY it there",
                    escape(path.as_bytes(), 120),
                    self.workdir
                )
            })
        };
        let put = |file: &CaseFile, path: &str| -> Result<CaseFile, String> {
            Ok(CaseFile {
                path: inside(path)?,
                bytes: file.bytes.clone(),
                kind: match (file.kind, copy.mode) {
                    (CaseFileKind::Link, _) | (_, None) => file.kind,
                    (_, Some(mode)) => mode,
                },
            })
        };
        if let Some(file) = context.iter().find(|file| file.path == from.as_bytes()) {
            let name = from.rsplit('/').next().unwrap_or(from);
            let path = if copy.into_directory {
                format!("{}/{name}", copy.to)
            } else {
                copy.to.clone()
            };
            return Ok(vec![put(file, &path)?]);
        }
        let mut found = Vec::new();
        for file in context {
            let Some(rest) = file.path.strip_prefix(below.as_bytes()) else {
                continue;
            };
            let rest = std::str::from_utf8(rest).map_err(|_| format!("'{shown}' holds a name that is not UTF-8"))?;
            found.push(put(file, &format!("{}/{rest}", copy.to))?);
        }
        if found.is_empty() {
            return Err(format!("'{shown}' is not in environment/"));
        }
        Ok(found)
    }
}

/// Splits what follows `COPY` into words, or reads it as a JSON list.
fn pieces(rest: &str) -> Result<Vec<String>, String> {
    if rest.starts_with('[') {
        return serde_json::from_str(rest).map_err(|_| "it is no list of strings".to_owned());
    }
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}

/// Returns an absolute path without `.`, seen from the working directory; one that leads up is refused.
fn absolute(workdir: &str, path: &str) -> Result<String, String> {
    if path.contains('$') || path.contains('\\') {
        return Err("variables and escapes in paths are not read; write the path itself".to_owned());
    }
    let whole = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{workdir}/{path}")
    };
    let parts: Vec<&str> = whole
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return Err("a path that leads up is not read; write it without '..'".to_owned());
    }
    Ok(format!("/{}", parts.join("/")))
}

fn environment(rest: &str) -> Result<(), String> {
    let names: Vec<&str> = if rest.contains('=') {
        rest.split_whitespace()
            .filter_map(|pair| Some(pair.split_once('=')?.0))
            .collect()
    } else {
        rest.split_whitespace().take(1).collect()
    };
    if names.iter().all(|name| PLAIN_VARIABLES.contains(name)) {
        return Ok(());
    }
    Err("variables cannot be given to a case; write the values into the task's files".to_owned())
}

/// A command that only keeps a container alive; Harbor replaces it anyway.
fn idles(rest: &str) -> bool {
    let words = pieces(rest).unwrap_or_default();
    let text = words.join(" ");
    [
        "bash",
        "sh",
        "/bin/bash",
        "/bin/sh",
        "sleep infinity",
        "tail -f /dev/null",
        "sh -c sleep infinity",
    ]
    .contains(&text.as_str())
}

//! Toolchains outside `/usr`: which there are, what to map read-only, and what never to map.
//!
//! Sandboxes see `/usr` and nothing of a home directory. A toolchain that lives in one must be mapped by its own
//! root, never by a parent that also holds credentials, caches or other people's files.

mod known;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use known::{SINGLE, VERSIONS};

/// Where programs are looked up when no toolchain is enabled.
pub(crate) const SYSTEM_PATH: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// A toolchain that a sandbox does not see by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// Name and version for people, such as `rust 1.95.0`.
    pub name: String,
    /// Directory to map read-only; it holds nothing but the toolchain.
    pub root: PathBuf,
    /// Directories for the search path, all below `root`.
    pub bin: Vec<PathBuf>,
    /// Variables that its programs need.
    pub environment: BTreeMap<String, String>,
    /// What people must know before they enable it.
    pub notes: Vec<String>,
}

impl Toolchain {
    /// Returns the lines of `harness.yaml` that enable it.
    pub fn enable(&self) -> String {
        let root = serde_json::Value::from(self.root.to_string_lossy()).to_string();
        format!("toolchains:\n  - {root}\n")
    }
}

/// Names of directories that hold secrets; a root that has one is named, and mapped by nobody.
const SECRETS: &[&str] = &[
    "credentials",
    "credentials.toml",
    ".npmrc",
    ".pypirc",
    ".netrc",
    ".ssh",
    ".aws",
    ".gnupg",
    "auth.json",
];

/// Finds the toolchains in a home directory and in the search path outside `/usr`, sorted by root.
///
/// Nothing is started and no variable is read: both values are given.
pub fn discover(home: Option<&Path>, path: &str) -> Vec<Toolchain> {
    let mut found: BTreeMap<PathBuf, Toolchain> = BTreeMap::new();
    for toolchain in home
        .map(in_home)
        .unwrap_or_default()
        .into_iter()
        .chain(in_path(home, path))
    {
        found.entry(toolchain.root.clone()).or_insert(toolchain);
    }
    found.into_values().collect()
}

fn in_home(home: &Path) -> Vec<Toolchain> {
    let mut found = Vec::new();
    for kind in VERSIONS {
        for root in directories(&home.join(kind.directory)) {
            let version = root
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            if root.join(kind.program).exists() {
                let note = (!kind.note.is_empty()).then_some(kind.note);
                let bin = root.join(kind.program);
                found.push(toolchain(
                    &format!("{} {version}", kind.name),
                    &root,
                    bin.parent(),
                    note,
                ));
            }
        }
    }
    for (name, directory, program, note) in SINGLE {
        let root = home.join(directory);
        if root.join(program).exists() {
            let bin = root.join(program);
            let note = (!note.is_empty()).then_some(*note);
            found.push(toolchain(
                name,
                &root,
                if *program == ".bin" { Some(&bin) } else { bin.parent() },
                note,
            ));
        }
    }
    found
}

/// Takes the remaining entries of the search path: an installation by its `bin`, anything else as it stands.
fn in_path(home: Option<&Path>, path: &str) -> Vec<Toolchain> {
    let mut found = Vec::new();
    for entry in path.split(':').map(Path::new) {
        let plain = entry.is_absolute() && !entry.components().any(|part| part == Component::ParentDir);
        let system = ["/usr", "/bin", "/sbin"].iter().any(|prefix| entry.starts_with(prefix));
        // Shims choose a version by files in the home: the versions themselves are found above.
        let shims = entry.components().any(|part| part.as_os_str() == "shims");
        if !plain || system || shims || !entry.is_dir() || home.is_some_and(|home| known(home, entry)) {
            continue;
        }
        let parent = entry.parent().filter(|_| entry.ends_with("bin"));
        let root = parent.filter(|root| is_installation(root, home)).unwrap_or(entry);
        let name = root
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        found.push(toolchain(&format!("{name} (search path)"), root, Some(entry), None));
    }
    found
}

/// Entries that belong to a toolchain which is found by its versions, or that would map more than programs.
fn known(home: &Path, entry: &Path) -> bool {
    let covered = [
        ".cargo",
        ".rustup",
        ".pyenv",
        ".nvm",
        ".volta",
        ".asdf",
        ".sdkman",
        ".bun",
        ".deno",
        ".local/share",
    ];
    covered.iter().any(|directory| entry.starts_with(home.join(directory))) || entry == home
}

/// Returns whether a directory looks like the root of one installation and nothing else.
fn is_installation(root: &Path, home: Option<&Path>) -> bool {
    let shared = home.is_some_and(|home| root == home || home.starts_with(root))
        || root.ends_with(".local")
        || root.components().count() < 3;
    !shared
        && ["lib", "lib64", "libexec", "share", "include", "pkg"]
            .iter()
            .any(|name| root.join(name).is_dir())
        && secrets(root).is_empty()
}

fn toolchain(name: &str, root: &Path, bin: Option<&Path>, note: Option<&str>) -> Toolchain {
    let mut notes: Vec<String> = note.into_iter().map(str::to_owned).collect();
    for secret in secrets(root) {
        notes.push(format!(
            "'{secret}' is in it and would be readable in every sandbox: remove it before you enable this"
        ));
    }
    let mut environment = BTreeMap::new();
    if name.starts_with("java") {
        environment.insert("JAVA_HOME".to_owned(), root.to_string_lossy().into_owned());
    }
    if name == "cargo programs"
        && let Some(home) = root.parent().and_then(Path::parent)
    {
        environment.insert(
            "RUSTUP_HOME".to_owned(),
            home.join(".rustup").to_string_lossy().into_owned(),
        );
    }
    let bin = bin.map(Path::to_owned).into_iter().collect();
    Toolchain {
        name: name.to_owned(),
        root: root.to_owned(),
        bin,
        environment,
        notes,
    }
}

/// Describes a root that configuration names: its `bin` directory, or itself where the programs lie in it.
pub(crate) fn from_root(root: &Path) -> Toolchain {
    let places = [root.join("bin"), root.join("installation/bin"), root.to_owned()];
    let bin = places.iter().find(|place| place.is_dir()).map(PathBuf::as_path);
    let name = root
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    toolchain(&name, root, bin, None)
}

fn secrets(root: &Path) -> Vec<&'static str> {
    SECRETS
        .iter()
        .filter(|name| root.join(name).exists())
        .copied()
        .collect()
}

/// Lists directories, sorted; a link (`current`, `default`) is a second name for one of them.
fn directories(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Returns the search path of a sandbox: enabled toolchains first, then the system's.
pub(crate) fn search_path(enabled: &[Toolchain]) -> Vec<PathBuf> {
    let mut path: Vec<PathBuf> = enabled
        .iter()
        .flat_map(|toolchain| toolchain.bin.iter().cloned())
        .collect();
    path.extend(SYSTEM_PATH.iter().map(PathBuf::from));
    path
}

/// Finds a program in absolute directories; a name with a slash, an empty or a relative entry never matches, so that
/// the current directory has no say.
pub(crate) fn find_program(name: &str, path: &[PathBuf]) -> Option<PathBuf> {
    if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
        return None;
    }
    let directories = path.iter().filter(|directory| directory.is_absolute());
    directories.map(|directory| directory.join(name)).find(|program| {
        fs::metadata(program).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

//! The cages of one run: the same view, environment and limits for the engine and for every verification command.

use std::ffi::OsString;
use std::path::PathBuf;

use cto_sandbox::{Bind, Change, JailSpec, Limits, Observe, Program, Workspace};
use cto_schema::{Enforce, Sha256Digest, TaskContract};

use crate::baseline::Baseline;
use crate::settings::{SandboxSettings, WorkspaceKind};
use crate::toolchains::{Toolchain, search_path};

/// What every cage of a run has in common.
#[derive(Debug)]
pub(crate) struct CagePlan<'a> {
    pub(crate) contract: &'a TaskContract,
    pub(crate) baseline: &'a Baseline,
    pub(crate) workspace: WorkspaceKind,
    pub(crate) sandbox: &'a SandboxSettings,
    /// Toolchains shown read-only at their own path, with their programs on the search path.
    pub(crate) toolchains: Vec<Toolchain>,
    /// Frozen layers: host path and mount point.
    pub(crate) layers: Vec<(PathBuf, PathBuf)>,
    /// Prefix of cgroup names; recovery finds leftovers by it.
    pub(crate) name: String,
    /// For private copies where there is no overlay.
    pub(crate) scratch: PathBuf,
}

/// What one cage has of its own.
#[derive(Debug)]
pub(crate) struct Cage {
    /// Appended to the plan's name.
    pub(crate) suffix: String,
    pub(crate) program: Program,
    pub(crate) env: Vec<(OsString, OsString)>,
    /// Made in the workspace by trusted code before the program starts.
    pub(crate) changes: Vec<Change>,
    /// Which acts are observed.
    pub(crate) observe: Observe,
    /// What only an engine needs.
    pub(crate) outfit: Outfit,
}

/// What an engine's cage has besides a program; a verification command's has none of it.
#[derive(Debug, Default)]
pub(crate) struct Outfit {
    /// Files of the private home.
    pub(crate) home: Vec<Change>,
    /// Host directories shown read-only at their own path: the engine's own installation.
    pub(crate) binds: Vec<PathBuf>,
    /// Workspace paths that could take the engine over.
    pub(crate) masks: Vec<PathBuf>,
    /// Directories of the view that come first on the search path.
    pub(crate) path: Vec<PathBuf>,
    /// Port of the listener that the model gateway serves.
    pub(crate) listen: Option<u16>,
    /// Starts in the root of the view instead of the workspace.
    pub(crate) start_in_root: bool,
}

impl CagePlan<'_> {
    /// Returns the specification of one cage.
    pub(crate) fn spec(&self, cage: Cage) -> JailSpec {
        let mut env = self.environment();
        env.extend(cage.env);
        let outfit = cage.outfit;
        prepend_path(&mut env, &outfit.path);
        let mut binds = self.binds();
        let installed = outfit
            .binds
            .iter()
            .filter(|path| !self.toolchains.iter().any(|t| path.starts_with(&t.root)));
        binds.extend(installed.map(|path| Bind {
            source: path.clone(),
            target: path.clone(),
            read_only: true,
        }));
        let trees = vec![self.baseline.git_layer().to_owned(), self.baseline.files().to_owned()];
        let workspace = match self.workspace {
            WorkspaceKind::Overlay => Workspace::Overlay { lowers: trees },
            WorkspaceKind::Copied => Workspace::Copied { sources: trees },
        };
        let read_only = match self.contract.enforce {
            Enforce::Judge => vec![],
            Enforce::Kernel => self.kernel_kept(),
        };
        JailSpec {
            name: format!("{}-{}", self.name, cage.suffix),
            workspace,
            changes: cage.changes,
            home: outfit.home,
            read_only,
            masks: outfit.masks,
            listen: outfit.listen,
            binds,
            program: cage.program,
            env,
            limits: self.limits(),
            engine_uid: self.sandbox.engine_uid,
            engine_gid: self.sandbox.engine_gid.or(self.sandbox.engine_uid),
            observe: cage.observe,
            workdir: if outfit.start_in_root {
                PathBuf::from("/")
            } else {
                PathBuf::new()
            },
            scratch_dir: self.scratch.clone(),
        }
    }

    /// The complete environment of every cage; nothing of the host's is inherited.
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        let bins = self.layers.iter().map(|(_, mount)| mount.join("bin"));
        let path: Vec<String> = bins
            .chain(search_path(&self.toolchains))
            .map(|directory| directory.display().to_string())
            .collect();
        let fixed = [
            ("PATH", path.join(":")),
            ("HOME", cto_sandbox::HOME.to_owned()),
            ("USER", "agent".to_owned()),
            ("LOGNAME", "agent".to_owned()),
            ("SHELL", "/bin/sh".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("TZ", "UTC".to_owned()),
            ("TMPDIR", "/tmp".to_owned()),
            ("TERM", "dumb".to_owned()),
            ("PYTHONNOUSERSITE", "1".to_owned()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ];
        let tools = self.toolchains.iter().flat_map(|t| t.environment.iter());
        let tools = tools.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        fixed
            .into_iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .chain(tools)
            .collect()
    }

    fn binds(&self) -> Vec<Bind> {
        let read_only = |(source, target): (&PathBuf, &PathBuf)| Bind {
            source: source.clone(),
            target: target.clone(),
            read_only: true,
        };
        let toolchains = self.toolchains.iter().map(|t| read_only((&t.root, &t.root)));
        toolchains
            .chain(self.layers.iter().map(|(source, mount)| read_only((source, mount))))
            .collect()
    }

    fn limits(&self) -> Limits {
        let limits = &self.contract.limits;
        let mib = |count: u32| u64::from(count) << 20;
        Limits {
            processes: u64::from(limits.processes),
            memory_bytes: mib(limits.memory_mib),
            disk_bytes: mib(limits.disk_mib),
            file_bytes: mib(limits.disk_mib),
            tmp_bytes: mib(limits.disk_mib),
            ..Limits::default()
        }
    }

    /// Literal forbidden files and directories; globs can only be judged.
    fn kernel_kept(&self) -> Vec<PathBuf> {
        let literal = |pattern: &String| !pattern.contains(['*', '?', '[', '{']) && pattern != ".git/";
        let patterns = self.contract.effective_forbidden_paths();
        patterns
            .iter()
            .filter(|p| literal(p))
            .map(|p| PathBuf::from(p.trim_end_matches('/')))
            .collect()
    }

    /// Returns a digest of everything that a verification result depends on besides the tree and the commands.
    pub(crate) fn environment_digest(&self, provider: &str) -> Sha256Digest {
        let env: Vec<(String, String)> = self
            .environment()
            .into_iter()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .collect();
        let inputs = serde_json::json!({
            "harness": env!("CARGO_PKG_VERSION"),
            "provider": provider,
            "workspace": self.workspace.word(),
            "env": env,
            "toolchains": self.toolchains.iter().map(|t| &t.root).collect::<Vec<_>>(),
            "layers": self.contract.dependency_layers,
            "limits": self.contract.limits,
            "seconds": self.contract.timeouts.verification_seconds,
            "system": system_stamp(),
        });
        Sha256Digest::of(inputs.to_string().as_bytes())
    }
}

/// Puts directories before the search path.
fn prepend_path(env: &mut [(OsString, OsString)], directories: &[PathBuf]) {
    for (_, value) in env.iter_mut().filter(|(name, _)| name == "PATH") {
        for directory in directories.iter().rev() {
            let mut longer = directory.clone().into_os_string();
            longer.push(":");
            longer.push(&*value);
            *value = longer;
        }
    }
}

/// Changes when the system's programs may have: the package database of Debian, or the directory of programs.
fn system_stamp() -> Vec<(String, i64)> {
    use std::os::unix::fs::MetadataExt as _;
    ["/var/lib/dpkg/status", "/usr/bin", "/usr/local/bin", "/usr/lib"]
        .iter()
        .filter_map(|path| {
            std::fs::metadata(path)
                .ok()
                .map(|meta| ((*path).to_owned(), meta.mtime()))
        })
        .collect()
}

//! The Core Route Admission Guard, live: looks at a repository twice, at processes twice, and writes nothing there.

mod files;
mod git_directory;
mod look;
mod processes;

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cto_evidence::{rfc3339, wall_now};
use cto_policy::judge_core_route;
use cto_schema::{CoreRouteFacts, CoreRouteGuard, escape};
use rustix::fs::FlockOperation;

use crate::baseline::{Lock, beneath};
use crate::request::Harness;
use crate::run::chain;
use crate::source::SourceRepository;
use crate::tool::Git;

/// How long one question to git may take.
const GIT_LIMIT: Duration = Duration::from_secs(300);

/// What the guard is asked.
#[derive(Clone, Debug)]
pub struct GuardRequest {
    /// The repository.
    pub core: PathBuf,
    /// The conflict list, if any.
    pub conflicts: Option<PathBuf>,
    /// The route record, if any.
    pub route: Option<PathBuf>,
}

/// Why the guard could not be asked; whatever is wrong with the repository is an answer and not an error.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The installation would be written below the repository.
    #[error("look at {}: the installation {} lies in it, and the guard writes nothing there; name another with --home", core.display(), home.display())]
    HomeInside {
        /// The repository.
        core: PathBuf,
        /// The installation.
        home: PathBuf,
    },
    /// There is no room for what is kept between looks.
    #[error("make a private directory in {}", path.display())]
    Keep {
        /// Where.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

/// Where an index of the harness's own is kept for each work tree.
struct Keep {
    root: PathBuf,
    _held: Held,
}

/// What makes a [`Keep`] this check's alone.
enum Held {
    Locked {
        _lock: Lock,
    },
    /// Another check has the usual place.
    Temporary {
        _directory: tempfile::TempDir,
    },
}

/// Looks and judges. Nothing is written, locked, started or stopped in the repository or its work trees.
pub fn guard_core_route(harness: &Harness, request: &GuardRequest) -> Result<CoreRouteGuard, GuardError> {
    let checked_at = wall_now();
    let mut facts = CoreRouteFacts {
        judged_at_seconds: checked_at.as_second(),
        ..CoreRouteFacts::default()
    };
    let core = std::path::absolute(&request.core).unwrap_or_else(|_| request.core.clone());
    facts.core_repository = shown(&core);
    match open_main(&core) {
        Ok(main) => gather(harness, request, &main, &mut facts)?,
        Err(why) => facts.unusable = Some(why),
    }
    Ok(judge_core_route(&rfc3339(checked_at), facts))
}

fn gather(
    harness: &Harness,
    request: &GuardRequest,
    main: &SourceRepository,
    facts: &mut CoreRouteFacts,
) -> Result<(), GuardError> {
    let home = harness.home.root();
    let git = harness.git.clone().with_limit(GIT_LIMIT);
    let listed = look::work_trees(&git, main);
    let roots = look::roots(main, &listed);
    if let Some(core) = roots.iter().find(|root| home.starts_with(root)) {
        return Err(GuardError::HomeInside {
            core: core.clone(),
            home: home.to_owned(),
        });
    }
    let keep = Keep::of(harness, main)?;
    let places: Vec<Vec<u8>> = roots.iter().map(|root| root.as_os_str().as_bytes().to_vec()).collect();
    facts.before = look::snapshot(&git, main, listed, &keep.root);
    facts.processes = processes::scan(&places);
    files::compare_conflicts(&git, main, request, &keep.root, facts);
    files::read_route(request, facts);
    processes::scan_again(&places, &mut facts.processes);
    let listed = look::work_trees(&git, main);
    facts.after = look::snapshot(&git, main, listed, &keep.root);
    if !main.is_in_place() {
        facts.after.problem = Some("another directory lies where the repository was".to_owned());
    }
    Ok(())
}

/// Opens the repository at its main work tree, also when a linked one was named.
fn open_main(core: &Path) -> Result<SourceRepository, String> {
    let named = SourceRepository::open(core).map_err(|error| chain(&error))?;
    if !named.is_linked() {
        return Ok(named);
    }
    let common = named.common_directory_path();
    let main = common
        .parent()
        .filter(|_| common.file_name().is_some_and(|name| name == ".git"))
        .ok_or_else(|| {
            format!(
                "{} is a linked work tree of {}, which has no main work tree",
                shown(core),
                shown(common)
            )
        })?;
    SourceRepository::open(main).map_err(|error| chain(&error))
}

fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_bytes(), 1000)
}

impl Keep {
    /// Takes the usual place, where indexes of earlier checks make this one cheap, or a fresh one while another check
    /// has it.
    fn of(harness: &Harness, main: &SourceRepository) -> Result<Self, GuardError> {
        let (device, inode) = main.identity();
        let root = harness.home.cache().join(format!("guard-{device:x}-{inode:x}"));
        let failed = |source| GuardError::Keep {
            path: root.clone(),
            source,
        };
        std::fs::create_dir_all(&root).map_err(failed)?;
        let directory = beneath::open_directory(&root).map_err(failed)?;
        match Lock::take(directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(lock) => Ok(Self {
                root,
                _held: Held::Locked { _lock: lock },
            }),
            Err(_) => {
                let directory = tempfile::Builder::new()
                    .prefix("guard-")
                    .tempdir_in(harness.home.work())
                    .map_err(failed)?;
                Ok(Self {
                    root: directory.path().to_owned(),
                    _held: Held::Temporary { _directory: directory },
                })
            }
        }
    }
}

/// Returns the private directory for one work tree.
fn keep_of(git: &Path, source: &SourceRepository) -> std::io::Result<PathBuf> {
    let (device, inode) = source.identity();
    let path = git.join(format!("{device:x}-{inode:x}"));
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

/// Runs a question in the repository itself. It reads the repository's configuration, of which the settings of
/// [`Git`] outrank everything that git would start; these questions check nothing out and refresh no index.
fn ask(git: &Git, main: &SourceRepository, call: crate::tool::GitCall) -> Result<Vec<u8>, String> {
    let call = call.directory(main.path()).cap(64 << 20);
    git.run(call).map_err(|error| chain(&error))
}

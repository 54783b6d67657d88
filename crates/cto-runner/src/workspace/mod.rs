//! Planning workspaces: reads one, asks git and the evidence what its documents refer to, and judges it.

mod commits;
mod template;
mod validators;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cto_evidence::{BundlePlaces, TreeError, WorkspaceTree, look_at_bundle};
use cto_policy::{BundleAnswer, BundleQuestion, FileReading, Planner, PlanningError, WorldAnswers, WorldQuestions};
use cto_schema::{
    RulesError, SchemaId, Sha256Digest, ValidationRules, WorkspaceBoard, WorkspaceFinding, WorkspaceRules,
    WorkspaceValidation, escape,
};

use crate::tool::Git;

pub use cto_policy::{dot, mermaid};
pub use template::workspace_template;
pub use watch::{WatchError, watch_workspace};

/// The file of a workspace that changes its rules.
pub const RULES_FILE: &str = "workspace-rules.yaml";
/// The largest rules file that is read, in bytes.
const RULES_BYTES: u64 = 256 * 1024;

/// Why a workspace could not be validated at all.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// It cannot be opened.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The rules file cannot be read.
    #[error("read the rules {}", shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The rules cannot be used.
    #[error("use the rules {source_name}")]
    Rules {
        /// Where they come from.
        source_name: String,
        /// Why.
        source: RulesError,
    },
    /// A glob of the rules cannot be used.
    #[error("use the rules")]
    Glob(#[from] PlanningError),
    /// There is no workboard.
    #[error("find the workboard {file} in {}", shown(path))]
    NoBoard {
        /// The workspace.
        path: PathBuf,
        /// The file.
        file: String,
    },
}

fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes(), 400)
}

/// Rules and where they come from.
#[derive(Clone, Debug)]
pub struct LoadedRules {
    /// The rules.
    pub rules: WorkspaceRules,
    /// What a validation says about them.
    pub described: ValidationRules,
}

/// What to hold a workspace against, and whom to ask.
#[derive(Debug)]
pub struct WorkspaceRequest<'a> {
    /// The workspace.
    pub path: &'a Path,
    /// The rules.
    pub rules: &'a LoadedRules,
    /// Whether the warnings that `--strict` names are errors.
    pub strict: bool,
    /// Whether the configured commands may run.
    pub run_validators: bool,
    /// The git that is asked for commits; none where there is none.
    pub git: Option<&'a Git>,
    /// Where bundles are looked for; its workspace is replaced by the request's.
    pub places: BundlePlaces<'a>,
}

/// Loads rules: a named file, else the workspace's own, else the built-in ones.
pub fn load_rules(workspace: &Path, named: Option<&Path>) -> Result<LoadedRules, WorkspaceError> {
    let own = workspace.join(RULES_FILE);
    let path = named.or_else(|| own.symlink_metadata().is_ok().then_some(own.as_path()));
    let Some(path) = path else {
        let bytes = cto_schema::DEFAULT_WORKSPACE_RULES.as_bytes();
        return described("built-in".to_owned(), bytes);
    };
    let read = |source| WorkspaceError::Read {
        path: path.to_owned(),
        source,
    };
    // The metadata first: a FIFO in its place would be waited for.
    if !path.metadata().map_err(read)?.is_file() {
        return Err(read(std::io::Error::other("it is no regular file")));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(read)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, RULES_BYTES + 1), &mut bytes).map_err(read)?;
    described(shown(path), &bytes)
}

fn described(source: String, bytes: &[u8]) -> Result<LoadedRules, WorkspaceError> {
    let rules = WorkspaceRules::parse(bytes).map_err(|error| WorkspaceError::Rules {
        source_name: source.clone(),
        source: error,
    })?;
    Ok(LoadedRules {
        described: ValidationRules {
            source,
            digest: Sha256Digest::of(bytes),
            lowered: rules.lowered(),
        },
        rules,
    })
}

/// Validates a workspace. A finding is data; an error means that nothing could be said.
pub fn validate_workspace(request: &WorkspaceRequest<'_>) -> Result<WorkspaceValidation, WorkspaceError> {
    let rules = &request.rules.rules;
    let planner = Planner::new(rules.clone(), cto_evidence::wall_now().as_second())?;
    let (tree, files, mut found) = read_files(request.path, &planner)?;
    let places = BundlePlaces {
        workspace: tree.path(),
        ..request.places
    };
    let answers = answer(&tree, &planner.ask(&files), &places, request, rules);
    let (validators, failures) = validators::run(
        tree.path(),
        rules,
        request.run_validators,
        &request.rules.described.source,
    );
    found.extend(failures);
    let mut counts = planner.counts(&files, &answers);
    counts.validators = validators;
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for finding in planner.judge(&files, &answers, found) {
        match rules.is_error(finding.rule, request.strict) {
            Some(true) => errors.push(finding),
            Some(false) => warnings.push(finding),
            None => {}
        }
    }
    Ok(WorkspaceValidation {
        schema: SchemaId::WORKSPACE_VALIDATION.to_string(),
        ok: errors.is_empty(),
        checked: u32::try_from(tree.files.len()).unwrap_or(u32::MAX),
        counts,
        strict: request.strict,
        rules: request.rules.described.clone(),
        errors,
        warnings,
    })
}

/// Returns the board of a workspace, and what is wrong with its workboard by itself and as a whole.
pub fn workspace_board(
    path: &Path,
    rules: &LoadedRules,
) -> Result<(WorkspaceBoard, Vec<WorkspaceFinding>), WorkspaceError> {
    let planner = Planner::new(rules.rules.clone(), cto_evidence::wall_now().as_second())?;
    let file = rules.rules.workboard.file.clone();
    let tree = WorkspaceTree::walk(path, rules.rules.limits, &|path| {
        path != file && !file.starts_with(&format!("{path}/"))
    })?;
    let missing = || WorkspaceError::NoBoard {
        path: path.to_owned(),
        file: file.clone(),
    };
    if !tree.files.contains(&file) {
        return Err(missing());
    }
    let reading = match tree.read(&file) {
        Ok(read) => planner.read(&file, &read.bytes, &read.secrets),
        Err(finding) => {
            let source = std::io::Error::other(finding.message);
            let path = path.join(&file);
            return Err(WorkspaceError::Read { path, source });
        }
    };
    let files = [reading];
    let board = planner.board(&files).ok_or_else(missing)?;
    let found = planner.judge(&files, &WorldAnswers::default(), vec![]);
    // Whether what it refers to exists is the validation's question.
    let own = |finding: &WorkspaceFinding| finding.rule.id().starts_with("workboard-");
    Ok((board, found.into_iter().filter(own).collect()))
}

fn read_files(
    path: &Path,
    planner: &Planner,
) -> Result<(WorkspaceTree, Vec<FileReading>, Vec<WorkspaceFinding>), WorkspaceError> {
    let mut tree = WorkspaceTree::walk(path, planner.rules().limits, &|path| planner.ignores(path))?;
    let read = in_parallel(&tree.files, |file| {
        tree.read(file)
            .map(|read| planner.read(file, &read.bytes, &read.secrets))
    });
    let mut found = std::mem::take(&mut tree.findings);
    let mut files = Vec::with_capacity(read.len());
    for result in read {
        match result {
            Ok(reading) => files.push(reading),
            Err(finding) => found.push(*finding),
        }
    }
    Ok((tree, files, found))
}

fn answer(
    tree: &WorkspaceTree,
    questions: &WorldQuestions,
    places: &BundlePlaces<'_>,
    request: &WorkspaceRequest<'_>,
    rules: &WorkspaceRules,
) -> WorldAnswers {
    let asked: Vec<BundleQuestion> = questions.bundles.iter().cloned().collect();
    let found = in_parallel(&asked, |question| places.answer(question));
    let ledger = places.ledger;
    let inside: Vec<BundleAnswer> = in_parallel(&tree.bundles, |path| {
        look_at_bundle(&tree.path().join(path), places.keys, ledger.map(|ledger| ledger as _))
    });
    WorldAnswers {
        paths: questions
            .paths
            .iter()
            .filter(|path| tree.exists(path))
            .cloned()
            .collect(),
        commits: commits::look_up(tree.path(), &rules.repositories, &questions.commits, request.git),
        bundles: asked.into_iter().zip(found).collect(),
        inside: tree.bundles.iter().cloned().zip(inside).collect(),
    }
}

/// Applies a function to each of many, on as many threads as there are processors, and keeps the order.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    let worker = || {
        let mut own = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { break };
            own.push((index, work(item)));
        }
        results
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .extend(own);
    };
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(items.len().div_ceil(16));
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(worker);
        }
        worker();
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_threads_keep_the_order_and_leave_nothing_out() {
        let items: Vec<u32> = (0..1000).collect();
        assert_eq!(
            in_parallel(&items, |item| item * 2),
            items.iter().map(|item| item * 2).collect::<Vec<_>>()
        );
        assert_eq!(in_parallel(&[] as &[u32], |item| *item), Vec::<u32>::new());
    }
}

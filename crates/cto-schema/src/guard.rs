//! The Core Route Admission Guard: what it reads besides the repository, what it saw, and what it says (spec 10).

use globset::GlobBuilder;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::admission::Moment;
use crate::digest::Sha256Digest;
use crate::facts::RepositoryState;
use crate::nearest::explain_yaml;
use crate::untrusted::escape;
use crate::version::{SchemaId, check_schema};

/// The largest conflict list or route record, in bytes.
pub const GUARD_FILE_MAX_BYTES: u64 = 256 << 10;
/// Most entries of a conflict list, and most patterns of one entry.
const MOST_ENTRIES: usize = 1_000;

/// A conflict list: work of others that must not meet a new Core route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConflictList {
    /// `cto/core-conflicts/1.0`.
    pub schema: String,
    /// The work, one entry each.
    pub conflicts: Vec<Conflict>,
}

/// One piece of work of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conflict {
    /// What it is called.
    pub id: String,
    /// Whose it is.
    pub owner: String,
    /// Globs of branches (`standards/*`), without `refs/heads/`; one that exists, here or as a remote's, is a conflict.
    #[serde(default)]
    pub branches: Vec<String>,
    /// Globs of paths in the repository; a trailing `/` means everything below. A change of one that is not in main,
    /// committed on a branch or a work tree's `HEAD`, is a conflict.
    #[serde(default)]
    pub paths: Vec<String>,
}

/// A route record: who has the governed Core route, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteRecord {
    /// `cto/core-route/1.0`.
    pub schema: String,
    /// What the route is called.
    pub route_id: String,
    /// Who has it.
    pub owner: String,
    /// Whether it is open.
    pub status: RouteStatus,
    /// The instant at which an open route lapses.
    pub until: Moment,
}

/// Whether a route is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteStatus {
    /// Its owner works on it.
    Open,
    /// Its owner gave it back.
    Closed,
}

impl ConflictList {
    /// Reads a list, YAML or JSON; unknown fields, duplicate keys and patterns that match nothing are errors.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let list: Self = parse(bytes, SchemaId::CORE_CONFLICTS)?;
        check_schema(&list.schema, SchemaId::CORE_CONFLICTS).map_err(|error| error.to_string())?;
        if list.conflicts.len() > MOST_ENTRIES {
            return Err(format!(
                "{} conflicts are listed, {MOST_ENTRIES} are allowed",
                list.conflicts.len()
            ));
        }
        for conflict in &list.conflicts {
            let shown = escape(conflict.id.as_bytes(), 80);
            if conflict.id.trim().is_empty() || conflict.owner.trim().is_empty() {
                return Err(format!("conflict '{shown}' has no id or no owner"));
            }
            if conflict.branches.is_empty() && conflict.paths.is_empty() {
                return Err(format!("conflict '{shown}' names neither branches nor paths"));
            }
            let patterns = conflict.branches.iter().chain(&conflict.paths);
            if patterns.clone().count() > MOST_ENTRIES {
                return Err(format!("conflict '{shown}' has more than {MOST_ENTRIES} patterns"));
            }
            if let Some(bad) = patterns.clone().find(|pattern| !is_pattern(pattern)) {
                let bad = escape(bad.as_bytes(), 120);
                return Err(format!(
                    "conflict '{shown}': '{bad}' is no pattern; write a relative path or glob, such as standards/*"
                ));
            }
        }
        Ok(list)
    }
}

impl RouteRecord {
    /// Reads a record, YAML or JSON; unknown fields and duplicate keys are errors.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let record: Self = parse(bytes, SchemaId::CORE_ROUTE)?;
        check_schema(&record.schema, SchemaId::CORE_ROUTE).map_err(|error| error.to_string())?;
        if record.route_id.trim().is_empty() || record.owner.trim().is_empty() {
            return Err("route_id or owner is empty; say whose route it is".to_owned());
        }
        Ok(record)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8], schema: SchemaId) -> Result<T, String> {
    if bytes.len() as u64 > GUARD_FILE_MAX_BYTES {
        return Err(format!(
            "it has {} bytes, {GUARD_FILE_MAX_BYTES} are allowed",
            bytes.len()
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    if text.trim().is_empty() {
        return Err(format!("it is empty; it starts with schema: {schema}"));
    }
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explain_yaml(&error.to_string()))
}

/// A relative name or glob that git could have written.
fn is_pattern(text: &str) -> bool {
    let whole = text.strip_suffix('/').unwrap_or(text);
    let plain = whole.len() <= 1_000
        && !whole.contains('\\')
        && escape(whole.as_bytes(), usize::MAX) == whole
        && whole
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..");
    plain && GlobBuilder::new(whole).literal_separator(true).build().is_ok()
}

/// What the guard saw of one work tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoreWorkTree {
    /// Its path, escaped.
    pub path: String,
    /// Whether it is the main one.
    pub is_main: bool,
    /// The branch that is checked out, in full; null when `HEAD` is detached or unknown.
    pub branch: Option<String>,
    /// Why somebody locked it; null when nobody did.
    pub locked: Option<String>,
    /// `HEAD`, refs, index and metadata; null when they could not be read.
    pub state: Option<RepositoryState>,
    /// How many paths differ from `HEAD`, in the index or on disk; null when nobody could tell.
    pub dirty_count: Option<u64>,
    /// At most 20 of them, escaped.
    pub dirty_paths: Vec<String>,
    /// What git is in the middle of.
    pub operation: Option<String>,
    /// Submodules that are checked out, which are not looked into; escaped.
    pub submodules: Vec<String>,
    /// Why something could not be told.
    pub problem: Option<String>,
}

/// The repository at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoreSnapshot {
    /// Every work tree, the main one first.
    pub work_trees: Vec<CoreWorkTree>,
    /// Digest over name, kind, mode, inode, size, mtime and ctime of everything in the git directory; of its objects
    /// only directories count. Null when it could not be made.
    pub git_directory_digest: Option<Sha256Digest>,
    /// Lock files of git that are there, escaped.
    pub locks: Vec<String>,
    /// Why something could not be told.
    pub problem: Option<String>,
}

/// A process that has to do with the repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoreProcess {
    /// Its id.
    pub pid: i32,
    /// Its name as the kernel has it, escaped.
    pub name: String,
    /// Its real user id.
    pub uid: u32,
    /// How: `working_directory`, `root_directory`, `executable`, `command_line` or `open_file`.
    pub by: String,
    /// The path below the repository that shows it, escaped; never the rest of a command line.
    pub path: String,
}

/// What was seen of the machine's processes, before and after everything else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessScan {
    /// Those that have to do with the repository.
    pub processes: Vec<CoreProcess>,
    /// How many were looked at.
    pub seen: u64,
    /// How many could not be looked into: their place is unknown.
    pub unreadable: u64,
    /// At most 20 of those, as `pid name`, escaped.
    pub unreadable_shown: Vec<String>,
    /// Whether process 1 has more rights than root here has, so that only its command line was looked at.
    pub init_unread: bool,
    /// Whether processes of other PID namespaces, which nobody here can see, may exist.
    pub other_namespaces_unseen: bool,
    /// Why the list is not whole; null when it is.
    pub problem: Option<String>,
}

/// A file that the guard was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuardFile {
    /// Its path, escaped.
    pub path: String,
    /// Digest of its bytes; null when it could not be read.
    pub digest: Option<Sha256Digest>,
    /// Why it cannot be used; null when it can.
    pub problem: Option<String>,
}

/// An entry of the conflict list that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConflictHit {
    /// The entry.
    pub id: String,
    /// Whose it is, escaped.
    pub owner: String,
    /// What was found: a branch, or a path with the branch that changes it; escaped.
    pub found: String,
}

/// Everything that the guard looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoreRouteFacts {
    /// The path that was named, absolute, escaped.
    pub core_repository: String,
    /// Why it is no repository that can be looked at; null when it is one.
    pub unusable: Option<String>,
    /// The first look.
    pub before: CoreSnapshot,
    /// The last look.
    pub after: CoreSnapshot,
    /// Processes.
    pub processes: ProcessScan,
    /// The conflict list; null when none was named.
    pub conflict_list: Option<GuardFile>,
    /// What of it is there.
    pub conflicts: Vec<ConflictHit>,
    /// Why branches or paths could not be compared with it; null when they were.
    pub conflict_problem: Option<String>,
    /// The route record; null when none was named.
    pub route_record: Option<GuardFile>,
    /// What it says; null when there is none, or none that can be used.
    pub route: Option<RouteRecord>,
    /// When it was judged, in seconds since 1970.
    pub judged_at_seconds: i64,
}

/// Whether a new Core route may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CoreRouteAdmission {
    /// The repository is idle.
    Admitted,
    /// It is not, or nobody can tell.
    NotAdmitted,
}

/// What the guard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GuardStatus {
    /// Nothing was found.
    Passed,
    /// Something was found, or could not be told.
    Blocked,
}

/// Why the guard blocks. Where several hold, the first of these is the answer and all are among the findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GuardBlock {
    /// What was named is no repository that can be looked at.
    CoreRepositoryUnusable,
    /// Somebody works there, or has claimed it.
    ActiveOrConflictingCoreWorkPresent,
    /// It changed while it was looked at.
    CoreChangedDuringCheck,
    /// Nobody can tell who works there.
    OwnershipUncertain,
}

impl GuardBlock {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::CoreRepositoryUnusable => "core_repository_unusable",
            Self::ActiveOrConflictingCoreWorkPresent => "active_or_conflicting_core_work_present",
            Self::CoreChangedDuringCheck => "core_changed_during_check",
            Self::OwnershipUncertain => "ownership_uncertain",
        }
    }
}

/// What may be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NextCoreAction {
    /// Nothing now.
    WaitOrOpenLaterCoreRouteWhenIdle,
    /// A PRD by the governed route, which decides itself.
    OpenGovernedCorePrdRoute,
}

/// One thing that speaks against a new route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuardFinding {
    /// Stable name.
    pub code: String,
    /// Which class of reason it is.
    pub reason: GuardBlock,
    /// What was seen, escaped.
    pub detail: String,
    /// What can be done about it, by those whose work it is.
    pub mend: String,
}

/// What `cto guard --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoreRouteGuard {
    /// `cto/route-guard/1.0`.
    pub schema: String,
    /// When the check began, RFC 3339 UTC.
    pub checked_at: String,
    /// Whether a new route may be opened.
    pub core_route_admission_status: CoreRouteAdmission,
    /// What the guard says.
    pub guard_status: GuardStatus,
    /// The weightiest reason; null when it passed.
    pub blocked_reason: Option<GuardBlock>,
    /// Every reason.
    pub findings: Vec<GuardFinding>,
    /// Always true: nothing of anybody's is to be touched because of this answer.
    pub do_not_touch_other_agent_work: bool,
    /// Always true.
    pub idle_governed_core_route_required: bool,
    /// Always true.
    pub no_active_conflicting_core_worktree_required: bool,
    /// Whether a review of a Core route may begin; true only when the guard passed.
    pub ready_for_core_route_review: bool,
    /// What may be done next.
    pub next_allowed_action: NextCoreAction,
    /// Whether the repository was the same, to the inode and the nanosecond, before and after the check.
    pub unchanged_by_check: bool,
    /// Always false.
    pub runtime_default_activation: bool,
    /// Always `not-promoted`.
    pub core_promotion_status: String,
    /// Everything that was looked at.
    pub facts: CoreRouteFacts,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "schema: cto/core-conflicts/1.0\nconflicts:\n- {id: W-1, owner: ana, branches: [standards/*], paths: [docs/]}\n";
    const ROUTE: &str =
        "schema: cto/core-route/1.0\nroute_id: R-1\nowner: ana\nstatus: open\nuntil: 2026-12-01T00:00:00Z\n";

    #[test]
    fn a_conflict_list_is_read_strictly() {
        assert_eq!(ConflictList::parse(LIST.as_bytes()).unwrap().conflicts.len(), 1);
        for (from, to) in [
            ("core-conflicts/1.0", "core-conflicts/2.0"),
            ("core-conflicts/1.0", "core-route/1.0"),
            ("id: W-1", "id: ''"),
            ("owner: ana", "owner: ' '"),
            ("owner: ana, ", ""),
            ("branches: [standards/*], paths: [docs/]", ""),
            ("docs/", "/docs"),
            ("docs/", "../docs"),
            ("docs/", "docs//x"),
            ("docs/", "d[ocs"),
            ("standards/*", "''"),
            ("standards/*", "\"a\\u202eb\""),
            ("id: W-1", "id: W-1, id: W-2"),
            ("id: W-1", "id: W-1, until: never"),
        ] {
            let bad = LIST.replacen(from, to, 1);
            assert!(bad != LIST && ConflictList::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(ConflictList::parse(b"").is_err() && ConflictList::parse(b"\xff").is_err());
        let many = format!("{LIST}{}", " ".repeat(300 << 10));
        assert!(ConflictList::parse(many.as_bytes()).is_err());
    }

    #[test]
    fn a_route_record_is_read_strictly() {
        assert_eq!(RouteRecord::parse(ROUTE.as_bytes()).unwrap().status, RouteStatus::Open);
        for (from, to) in [
            ("core-route/1.0", "core-route/2.0"),
            ("owner: ana\n", ""),
            ("owner: ana", "owner: ''"),
            ("status: open", "status: yes"),
            ("until: 2026-12-01T00:00:00Z", "until: tomorrow"),
            ("until: 2026-12-01T00:00:00Z\n", ""),
            ("owner: ana", "owner: ana\nowner: bob"),
            ("owner: ana", "owner: ana\nby: bob"),
        ] {
            let bad = ROUTE.replacen(from, to, 1);
            assert!(bad != ROUTE && RouteRecord::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}

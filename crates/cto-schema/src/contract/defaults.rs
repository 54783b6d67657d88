//! Defaults of a contract; they are part of its schema and of its digest.

use super::{Limits, Timeouts};
use crate::version::SchemaId;

/// Actions that every contract forbids whether or not it lists them.
pub const FORBIDDEN_ACTIONS: [&str; 10] = [
    "push",
    "merge",
    "deploy",
    "close",
    "pr_open",
    "issue_close",
    "public_publication",
    "credential_change",
    "vendor_source_mutation",
    "cortex_core_mutation",
];

/// Paths that every contract forbids unless it excepts them by name and reason.
pub const DEFAULT_FORBIDDEN_PATHS: [&str; 13] = [
    ".env",
    ".env.*",
    "secrets/",
    "credentials/",
    "deploy/",
    "infra/",
    ".github/workflows/",
    "package-lock.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "node_modules/",
    "vendor/",
    ".git/",
];

/// What honest test runs leave behind in Python and JavaScript, besides what the baseline's ignore rules name.
pub const DEFAULT_SCRATCH_PATHS: [&str; 3] = ["**/__pycache__/", "**/.pytest_cache/", "**/node_modules/.cache/"];

pub(super) fn schema() -> String {
    SchemaId::CONTRACT.to_string()
}

pub(super) fn authority_basis() -> String {
    "operator request".to_owned()
}

pub(super) fn network_class() -> String {
    "none".to_owned()
}

pub(super) fn yes() -> bool {
    true
}

pub(super) fn scratch_paths() -> Vec<String> {
    DEFAULT_SCRATCH_PATHS.iter().map(|p| (*p).to_owned()).collect()
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            engine_seconds: 1800,
            idle_seconds: 600,
            verification_seconds: 600,
            grace_seconds: 10,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            processes: 512,
            memory_mib: 4096,
            disk_mib: 1024,
            files: 4000,
            file_mib: 8,
            output_mib: 16,
        }
    }
}

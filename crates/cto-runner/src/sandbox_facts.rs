//! Facts about the sandbox: its self-test, cached by boot, binary and configuration.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use cto_sandbox::{PROVIDERS, Provider, Reexec, SelfTest, self_test};
use cto_schema::{SandboxFacts, Sha256Digest};
use serde::{Deserialize, Serialize};

use crate::cache::write_cache;
use crate::settings::{SandboxSettings, WorkspaceKind};

/// The provider where neither the command line nor the settings name one.
pub const DEFAULT_PROVIDER: &str = "native";

/// The result of a self-test as the cache and the bundle hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CageTest {
    /// The provider.
    pub provider: String,
    /// Whether every probe ended as expected.
    pub passed: bool,
    /// Whether an overlay workspace can be made.
    pub overlay: bool,
    /// What failed, with the mend; empty when nothing did.
    pub detail: String,
    /// Names of bounds that are enforced.
    pub enforced: Vec<String>,
    /// Every probe: name, what was expected, what was seen, whether they agree.
    pub probes: Vec<(String, String, String, bool)>,
}

/// Finds a provider by name.
pub fn find_provider(name: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.iter().find(|provider| provider.name() == name).copied()
}

/// Returns the self-test of a provider, from the cache where this very configuration passed it since boot; what it
/// makes in `work` and among the cgroups has names that start with `name`.
pub fn cage_test(
    provider: &'static dyn Provider,
    sandbox: &SandboxSettings,
    reexec: &Reexec,
    cache: &Path,
    work: &Path,
    name: &str,
) -> CageTest {
    let place = place(provider, sandbox, reexec, cache);
    let cached = place.as_ref().and_then(|place| std::fs::read(place).ok());
    if let Some(test) = cached.and_then(|bytes| serde_json::from_slice::<CageTest>(&bytes).ok()) {
        return test;
    }
    let test = perform(provider, reexec, work, name);
    // Only a success is remembered: a mend must show at once.
    if let (true, Some(place), Ok(bytes)) = (test.passed, &place, serde_json::to_vec(&test)) {
        // Without the cache the next run only takes longer.
        drop(write_cache(place, &bytes));
    }
    test
}

impl CageTest {
    /// Returns what the gates look at.
    pub fn facts(&self) -> SandboxFacts {
        SandboxFacts {
            provider: self.provider.clone(),
            self_test_passed: self.passed,
            detail: self.detail.clone(),
            enforced: self.enforced.clone(),
        }
    }

    /// Returns the workspace kind to use: what was asked for, else an overlay where one can be had.
    pub fn workspace(&self, asked: Option<WorkspaceKind>) -> WorkspaceKind {
        asked.unwrap_or(if self.overlay {
            WorkspaceKind::Overlay
        } else {
            WorkspaceKind::Copied
        })
    }
}

fn perform(provider: &'static dyn Provider, reexec: &Reexec, work: &Path, name: &str) -> CageTest {
    match self_test(provider, reexec, work, name) {
        Ok(test) => from_probes(provider.name().to_owned(), &test),
        Err(error) => CageTest {
            provider: provider.name().to_owned(),
            passed: false,
            overlay: false,
            detail: format!("{}; run: cto doctor", crate::run::chain(&error)),
            enforced: vec![],
            probes: vec![],
        },
    }
}

fn from_probes(provider: String, test: &SelfTest) -> CageTest {
    let failed: Vec<String> = test
        .probes
        .iter()
        .filter(|p| !p.ok)
        .map(|p| format!("{} (expected {}, saw {})", p.name, p.expected, p.seen))
        .collect();
    let enforced = test
        .enforcement
        .bounds
        .iter()
        .filter(|b| b.state != cto_sandbox::BoundState::Absent);
    CageTest {
        provider,
        passed: failed.is_empty(),
        overlay: test.enforcement.workspace == "overlay",
        detail: if failed.is_empty() {
            String::new()
        } else {
            format!("the cage let through: {}", failed.join("; "))
        },
        enforced: enforced.map(|b| b.name.to_owned()).collect(),
        probes: test
            .probes
            .iter()
            .map(|p| (p.name.to_string(), p.expected.to_string(), p.seen.to_string(), p.ok))
            .collect(),
    }
}

/// The cache file of this boot, binary and configuration; `None` when the binary cannot be told apart.
fn place(provider: &dyn Provider, sandbox: &SandboxSettings, reexec: &Reexec, cache: &Path) -> Option<PathBuf> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let binary = std::fs::metadata(&reexec.program).ok()?;
    let key = serde_json::json!({
        "boot": boot.trim(),
        "binary": [binary.dev(), binary.ino(), binary.size()],
        "changed": [binary.mtime(), binary.mtime_nsec()],
        "provider": provider.name(),
        "uid": rustix::process::geteuid().as_raw(),
        "engine": [sandbox.engine_uid, sandbox.engine_gid],
        "cgroup": std::fs::read_to_string("/proc/self/cgroup").ok(),
    });
    Some(cache.join(format!(
        "self-test-{}.json",
        Sha256Digest::of(key.to_string().as_bytes()).hex()
    )))
}

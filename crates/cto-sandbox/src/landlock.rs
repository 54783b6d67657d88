//! The Landlock domain of a jailed program, in the strictest form that the kernel knows.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use crate::sys;

/// Why the domain could not be entered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LandlockError {
    #[error("find Landlock in this kernel")]
    Absent,
    #[error("enter the Landlock domain: {0}")]
    Rules(#[from] RulesetError),
    #[error("open {path} for a Landlock rule: {source}")]
    Path {
        path: PathBuf,
        source: landlock::PathFdError,
    },
    #[error("enforce the Landlock domain fully")]
    Partial,
}

/// What a domain cannot refuse before a certain ABI. TCP is not here: no domain of ours handles it.
const SINCE: [(i32, &str); 4] = [
    (3, "truncation"),
    (5, "device ioctls"),
    (6, "signals and abstract sockets"),
    (9, "path-name sockets"),
];

/// Names what a domain of this ABI leaves to the other bounds; empty on the newest kernel.
pub(crate) fn not_refused(abi: i32) -> String {
    let names: Vec<_> = SINCE
        .iter()
        .filter(|(since, _)| abi < *since)
        .map(|(_, name)| *name)
        .collect();
    names.join(", ")
}

/// Restricts the calling thread for good; returns the ABI and what the kernel made of it.
///
/// Each path is writable below: wholly, or only where something already exists.
pub(crate) fn restrict(writable: &[(PathBuf, bool)]) -> Result<(i32, String), LandlockError> {
    let number = sys::landlock_abi();
    if number == 0 {
        return Err(LandlockError::Absent);
    }
    let abi = ABI::from(number);
    let everything = AccessFs::from_all(abi);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(everything)?;
    let scopes = Scope::from_all(abi);
    if !scopes.is_empty() {
        rules = rules.scope(scopes)?;
    }
    let existing = (AccessFs::from_file(abi) | AccessFs::ReadDir) & everything;
    let mut rules = allow(rules.create()?, Path::new("/"), AccessFs::from_read(abi))?;
    for (path, whole) in writable {
        // A bind may be a single file, for which the rights of a directory would be refused.
        let whole = *whole && path.is_dir();
        let file = AccessFs::from_file(abi);
        let access = match (whole, path.is_dir()) {
            (true, _) => everything,
            (false, true) => existing,
            (false, false) => file,
        };
        rules = allow(rules, path, access)?;
    }
    let status = rules.restrict_self()?;
    if status.ruleset != RulesetStatus::FullyEnforced || !status.no_new_privs {
        return Err(LandlockError::Partial);
    }
    Ok((number, format!("{:?}", status.ruleset)))
}

fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, LandlockError> {
    let descriptor = PathFd::new(path).map_err(|source| LandlockError::Path {
        path: path.to_owned(),
        source,
    })?;
    Ok(rules.add_rule(PathBeneath::new(descriptor, access))?)
}

#[cfg(test)]
mod tests {
    use super::not_refused;

    #[test]
    fn an_older_kernel_is_named_by_what_it_leaves_open() {
        assert_eq!(not_refused(9), "");
        assert_eq!(not_refused(6), "path-name sockets");
        assert!(not_refused(2).starts_with("truncation, device ioctls, "));
    }
}

//! What a run leaves on the host besides its evidence: control groups and private directories, found by its name.

use std::io;

use cto_evidence::Home;
use cto_schema::RunId;

use crate::run::open_scratch_path;

/// Removes a run's leftovers; whatever still runs in its groups is killed first. What is gone already is fine.
///
/// `unique` is what the names of the run's groups start with; empty when it has none.
pub(crate) fn clear(home: &Home, run_id: &RunId, unique: &str) -> io::Result<()> {
    let mut directories = vec![home.work().join(run_id.as_str())];
    if !unique.is_empty() {
        cto_sandbox::remove_leftover_cgroups(unique)?;
        directories.push(home.work().join(format!("{unique}-self-test")));
        directories.push(open_scratch_path(unique));
    }
    for path in directories {
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

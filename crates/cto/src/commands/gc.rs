//! `cto gc`: remove what nothing uses.

use std::time::Duration;

use cto_runner::sweep;
use cto_schema::ExitClass;
use serde_json::json;

use crate::cli::{GcArgs, Global};
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn gc(global: &Global, args: &GcArgs, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    super::recover::recover_quietly(&harness, output)?;
    let age = Duration::from_secs(u64::from(args.keep_days) * 86_400);
    let swept = sweep(&harness, age, args.check).map_err(|error| CommandError::failed(&error))?;
    let baselines = swept.baselines.as_ref();
    let (commits, trees, bytes) = baselines.map_or((0, 0, 0), |b| (b.commits, b.trees, b.bytes));
    if output.json() {
        output.document(&json!({
            "baseline_commits": commits,
            "baseline_trees": trees,
            "baseline_bytes": bytes.to_string(),
            "work_directories": swept.work_directories,
            "cache_files": swept.cache_files,
            "layers": swept.layers,
            "damaged": swept.damaged,
        }));
    } else {
        output.print(&format!(
            "removed {trees} trees and {commits} commits ({bytes} bytes), {} work directories, {} cache files, {} unfinished layers\n",
            swept.work_directories, swept.cache_files, swept.layers
        ));
        for damage in &swept.damaged {
            output.print(&format!("damaged: {}\n", cto_schema::escape(damage.as_bytes(), 400)));
        }
    }
    Ok(Exit(if swept.damaged.is_empty() {
        ExitClass::Pass
    } else {
        ExitClass::Fail
    }))
}

//! How an engine's end and its cage read in the documents of a bundle.

use std::os::fd::AsFd as _;
use std::path::PathBuf;

use cto_sandbox::{Exited as JailExit, Exports};
use cto_schema::{Enforcement, EngineObservation, ForbiddenAttempt, LimitHit, SchemaId, escape};

use crate::supervise::Supervised;

/// Returns what the verdict looks at.
pub(super) fn observation(
    supervised: &Supervised,
    stream: cto_schema::StreamFacts,
    forbidden: Vec<ForbiddenAttempt>,
    disk_mib: u32,
) -> EngineObservation {
    let exited = &supervised.exited;
    let start_error = exited.exec_failed.map(|errno| {
        format!(
            "the engine's program could not be started: {}",
            std::io::Error::from_raw_os_error(errno)
        )
    });
    EngineObservation {
        started: start_error.is_none(),
        start_error,
        exit_code: exited.code.filter(|_| exited.exec_failed.is_none()),
        signal: exited.signal,
        ended_by: supervised.ended_by,
        survivors: survivors(exited),
        limits_hit: limits_hit(supervised, disk_mib),
        stream,
        masked: masked(&supervised.exports),
        forbidden,
        duration_ms: u64::try_from(supervised.duration.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Names the covered paths of the target.
fn masked(exports: &Exports) -> Vec<String> {
    let shown = |path: &PathBuf| escape(path.as_os_str().as_encoded_bytes(), 400);
    exports.masked.iter().map(shown).collect()
}

fn survivors(exited: &JailExit) -> Vec<String> {
    let mut named: Vec<String> = exited
        .survivors
        .iter()
        .map(|survivor| {
            format!(
                "{} ({})",
                survivor.comm,
                if survivor.argv.is_empty() { "?" } else { &survivor.argv }
            )
        })
        .collect();
    let more = exited.survivors_total.saturating_sub(named.len() as u64);
    if more > 0 {
        named.push(format!("{more} more"));
    }
    named
}

fn limits_hit(supervised: &Supervised, disk_mib: u32) -> Vec<LimitHit> {
    let usage = supervised.exited.cgroup;
    let mut hits = Vec::new();
    let mut add = |limit: &str, detail: String| {
        hits.push(LimitHit {
            limit: limit.to_owned(),
            detail,
        });
    };
    if usage.oom_kills > 0 {
        add(
            "memory",
            format!("the kernel killed {} processes at the memory limit", usage.oom_kills),
        );
    }
    if usage.process_limit_hits > 0 {
        add(
            "processes",
            format!("{} forks were refused at the process limit", usage.process_limit_hits),
        );
    }
    if supervised.output_exceeded {
        add(
            "output",
            "the engine wrote more output than limits.output_mib".to_owned(),
        );
    }
    let full = supervised
        .exports
        .upper
        .as_ref()
        .map(|upper| rustix::fs::fstatvfs(upper.as_fd()));
    let full = full.unwrap_or_else(|| rustix::fs::fstatvfs(supervised.exports.workspace.as_fd()));
    if let Ok(stat) = full {
        if stat.f_bavail.saturating_mul(stat.f_frsize) < 64 * 1024 && stat.f_blocks > 0 {
            add("disk", format!("the workspace is full: {disk_mib} MiB are allowed"));
        } else if stat.f_files > 0 && stat.f_ffree == 0 {
            add("files", "the workspace has no room for another file".to_owned());
        }
    }
    hits
}

/// Translates what the sandbox read back into the document of the bundle.
pub(crate) fn enforcement(seen: &cto_sandbox::Enforcement) -> Enforcement {
    let state = |state| match state {
        cto_sandbox::BoundState::Enforced => cto_schema::BoundState::Enforced,
        cto_sandbox::BoundState::Weaker => cto_schema::BoundState::Weaker,
        cto_sandbox::BoundState::Absent => cto_schema::BoundState::Absent,
    };
    let bound = |bound: &cto_sandbox::Bound| cto_schema::Bound {
        name: bound.name.to_owned(),
        state: state(bound.state),
        how: escape(bound.how.as_bytes(), 400),
        read_back: escape(bound.read_back.as_bytes(), 800),
    };
    Enforcement {
        schema: SchemaId::ENFORCEMENT.to_string(),
        provider: seen.provider.to_owned(),
        kernel: seen.kernel.clone(),
        landlock_abi: u32::try_from(seen.landlock_abi).ok().filter(|abi| *abi > 0),
        workspace: seen.workspace.to_owned(),
        bounds: seen.bounds.iter().map(bound).collect(),
    }
}

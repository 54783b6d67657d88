//! What only the locked-down child itself can see of its bounds.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{Mode, OFlags};

use crate::protocol::Facts;
use crate::sys;

/// Completes what the lock-down learnt on its way.
pub(super) fn complete(facts: Facts) -> Facts {
    Facts {
        descriptors: inheritable_descriptors(),
        // The directory itself always belongs to the process; what is in it to nobody, if hidden.
        init_owner: fs::metadata("/proc/1/environ").ok().map(|metadata| metadata.uid()),
        ..facts
    }
}

/// Tries a write that only Landlock can refuse: any process may write its own name.
///
/// It must come before the filter, which would ask the harness about it.
pub(super) fn probe_landlock() -> String {
    let open = |flags: OFlags| rustix::fs::open("/proc/self/comm", flags | OFlags::CLOEXEC, Mode::empty());
    let written = open(OFlags::RDONLY).and_then(|_| open(OFlags::WRONLY));
    written.map_or_else(|errno| errno.to_string(), |_| "written".to_owned())
}

fn inheritable_descriptors() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    let mut numbers: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| sys::survives_exec(*number))
        .collect();
    numbers.sort_unstable();
    numbers
}

//! The default provider: namespaces, mounts and lock-down by the inner stage itself.

use super::{Build, Provider};
use crate::error::JailError;

/// Needs nothing but a kernel that lets an ordinary user make namespaces.
#[derive(Debug)]
pub(crate) struct Native;

impl Provider for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn promises(&self) -> &'static [&'static str] {
        const PROMISES: [&str; super::VIEW.len() + 2] = {
            let mut all = ["tmp_limit"; super::VIEW.len() + 2];
            let mut at = 0;
            while at < super::VIEW.len() {
                all[at] = super::VIEW[at];
                at += 1;
            }
            all[at] = "cgroup_namespace";
            all
        };
        &PROMISES
    }

    fn build(&self) -> Result<Build, JailError> {
        Ok(Build::Namespaces)
    }
}

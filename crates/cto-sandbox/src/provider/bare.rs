//! The provider without a sandbox, for fakes and for contracts that accept it.

use super::{Build, Provider};
use crate::error::JailError;

/// Promises only what a process can do to itself.
#[derive(Debug)]
pub(crate) struct Bare;

impl Provider for Bare {
    fn name(&self) -> &'static str {
        "none"
    }

    fn promises(&self) -> &'static [&'static str] {
        &[
            "outer_uid",
            "file_descriptors",
            "seccomp",
            "no_new_privs",
            "core_dumps",
            "file_size",
            "open_files",
        ]
    }

    fn build(&self) -> Result<Build, JailError> {
        Ok(Build::Bare)
    }
}

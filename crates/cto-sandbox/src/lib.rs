//! Jails that the kernel keeps, and the write set that they leave.

mod address;
mod cgroup;
mod channel;
mod copy;
mod enforcement;
mod error;
mod inner;
mod jail;
mod keeper;
mod landlock;
mod machine;
mod memory;
mod observe;
mod order;
mod probe;
mod protocol;
mod provider;
mod readback;
mod running;
mod seccomp;
mod self_test;
mod spec;
mod sys;

pub use address::Address;
pub use cgroup::{CgroupUsage, remove_leftover_cgroups};
pub use enforcement::{Bound, BoundState, Enforcement};
pub use error::JailError;
pub use inner::{INNER_ARGUMENT, inner_main};
pub use jail::{Exports, PreparedJail, prepare};
pub use machine::{Ability, MachineReport, probe_machine};
pub use observe::{Act, Observation};
pub use protocol::Survivor;
pub use provider::{Build, PROVIDERS, Provider, ProviderKind};
pub use running::{Exited, JailEvent, RunningJail};
pub use self_test::{Probe, SelfTest, self_test};
pub use spec::{
    Bind, Change, DEFAULT_ENGINE_ID, Embedded, HOME, JailSpec, Limits, Observe, Program, Reexec, WORKSPACE, Workspace,
};
pub use sys::end_with_parent;

/// Lets go of a result that changes nothing; each caller says why.
fn ignore<T, E>(_result: Result<T, E>) {}

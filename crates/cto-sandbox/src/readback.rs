//! What the kernel shows the harness of the locked-down child.

use std::collections::BTreeMap;
use std::fs;

use rustix::net::UCred;

use crate::error::JailError;

const NAMESPACES: [&str; 7] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];

/// The child as `/proc` of the harness shows it; what cannot be read stays empty and proves nothing.
#[derive(Debug)]
pub(crate) struct ReadBack {
    /// Its uid and gid in the user namespace of the harness, from the kernel's own message header.
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) status: String,
    pub(crate) uid_map: String,
    pub(crate) limits: String,
    /// Of the child, and of the harness: `user:[4026531837]` by name.
    pub(crate) namespaces: BTreeMap<&'static str, String>,
    pub(crate) own_namespaces: BTreeMap<&'static str, String>,
    pub(crate) interfaces: Vec<String>,
    pub(crate) mounts: String,
    pub(crate) cgroups: String,
}

impl ReadBack {
    /// Reads everything that is shown of the sender of a message, which must still be waiting.
    pub(crate) fn of(sender: Option<UCred>) -> Result<Self, JailError> {
        let Some(sender) = sender else {
            return Err(JailError::Lost {
                detail: "the kernel named no sender".to_owned(),
            });
        };
        let pid = sender.pid.as_raw_nonzero().get().to_string();
        let read = |name: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ok(Self {
            uid: sender.uid.as_raw(),
            gid: sender.gid.as_raw(),
            status: read("status"),
            uid_map: read("uid_map"),
            limits: read("limits"),
            namespaces: namespaces(&pid),
            own_namespaces: namespaces("self"),
            interfaces: read("net/dev")
                .lines()
                .filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()))
                .collect(),
            mounts: read("mountinfo"),
            cgroups: read("cgroup"),
        })
    }
}

fn namespaces(pid: &str) -> BTreeMap<&'static str, String> {
    NAMESPACES
        .into_iter()
        .filter_map(|name| {
            let link = fs::read_link(format!("/proc/{pid}/ns/{name}")).ok()?;
            Some((name, link.to_string_lossy().into_owned()))
        })
        .collect()
}

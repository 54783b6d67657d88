//! Why there is no jail, with what would mend it.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

/// Why a jail could not be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// The order itself is wrong.
    #[error("accept the jail's specification: {reason}")]
    Specification {
        /// What is wrong with it.
        reason: String,
    },
    /// The machine lacks something.
    #[error("find {what}: {mend}")]
    Missing {
        /// What is lacking.
        what: &'static str,
        /// How to mend it.
        mend: &'static str,
    },
    /// A bound that the provider promises does not read back.
    #[error("enforce {bound}: saw {seen:?}: {mend}")]
    Refused {
        /// The name of the bound.
        bound: &'static str,
        /// What the kernel showed.
        seen: String,
        /// How to mend it.
        mend: String,
    },
    /// The inner stage met an obstacle.
    #[error("{step}: {source}{}{detail}{}{mend}", separator(detail), separator(mend))]
    Inner {
        /// What it was doing.
        step: String,
        /// What the kernel said.
        source: io::Error,
        /// What else is known.
        detail: String,
        /// How to mend it; may be empty.
        mend: String,
    },
    /// The inner stage ended without a word.
    #[error("hear from the inner stage: {detail}")]
    Lost {
        /// What it wrote to its standard error, escaped and capped.
        detail: String,
    },
    /// Something on the harness's side failed.
    #[error("{operation}: {source}")]
    Harness {
        /// What it was doing.
        operation: &'static str,
        /// What came of it.
        source: io::Error,
    },
    /// A file that the specification names could not be read.
    #[error("read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
}

fn separator(text: &str) -> &'static str {
    if text.is_empty() { "" } else { ": " }
}

impl JailError {
    pub(crate) fn harness(operation: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Harness { operation, source }
    }

    pub(crate) fn kernel(operation: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::Harness {
            operation,
            source: errno.into(),
        }
    }

    /// Adds to the report of the inner stage what is known to mend it.
    pub(crate) fn inner(step: String, errno: i32, detail: String) -> Self {
        let mend = mend(&step, Errno::from_raw_os_error(errno));
        Self::Inner {
            step,
            source: io::Error::from_raw_os_error(errno),
            detail,
            mend,
        }
    }
}

fn mend(step: &str, errno: Errno) -> String {
    let knob = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let maps = step.contains("map") || step == "write setgroups";
    let text = match (step, errno) {
        ("create namespaces", Errno::NOSPC | Errno::USERS) => {
            let limit = knob("/proc/sys/user/max_user_namespaces");
            return format!("user.max_user_namespaces is {limit}: raise it with sysctl");
        }
        (_, Errno::PERM | Errno::ACCESS) if maps || step.contains("namespace") || step == "bring loopback up" => {
            if knob("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
                "AppArmor restricts user namespaces: add a profile for this binary with `userns,`, \
                 or set kernel.apparmor_restrict_unprivileged_userns=0"
            } else if knob("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
                "set kernel.unprivileged_userns_clone=1"
            } else if knob("/proc/sys/user/max_user_namespaces") == "0" {
                "set user.max_user_namespaces above 0"
            } else {
                "a seccomp profile or container forbids namespaces: in docker use \
                 --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
            }
        }
        ("mount proc", Errno::PERM) => {
            "the container masks parts of /proc: in docker use --security-opt systempaths=unconfined"
        }
        ("mount overlay", Errno::NODEV) => "load the overlay module, or use a copied workspace",
        ("mount overlay", _) => "use a copied workspace here",
        ("enter the Landlock domain", _) => "boot with `lsm=landlock,...` on Linux 5.13 or newer",
        ("reach a source" | "stage a source", Errno::ACCESS | Errno::NOENT) => {
            "the path must exist and be reachable for the harness"
        }
        (_, Errno::NOSYS) => "use Linux 5.13 or newer",
        _ => "",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_the_kernel_does_not_know_names_the_oldest_kernel_that_works() {
        let error = JailError::inner(
            "make the mounts private".to_owned(),
            Errno::NOSYS.raw_os_error(),
            String::new(),
        );
        assert!(error.to_string().ends_with(": use Linux 5.13 or newer"), "{error}");
    }
}

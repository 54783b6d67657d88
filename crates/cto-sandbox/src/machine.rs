//! What this machine can do for a jail, and how to mend what it cannot.

use std::fs;
use std::path::Path;

use crate::cgroup::Parents;
use crate::enforcement::BoundState;
use crate::error::JailError;
use crate::jail::prepare;
use crate::provider::{ProviderKind, find_bubblewrap};
use crate::spec::{JailSpec, Limits, Observe, Program, Reexec, Workspace};
use crate::sys;

/// One thing that a machine can or cannot do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ability {
    /// Its stable name.
    pub name: &'static str,
    /// Whether it is there.
    pub ok: bool,
    /// What was seen.
    pub seen: String,
    /// How to mend it; empty where it is there.
    pub mend: String,
}

/// Everything that `cto doctor` says of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineReport {
    /// The release of the kernel.
    pub kernel: String,
    /// The uid of the harness.
    pub uid: u32,
    /// The Landlock ABI, 0 where there is none.
    pub landlock_abi: i32,
    /// The abilities, in a fixed order.
    pub abilities: Vec<Ability>,
}

/// Looks at the machine, and makes one jail of each kind to be sure; `scratch_dir` is the caller's.
pub fn probe_machine(reexec: &Reexec, scratch_dir: &Path) -> MachineReport {
    let landlock_abi = sys::landlock_abi();
    let mut abilities = vec![
        ability(
            "landlock",
            landlock_abi > 0,
            format!("ABI {landlock_abi}"),
            "boot with `lsm=landlock,...` on Linux 5.13 or newer",
        ),
        ability(
            "seccomp_notification",
            sys::seccomp_has_action(libc::SECCOMP_RET_USER_NOTIF),
            "SECCOMP_RET_USER_NOTIF".to_owned(),
            "use Linux 5.0 or newer with CONFIG_SECCOMP_FILTER",
        ),
    ];
    abilities.extend(try_jails(reexec, scratch_dir));
    let bubblewrap = find_bubblewrap();
    abilities.push(ability(
        "bubblewrap",
        bubblewrap.is_some(),
        bubblewrap.map_or_else(
            || "not found".to_owned(),
            |(path, version)| format!("{} {version}", path.display()),
        ),
        "install bubblewrap 0.8 or newer in /usr/bin; the native provider does without",
    ));
    MachineReport {
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        uid: rustix::process::geteuid().as_raw(),
        landlock_abi,
        abilities,
    }
}

fn ability(name: &'static str, ok: bool, seen: String, mend: &str) -> Ability {
    Ability {
        name,
        ok,
        seen,
        mend: if ok { String::new() } else { mend.to_owned() },
    }
}

fn try_jails(reexec: &Reexec, scratch_dir: &Path) -> Vec<Ability> {
    let name = format!("doctor-{}", std::process::id());
    let base = scratch_dir.join(&name);
    let lower = base.join("lower");
    if let Err(error) = fs::create_dir_all(&lower) {
        return vec![ability(
            "scratch",
            false,
            error.to_string(),
            "give a writable scratch directory",
        )];
    }
    let spec = |workspace| JailSpec {
        name: name.clone(),
        workspace,
        changes: Vec::new(),
        home: Vec::new(),
        read_only: Vec::new(),
        masks: Vec::new(),
        listen: None,
        binds: Vec::new(),
        program: Program::Argv(vec!["/bin/true".into()]),
        env: Vec::new(),
        limits: Limits::default(),
        engine_uid: None,
        engine_gid: None,
        observe: Observe::Everything,
        workdir: "".into(),
        scratch_dir: scratch_dir.to_owned(),
    };
    let native = ProviderKind::Native.provider();
    let copied = prepare(
        native,
        &spec(Workspace::Copied {
            sources: vec![lower.clone()],
        }),
        reexec,
    );
    let overlay = prepare(native, &spec(Workspace::Overlay { lowers: vec![lower] }), reexec);
    let mut abilities = vec![outcome("native", "a jail was made", copied.as_ref().err())];
    abilities.push(outcome(
        "overlay",
        "an overlay was mounted on a tmpfs",
        overlay.as_ref().err(),
    ));
    let kind = Parents::find().kind();
    for (name, bound) in [("memory_cgroup", "memory_limit"), ("process_cgroup", "process_limit")] {
        let bound = copied.as_ref().ok().and_then(|jail| jail.enforcement().bound(bound));
        let ok = bound.is_some_and(|bound| bound.state == BoundState::Enforced);
        let seen = bound.map_or_else(|| "unknown".to_owned(), |bound| bound.how.clone());
        abilities.push(ability(
            name,
            ok,
            format!("{kind}: {seen}"),
            "delegate a cgroup with the memory and pids controllers: start under \
             `systemd-run --user --scope -p Delegate=yes`, or as root",
        ));
    }
    drop((copied, overlay));
    // What stays behind is an empty directory below the caller's own scratch directory.
    drop(fs::remove_dir_all(base));
    abilities
}

fn outcome(name: &'static str, seen: &str, error: Option<&JailError>) -> Ability {
    match error {
        None => ability(name, true, seen.to_owned(), ""),
        Some(error) => {
            let text = format!("failed to {error}");
            let mend = match error {
                JailError::Inner { mend, .. } | JailError::Refused { mend, .. } => mend.clone(),
                _ => String::new(),
            };
            ability(name, false, text, &mend)
        }
    }
}

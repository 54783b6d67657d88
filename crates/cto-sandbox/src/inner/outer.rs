//! The outer half: takes the order, gives up root, enters the namespaces and waits for init.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};
use rustix::thread::{Gid, Uid};

use super::{Context, Failure, Step, bare, bubblewrap, init, staging};
use crate::channel::{self, Received};
use crate::ignore;
use crate::protocol::{Command, Method, Order, Report};
use crate::spec::Embedded;
use crate::sys::{self, Fork};

const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWCGROUP;

/// Runs the outer half to the end of the jail.
pub(super) fn run(embedded: &[Embedded]) -> ExitCode {
    // Nobody is told of a failure before the control socket is ours: the closed socket says it.
    let Ok(control) = take_control(None) else {
        return ExitCode::FAILURE;
    };
    let (order, contents) = match take_order(&control) {
        Ok(taken) => taken,
        Err(failure) => return failure.report(&control),
    };
    let mut context = Context {
        order,
        control,
        contents,
        embedded,
    };
    match prepare(&mut context) {
        Err(failure) => failure.report(&context.control),
        Ok(()) => match context.order.method {
            Method::Namespaces => supervise(context),
            Method::Bubblewrap { .. } => bubblewrap::exec(&mut context).report(&context.control),
            Method::Bare => bare::run(context),
        },
    }
}

/// Arms the death signal, closes what leaked in, and moves the control socket off stdin.
pub(super) fn take_control(keep: Option<u32>) -> Result<OwnedFd, Errno> {
    match keep {
        Some(keep) if keep > 3 => {
            sys::close_range(3, keep - 1)?;
            sys::close_range(keep + 1, u32::MAX)?;
        }
        _ => sys::close_range(3, u32::MAX)?,
    }
    die_with_parent()?;
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::stdio::dup2_stdin(null()?)?;
    Ok(control)
}

/// Opens the null device.
pub(super) fn null() -> Result<OwnedFd, Errno> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

pub(super) fn die_with_parent() -> Result<(), Errno> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
}

fn take_order(control: &OwnedFd) -> Result<(Order, File), Failure> {
    let received = channel::receive::<Command>(control, true).step("receive the order")?;
    let Some(Received {
        frame: Command::Order { length },
        descriptors,
        ..
    }) = received
    else {
        return Err(Failure::new("receive the order", Errno::PROTO, "no order"));
    };
    let Some(memory) = descriptors.into_iter().next() else {
        return Err(Failure::new("receive the order", Errno::PROTO, "no memory file"));
    };
    read_order(memory, length)
}

/// Reads the order from the start of its memory file and leaves the contents to be read.
pub(super) fn read_order(memory: OwnedFd, length: u64) -> Result<(Order, File), Failure> {
    let mut memory = File::from(memory);
    memory.seek(SeekFrom::Start(0)).step("read the order")?;
    let mut text = Vec::new();
    (&mut memory)
        .take(length)
        .read_to_end(&mut text)
        .step("read the order")?;
    let order = serde_json::from_slice(&text)
        .map_err(|error| Failure::new("read the order", Errno::BADMSG, error.to_string()))?;
    Ok((order, memory))
}

/// Gives up root and enters the user namespace, in the order that the method needs.
fn prepare(context: &mut Context<'_>) -> Result<(), Failure> {
    let order = &mut context.order;
    for file in &order.cgroup_files {
        write_file(file.path(), "0").step_at("join the cgroup", file.path())?;
    }
    if order.drop_privileges {
        if order.uid == 0 || order.gid == 0 {
            let detail = "the engine's uid or gid is 0";
            return Err(Failure::new("choose the engine's uid", Errno::PERM, detail));
        }
        // The kernel then sacrifices the engine, not the init that has to tell of it.
        ignore(write_file("/proc/self/oom_score_adj", "-900"));
        if order.method != Method::Bare {
            // The sources may lie below directories that the engine's uid cannot enter.
            sys::unshare(libc::CLONE_NEWNS).step("unshare the mount namespace")?;
            staging::stage(order)?;
        }
        if order.method == Method::Bare {
            // There will be no user namespace whose bounding set could be emptied later.
            super::engine::empty_bounding_set().step("drop the bounding set")?;
        }
        give_up_root(order.uid, order.gid)?;
    }
    match order.method {
        Method::Namespaces => {
            sys::unshare(NAMESPACES).step("create namespaces")?;
            write_maps(order.uid, order.gid)?;
            if !order.drop_privileges {
                staging::stage(order)?;
            }
        }
        Method::Bubblewrap { .. } | Method::Bare => {}
    }
    Ok(())
}

fn write_file(path: impl AsRef<Path>, text: &str) -> Result<(), Errno> {
    let file = rustix::fs::open(path.as_ref(), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(file, text.as_bytes()).map(drop)
}

fn give_up_root(uid: u32, gid: u32) -> Result<(), Failure> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::thread::set_thread_groups(&[]).step("drop the supplementary groups")?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).step("set the gid")?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).step("set the uid")?;
    let now = (rustix::process::getuid(), rustix::process::geteuid());
    if now != (uid, uid) || rustix::process::getgid() != gid {
        return Err(Failure::new("set the uid", Errno::PERM, "the uid did not change"));
    }
    // A change of credentials disarms the death signal and hides /proc/self from ourselves.
    die_with_parent().step("arm the death signal")?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).step("set dumpable")
}

fn write_maps(uid: u32, gid: u32) -> Result<(), Failure> {
    write_file("/proc/self/setgroups", "deny").step("write setgroups")?;
    write_file("/proc/self/gid_map", &format!("{gid} {gid} 1\n")).step("write the gid map")?;
    write_file("/proc/self/uid_map", &format!("{uid} {uid} 1\n")).step("write the uid map")?;
    let map = std::fs::read_to_string("/proc/self/uid_map").step("read the uid map")?;
    let words: Vec<_> = map.split_ascii_whitespace().collect();
    match words.as_slice() {
        [_, outer, "1"] if *outer != "0" => Ok(()),
        _ => Err(Failure::new("check the uid map", Errno::PERM, map)),
    }
}

fn supervise(context: Context<'_>) -> ExitCode {
    match sys::fork() {
        Err(errno) => Failure::new("start init", errno, "").report(&context.control),
        Ok(Fork::Child) => init::run_in_namespaces(context),
        Ok(Fork::Parent(init)) => {
            drop(context.contents);
            wait_for(init, &context.control)
        }
    }
}

/// Waits until init is reaped, which the kernel does only after its whole namespace is gone.
fn wait_for(init: Pid, control: &OwnedFd) -> ExitCode {
    if let Ok(null) = null() {
        // The pipes of the program must end with the program.
        ignore(rustix::stdio::dup2_stdout(null.as_fd()));
        ignore(rustix::stdio::dup2_stderr(null.as_fd()));
    }
    let status = loop {
        match rustix::process::waitpid(Some(init), WaitOptions::empty()) {
            Ok(Some((_, status))) => break Some(status),
            Ok(None) | Err(Errno::INTR) => {}
            Err(_) => break None,
        }
    };
    let frame = Report::Empty {
        init_code: status.and_then(|status| status.exit_status()),
        init_signal: status.and_then(|status| status.terminating_signal()),
    };
    match channel::send(control, &frame, &[]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

//! The table of calls that are refused or observed, by name.

use std::ffi::c_long;

/// What the filter does with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Fails with EPERM.
    Deny,
    /// Fails with ENOSYS, silently: programs ask for it and fall back.
    Absent,
    /// Fails with EPERM where a namespace is asked for.
    CloneNamespaces,
    /// Fails with EAFNOSUPPORT for other families than unix, inet and route netlink.
    SocketFamilies,
    /// Fails with EPERM for anything but the harmless values.
    Personality,
    /// Fails with EPERM for the requests that type into a terminal.
    TerminalInjection,
    /// Fails with EPERM for limits of another process: init has the engine's uid, and must not be starved by it.
    LimitsOfOthers,
    /// Fails with EPERM where a process would make itself unreadable for the observer.
    Unreadable,
    /// Is reported, and goes on: other bounds do the refusing.
    Observe,
    /// Is reported where the flags in this argument can write.
    ObserveWriteFlags(u32),
    /// Is reported where this argument is no null pointer.
    ObserveAddress(u32),
    /// Is reported except on the control descriptor.
    ObserveMessage,
}

impl Rule {
    /// Tells whether the rule exists only to observe.
    pub(crate) fn only_observes(self) -> bool {
        matches!(
            self,
            Self::Observe | Self::ObserveWriteFlags(_) | Self::ObserveAddress(_) | Self::ObserveMessage
        )
    }
}

/// One call of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) number: c_long,
    pub(crate) rule: Rule,
}

impl Row {
    /// Tells whether the call may be an attempt at something that a contract forbids: to run, to reach.
    pub(crate) fn is_attempt(&self) -> bool {
        matches!(self.rule, Rule::ObserveAddress(_) | Rule::ObserveMessage)
            || matches!(self.name, "connect" | "execve" | "execveat")
    }
}

const fn row(name: &'static str, number: c_long, rule: Rule) -> Row {
    Row { name, number, rule }
}

// Newer than the constants of libc; the same on every architecture.
const OPEN_TREE_ATTR: c_long = 467;
const LSM_SET_SELF_ATTR: c_long = 460;

/// Calls that every supported architecture has.
pub(crate) const COMMON: &[Row] = &[
    row("unshare", libc::SYS_unshare, Rule::Deny),
    row("setns", libc::SYS_setns, Rule::Deny),
    row("mount", libc::SYS_mount, Rule::Deny),
    row("umount2", libc::SYS_umount2, Rule::Deny),
    row("pivot_root", libc::SYS_pivot_root, Rule::Deny),
    row("chroot", libc::SYS_chroot, Rule::Deny),
    row("fsopen", libc::SYS_fsopen, Rule::Deny),
    row("fsconfig", libc::SYS_fsconfig, Rule::Deny),
    row("fsmount", libc::SYS_fsmount, Rule::Deny),
    row("fspick", libc::SYS_fspick, Rule::Deny),
    row("move_mount", libc::SYS_move_mount, Rule::Deny),
    row("open_tree", libc::SYS_open_tree, Rule::Deny),
    row("mount_setattr", libc::SYS_mount_setattr, Rule::Deny),
    row("keyctl", libc::SYS_keyctl, Rule::Deny),
    row("add_key", libc::SYS_add_key, Rule::Deny),
    row("request_key", libc::SYS_request_key, Rule::Deny),
    row("ptrace", libc::SYS_ptrace, Rule::Deny),
    row("process_vm_readv", libc::SYS_process_vm_readv, Rule::Deny),
    row("process_vm_writev", libc::SYS_process_vm_writev, Rule::Deny),
    row("process_madvise", libc::SYS_process_madvise, Rule::Deny),
    row("pidfd_getfd", libc::SYS_pidfd_getfd, Rule::Deny),
    row("kcmp", libc::SYS_kcmp, Rule::Deny),
    row("bpf", libc::SYS_bpf, Rule::Deny),
    row("perf_event_open", libc::SYS_perf_event_open, Rule::Deny),
    row("io_uring_setup", libc::SYS_io_uring_setup, Rule::Deny),
    row("io_uring_enter", libc::SYS_io_uring_enter, Rule::Deny),
    row("io_uring_register", libc::SYS_io_uring_register, Rule::Deny),
    row("userfaultfd", libc::SYS_userfaultfd, Rule::Deny),
    row("open_by_handle_at", libc::SYS_open_by_handle_at, Rule::Deny),
    row("name_to_handle_at", libc::SYS_name_to_handle_at, Rule::Deny),
    row("fanotify_init", libc::SYS_fanotify_init, Rule::Deny),
    row("init_module", libc::SYS_init_module, Rule::Deny),
    row("finit_module", libc::SYS_finit_module, Rule::Deny),
    row("delete_module", libc::SYS_delete_module, Rule::Deny),
    row("kexec_load", libc::SYS_kexec_load, Rule::Deny),
    row("kexec_file_load", libc::SYS_kexec_file_load, Rule::Deny),
    row("reboot", libc::SYS_reboot, Rule::Deny),
    row("swapon", libc::SYS_swapon, Rule::Deny),
    row("swapoff", libc::SYS_swapoff, Rule::Deny),
    row("quotactl", libc::SYS_quotactl, Rule::Deny),
    row("quotactl_fd", libc::SYS_quotactl_fd, Rule::Deny),
    row("acct", libc::SYS_acct, Rule::Deny),
    row("syslog", libc::SYS_syslog, Rule::Deny),
    row("settimeofday", libc::SYS_settimeofday, Rule::Deny),
    row("clock_settime", libc::SYS_clock_settime, Rule::Deny),
    row("clock_adjtime", libc::SYS_clock_adjtime, Rule::Deny),
    row("adjtimex", libc::SYS_adjtimex, Rule::Deny),
    row("sethostname", libc::SYS_sethostname, Rule::Deny),
    row("setdomainname", libc::SYS_setdomainname, Rule::Deny),
    row("vhangup", libc::SYS_vhangup, Rule::Deny),
    row("lookup_dcookie", libc::SYS_lookup_dcookie, Rule::Deny),
    row("nfsservctl", libc::SYS_nfsservctl, Rule::Deny),
    row("migrate_pages", libc::SYS_migrate_pages, Rule::Deny),
    row("move_pages", libc::SYS_move_pages, Rule::Deny),
    row("open_tree_attr", OPEN_TREE_ATTR, Rule::Deny),
    row("lsm_set_self_attr", LSM_SET_SELF_ATTR, Rule::Deny),
    // glibc falls back to clone, whose flags a filter can see.
    row("clone3", libc::SYS_clone3, Rule::Absent),
    row("clone", libc::SYS_clone, Rule::CloneNamespaces),
    row("socket", libc::SYS_socket, Rule::SocketFamilies),
    row("personality", libc::SYS_personality, Rule::Personality),
    row("ioctl", libc::SYS_ioctl, Rule::TerminalInjection),
    row("prlimit64", libc::SYS_prlimit64, Rule::LimitsOfOthers),
    row("prctl", libc::SYS_prctl, Rule::Unreadable),
    row("connect", libc::SYS_connect, Rule::Observe),
    row("execve", libc::SYS_execve, Rule::Observe),
    row("execveat", libc::SYS_execveat, Rule::Observe),
    row("openat2", libc::SYS_openat2, Rule::Observe),
    row("mkdirat", libc::SYS_mkdirat, Rule::Observe),
    row("unlinkat", libc::SYS_unlinkat, Rule::Observe),
    row("renameat2", libc::SYS_renameat2, Rule::Observe),
    row("symlinkat", libc::SYS_symlinkat, Rule::Observe),
    row("linkat", libc::SYS_linkat, Rule::Observe),
    row("truncate", libc::SYS_truncate, Rule::Observe),
    row("openat", libc::SYS_openat, Rule::ObserveWriteFlags(2)),
    row("sendto", libc::SYS_sendto, Rule::ObserveAddress(4)),
    row("sendmsg", libc::SYS_sendmsg, Rule::ObserveMessage),
    row("sendmmsg", libc::SYS_sendmmsg, Rule::ObserveMessage),
];

/// Calls of this architecture only.
#[cfg(target_arch = "x86_64")]
pub(crate) const NATIVE: &[Row] = &[
    row("iopl", libc::SYS_iopl, Rule::Deny),
    row("ioperm", libc::SYS_ioperm, Rule::Deny),
    row("modify_ldt", libc::SYS_modify_ldt, Rule::Deny),
    row("uselib", libc::SYS_uselib, Rule::Deny),
    row("_sysctl", libc::SYS__sysctl, Rule::Deny),
    row("ustat", libc::SYS_ustat, Rule::Deny),
    row("creat", libc::SYS_creat, Rule::Observe),
    row("mkdir", libc::SYS_mkdir, Rule::Observe),
    row("rmdir", libc::SYS_rmdir, Rule::Observe),
    row("unlink", libc::SYS_unlink, Rule::Observe),
    row("rename", libc::SYS_rename, Rule::Observe),
    row("renameat", libc::SYS_renameat, Rule::Observe),
    row("symlink", libc::SYS_symlink, Rule::Observe),
    row("link", libc::SYS_link, Rule::Observe),
    row("open", libc::SYS_open, Rule::ObserveWriteFlags(1)),
];

/// Calls of this architecture only.
#[cfg(target_arch = "aarch64")]
pub(crate) const NATIVE: &[Row] = &[row("renameat", libc::SYS_renameat, Rule::Observe)];

/// Finds a row by the number of its call.
pub(crate) fn find(number: c_long) -> Option<&'static Row> {
    COMMON.iter().chain(NATIVE).find(|row| row.number == number)
}

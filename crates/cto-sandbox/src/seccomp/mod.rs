//! The system call filter of a jailed program.

mod assembler;
pub(crate) mod table;

use libc::sock_filter;

use assembler::Assembler;
use table::{COMMON, NATIVE, Row, Rule};

use crate::spec::Observe;

/// `AUDIT_ARCH_*` of the architecture that the harness was built for.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Numbers from here on are the x32 interface, whose calls a number table would miss.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
const EAFNOSUPPORT: u32 = 97;

const CLONE_NEW: u32 = 0x7e02_0080;
const WRITE_FLAGS: u32 = 0o3 | 0o100 | 0o1000 | 0o2000 | 0o20_000_000;
const PERSONALITIES: [u32; 3] = [0, 0xffff_ffff, 0x0004_0000];
const TIOCSTI: u32 = 0x5412;
const PR_SET_DUMPABLE: u32 = 4;
const TIOCLINUX: u32 = 0x541c;
const AF_UNIX: u32 = 1;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const AF_NETLINK: u32 = 16;
const NETLINK_ROUTE: u32 = 0;

/// The error number that a refused call gets.
pub(crate) fn refusal(rule: Rule) -> i32 {
    match rule {
        Rule::SocketFamilies => 97,
        Rule::Absent => 38,
        _ => 1,
    }
}

/// Builds the filter; `control` is the descriptor on which a message is never observed.
pub(crate) fn filter(observe: Observe, control: u32) -> Vec<sock_filter> {
    let mut code = Assembler::default();
    code.load_architecture();
    code.if_not_equal(ARCHITECTURE, |code| {
        code.give(libc::SECCOMP_RET_KILL_PROCESS);
    });
    code.load_number();
    #[cfg(target_arch = "x86_64")]
    code.if_at_least(X32, |code| code.give(libc::SECCOMP_RET_ERRNO | ENOSYS));
    for row in COMMON.iter().chain(NATIVE) {
        let wanted = match observe {
            Observe::Nothing => !row.rule.only_observes(),
            Observe::Attempts => !row.rule.only_observes() || row.is_attempt(),
            Observe::Everything => true,
        };
        if wanted {
            add(&mut code, row, observe != Observe::Nothing, control);
        }
    }
    code.give(libc::SECCOMP_RET_ALLOW);
    code.finish()
}

fn add(code: &mut Assembler, row: &Row, observe: bool, control: u32) {
    let Ok(number) = u32::try_from(row.number) else {
        return;
    };
    let deny = |errno: u32| {
        if observe {
            libc::SECCOMP_RET_USER_NOTIF
        } else {
            libc::SECCOMP_RET_ERRNO | errno
        }
    };
    let allow = |code: &mut Assembler| code.give(libc::SECCOMP_RET_ALLOW);
    let report = |code: &mut Assembler| code.give(libc::SECCOMP_RET_USER_NOTIF);
    code.if_equal(number, |code| match row.rule {
        Rule::Deny => code.give(deny(EPERM)),
        Rule::Absent => code.give(libc::SECCOMP_RET_ERRNO | ENOSYS),
        Rule::CloneNamespaces => {
            code.load_low(0);
            code.if_any_bit(CLONE_NEW, |code| code.give(deny(EPERM)));
            allow(code);
        }
        Rule::SocketFamilies => {
            code.load_low(0);
            for family in [AF_UNIX, AF_INET, AF_INET6] {
                code.if_equal(family, allow);
            }
            code.if_equal(AF_NETLINK, |code| {
                code.load_low(2);
                code.if_equal(NETLINK_ROUTE, allow);
            });
            code.give(deny(EAFNOSUPPORT));
        }
        Rule::Personality => {
            code.load_low(0);
            for value in PERSONALITIES {
                code.if_equal(value, allow);
            }
            code.give(deny(EPERM));
        }
        Rule::TerminalInjection => {
            code.load_low(1);
            for request in [TIOCSTI, TIOCLINUX] {
                code.if_equal(request, |code| code.give(deny(EPERM)));
            }
            allow(code);
        }
        Rule::LimitsOfOthers => {
            code.load_low(0);
            code.if_not_equal(0, |code| code.give(deny(EPERM)));
            allow(code);
        }
        Rule::Unreadable => {
            // PR_SET_DUMPABLE with 0; every other request is ordinary.
            code.load_low(0);
            code.if_not_equal(PR_SET_DUMPABLE, allow);
            code.load_low(1);
            code.if_equal(0, |code| code.give(deny(EPERM)));
            allow(code);
        }
        Rule::Observe => report(code),
        Rule::ObserveWriteFlags(argument) => {
            code.load_low(argument);
            code.if_any_bit(WRITE_FLAGS, report);
            allow(code);
        }
        Rule::ObserveAddress(argument) => {
            code.load_low(argument);
            code.if_not_equal(0, report);
            code.load_high(argument);
            code.if_not_equal(0, report);
            allow(code);
        }
        Rule::ObserveMessage => {
            code.load_low(0);
            code.if_equal(control, allow);
            report(code);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a filter as the kernel would.
    fn run(code: &[sock_filter], number: u32, architecture: u32, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend_from_slice(&number.to_le_bytes());
        data.extend_from_slice(&architecture.to_le_bytes());
        data.extend_from_slice(&[0; 8]);
        for argument in arguments {
            data.extend_from_slice(&argument.to_le_bytes());
        }
        let (mut at, mut value) = (0, 0);
        loop {
            let step = code[at];
            at += 1;
            let k = step.k;
            let jump = |holds: bool| usize::from(if holds { step.jt } else { step.jf });
            match step.code {
                0x20 => {
                    let offset = k as usize;
                    value = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
                }
                0x15 => at += jump(value == k),
                0x35 => at += jump(value >= k),
                0x45 => at += jump(value & k != 0),
                0x06 => return k,
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    fn judge(observe: Observe, name: &str, arguments: [u64; 6]) -> u32 {
        let row = COMMON.iter().chain(NATIVE).find(|row| row.name == name).unwrap();
        run(
            &filter(observe, 77),
            u32::try_from(row.number).unwrap(),
            ARCHITECTURE,
            arguments,
        )
    }

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;

    #[test]
    fn denies_every_listed_call_with_or_without_an_observer() {
        for row in COMMON.iter().chain(NATIVE).filter(|row| row.rule == Rule::Deny) {
            assert_eq!(
                judge(Observe::Nothing, row.name, [0; 6]),
                libc::SECCOMP_RET_ERRNO | EPERM
            );
            assert_eq!(judge(Observe::Everything, row.name, [0; 6]), NOTIFY, "{}", row.name);
        }
    }

    #[test]
    fn kills_a_foreign_architecture_and_refuses_x32() {
        let code = filter(Observe::Nothing, 77);
        assert_eq!(run(&code, 0, 0x4000_0003, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
        #[cfg(target_arch = "x86_64")]
        assert_eq!(
            run(&code, X32 + 1, ARCHITECTURE, [0; 6]),
            libc::SECCOMP_RET_ERRNO | ENOSYS
        );
    }

    #[test]
    fn allows_only_plain_socket_families() {
        for family in 0..64 {
            let verdict = judge(Observe::Nothing, "socket", [family, 1, 0, 0, 0, 0]);
            assert_eq!(verdict == ALLOW, matches!(family, 1 | 2 | 10 | 16), "family {family}");
        }
        assert_ne!(
            judge(Observe::Nothing, "socket", [16, 3, 9, 0, 0, 0]),
            ALLOW,
            "audit netlink"
        );
    }

    #[test]
    fn allows_a_thread_but_no_namespace() {
        assert_eq!(judge(Observe::Nothing, "clone", [0x003d_0f00, 0, 0, 0, 0, 0]), ALLOW);
        for bit in [
            0x80,
            0x0002_0000,
            0x0200_0000,
            0x0400_0000,
            0x0800_0000,
            0x1000_0000,
            0x2000_0000,
            0x4000_0000,
        ] {
            assert_ne!(
                judge(Observe::Nothing, "clone", [bit, 0, 0, 0, 0, 0]),
                ALLOW,
                "{bit:#x}"
            );
        }
    }

    #[test]
    fn observes_only_what_can_write_or_reach() {
        assert_eq!(judge(Observe::Everything, "openat", [0; 6]), ALLOW);
        assert_eq!(judge(Observe::Everything, "openat", [0, 0, 0o1101, 0, 0, 0]), NOTIFY);
        assert_eq!(judge(Observe::Everything, "sendto", [5, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(judge(Observe::Everything, "sendto", [5, 0, 0, 0, 1 << 40, 0]), NOTIFY);
        assert_eq!(judge(Observe::Everything, "sendmsg", [77, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(judge(Observe::Everything, "sendmsg", [78, 0, 0, 0, 0, 0]), NOTIFY);
        assert_eq!(judge(Observe::Nothing, "openat", [0, 0, 0o1101, 0, 0, 0]), ALLOW);
    }

    #[test]
    fn an_observer_of_attempts_is_not_asked_about_files() {
        for (name, seen) in [
            ("mkdirat", ALLOW),
            ("openat", ALLOW),
            ("execve", NOTIFY),
            ("connect", NOTIFY),
        ] {
            assert_eq!(judge(Observe::Attempts, name, [0, 0, 0o1101, 0, 0, 0]), seen, "{name}");
        }
        assert_eq!(judge(Observe::Attempts, "sendto", [5, 0, 0, 0, 1 << 40, 0]), NOTIFY);
        assert_eq!(judge(Observe::Attempts, "mount", [0; 6]), NOTIFY);
    }

    #[test]
    fn refuses_terminal_injection_whatever_the_high_bits_say() {
        for high in [0, 1 << 32, 0xffff_ffff << 32] {
            assert_ne!(judge(Observe::Nothing, "ioctl", [0, high | 0x5412, 0, 0, 0, 0]), ALLOW);
        }
        assert_eq!(judge(Observe::Nothing, "ioctl", [0, 0x5413, 0, 0, 0, 0]), ALLOW);
    }
}

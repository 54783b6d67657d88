//! A small assembler for the classic BPF that seccomp filters are written in.

use libc::sock_filter;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const JUMP_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const JUMP_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const JUMP_ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCHITECTURE: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

/// Collects instructions; each `if_*` runs its body only where the condition holds.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    code: Vec<sock_filter>,
}

impl Assembler {
    fn push(&mut self, code: u32, when_true: u8, when_false: u8, k: u32) {
        // All opcodes above fit in eight bits.
        let code = u16::try_from(code).unwrap_or(u16::MAX);
        self.code.push(sock_filter {
            code,
            jt: when_true,
            jf: when_false,
            k,
        });
    }

    pub(crate) fn load_number(&mut self) {
        self.push(LOAD, 0, 0, OFFSET_NUMBER);
    }

    pub(crate) fn load_architecture(&mut self) {
        self.push(LOAD, 0, 0, OFFSET_ARCHITECTURE);
    }

    /// Loads the low half of an argument: both supported architectures are little-endian.
    pub(crate) fn load_low(&mut self, argument: u32) {
        self.push(LOAD, 0, 0, OFFSET_ARGUMENTS + 8 * argument);
    }

    pub(crate) fn load_high(&mut self, argument: u32) {
        self.push(LOAD, 0, 0, OFFSET_ARGUMENTS + 8 * argument + 4);
    }

    pub(crate) fn give(&mut self, action: u32) {
        self.push(RETURN, 0, 0, action);
    }

    fn block(&mut self, code: u32, k: u32, negated: bool, body: impl FnOnce(&mut Self)) {
        let start = self.code.len();
        self.push(code, 0, 0, k);
        body(self);
        // A body too long for the jump becomes an endless skip, which the kernel refuses to load.
        let length = u8::try_from(self.code.len() - start - 1).unwrap_or(u8::MAX);
        if let Some(jump) = self.code.get_mut(start) {
            if negated {
                jump.jt = length;
            } else {
                jump.jf = length;
            }
        }
    }

    pub(crate) fn if_equal(&mut self, k: u32, body: impl FnOnce(&mut Self)) {
        self.block(JUMP_EQUAL, k, false, body);
    }

    pub(crate) fn if_not_equal(&mut self, k: u32, body: impl FnOnce(&mut Self)) {
        self.block(JUMP_EQUAL, k, true, body);
    }

    pub(crate) fn if_at_least(&mut self, k: u32, body: impl FnOnce(&mut Self)) {
        self.block(JUMP_AT_LEAST, k, false, body);
    }

    pub(crate) fn if_any_bit(&mut self, mask: u32, body: impl FnOnce(&mut Self)) {
        self.block(JUMP_ANY_BIT, mask, false, body);
    }

    pub(crate) fn finish(self) -> Vec<sock_filter> {
        self.code
    }
}

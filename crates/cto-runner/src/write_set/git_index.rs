//! Reading a git index as untrusted data: which entries it has, and which of them it tells git not to look at.

use std::collections::BTreeMap;

/// What an index says about one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub(super) mode: u32,
    pub(super) id: Vec<u8>,
    pub(super) stage: u16,
    pub(super) assume_unchanged: bool,
    pub(super) skip_worktree: bool,
    pub(super) intent_to_add: bool,
}

/// Reads versions 2 to 4; `None` for anything that is not exactly such an index. The last of several stages wins.
pub(super) fn parse(bytes: &[u8], id_length: usize) -> Option<BTreeMap<Vec<u8>, IndexEntry>> {
    let mut rest = bytes.strip_prefix(b"DIRC")?;
    let version = take_u32(&mut rest)?;
    let count = take_u32(&mut rest)?;
    if !(2..=4).contains(&version) {
        return None;
    }
    let mut entries = BTreeMap::new();
    let mut previous: Vec<u8> = Vec::new();
    for _ in 0..count {
        let before = rest.len();
        take(&mut rest, 24)?;
        let mode = take_u32(&mut rest)?;
        take(&mut rest, 12)?;
        let id = take(&mut rest, id_length)?.to_vec();
        let flags = take_u16(&mut rest)?;
        let extended = if version >= 3 && flags & 0x4000 != 0 {
            take_u16(&mut rest)?
        } else {
            0
        };
        let path = if version == 4 {
            let strip = take_offset(&mut rest)?;
            let mut path = previous.get(..previous.len().checked_sub(strip)?)?.to_vec();
            path.extend_from_slice(take_text(&mut rest)?);
            path
        } else {
            let path = take_text(&mut rest)?.to_vec();
            // Entries are padded to a multiple of eight, the one NUL that was taken included.
            let used = before - rest.len();
            take(&mut rest, used.next_multiple_of(8) - used)?;
            path
        };
        previous.clone_from(&path);
        let entry = IndexEntry {
            mode,
            id,
            stage: flags >> 12 & 3,
            assume_unchanged: flags & 0x8000 != 0,
            skip_worktree: extended & 0x4000 != 0,
            intent_to_add: extended & 0x2000 != 0,
        };
        entries.insert(path, entry);
    }
    Some(entries)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(take(rest, 4)?.try_into().ok()?))
}

fn take_u16(rest: &mut &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(take(rest, 2)?.try_into().ok()?))
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|&byte| byte == 0)?;
    let text = take(rest, end)?;
    take(rest, 1)?;
    Some(text)
}

/// git's variable-length number of pack offsets.
fn take_offset(rest: &mut &[u8]) -> Option<usize> {
    let mut byte = *take(rest, 1)?.first()?;
    let mut value = usize::from(byte & 0x7f);
    while byte & 0x80 != 0 {
        byte = *take(rest, 1)?.first()?;
        value = value
            .checked_add(1)?
            .checked_mul(128)?
            .checked_add(usize::from(byte & 0x7f))?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_prefix_or_flipped_byte_of_an_index_is_a_panic() {
        let mut bytes = b"DIRC\0\0\0\x02\0\0\0\x01".to_vec();
        bytes.extend([0; 40]);
        bytes.extend([7; 20]);
        bytes.extend([0x80, 5]);
        bytes.extend(b"a.txt\0\0\0\0\0");
        let entries = parse(&bytes, 20).unwrap();
        assert!(entries[&b"a.txt"[..]].assume_unchanged);
        for end in 0..bytes.len() - 1 {
            parse(&bytes[..end], 20);
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut other = bytes.clone();
                other[at] = value;
                parse(&other, 20);
            }
        }
    }
}

//! The memory of a process of the jail, read from outside while the process waits.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

const STRING_BYTES: usize = 4096;
const ARGUMENTS: usize = 1024;
const ARGUMENT_BYTES: usize = 16 * 1024;

/// The directory number that means the working directory, as a filter sees it.
pub(crate) const AT_FDCWD: u64 = 0xffff_ff9c;

/// The memory of a process that waits for an answer.
pub(crate) struct Memory {
    file: File,
    pid: u32,
}

impl Memory {
    pub(crate) fn open(pid: u32) -> Option<Self> {
        let file = File::open(format!("/proc/{pid}/mem")).ok()?;
        Some(Self { file, pid })
    }

    pub(crate) fn bytes(&self, at: u64, length: usize) -> Option<Vec<u8>> {
        let mut buffer = vec![0; length];
        self.file.read_exact_at(&mut buffer, at).ok()?;
        Some(buffer)
    }

    pub(crate) fn number(&self, at: u64) -> Option<u64> {
        self.bytes(at, 8)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u64::from_le_bytes)
    }

    /// Name and length of the address in a `struct msghdr`.
    pub(crate) fn header(&self, at: u64) -> Option<(u64, u64)> {
        Some((self.number(at)?, self.number(at + 8)? & 0xffff_ffff))
    }

    /// Reads up to the zero byte, page by page: the next page may not exist.
    fn string(&self, at: u64, cap: usize) -> Option<Vec<u8>> {
        let mut string = Vec::new();
        let mut at = at;
        while string.len() < cap {
            let in_page = usize::try_from(4096 - at % 4096).ok()?.min(cap - string.len());
            let part = self.bytes(at, in_page)?;
            if let Some(end) = part.iter().position(|byte| *byte == 0) {
                string.extend_from_slice(part.get(..end)?);
                return Some(string);
            }
            at += u64::try_from(part.len()).ok()?;
            string.extend(part);
        }
        Some(string)
    }

    pub(crate) fn strings(&self, at: u64) -> Vec<Vec<u8>> {
        let mut strings = Vec::new();
        let mut left = ARGUMENT_BYTES;
        for index in 0..ARGUMENTS {
            let Ok(index) = u64::try_from(index) else {
                break;
            };
            let Some(pointer) = self.number(at.saturating_add(8 * index)) else {
                break;
            };
            if pointer == 0 || left == 0 {
                break;
            }
            let Some(string) = self.string(pointer, left.min(STRING_BYTES)) else {
                break;
            };
            left -= string.len();
            strings.push(string);
        }
        strings
    }

    /// Reads a path and makes it absolute, by its words alone.
    pub(crate) fn path(&self, directory: u64, at: u64) -> Option<PathBuf> {
        let path = self.string(at, STRING_BYTES)?;
        let path = Path::new(OsStr::from_bytes(&path));
        if path.is_absolute() {
            return Some(normalise(path));
        }
        let directory = directory & 0xffff_ffff;
        let link = if directory == AT_FDCWD {
            format!("/proc/{}/cwd", self.pid)
        } else {
            format!("/proc/{}/fd/{directory}", self.pid)
        };
        let base = fs::read_link(link).ok()?;
        Some(normalise(&base.join(path)))
    }
}

fn normalise(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_absolute_by_their_words() {
        for (path, expected) in [
            ("/a/../b/./c", "/b/c"),
            ("/../../x", "/x"),
            ("/a//b/", "/a/b"),
            ("/", "/"),
        ] {
            assert_eq!(normalise(Path::new(path)), Path::new(expected));
        }
    }

    #[test]
    fn memory_is_read_to_its_end_and_no_further() {
        let memory = Memory::open(std::process::id()).unwrap();
        let text = b"some text\0more";
        let at = u64::try_from(text.as_ptr().addr()).unwrap();
        assert_eq!(memory.string(at, 100).unwrap(), b"some text");
        assert_eq!(memory.string(at, 4).unwrap(), b"some");
        assert_eq!(memory.string(0, 100), None);
    }
}

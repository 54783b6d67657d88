//! Reading `HEAD` and refs natively, as hostile data.

use std::os::fd::OwnedFd;

use cto_schema::escape;

use super::{SourceError, SourceRepository};

/// How many refs may name one another.
const DEPTH: usize = 5;
const REF_CAP: u64 = 64 << 10;
const PACKED_CAP: u64 = 256 << 20;

impl SourceRepository {
    /// Returns the commit that `HEAD` resolves to.
    pub fn head_commit(&self) -> Result<String, SourceError> {
        let mut text = self.head_text()?;
        for _ in 0..DEPTH {
            let Some(name) = text.strip_prefix("ref: ") else {
                if self.format.names(&text) {
                    return Ok(text);
                }
                return Err(self.corrupt(format!("a ref says \"{}\"", escape(text.as_bytes(), 100))));
            };
            let name = name.trim();
            if !is_safe(name) {
                return Err(self.corrupt(format!("a ref names \"{}\"", escape(name.as_bytes(), 100))));
            }
            text = match self.find(name)? {
                Some(value) => value,
                None => {
                    return Err(SourceError::Empty {
                        path: self.path.clone(),
                        head: escape(name.as_bytes(), 200),
                    });
                }
            };
        }
        Err(self.corrupt(format!("refs name one another more than {DEPTH} times")))
    }

    pub(super) fn head_text(&self) -> Result<String, SourceError> {
        let head = self.read(&self.git_dir, "HEAD", REF_CAP)?;
        let head = head.ok_or_else(|| self.corrupt("`HEAD` is not a regular file".to_owned()))?;
        match String::from_utf8(head) {
            Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            Ok(_) => Err(self.corrupt("`HEAD` is empty".to_owned())),
            Err(_) => Err(self.corrupt("`HEAD` is not text".to_owned())),
        }
    }

    /// Returns what a ref says, if its name is one that git would look for.
    pub(super) fn value_of(&self, name: &str) -> Result<Option<String>, SourceError> {
        if is_safe(name) { self.find(name) } else { Ok(None) }
    }

    /// Looks a ref up; loose ones outrank packed ones, and some belong to the work tree.
    fn find(&self, name: &str) -> Result<Option<String>, SourceError> {
        let own = ["refs/bisect/", "refs/worktree/", "refs/rewritten/"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        let directory: &OwnedFd = if own { &self.git_dir } else { &self.common };
        if let Some(loose) = self.read(directory, name, REF_CAP)? {
            return Ok(Some(String::from_utf8_lossy(&loose).trim().to_owned()));
        }
        let packed = self.read(&self.common, "packed-refs", PACKED_CAP)?.unwrap_or_default();
        let line = packed.split(|&byte| byte == b'\n').find_map(|line| {
            let (value, rest) = line.split_at_checked(line.iter().position(|&byte| byte == b' ')?)?;
            (rest.get(1..)? == name.as_bytes()).then_some(value)
        });
        Ok(line.map(|value| String::from_utf8_lossy(value).into_owned()))
    }
}

/// Only what git itself would look for below its directory.
fn is_safe(name: &str) -> bool {
    name.starts_with("refs/")
        && name
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('\0'))
}

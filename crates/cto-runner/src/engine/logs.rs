//! Log files that an engine leaves in its workspace, read without trusting what lies there.

use std::io::Read as _;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use globset::Glob;
use rustix::fs::{Dir, FileType};

use super::LogFile;
use crate::baseline::beneath::{DIRECTORY, READ, kind, open_beneath};

/// Most files of one pattern.
const MAX_FILES: usize = 16;
/// Most entries of a directory that are looked at.
const MAX_ENTRIES: usize = 4096;
/// Most bytes of one file.
const MAX_BYTES: u64 = 64 << 20;

/// Reads the files that the patterns name, sorted by name. A pattern is a directory and a glob for the name in it.
///
/// What cannot be read is left out: a log that is missing lacks the final event, which fails the run.
pub(crate) fn collect(workspace: BorrowedFd<'_>, patterns: &[String]) -> Vec<LogFile> {
    let mut found = Vec::new();
    for pattern in patterns {
        let (directory, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        let Ok(glob) = Glob::new(name) else { continue };
        let glob = glob.compile_matcher();
        let mut names = names(workspace, directory);
        names.retain(|name| glob.is_match(name));
        names.sort();
        for name in names.into_iter().take(MAX_FILES) {
            let path = PathBuf::from(directory).join(&name);
            if let Some(bytes) = read(workspace, &path) {
                found.push(LogFile { path, bytes });
            }
        }
    }
    found
}

fn names(workspace: BorrowedFd<'_>, directory: &str) -> Vec<String> {
    let opened = open_beneath(workspace, directory.as_bytes(), DIRECTORY).and_then(Dir::new);
    let entries = opened.into_iter().flatten().flatten().take(MAX_ENTRIES);
    entries
        .filter_map(|entry| Some(entry.file_name().to_str().ok()?.to_owned()))
        .collect()
}

fn read(workspace: BorrowedFd<'_>, path: &std::path::Path) -> Option<Vec<u8>> {
    let file = open_beneath(workspace, path.as_os_str().as_encoded_bytes(), READ).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    if kind(&stat) != FileType::RegularFile {
        return None;
    }
    let mut bytes = Vec::new();
    std::fs::File::from(file).take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::symlink;

    use super::*;

    fn collected(root: &std::path::Path) -> Vec<String> {
        let workspace = fs::File::open(root).unwrap();
        collect(workspace.as_fd(), &[".case/x/events/*.jsonl".to_owned()])
            .iter()
            .map(|log| format!("{}={}", log.path.display(), String::from_utf8_lossy(&log.bytes)))
            .collect()
    }

    fn write(path: PathBuf) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::io::Write::write_all(&mut fs::File::create(path).unwrap(), b"x").unwrap();
    }

    #[test]
    fn only_plain_files_of_the_pattern_are_read() {
        let root = tempfile::tempdir().unwrap();
        let events = root.path().join(".case/x/events");
        assert!(collected(root.path()).is_empty());
        write(events.join("b.jsonl"));
        write(events.join("a.jsonl"));
        write(events.join("c.txt"));
        write(root.path().join("secret"));
        symlink("../../../secret", events.join("link.jsonl")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, events.join("pipe.jsonl"), rustix::fs::Mode::RWXU).unwrap();
        fs::create_dir(events.join("d.jsonl")).unwrap();
        assert_eq!(
            collected(root.path()),
            [".case/x/events/a.jsonl=x", ".case/x/events/b.jsonl=x"]
        );
    }

    #[test]
    fn a_directory_that_is_a_link_is_not_followed_and_a_flood_is_cut() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        write(outside.path().join("events/a.jsonl"));
        fs::create_dir(root.path().join(".case")).unwrap();
        symlink(outside.path(), root.path().join(".case/x")).unwrap();
        assert!(collected(root.path()).is_empty());
        fs::remove_file(root.path().join(".case/x")).unwrap();
        for number in 0..40 {
            write(root.path().join(format!(".case/x/events/{number}.jsonl")));
        }
        assert_eq!(collected(root.path()).len(), MAX_FILES);
    }
}

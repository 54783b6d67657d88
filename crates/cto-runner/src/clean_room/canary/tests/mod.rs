//! Claims about canaries: which file a command collects, what is put into it, and when there is none.

mod commands;
mod hostile;
mod javascript;
mod native;
mod python;
mod real;
mod trees;

use std::collections::BTreeMap;

use super::{Canary, Hints, NoCanary, TreeView, generate};

/// The token of [`SEED`].
const TOKEN: &str = "aaaqeayeaudao";
const SEED: [u8; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

/// A tree in memory.
#[derive(Debug, Default)]
struct Memory(BTreeMap<String, String>);

impl Memory {
    fn new(files: &[(&str, &str)]) -> Self {
        Self(
            files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
                .collect(),
        )
    }
}

impl TreeView for Memory {
    fn read(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.0
            .get(std::str::from_utf8(path).unwrap())
            .map(|text| text.clone().into_bytes())
    }

    fn list(&self, directory: &[u8]) -> Vec<(Vec<u8>, bool)> {
        let directory = std::str::from_utf8(directory).unwrap();
        let prefix = if directory.is_empty() {
            String::new()
        } else {
            format!("{directory}/")
        };
        let mut found = BTreeMap::new();
        for path in self.0.keys().filter_map(|path| path.strip_prefix(&prefix)) {
            match path.split_once('/') {
                Some((name, _)) => found.insert(name.as_bytes().to_vec(), true),
                None => found.insert(path.as_bytes().to_vec(), false),
            };
        }
        found.into_iter().collect()
    }

    fn exists(&self, path: &[u8]) -> bool {
        let path = std::str::from_utf8(path).unwrap();
        self.0
            .keys()
            .any(|key| key == path || key.starts_with(&format!("{path}/")))
    }
}

fn words(line: &str) -> Vec<String> {
    super::words::chained_commands(line).unwrap().remove(0)
}

fn run(files: &[(&str, &str)], argv: &[String]) -> Result<Canary, NoCanary> {
    generate(&Memory::new(files), argv, Hints::default(), SEED)
}

/// Checks runner, file and a part of the added text; the old text must be kept in front of it.
fn check(files: &[(&str, &str)], line: &str, runner: &str, file: &str, added: &str) {
    let found = run(files, &words(line)).unwrap_or_else(|error| panic!("{line}: {error}"));
    let content = String::from_utf8(found.content.clone()).unwrap();
    assert_eq!(
        (found.runner, std::str::from_utf8(&found.file).unwrap()),
        (runner, file),
        "{line}"
    );
    let old = files.iter().find(|(path, _)| *path == file).unwrap().1;
    let new = content
        .strip_prefix(old)
        .unwrap_or_else(|| panic!("{line}: the old text is gone"));
    assert!(new.contains(added) && new.contains(TOKEN), "{line}: {new}");
    assert!(
        !new.to_lowercase().contains("canary"),
        "{line}: the name tells what it is"
    );
}

fn check_none(files: &[(&str, &str)], line: &str, reason: &str) {
    let error = run(files, &words(line)).expect_err(line);
    assert!(error.reason.contains(reason), "{line}: {error}");
    assert!(error.to_string().contains("canary_patch"), "{error}");
}

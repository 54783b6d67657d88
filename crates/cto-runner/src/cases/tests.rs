//! Claims about the embedded cases, proven with the real runners, and about finding and checking directories.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use cto_schema::{BaselineExpectation, MutationMode, parse_contract};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files_below(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn write(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test's own files need not survive a crash")]
    fs::write(path, bytes).unwrap();
}

/// Whether a command of a case passes.
fn passes(directory: &Path, argv: &[String]) -> bool {
    crate::real_tool::run(directory, argv).status.success()
}

fn materialise(case: &LoadedCase, root: &Path) {
    for file in &case.files {
        write(root, std::str::from_utf8(&file.path).unwrap(), &file.bytes);
    }
}

#[test]
fn every_file_of_every_case_is_embedded() {
    let root = repository().join("cases");
    for entry in fs::read_dir(&root).unwrap() {
        let directory = entry.unwrap().path();
        let id = directory.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(check(&directory), Vec::<String>::new(), "{id}");
        let case = embedded()
            .iter()
            .find(|case| case.id == id)
            .unwrap_or_else(|| panic!("{id} is not embedded"));
        let mut listed: Vec<String> = case.files.iter().map(|(path, _, _)| (*path).to_owned()).collect();
        listed.sort();
        assert_eq!(listed, files_below(&directory.join("fixture")), "{id}");
        for (path, bytes, executable) in case.files {
            let file = directory.join("fixture").join(path);
            assert_eq!(fs::read(&file).unwrap(), *bytes);
            assert_eq!(
                fs::metadata(&file).unwrap().permissions().mode() & 0o100 != 0,
                *executable,
                "{path}"
            );
        }
        assert_eq!(fs::read_to_string(directory.join("case.yaml")).unwrap(), case.document);
    }
    assert_eq!(fs::read_dir(root).unwrap().count(), embedded().len());
}

#[test]
fn each_case_is_red_before_and_green_after_with_old_and_new_tests() {
    for case in embedded() {
        let loaded = find(case.id, &[]).unwrap();
        for argv in &loaded.case.verification {
            let root = tempfile::tempdir().unwrap();
            materialise(&loaded, root.path());
            assert!(
                !passes(root.path(), argv),
                "{}: the baseline is green with {argv:?}",
                case.id
            );
            let tests = loaded
                .case
                .reference_edit
                .iter()
                .filter(|(path, _)| loaded.case.verification_inputs.contains(path));
            for (path, content) in tests.clone() {
                write(root.path(), path, content.as_bytes());
                assert!(
                    !passes(root.path(), argv),
                    "{}: the new tests pass on the baseline",
                    case.id
                );
            }
            for (path, content) in &loaded.case.reference_edit {
                write(root.path(), path, content.as_bytes());
            }
            assert!(
                passes(root.path(), argv),
                "{}: the reference edit fails {argv:?}",
                case.id
            );
            for (path, _) in tests {
                let old = loaded.files.iter().find(|file| file.path == path.as_bytes()).unwrap();
                write(root.path(), path, &old.bytes);
                assert!(
                    passes(root.path(), argv),
                    "{}: the fix fails the baseline's tests",
                    case.id
                );
            }
        }
    }
}

#[test]
fn the_contract_of_a_case_is_one_that_the_strict_reader_accepts() {
    for case in embedded() {
        let loaded = find(case.id, &[]).unwrap();
        for choice in 0..loaded.case.verification.len() {
            let contract = contract_for(&loaded, choice);
            assert_eq!(parse_contract(&contract.canonical()).unwrap(), contract);
            assert_eq!(
                contract.verification_commands,
                [loaded.case.verification[choice].clone()]
            );
            assert_eq!(
                (contract.mutation_mode, contract.baseline_expectation),
                (MutationMode::CopiedFixture, BaselineExpectation::Red)
            );
            assert!(contract.requires_diff && contract.forbidden_actions.len() == 10);
        }
    }
}

#[test]
fn a_wrong_name_is_answered_with_the_nearest() {
    let error = find("r1-string-slugfy", &[]).unwrap_err().to_string();
    assert!(error.contains("did you mean 'r1-string-slugify'?"), "{error}");
    assert!(!find("zzz", &[]).unwrap_err().to_string().contains("did you mean"));
}

const DOCUMENT: &str = "case_id: mine\ntitle: T\ntask: Do it\nlanguage: text\nallowed_writes: [a.txt]\nverification: [[cat, a.txt]]\nexpected_change: [a.txt]\nreference_edit: {a.txt: new}\n";

fn directory(document: &str) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let case = root.path().join("mine");
    write(&case, "case.yaml", document.as_bytes());
    write(&case, "fixture/a.txt", b"old");
    (root, case)
}

#[test]
fn finds_a_directory_case_with_its_modes_links_and_raw_names() {
    let (root, case) = directory(DOCUMENT);
    let odd = case.join("fixture").join(std::ffi::OsStr::from_bytes(b"caf\xe9.sh"));
    fs::copy(case.join("fixture/a.txt"), &odd).unwrap();
    fs::set_permissions(&odd, fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("a.txt", case.join("fixture/link")).unwrap();
    for place in [root.path().to_owned(), case.clone()] {
        let loaded = find("mine", &[place]).unwrap();
        let kinds: Vec<_> = loaded
            .files
            .iter()
            .map(|file| (file.path.as_slice(), file.kind))
            .collect();
        assert_eq!(
            kinds,
            [
                (&b"a.txt"[..], CaseFileKind::Plain),
                (b"caf\xe9.sh", CaseFileKind::Executable),
                (b"link", CaseFileKind::Link)
            ]
        );
        assert_eq!(loaded.origin, CaseOrigin::Directory(case.clone()));
    }
    let both = [root.path().to_owned(), case];
    assert!(
        find("mine", &both)
            .unwrap_err()
            .to_string()
            .contains("both have that name")
    );
}

#[test]
fn names_every_problem_of_a_case() {
    for (from, to, expected) in [
        ("title: T", "title: T\ntitle: U", "title"),
        ("title: T", "titel: T", "titel"),
        ("case_id: mine", "case_id: Mine", "a-z"),
        ("task: Do it", "task: ''", "task is empty"),
        ("[a.txt]\nver", "[../a.txt]\nver", "no relative path"),
        ("[[cat, a.txt]]", "[]", "verification is empty"),
        ("expected_change: [a.txt]", "expected_change: [b.txt]", "not covered"),
        ("{a.txt: new}", "{a.txt: old}", "must change"),
        (
            "{a.txt: new}",
            "{a.txt: new}\nverification_inputs: [gone.txt]",
            "nothing in the fixture",
        ),
        ("case_id: mine", "case_id: other", "not named after"),
    ] {
        let document = DOCUMENT.replace(from, to);
        assert_ne!(document, DOCUMENT);
        let (_root, case) = directory(&document);
        let problems = check(&case).join("; ");
        assert!(problems.contains(expected), "{to}: {problems}");
    }
    let (_root, case) = directory(DOCUMENT);
    write(&case, "fixture/sub/.env", b"x");
    assert!(check(&case).join(";").contains("every contract forbids"));
    let (root, _) = directory(DOCUMENT);
    assert!(
        check(root.path()).join(";").contains("case.yaml"),
        "a missing document names the file"
    );
}

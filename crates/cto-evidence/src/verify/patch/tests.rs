//! Tests of the patch reader against what git writes, and against what it does not.

use cto_schema::{ChangeKind, Sha256Digest};

use super::{PatchScan, PatchedPath};

fn paths(patch: &[u8]) -> Result<Vec<PatchedPath>, String> {
    let whole = PatchScan::of(patch).paths().map(<[_]>::to_vec).map_err(str::to_owned);
    // The size of the chunks must not matter.
    for size in [1, 2, 7, 64] {
        let mut scan = PatchScan::default();
        patch.chunks(size).for_each(|chunk| scan.feed(chunk));
        scan.finish();
        assert_eq!(scan.paths().map(<[_]>::to_vec).map_err(str::to_owned), whole);
    }
    whole
}

fn git(dir: &std::path::Path, script: &str) -> Vec<u8> {
    #[expect(clippy::disallowed_methods, reason = "the test compares with git itself")]
    let output = std::process::Command::new("sh")
        .args(["-ec", script])
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

const MAKE: &str = r#"
git init -q . && git config user.email a && git config user.name a
printf 'one\ntwo\nthree\n' > text; printf 'last' > noeol; printf 'x\n' > 'with space'; printf 'a\000b' > binary
printf 'go\n' > "$(printf 'tab\there')"; printf 'u\n' > "$(printf 'u\303\274')"; printf 'q\n' > 'quo"te'; ln -s text link
printf 'gone\n' > gone; : > emptygone; printf 'run\n' > mode; printf 'typed\n' > typed; seq 1 2000 > long
git add -A && git commit -qm a
printf 'one\nTWO\nthree\n' > text; printf 'last\n' > noeol; printf 'y\n' > 'with space'; printf 'a\000c' > binary
printf 'gone\n' > "$(printf 'tab\there')"; printf 'v\n' > "$(printf 'u\303\274')"; printf 'r\n' > 'quo"te'; ln -sf long link
rm gone emptygone; chmod +x mode; rm typed; ln -s text typed; sed -i 's/^1000$/x/; s/^5$/y/' long
mkdir new; printf 'diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n' > new/liar; : > new/empty; printf 'no eol' > new/noeol
printf '#!/bin/sh\n' > new/tool; chmod +x new/tool; printf '\000\001' > new/bin; printf 'cr\r\nlf\n' > 'new/ crlf'
git add -A && git diff --cached --binary --no-renames HEAD
"#;

#[test]
fn reads_what_git_writes() {
    let dir = tempfile::tempdir().unwrap();
    let patch = git(dir.path(), MAKE);
    let found = paths(&patch).unwrap();
    let named = git(dir.path(), "git diff --cached --no-renames --name-status -z HEAD");
    let mut fields = named.split(|b| *b == 0).filter(|field| !field.is_empty());
    let mut expected = Vec::new();
    while let (Some(status), Some(path)) = (fields.next(), fields.next()) {
        let kind = match status {
            b"A" => ChangeKind::Added,
            b"D" => ChangeKind::Deleted,
            _ => ChangeKind::Modified,
        };
        expected.push((path.to_vec(), kind));
    }
    let mut told: Vec<_> = found.iter().map(|p| (p.path.clone(), p.kind)).collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(told, expected);
    assert_eq!(told.len(), 19);
    for path in found
        .iter()
        .filter(|path| path.kind == ChangeKind::Added && !path.binary)
    {
        use std::os::unix::ffi::OsStrExt as _;
        let file = dir.path().join(std::ffi::OsStr::from_bytes(&path.path));
        assert_eq!(
            path.added_digest,
            Some(Sha256Digest::of(&std::fs::read(&file).unwrap())),
            "{file:?}"
        );
    }
    let by = |name: &str| found.iter().find(|p| p.path == name.as_bytes()).unwrap().clone();
    assert_eq!(by("gone").deleted_digest, Some(Sha256Digest::of(b"gone\n")));
    assert_eq!(by("emptygone").deleted_digest, Some(Sha256Digest::of(b"")));
    let mode = by("mode");
    assert_eq!(
        (mode.old_mode.as_deref(), mode.new_mode.as_deref()),
        (Some("100644"), Some("100755"))
    );
    let typed = by("typed");
    assert_eq!(
        (typed.old_mode.as_deref(), typed.new_mode.as_deref()),
        (Some("100644"), Some("120000"))
    );
    assert_eq!(typed.added_digest, Some(Sha256Digest::of(b"text")));
    assert!(by("binary").binary && by("new/bin").binary);
    assert_eq!((by("long").lines_added, by("long").lines_removed), (2, 2));
    let full = git(dir.path(), "git diff --cached --binary --full-index --no-renames HEAD");
    assert_eq!(paths(&full).unwrap(), found);
}

#[test]
fn refuses_what_could_hide_a_path() {
    let good = "diff --git a/x b/x\nindex 1111111..2222222 100644\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";
    assert_eq!(paths(good.as_bytes()).unwrap().len(), 1);
    assert_eq!(paths(b"").unwrap(), []);
    let cases = [
        ("prose before", format!("hello\n{good}")),
        ("prose between", format!("{good}hello\n{good}")),
        ("the same path twice", format!("{good}{good}")),
        ("traversal", good.replace("/x", "/../x")),
        ("absolute", good.replace("a/x b/x", "a//x b//x")),
        ("another name in the file lines", good.replace("+++ b/x", "+++ b/y")),
        ("a rename", good.replace("a/x b/x", "a/x b/y")),
        (
            "rename headers",
            good.replace("index", "rename from x\nrename to y\nindex"),
        ),
        ("too few lines", good.replace("+1 @@", "+1,2 @@")),
        ("too many lines", good.replace("+b\n", "+b\n+c\n")),
        ("a submodule", good.replace("100644", "160000")),
        ("a set-id mode", good.replace("100644", "104755")),
        (
            "a named binary",
            "diff --git a/x b/x\nindex 1111111..2222222 100644\nBinary files a/x and b/x differ\n".to_owned(),
        ),
        (
            "no change",
            "diff --git a/x b/x\nindex 1111111..2222222 100644\n".to_owned(),
        ),
        ("no end of line", good.trim_end().to_owned()),
        ("carriage returns", good.replace('\n', "\r\n")),
        ("no file lines", good.replace("--- a/x\n+++ b/x\n", "")),
        (
            "an added file with old lines",
            good.replace("index 1", "new file mode 100644\nindex 1")
                .replace("--- a/x", "--- /dev/null"),
        ),
        ("a malformed quote", good.replace("a/x b/x", "\"a/x\\q\" \"b/x\\q\"")),
        ("a long header", format!("diff --git a/{0} b/{0}\n", "x".repeat(20_000))),
        ("a combined diff", good.replace("diff --git a/x b/x", "diff --cc x")),
    ];
    for (what, patch) in cases {
        assert!(paths(patch.as_bytes()).is_err(), "{what}");
    }
}

#[test]
fn a_cut_patch_is_never_taken_for_a_whole_one() {
    let dir = tempfile::tempdir().unwrap();
    let patch = git(dir.path(), MAKE);
    let all = paths(&patch).unwrap().len();
    for length in 0..patch.len() {
        let scan = PatchScan::of(&patch[..length]);
        // A cut between two sections, or between two hunks, is a shorter patch; it can never be the same one.
        let same = scan.paths().is_ok_and(|paths| paths.len() == all) && patch[length..].starts_with(b"diff");
        assert!(!same, "cut to {length}");
    }
}

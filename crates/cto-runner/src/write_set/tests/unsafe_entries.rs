//! What must not come out of a workspace is named, and nothing else is.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use cto_schema::ChangeKind;

use super::{changed, in_both, marks, sample};
use crate::baseline::beneath;
use crate::baseline::sample::{Bench, Node, Tree, tree, write};

#[test]
fn what_git_cannot_carry_is_unsafe() {
    in_both(&sample(), |desk| {
        let at = |path: &str| desk.merged.join(path);
        let directory = beneath::open_directory(&desk.merged).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(&directory, "fifo", rustix::fs::FileType::Fifo, mode, 0).unwrap();
        fs::remove_file(at("run")).unwrap();
        rustix::fs::mknodat(&directory, "run", rustix::fs::FileType::Socket, mode, 0).unwrap();
        write(&at("suid"), "x");
        fs::set_permissions(at("suid"), fs::Permissions::from_mode(0o4755)).unwrap();
        symlink("/etc/passwd", at("absolute")).unwrap();
        symlink("../../etc", at("dir/up")).unwrap();
        symlink("../a.py", at("dir/fine")).unwrap();
        write(&at("esc\x1b[31m"), "x");
        write(&at("new\nline"), "x");
        for nested in ["nested/.git", "dir/.GIT", "git~1", ".g\u{200c}it"] {
            fs::create_dir_all(at(nested)).unwrap();
            write(&at(nested).join("HEAD"), "ref: refs/heads/x\n");
        }
        write(&at("nested/hidden.py"), "x");
        let collected = desk.collect();
        let expected = [
            (".g\\u{200c}it", "nested_git"),
            (".g\\u{200c}it/HEAD", "nested_git"),
            ("absolute", "escaping_symlink"),
            ("dir/.GIT", "nested_git"),
            ("dir/.GIT/HEAD", "nested_git"),
            ("dir/up", "escaping_symlink"),
            ("esc\\u{1b}[31m", "unsafe_path"),
            ("fifo", "special_file"),
            ("git~1", "nested_git"),
            ("git~1/HEAD", "nested_git"),
            ("nested/.git", "nested_git"),
            ("nested/.git/HEAD", "nested_git"),
            ("new\\nline", "unsafe_path"),
            ("run", "special_file"),
            ("suid", "set_id"),
        ];
        assert_eq!(
            marks(&collected),
            expected.map(|(path, why)| (path.to_owned(), why.to_owned()))
        );
        assert!(changed(&collected).contains(&("run".to_owned(), ChangeKind::Deleted)));
        assert!(changed(&collected).contains(&("nested/hidden.py".to_owned(), ChangeKind::Added)));
    });
}

#[test]
fn an_unreadable_file_is_read_and_stays_as_it_was() {
    in_both(&sample(), |desk| {
        write(&desk.merged.join("secret"), "x");
        fs::set_permissions(desk.merged.join("secret"), fs::Permissions::from_mode(0o000)).unwrap();
        let collected = desk.collect();
        assert_eq!(collected.write_set.changed_files(), ["secret"]);
        let mode = fs::metadata(desk.merged.join("secret")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0);
    });
}

fn link(target: &str) -> Node {
    Node::Symlink(target.as_bytes().to_vec())
}

/// Where the links of a baseline lead, none of them out.
fn linked() -> Tree {
    let mut start = sample();
    start.extend(tree([
        ("a/L", link("..")),
        ("way", link("dir/sub")),
        ("out", link("way/../../a.py")),
        ("honest", link("dir/x")),
        ("absolute", link("/usr/share")),
    ]));
    start
}

#[test]
fn a_link_that_leaves_through_another_link_is_unsafe() {
    in_both(&linked(), |desk| {
        let at = |path: &str| desk.merged.join(path);
        // Each stays inside by its text alone.
        symlink("a/L/../etc", at("through-old")).unwrap();
        symlink("absolute/x", at("through-absolute")).unwrap();
        symlink("dir", at("new")).unwrap();
        symlink("dir/new/../../etc", at("through-new")).unwrap();
        symlink("..", at("dir/new")).unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink("new/sub/../x", at("fine")).unwrap();
        let collected = desk.collect();
        let expected = [
            ("loop", "endless_symlink"),
            ("through-absolute", "escaping_symlink"),
            ("through-new", "escaping_symlink"),
            ("through-old", "escaping_symlink"),
        ];
        assert_eq!(
            marks(&collected),
            expected.map(|(path, why)| (path.to_owned(), why.to_owned()))
        );
    });
}

#[test]
fn an_old_link_that_a_change_makes_leave_is_unsafe() {
    let changes: [fn(&std::path::Path); 2] = [|way| fs::create_dir(way).unwrap(), |way| symlink("dir", way).unwrap()];
    for change in changes {
        in_both(&linked(), |desk| {
            let way = desk.merged.join("way");
            fs::remove_file(&way).unwrap();
            change(&way);
            assert_eq!(
                marks(&desk.collect()),
                [("out".to_owned(), "escaping_symlink".to_owned())]
            );
        });
    }
}

#[test]
fn links_of_an_entry_that_an_older_version_wrote_are_judged_too() {
    let bench = Bench::new();
    let baseline = bench.baseline(&linked());
    let listed = baseline.links().unwrap();
    assert_eq!(listed.len(), 6);
    let tree = baseline.tree().to_owned();
    let meta = baseline.files().with_file_name("meta.json");
    drop(baseline);
    let mut recorded: serde_json::Value = serde_json::from_slice(&fs::read(&meta).unwrap()).unwrap();
    assert!(recorded.as_object_mut().unwrap().remove("symlinks").is_some());
    write(&meta, serde_json::to_vec(&recorded).unwrap());
    let again = bench.baseline(&linked());
    assert_eq!((again.tree(), again.links().unwrap()), (tree.as_str(), listed));
}

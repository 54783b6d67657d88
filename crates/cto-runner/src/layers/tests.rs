//! Claims about freezing: same content, same digest; nothing leads out; damage shows.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

struct Place {
    _root: tempfile::TempDir,
    source: PathBuf,
    store: PathBuf,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let source = root.path().join("node_modules");
        fs::create_dir_all(source.join("a/bin")).unwrap();
        put(&source.join("a/index.js"), b"1");
        put(&source.join("a/bin/run"), b"#!/bin/sh\n");
        fs::set_permissions(source.join("a/bin/run"), Permissions::from_mode(0o700)).unwrap();
        symlink("../a/bin/run", source.join("a/link")).unwrap();
        let store = root.path().join("store/layers");
        Self {
            _root: root,
            source,
            store,
        }
    }

    fn freeze(&self) -> Result<Frozen, LayerError> {
        let request = FreezeRequest {
            source: self.source.clone(),
            name: "modules".to_owned(),
            mount: PathBuf::from("/workspace/node_modules"),
            owner: None,
        };
        freeze(&request, &self.store)
    }
}

fn put(path: &std::path::Path, bytes: &[u8]) {
    #[expect(clippy::disallowed_methods, reason = "a test's own files need not survive a crash")]
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_same_content_is_one_layer_whatever_its_modes_and_hard_links() {
    let place = Place::new();
    let first = place.freeze().unwrap();
    assert!(!first.reused && first.files == 2 && first.bytes == 11);
    let tree = resolve(&place.store, &first.layer).unwrap();
    assert_eq!(fs::read(tree.join("a/index.js")).unwrap(), b"1");
    assert_eq!(
        fs::read_link(tree.join("a/link")).unwrap(),
        PathBuf::from("../a/bin/run")
    );
    assert_eq!(
        fs::metadata(tree.join("a/bin/run")).unwrap().permissions().mode() & 0o7777,
        0o755
    );

    fs::set_permissions(place.source.join("a/index.js"), Permissions::from_mode(0o600)).unwrap();
    fs::hard_link(place.source.join("a/index.js"), place.source.join("../other")).unwrap();
    let second = place.freeze().unwrap();
    assert!(second.reused && second.layer == first.layer);
    check(&place.store, &first.layer).unwrap();
    assert_eq!(list(&place.store).unwrap().len(), 1);
    assert_eq!(list(&place.store).unwrap()[0].name, "modules");

    put(&place.source.join("a/index.js"), b"2");
    assert_eq!(
        fs::read(tree.join("a/index.js")).unwrap(),
        b"1",
        "the layer does not follow its source"
    );
    assert_ne!(place.freeze().unwrap().layer.digest, first.layer.digest);
}

#[test]
fn every_byte_of_a_name_is_in_the_manifest() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::new();
    for name in [&b"a b"[..], b"a\nf 644 0 x y", b"\xff%41", b"%20"] {
        put(&place.source.join(std::ffi::OsStr::from_bytes(name)), b"");
    }
    let frozen = place.freeze().unwrap();
    let text = fs::read_to_string(place.store.join(frozen.layer.digest.hex()).join("manifest")).unwrap();
    for line in ["a%20b\n", "a%0Af%20644%200%20x%20y\n", "%FF%2541\n", "%2520\n"] {
        assert!(text.contains(line), "{text}");
    }
    assert_eq!(Sha256Digest::of(text.as_bytes()), frozen.layer.digest);
}

#[test]
fn nothing_leads_out_of_a_layer_but_to_usr() {
    for (target, ok) in [
        ("/usr/bin/python3", true),
        ("index.js", true),
        ("../a/index.js", true),
        ("../../x", false),
        ("../a/../../x", false),
        ("/etc/passwd", false),
        ("/usr/../etc/passwd", false),
        ("/usrx", false),
    ] {
        let place = Place::new();
        symlink(target, place.source.join("a/other")).unwrap();
        let result = place.freeze();
        assert_eq!(result.is_ok(), ok, "{target}");
        if let Err(error) = result {
            assert!(error.to_string().contains("a/other"), "{error}");
            assert!(list(&place.store).unwrap().is_empty());
            assert_eq!(
                fs::read_dir(&place.store).unwrap().count(),
                0,
                "a failed freeze leaves nothing"
            );
        }
    }
}

#[test]
fn refuses_special_files_and_bad_mount_points() {
    let place = Place::new();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        place.source.join("pipe"),
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .unwrap();
    assert!(place.freeze().unwrap_err().to_string().contains("named pipe"));
    for mount in ["relative", "/", "/workspace", "/workspace/.git/x", "/a/../b"] {
        let request = FreezeRequest {
            source: place.source.clone(),
            name: "n".to_owned(),
            mount: PathBuf::from(mount),
            owner: None,
        };
        assert!(
            freeze(&request, &place.store)
                .unwrap_err()
                .to_string()
                .contains("mount point"),
            "{mount}"
        );
    }
}

#[test]
fn missing_and_damaged_layers_say_how_to_mend_them() {
    let place = Place::new();
    let frozen = place.freeze().unwrap();
    put(
        &resolve(&place.store, &frozen.layer).unwrap().join("a/index.js"),
        b"evil",
    );
    let damaged = check(&place.store, &frozen.layer).unwrap_err().to_string();
    assert!(
        damaged.contains("freeze it again") && damaged.contains("a/index.js"),
        "{damaged}"
    );
    let other = DependencyLayer {
        digest: Sha256Digest::of(b""),
        ..frozen.layer
    };
    let missing = resolve(&place.store, &other).unwrap_err().to_string();
    assert!(
        missing.contains("cto deps freeze") && missing.contains("--mount /workspace/node_modules"),
        "{missing}"
    );
}

#[test]
fn removes_what_is_unused_and_leftovers_but_no_freeze_under_way() {
    let place = Place::new();
    let kept = place.freeze().unwrap().layer.digest;
    put(&place.source.join("new"), b"");
    let gone = place.freeze().unwrap().layer.digest;
    fs::create_dir_all(place.store.join(".new-left/tree")).unwrap();
    fs::create_dir_all(place.store.join(".new-busy/tree")).unwrap();
    let busy = fs::File::open(place.store.join(".new-busy")).unwrap();
    rustix::fs::flock(&busy, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    assert_eq!(remove_unused(&place.store, &[kept].into()).unwrap(), [gone]);
    assert_eq!(list(&place.store).unwrap()[0].digest, kept);
    assert!(!place.store.join(".new-left").exists() && place.store.join(".new-busy").exists());
}

#[test]
fn warns_of_a_virtual_environment_that_moves_and_of_secrets() {
    let place = Place::new();
    put(&place.source.join("pyvenv.cfg"), b"home = /usr/bin\n");
    put(&place.source.join(".npmrc"), b"//registry/:_authToken=x\n");
    let frozen = place.freeze().unwrap();
    assert!(
        frozen.notes[0].contains("virtual environment") && frozen.notes[1].contains(".npmrc"),
        "{:?}",
        frozen.notes
    );
    let source = fs::canonicalize(&place.source).unwrap();
    let request = FreezeRequest {
        source: source.clone(),
        name: "venv".to_owned(),
        mount: source,
        owner: None,
    };
    assert_eq!(freeze(&request, &place.store).unwrap().notes.len(), 1);
}

//! Tests of the key store.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use crate::home::Home;
use crate::keys::{KeyError, Keys, form};
use crate::test_child::{order, start_child};
use crate::test_support::place;

fn open() -> (tempfile::TempDir, Home, Keys) {
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    let keys = Keys::open(&home).unwrap();
    (place, home, keys)
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_is_made_once_private_and_read_back() {
    let (_place, home, keys) = open();
    assert!(matches!(keys.signer(), Err(KeyError::NoSigningKey { .. })));
    let keyid = keys.ensure_signing_key().unwrap().keyid().to_owned();
    assert_eq!(keys.ensure_signing_key().unwrap().keyid(), keyid);
    assert_eq!(
        home.keys().join("signing.key").metadata().unwrap().mode() & 0o7777,
        0o600
    );
    let listed = keys.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].is_signing && listed[0].keyid == keyid && listed[0].trusted_at.is_some());
    let shown = format!("{:?}", keys.signer().unwrap());
    assert_eq!(shown, format!("Signer {{ keyid: \"{keyid}\", .. }}"));
}

#[test]
fn a_private_key_that_others_may_read_or_own_is_refused() {
    let (_place, home, keys) = open();
    keys.ensure_signing_key().unwrap();
    let path = home.keys().join("signing.key");
    for mode in [0o640, 0o604, 0o620, 0o601] {
        chmod(&path, mode);
        assert!(matches!(keys.signer(), Err(KeyError::Permissions { mode: found, .. }) if found == mode));
        assert!(keys.ensure_signing_key().is_err() && keys.rotate().is_err());
    }
    chmod(&path, 0o600);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        assert!(matches!(keys.signer(), Err(KeyError::Owner { owner: 65534, .. })));
    }
}

#[test]
fn damaged_and_linked_private_keys_are_refused() {
    let (_place, home, keys) = open();
    keys.ensure_signing_key().unwrap();
    let path = home.keys().join("signing.key");
    let whole = std::fs::read(&path).unwrap();
    for len in [0, 1, 40, whole.len() / 2] {
        std::fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(len as u64)
            .unwrap();
        assert!(matches!(keys.signer(), Err(KeyError::Private { .. })), "{len}");
    }
    std::fs::rename(&path, home.keys().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    assert!(keys.signer().is_err());
}

#[test]
fn rotation_keeps_the_old_key_trusted_and_destroys_its_private_half() {
    let (_place, home, keys) = open();
    let old = keys.ensure_signing_key().unwrap();
    let private = std::fs::File::open(home.keys().join("signing.key")).unwrap();
    let new = keys.rotate().unwrap();
    assert_ne!(old.keyid(), new.keyid());
    assert_eq!(keys.signer().unwrap().keyid(), new.keyid());
    let listed = keys.list().unwrap();
    assert_eq!(listed.len(), 2);
    for key in &listed {
        assert_eq!(key.is_signing, key.keyid == new.keyid());
        assert_eq!(key.retired_at.is_some(), key.keyid == old.keyid());
    }
    let mut left = Vec::new();
    std::io::Read::read_to_end(&mut { &private }, &mut left).unwrap();
    assert!(
        !left.is_empty() && left.iter().all(|byte| *byte == 0),
        "the old private key can still be read"
    );
    assert_eq!(
        keys.signing_pem().unwrap(),
        std::fs::read_to_string(home.keys().join("signing.pub")).unwrap()
    );
}

#[test]
fn foreign_keys_are_trusted_by_name_and_bad_ones_refused() {
    let (_place, home, keys) = open();
    let (_other_place, _other_home, other) = open();
    other.ensure_signing_key().unwrap();
    let pem = other.signing_pem().unwrap();
    let keyid = keys.trust(pem.as_bytes(), Some("other \u{1b}[31mmachine")).unwrap();
    assert_eq!(keys.trust(pem.as_bytes(), None).unwrap(), keyid);
    let listed = keys.list().unwrap();
    assert_eq!(listed[0].name.as_deref(), Some("other \\u{1b}[31mmachine"));
    assert!(!listed[0].is_signing);

    let identity = ed25519_dalek::VerifyingKey::from_bytes(&{
        let mut one = [0; 32];
        one[0] = 1;
        one
    });
    let weak = form::public_pem(&identity.unwrap()).unwrap();
    for bad in [
        weak.as_bytes(),
        b"",
        b"\xff",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ] {
        assert!(matches!(keys.trust(bad, None), Err(KeyError::Public { .. })));
    }
    std::fs::rename(
        home.keys().join(format!("trusted/{keyid}.pem")),
        home.keys().join(format!("trusted/{}.pem", "0".repeat(64))),
    )
    .unwrap();
    assert!(matches!(keys.list(), Err(KeyError::WrongName { .. })));
}

#[test]
fn what_a_crash_left_is_mended_and_swept() {
    let (_place, home, keys) = open();
    let keyid = keys.ensure_signing_key().unwrap().keyid().to_owned();
    std::fs::remove_file(home.keys().join("signing.pub")).unwrap();
    std::fs::remove_file(home.keys().join(format!("trusted/{keyid}.pem"))).unwrap();
    crate::durable::write_new(home.keys_dir(), ".tmp-1-1", b"half a private key").unwrap();
    assert_eq!(keys.signer().unwrap().keyid(), keyid);
    assert_eq!(keys.list().unwrap()[0].keyid, keyid);
    assert!(!home.keys().join(".tmp-1-1").exists());
}

#[test]
fn eight_processes_that_need_a_key_agree_on_one() {
    let (_place, home, keys) = open();
    let children: Vec<_> = (0..8).map(|_| start_child(&order(&home, "key", "none", 0))).collect();
    let mut seen = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let at = text.find("keyid=").unwrap() + 6;
        seen.push(text[at..at + 64].to_owned());
    }
    seen.dedup();
    assert_eq!(seen, [keys.signer().unwrap().keyid()]);
    assert_eq!(keys.list().unwrap().len(), 1);
}

//! Edits by somebody without the key: every one is seen.

use std::path::Path;

use ed25519_dalek::SigningKey;

use super::fixture::{RUN_ID, World, key, repair, reseal, resign_sums, walk};
use super::{failed, outcome, outcome_at, refused};
use crate::bundle::Bundle;
use crate::verify::{KnownKey, TrustedKeys, verify_bundle};

fn names(path: &Path) -> Vec<String> {
    let mut names = Vec::new();
    walk(path, "", &mut names);
    names.sort();
    names
}

/// Positions to flip: every one of the manifest and of small files, a spread over the others.
fn positions(name: &str, length: usize) -> Vec<usize> {
    let step = match name {
        "SHA256SUMS" => 1,
        "attestation.dsse.json" => 5,
        _ if length < 200 => 1,
        _ => length.div_ceil(60),
    };
    (0..length)
        .step_by(step)
        .chain(length.saturating_sub(200)..length)
        .collect()
}

#[test]
fn every_flipped_byte_is_seen() {
    let worlds: Vec<_> = (0..2).map(|_| World::accepted().make()).collect();
    let names = names(&worlds[0].path);
    std::thread::scope(|scope| {
        for (part, made) in worlds.iter().enumerate() {
            let names = &names;
            scope.spawn(move || {
                for name in names {
                    let file = made.path.join(name);
                    let original = std::fs::read(&file).unwrap();
                    for at in positions(name, original.len()).into_iter().filter(|at| at % 2 == part) {
                        let mut flipped = original.clone();
                        flipped[at] ^= if at % 3 == 0 { 0x20 } else { 1 };
                        std::fs::write(&file, &flipped).unwrap();
                        assert!(refused(&made.path), "{name} at {at}");
                    }
                    std::fs::write(&file, &original).unwrap();
                }
                assert!(outcome(made).ok());
            });
        }
    });
}

#[test]
fn no_file_can_be_removed_added_truncated_swapped_or_taken_from_another_run() {
    let made = World::accepted().make();
    let mut world = World::accepted();
    world.test_log = b"another run\n".repeat(2000);
    let other = world.make();
    let names = names(&made.path);
    for (index, name) in names.iter().enumerate() {
        let file = made.path.join(name);
        let original = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(refused(&made.path), "removed {name}");
        for length in (0..original.len()).step_by(4096).chain(original.len().checked_sub(1)) {
            std::fs::write(&file, &original[..length]).unwrap();
            assert!(refused(&made.path), "{name} cut to {length}");
        }
        let neighbour = std::fs::read(made.path.join(&names[(index + 1) % names.len()])).unwrap();
        let foreign = std::fs::read(other.path.join(name)).unwrap();
        for replacement in [neighbour, foreign] {
            std::fs::write(&file, &replacement).unwrap();
            assert_eq!(refused(&made.path), replacement != original, "{name} replaced");
        }
        std::fs::write(&file, &original).unwrap();
    }
    for added in ["extra.json", "backend/extra", "report.md.bak", "new/file"] {
        let file = made.path.join(added);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "x").unwrap();
        assert!(refused(&made.path), "{added}");
        std::fs::remove_file(&file).unwrap();
    }
    assert!(refused(&made.path), "an empty directory stayed");
    std::fs::remove_dir(made.path.join("new")).unwrap();
    assert!(outcome(&made).ok());
}

#[test]
fn nothing_but_regular_files_with_plain_names_is_accepted() {
    let made = World::accepted().make();
    let outside = tempfile::NamedTempFile::new().unwrap();
    let odd = made.path.join("odd");
    std::os::unix::fs::symlink("report.md", &odd).unwrap();
    assert_eq!(failed(&outcome(&made)), ["files"]);
    std::fs::remove_file(&odd).unwrap();
    let status = std::process::Command::new("mkfifo").arg(&odd).status().unwrap();
    assert!(status.success());
    assert_eq!(failed(&outcome(&made)), ["files"]);
    std::fs::remove_file(&odd).unwrap();
    // A listed file that is a link to its own content outside is still no bundle.
    let log = made.path.join("test.log");
    std::fs::copy(&log, outside.path()).unwrap();
    std::fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink(outside.path(), &log).unwrap();
    assert!(failed(&outcome(&made)).contains(&"files"));
    std::fs::remove_file(&log).unwrap();
    std::fs::copy(outside.path(), &log).unwrap();
    assert!(outcome(&made).ok());
    let twin = made.path.parent().unwrap().join("twin");
    std::fs::hard_link(&log, &twin).unwrap();
    assert!(failed(&outcome(&made)).contains(&"files"));
    std::fs::remove_file(&twin).unwrap();
    for name in ["a b", "a\nb", ".hidden", "ü", "a\\b", "\u{202e}x"] {
        std::fs::write(made.path.join(name), "x").unwrap();
        let outcome = outcome(&made);
        assert!(failed(&outcome).contains(&"files"), "{name:?}");
        assert!(outcome.checks.iter().all(|c| !c.detail.contains(['\n', '\u{202e}'])));
        std::fs::remove_file(made.path.join(name)).unwrap();
    }
}

#[test]
fn a_renamed_directory_is_refused() {
    let made = World::accepted().make();
    let renamed = made.path.parent().unwrap().join("20261120t090000z-r1-zzzzzzzzzz");
    std::fs::rename(&made.path, &renamed).unwrap();
    assert_eq!(failed(&outcome_at(&renamed)), ["run-id"]);
}

#[test]
fn only_trusted_keys_count() {
    let made = World::accepted().make();
    let stranger = SigningKey::from_bytes(&[9; 32]);
    let bundle = Bundle::open(&made.path).unwrap();
    let none = verify_bundle(&bundle, &TrustedKeys::default(), None);
    assert_eq!(failed(&none), ["signature"]);
    let detail = none.failed().next().unwrap().detail.clone();
    assert!(detail.contains("cto key trust"), "{detail}");
    reseal(&made.path, &stranger, |_| {});
    assert_eq!(failed(&outcome(&made)), ["signature"]);
    let trusting = TrustedKeys::new(vec![KnownKey::new("stranger", stranger.verifying_key())]);
    assert!(verify_bundle(&Bundle::open(&made.path).unwrap(), &trusting, None).ok());
    // A key id is a hint: claiming the trusted one does not help.
    let envelope = made.path.join("attestation.dsse.json");
    let text = std::fs::read_to_string(&envelope).unwrap();
    let id = |key: &SigningKey| crate::verify::keyid_of(&key.verifying_key());
    std::fs::write(&envelope, text.replace(&id(&stranger), &id(&key()))).unwrap();
    assert_eq!(failed(&outcome(&made)), ["signature"]);
}

#[test]
fn the_manifest_has_one_form_also_for_who_has_the_key() {
    let made = World::accepted().make();
    let text = std::fs::read_to_string(made.path.join("SHA256SUMS")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let join = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let mut swapped = lines.clone();
    swapped.swap(0, 1);
    let twice = [&lines[..1], &lines[..]].concat();
    let digest = &lines[0][..64];
    let edits = [
        join(&swapped),
        join(&twice),
        text.to_uppercase(),
        text.replacen(digest, &digest.to_uppercase(), 1),
        text.replace("  ", " *"),
        text.replacen("  ", "   ", 1),
        text.replacen("  ", "  ./", 1),
        text.replacen("  ", "  /", 1),
        text.replacen("  ", "  ../", 1),
        text.replace('\n', "\r\n"),
        text.trim_end().to_owned(),
        format!("\n{text}"),
        format!("{text}\n"),
        format!("# note\n{text}"),
        format!("\u{feff}{text}"),
        format!("\\{text}"),
        format!("{text}{digest}  zzz\n"),
        format!("{digest}  SHA256SUMS\n{text}"),
        join(&lines[1..]),
        String::new(),
    ];
    for edit in edits {
        resign_sums(&made.path, edit.as_bytes());
        assert!(failed(&outcome(&made)).contains(&"manifest"), "{edit:.200}");
    }
    resign_sums(&made.path, text.as_bytes());
    assert!(outcome(&made).ok());
}

#[test]
fn a_duplicate_key_is_refused_in_every_document() {
    let made = World::accepted().make();
    for name in names(&made.path)
        .into_iter()
        .filter(|n| n.contains(".json") && !n.contains('/'))
    {
        let file = made.path.join(&name);
        let original = std::fs::read_to_string(&file).unwrap();
        // Repeats the first key of the first object with its value's start replaced by null.
        let key_end = original[original.find('"').unwrap() + 1..].find('"').unwrap();
        let start = original.find('"').unwrap();
        let key = &original[start..=start + 1 + key_end];
        let twice = original.replacen('{', &format!("{{{key}:null,"), 1);
        std::fs::write(&file, &twice).unwrap();
        if !["attestation.dsse.json", "report.json"].contains(&name.as_str()) {
            repair(&made.path);
        }
        let outcome = outcome(&made);
        let told = outcome.failed().any(|check| check.detail.contains("duplicate key"));
        assert!(told, "{name}: {:#?}", outcome.failed().collect::<Vec<_>>());
        std::fs::write(&file, &original).unwrap();
        repair(&made.path);
    }
    assert!(outcome(&made).ok());
    assert_eq!(made.path.file_name().unwrap(), RUN_ID);
}

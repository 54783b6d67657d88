//! Archives: what `cto export` makes reads back the same, and hostile ones are refused with bounded work.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::fixture::{RUN_ID, World};
use super::{failed, outcome_at, refused};
use crate::bundle::{Bundle, BundleError, ReadLimits};
use crate::export::{ExportError, export};

fn out(root: &Path) -> PathBuf {
    root.join("bundle.tar.zst")
}

#[test]
fn an_exported_bundle_passes_and_is_the_same_every_time() {
    let made = World::accepted().make();
    let root = tempfile::tempdir().unwrap();
    let first = export(&made.path, &out(root.path()), false).unwrap();
    let outcome = outcome_at(&first.path);
    assert!(outcome.ok(), "{:#?}", outcome.failed().collect::<Vec<_>>());
    let bytes = std::fs::read(&first.path).unwrap();
    assert_eq!(first.digest, cto_schema::Sha256Digest::of(&bytes));
    assert_eq!(first.size_bytes, bytes.len() as u64);
    assert!(matches!(
        export(&made.path, &first.path, false),
        Err(ExportError::Exists { .. })
    ));
    // Other times, modes and order on disk must not show.
    let copy = root.path().join("copy").join(RUN_ID);
    std::fs::create_dir_all(copy.join("backend")).unwrap();
    let mut names = Vec::new();
    super::fixture::walk(&made.path, "", &mut names);
    for name in names.iter().rev() {
        std::fs::write(copy.join(name), std::fs::read(made.path.join(name)).unwrap()).unwrap();
    }
    let second = export(&copy, &first.path, true).unwrap();
    assert_eq!(second.digest, first.digest);
    assert_eq!(
        std::fs::read_dir(root.path()).unwrap().count(),
        2,
        "a temporary file stayed"
    );
}

#[test]
fn every_flipped_byte_of_an_archive_is_refused_or_harmless() {
    let made = World::accepted().make();
    let root = tempfile::tempdir().unwrap();
    let path = export(&made.path, &out(root.path()), false).unwrap().path;
    let original = std::fs::read(&path).unwrap();
    let digest = |path: &Path| Bundle::open(path).map(|b| b.digest("SHA256SUMS")).ok().flatten();
    let good = digest(&path);
    for at in (0..original.len()).step_by(original.len() / 150 + 1) {
        let mut flipped = original.clone();
        flipped[at] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        // The checksum of a header, or a checksum flag of the frame, may change without changing any file.
        assert!(refused(&path) || digest(&path) == good, "at {at}");
    }
    for length in (0..original.len()).step_by(512) {
        std::fs::write(&path, &original[..length]).unwrap();
        assert!(refused(&path), "cut to {length}");
    }
}

#[test]
fn an_unsealed_run_is_not_exported() {
    let made = World::accepted().make();
    let root = tempfile::tempdir().unwrap();
    std::fs::remove_file(made.path.join("attestation.dsse.json")).unwrap();
    let refused = export(&made.path, &out(root.path()), false);
    assert!(matches!(refused, Err(ExportError::Unsealed { .. })), "{refused:?}");
    assert!(!out(root.path()).exists());
}

type Entry = (tar::Header, Vec<u8>);

/// Writes an archive from raw entries.
fn archive(path: &Path, entries: impl IntoIterator<Item = Entry>) {
    let encoder = zstd::stream::write::Encoder::new(std::fs::File::create(path).unwrap(), 1).unwrap();
    let mut builder = tar::Builder::new(encoder);
    for (header, bytes) in entries {
        builder.append(&header, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap();
}

fn entry(name: &[u8], kind: tar::EntryType, bytes: &[u8]) -> Entry {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_entry_type(kind);
    header.set_cksum();
    (header, bytes.to_vec())
}

#[test]
fn hostile_archives_are_refused() {
    use tar::EntryType as T;
    let root = tempfile::tempdir().unwrap();
    let path = out(root.path());
    let file = |name: &str| entry(name.as_bytes(), T::Regular, b"x");
    let linked = |kind| {
        let (mut header, bytes) = entry(b"run/link", kind, b"");
        header.set_link_name("/etc/passwd").unwrap();
        header.set_cksum();
        (header, bytes)
    };
    let sets: Vec<(&str, Vec<Entry>)> = vec![
        ("empty", vec![]),
        ("no top directory", vec![file("report.json")]),
        ("two top directories", vec![file("run/a"), file("other/a")]),
        ("absolute", vec![file("/etc/x")]),
        ("traversal", vec![file("run/../../x")]),
        ("traversal at the top", vec![file("../x")]),
        ("duplicate", vec![file("run/a"), file("run/a")]),
        ("symbolic link", vec![linked(T::Symlink)]),
        ("hard link", vec![linked(T::Link)]),
        ("device", vec![entry(b"run/dev", T::Char, b"")]),
        ("fifo", vec![entry(b"run/fifo", T::Fifo, b"")]),
        ("sparse", vec![entry(b"run/sparse", T::GNUSparse, b"")]),
        (
            "long name",
            vec![
                entry(b"././@LongLink", T::GNULongName, &vec![b'a'; 100_000]),
                file("run/a"),
            ],
        ),
        (
            "extended header",
            vec![entry(b"run/pax", T::XHeader, b"12 path=../x\n"), file("run/a")],
        ),
        ("control character", vec![file("run/a\u{1b}[2J")]),
        ("not UTF-8", vec![entry(b"run/\xff", T::Regular, b"x")]),
    ];
    for (what, entries) in sets {
        archive(&path, entries);
        assert!(refused(&path), "{what}");
        if let Err(error) = Bundle::open(&path) {
            let text = error.to_string();
            assert!(
                !text.chars().any(char::is_control) && text.len() < 700,
                "{what}: {text}"
            );
        }
    }
    for bytes in [&b""[..], b"not an archive", &[0x28, 0xb5, 0x2f, 0xfd]] {
        std::fs::write(&path, bytes).unwrap();
        assert!(Bundle::open(&path).is_err());
    }
}

#[test]
fn a_bomb_ends_early_whatever_it_is_made_of() {
    let root = tempfile::tempdir().unwrap();
    let path = out(root.path());
    // 3 GiB of zeros in one entry, in about 100 KiB.
    let mut encoder = zstd::stream::write::Encoder::new(std::fs::File::create(&path).unwrap(), 1).unwrap();
    let (mut header, _) = entry(b"run/zeros", tar::EntryType::Regular, b"");
    header.set_size(1 << 31);
    header.set_cksum();
    encoder.write_all(header.as_bytes()).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..256 {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap();
    let started = std::time::Instant::now();
    let error = Bundle::open(&path).unwrap_err();
    assert!(
        matches!(error, BundleError::Read { .. } | BundleError::TooLarge { .. }),
        "{error:?}"
    );
    assert!(started.elapsed().as_secs() < 20);
    // A frame that asks for a window of 1 GiB.
    let mut encoder = zstd::stream::write::Encoder::new(std::fs::File::create(&path).unwrap(), 1).unwrap();
    encoder.window_log(30).unwrap();
    encoder.write_all(&zeros).unwrap();
    encoder.finish().unwrap();
    assert!(Bundle::open(&path).is_err());
    archive(
        &path,
        (0..21_000).map(|i| entry(format!("run/f{i}").as_bytes(), tar::EntryType::Regular, b"")),
    );
    assert!(matches!(Bundle::open(&path), Err(BundleError::TooLarge { .. })));
}

#[test]
fn data_after_the_end_of_an_archive_is_refused() {
    let made = World::accepted().make();
    let root = tempfile::tempdir().unwrap();
    let path = export(&made.path, &out(root.path()), false).unwrap().path;
    let more = zstd::stream::encode_all(&b"hidden"[..], 1).unwrap();
    let bytes = [std::fs::read(&path).unwrap(), more].concat();
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(Bundle::open(&path), Err(BundleError::Archive { .. })));
}

#[test]
fn limits_hold_for_directories_too() {
    let made = World::accepted().make();
    let within = |limits| Bundle::open_within(&made.path, limits);
    let default = ReadLimits::default();
    assert!(within(ReadLimits { files: 3, ..default }).is_err());
    assert!(
        within(ReadLimits {
            file_bytes: 100,
            ..default
        })
        .is_err()
    );
    assert!(
        within(ReadLimits {
            total_bytes: 1000,
            ..default
        })
        .is_err()
    );
    assert!(
        within(ReadLimits {
            document_bytes: 100,
            ..default
        })
        .is_err()
    );
    assert!(
        within(ReadLimits {
            memory_bytes: 1000,
            ..default
        })
        .is_err()
    );
    // A sparse file of 1 TiB is refused by its size, unread.
    let sparse = std::fs::File::create(made.path.join("backend/sparse.log")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    assert!(matches!(Bundle::open(&made.path), Err(BundleError::TooLarge { .. })));
}

#[test]
fn deep_json_and_huge_lines_end_in_one_failed_check() {
    let made = World::accepted().make();
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    std::fs::write(made.path.join("report.json"), deep).unwrap();
    assert!(failed(&outcome_at(&made.path)).contains(&"schemas"));
    let huge = format!("{{\"x\":\"{}\"}}\n", "y".repeat(17 << 20));
    std::fs::write(made.path.join("events.normalized.jsonl"), huge).unwrap();
    let outcome = outcome_at(&made.path);
    assert!(outcome.checks.iter().all(|check| check.detail.len() < 2_000));
    assert!(failed(&outcome).contains(&"event-chain"));
}

//! Speed: small bundles by the thousand, large ones by the byte.

use std::time::Instant;

use super::fixture::World;
use super::{outcome_at, trusted};
use crate::verify::verify_many;

/// Limits of a debug build on a slow machine; the figures are printed for people.
#[test]
fn two_hundred_small_bundles_and_one_large_one_are_quick() {
    let root = tempfile::tempdir().unwrap();
    let world = World::accepted();
    let paths: Vec<_> = (0..200)
        .map(|i| world.make_in(root.path(), &format!("20261120t090000z-r1-{i:010}")).0)
        .collect();
    let started = Instant::now();
    let results = verify_many(&paths, &trusted(), None, 1, &|_, _| {});
    let each = started.elapsed() / 200;
    assert!(results.iter().all(crate::verify::Verified::ok));
    let mut large = world;
    large
        .extra
        .insert("backend/large.log".to_owned(), vec![b'x'; 128 << 20]);
    let (path, _) = large.make_in(root.path(), "20261120t090000z-r1-large");
    let started = Instant::now();
    assert!(outcome_at(&path).ok());
    let rate = 128.0 / started.elapsed().as_secs_f64();
    println!("{each:?} for a small bundle in one thread, {rate:.0} MiB/s for a large one");
    assert!(each.as_millis() < 100, "{each:?} for a small bundle");
    assert!(rate > 50.0, "{rate:.0} MiB/s");
}

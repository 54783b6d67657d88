//! Whatever the trees hold, the target is the new one and clean; and the old one again when it is taken back.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::bench::Site;
use super::reverts::take_back;
use crate::apply::ApplyOutcome;
use crate::baseline::sample::Tree;
use crate::patch::tests::trees;

/// Rules about line ends make the files of a work tree others than the commit's; they have claims of their own.
fn without_rules(tree: &Tree) -> Tree {
    let is_rule = |path: &[u8]| path.split(|byte| *byte == b'/').any(|part| part == b".gitattributes");
    tree.iter()
        .filter(|(path, _)| !is_rule(path))
        .map(|(path, node)| (path.clone(), node.clone()))
        .collect()
}

#[test]
fn any_tree_becomes_any_other_and_back() {
    let config = Config {
        cases: 40,
        rng_seed: RngSeed::Fixed(20_261_121),
        failure_persistence: None,
        ..Config::default()
    };
    let changed = std::cell::Cell::new(0);
    TestRunner::new(config)
        .run(&trees(), |(base, end)| {
            let (base, end) = (without_rules(&base), without_rules(&end));
            prop_assume!(base != end);
            let site = Site::new(&base);
            let (made, expected) = (site.commit(&base, &end), site.expected());
            let outcome = site.apply(&made).unwrap();
            prop_assert!(matches!(outcome, ApplyOutcome::Applied(_)), "{outcome:?}");
            site.assert_is(&made.commit, &end);
            let outcome = take_back(&site, &made, &expected);
            let ApplyOutcome::Applied(applied) = outcome else {
                panic!("{outcome:?}")
            };
            site.assert_is(&applied.target_commit, &base);
            changed.set(changed.get() + 1);
            Ok(())
        })
        .unwrap();
    assert!(changed.get() > 20);
}

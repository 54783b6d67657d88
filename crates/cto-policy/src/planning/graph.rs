//! The graph of what blocks what: an order, cycles, and what can be begun.

use std::collections::{BTreeMap, BTreeSet};

/// A graph of ids: each with those that must come before it. Edges to unknown ids are left out.
#[derive(Clone, Debug)]
pub(crate) struct Graph<'a> {
    ids: Vec<&'a str>,
    before: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Graph<'a> {
    /// Makes a graph; the order of `nodes` is kept among those that could come in any order.
    pub(crate) fn new(nodes: impl IntoIterator<Item = (&'a str, Vec<&'a str>)>) -> Self {
        let nodes: Vec<(&str, Vec<&str>)> = nodes.into_iter().collect();
        let known: BTreeSet<&str> = nodes.iter().map(|(id, _)| *id).collect();
        let mut ids = Vec::new();
        let mut before: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (id, blockers) in nodes {
            if !before.contains_key(id) {
                ids.push(id);
            }
            let edges = blockers.into_iter().filter(|blocker| known.contains(blocker));
            before.entry(id).or_default().extend(edges);
        }
        Self { ids, before }
    }

    /// Returns the ids in an order in which each comes after its blockers (Kahn), and each cycle.
    pub(crate) fn order(&self) -> (Vec<&'a str>, Vec<Vec<&'a str>>) {
        let mut waiting: BTreeMap<&str, usize> = self.before.iter().map(|(id, before)| (*id, before.len())).collect();
        let mut after: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for id in &self.ids {
            for blocker in &self.before[id] {
                after.entry(blocker).or_default().push(id);
            }
        }
        let mut order: Vec<&str> = self.ids.iter().copied().filter(|id| waiting[id] == 0).collect();
        let mut at = 0;
        while let Some(id) = order.get(at).copied() {
            at += 1;
            for next in after.get(id).into_iter().flatten() {
                if let Some(left) = waiting.get_mut(next) {
                    *left -= 1;
                    if *left == 0 {
                        order.push(next);
                    }
                }
            }
        }
        let ordered: BTreeSet<&str> = order.iter().copied().collect();
        let rest: BTreeSet<&str> = self.ids.iter().copied().filter(|id| !ordered.contains(id)).collect();
        (order, self.cycles(&rest))
    }

    /// Whoever is left is in a cycle or behind one; going back from blocker to blocker ends in one.
    fn cycles(&self, rest: &BTreeSet<&'a str>) -> Vec<Vec<&'a str>> {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut cycles = Vec::new();
        for start in &self.ids {
            let mut path: Vec<&str> = Vec::new();
            let mut on_path: BTreeMap<&str, usize> = BTreeMap::new();
            let mut id = *start;
            while rest.contains(id) && seen.insert(id) {
                on_path.insert(id, path.len());
                path.push(id);
                let Some(next) = self.before[id].iter().find(|blocker| rest.contains(*blocker)) else {
                    break;
                };
                id = next;
                if let Some(from) = on_path.get(id) {
                    let mut cycle = path[*from..].to_vec();
                    // It starts at its smallest, so that one cycle has one form.
                    let smallest = cycle
                        .iter()
                        .enumerate()
                        .min_by_key(|(_, id)| **id)
                        .map_or(0, |(at, _)| at);
                    cycle.rotate_left(smallest);
                    cycles.push(cycle);
                    break;
                }
            }
        }
        cycles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order<'a>(edges: &[(&'a str, &[&'a str])]) -> (Vec<&'a str>, Vec<Vec<&'a str>>) {
        Graph::new(edges.iter().map(|(id, before)| (*id, before.to_vec()))).order()
    }

    #[test]
    fn each_comes_after_what_blocks_it() {
        let (found, cycles) = order(&[("c", &["a", "b"]), ("b", &["a"]), ("a", &[]), ("d", &["unknown"])]);
        assert_eq!(found, ["a", "d", "b", "c"]);
        assert!(cycles.is_empty());
    }

    #[test]
    fn every_cycle_is_named_once_and_what_is_behind_it_has_no_place() {
        let (found, cycles) = order(&[
            ("a", &["b"]),
            ("b", &["c"]),
            ("c", &["a"]),
            ("behind", &["a"]),
            ("self", &["self"]),
            ("free", &[]),
        ]);
        assert_eq!(found, ["free"]);
        assert_eq!(cycles, [vec!["a", "b", "c"], vec!["self"]]);
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let names: Vec<String> = (0..50_000).map(|number| format!("n{number:06}")).collect();
        let chain = names.iter().enumerate().map(|(at, name)| {
            (
                name.as_str(),
                at.checked_sub(1)
                    .map(|before| names[before].as_str())
                    .into_iter()
                    .collect(),
            )
        });
        let (found, cycles) = Graph::new(chain).order();
        assert_eq!((found.len(), cycles.len()), (50_000, 0));
    }
}

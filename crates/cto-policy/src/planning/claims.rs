//! What a text says about an evidence bundle: that it exists, its status, its digests, its changed files.

use std::collections::BTreeMap;

use super::drift::is_hypothetical;
use super::page::{Block, BlockKind, Page, plain};

/// A bundle that a text names, and what it claims about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BundleReference {
    /// A path or a run's id, as written.
    pub(crate) name: String,
    pub(crate) line: u32,
    pub(crate) claims: Vec<Claim>,
}

/// A claim and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) line: u32,
    pub(crate) what: Claimed,
}

/// What is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// `report status: pass`.
    Status(String),
    /// A digest as `sha256:<hex>`, and the words beside it, among which the file may be named.
    Digest { hex: String, beside: Vec<String> },
    /// Changed files, all of them.
    ChangedFiles(Vec<String>),
}

/// What a page says about bundles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PageClaims {
    pub(crate) bundles: Vec<BundleReference>,
    /// Claims that no bundle carries.
    pub(crate) loose: Vec<Claim>,
    /// Statuses that no report can have: line and word.
    pub(crate) unreadable: Vec<(u32, String)>,
}

/// The labels of a bundle.
const BUNDLE_LABELS: [&str; 6] = ["bundle", "evidence bundle", "run", "run id", "bundle path", "run_id"];
/// Words that say that nothing ran.
const NO_STATUS: [&str; 8] = ["none", "not", "pending", "absent", "unknown", "n", "no", "open"];

/// Something in its place: which section, which row, which order.
struct Placed<T> {
    /// Indexes of the headings above it, the innermost last.
    above: Vec<usize>,
    /// Table and row.
    row: Option<(usize, usize)>,
    order: usize,
    what: T,
}

/// Reads what a page says about bundles.
pub(crate) fn read_claims(page: &Page) -> PageClaims {
    let mut found = PageClaims::default();
    let mut bundles: Vec<Placed<BundleReference>> = Vec::new();
    let mut claims: Vec<Placed<Claim>> = Vec::new();
    let mut above: Vec<usize> = Vec::new();
    for (order, block) in page.blocks.iter().enumerate() {
        if let Some(level) = block.level() {
            while above
                .last()
                .is_some_and(|index| page.blocks[*index].level().is_some_and(|other| other >= level))
            {
                above.pop();
            }
            above.push(order);
        }
        if block.quoted || block.kind == BlockKind::Code {
            continue;
        }
        let (row, header) = place(page, block);
        for (text, line) in block.lines() {
            let label = header.clone().or_else(|| label_of(text));
            let value = if header.is_some() { text } else { after_label(text) };
            let placed_bundle = |name: String| Placed {
                above: above.clone(),
                row,
                order,
                what: BundleReference {
                    name,
                    line,
                    claims: vec![],
                },
            };
            bundles.extend(
                bundle_names(text, value, label.as_deref())
                    .into_iter()
                    .map(placed_bundle),
            );
            let mut claim = |what: Claimed| {
                claims.push(Placed {
                    above: above.clone(),
                    row,
                    order,
                    what: Claim { line, what },
                });
            };
            match status(text, value, label.as_deref()) {
                Said::Status(word) => claim(Claimed::Status(word)),
                Said::Unreadable(word) => found.unreadable.push((line, word)),
                Said::Nothing => {}
            }
            for hex in digests(text) {
                let beside = names_in(text);
                if is_about_a_bundle(&beside, label.as_deref()) {
                    claim(Claimed::Digest { hex, beside });
                }
            }
            if label.as_deref() == Some("changed files")
                && let Some(files) = changed_files(page, order, value)
            {
                claim(Claimed::ChangedFiles(files));
            }
        }
    }
    attach(bundles, claims, &mut found);
    found
}

/// The row of a cell, and the name of its column: of a table that has one column for bundles, each row is by itself.
fn place(page: &Page, block: &Block) -> (Option<(usize, usize)>, Option<String>) {
    let BlockKind::Cell { table, row, column } = block.kind else {
        return (None, None);
    };
    let rows = &page.tables[table].rows;
    let header = rows
        .first()
        .and_then(|header| header.cells.get(column))
        .map(|name| plain(name));
    if row == 0 {
        return (None, Some(String::new()));
    }
    // A table of two columns may be a list of fields instead.
    let field = rows
        .get(row)
        .filter(|row| row.cells.len() == 2 && column == 1)
        .and_then(|row| row.cells.first());
    let is_label = |name: &str| BUNDLE_LABELS.contains(&name) || matches!(name, "report status" | "changed files");
    let header_is = header.as_deref().is_some_and(is_label);
    match field
        .map(|name| plain(name))
        .filter(|name| is_label(name) && !header_is)
    {
        Some(name) => (None, Some(name)),
        None => (Some((table, row)), header),
    }
}

fn label_of(text: &str) -> Option<String> {
    let (label, _) = text.split_once(':').filter(|(label, _)| label.len() <= 60)?;
    Some(plain(label))
}

fn after_label(text: &str) -> &str {
    text.split_once(':').map_or(text, |(_, value)| value).trim()
}

/// Names of bundles: what stands after their label, and whatever has the form of a run's id.
fn bundle_names(text: &str, value: &str, label: Option<&str>) -> Vec<String> {
    // Every run's id has this in it, and few lines have.
    let mut found: Vec<String> = if text.contains("z-") { names_in(text) } else { vec![] };
    found.retain(|word| is_run_id(last_part(word)));
    let labelled = label.is_some_and(|label| BUNDLE_LABELS.contains(&label));
    let first = value
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .trim_end_matches([',', ';', '.']);
    let plausible = value.split_whitespace().count() == 1 && first.contains(['/', '-']);
    if found.is_empty() && labelled && plausible && !first.contains("://") {
        found.push(first.to_owned());
    }
    found
}

/// Words that may be names of files or runs.
fn names_in(text: &str) -> Vec<String> {
    text.split(|c: char| c.is_whitespace() || "`'\"()[]{}<>,;|=".contains(c))
        .map(|word| word.trim_end_matches(['.', ':']))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Returns the name of the run in a path of a bundle, or in a path into one.
fn last_part(word: &str) -> &str {
    let word = word.trim_end_matches('/');
    let last = word.rsplit('/').next().unwrap_or(word);
    last.strip_suffix(".tar.zst").unwrap_or(last)
}

/// Returns whether a text has the form of a run's id, such as `20261120t103101z-r1-string-slugify-ib5cvr6ubc`.
pub fn is_run_id(text: &str) -> bool {
    let mut parts = text.split('-');
    let stamp = parts.next().is_some_and(|stamp| {
        stamp.len() == 16
            && stamp.char_indices().all(|(at, c)| match at {
                8 => c == 't',
                15 => c == 'z',
                _ => c.is_ascii_digit(),
            })
    });
    let suffix = parts.next_back().is_some_and(|suffix| {
        suffix.len() == 10
            && suffix
                .bytes()
                .all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
    });
    stamp && suffix && parts.next().is_some() && text.len() <= 64
}

enum Said {
    Status(String),
    Unreadable(String),
    Nothing,
}

/// `report status: pass`, also within a sentence that does not deny it.
fn status(text: &str, value: &str, label: Option<&str>) -> Said {
    if label != Some("report status") && !text.contains("tatus") && !text.contains("TATUS") {
        return Said::Nothing;
    }
    let lower = text.to_lowercase();
    let (before, rest, sure) = if label == Some("report status") {
        ("", value.to_lowercase(), true)
    } else {
        let Some((before, rest)) = lower.split_once("report status") else {
            return Said::Nothing;
        };
        let rest = rest.trim_start_matches(['`', '*', ' ']);
        if let Some(rest) = rest.strip_prefix([':', '=']) {
            (before, rest.to_owned(), true)
        } else if let Some(rest) = rest.strip_prefix("is ") {
            (before, rest.to_owned(), false)
        } else {
            return Said::Nothing;
        }
    };
    if is_hypothetical(before) {
        return Said::Nothing;
    }
    let word: String = rest
        .trim_start_matches(|c: char| !c.is_alphanumeric())
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    match word.as_str() {
        "pass" | "fail" | "blocked" => Said::Status(word),
        "passed" => Said::Status("pass".to_owned()),
        "failed" => Said::Status("fail".to_owned()),
        word if word.is_empty() || NO_STATUS.contains(&word) || !sure => Said::Nothing,
        word => Said::Unreadable(word.to_owned()),
    }
}

/// Returns the SHA-256 digests in a text, as hex.
fn digests(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.len() == 64 && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
        .map(str::to_owned)
        .collect()
}

/// A digest is about a bundle where its line names the bundle, its manifest or one of its files.
fn is_about_a_bundle(beside: &[String], label: Option<&str>) -> bool {
    let about = |word: &String| {
        let lower = word.to_lowercase();
        let file = [".json", ".jsonl", ".diff", ".log", ".html"]
            .iter()
            .any(|end| lower.ends_with(end));
        file || matches!(
            lower.as_str(),
            "sha256sums" | "bundle" | "manifest" | "report" | "patch" | "report.md"
        )
    };
    beside.iter().any(about)
        || label.is_some_and(|label| matches!(label, "digest" | "sha256" | "manifest digest" | "bundle digest"))
}

/// Files after the label, or in the list that follows it.
fn changed_files(page: &Page, order: usize, value: &str) -> Option<Vec<String>> {
    if super::workboard::is_nothing(value) && !value.is_empty() {
        return Some(vec![]);
    }
    if !value.is_empty() {
        return Some(names_in(value).into_iter().filter(|word| word != "and").collect());
    }
    let items = page.blocks[order + 1..]
        .iter()
        .take_while(|block| matches!(block.kind, BlockKind::Item(_)) && label_of(&block.text).is_none());
    let files: Vec<String> = items
        .filter_map(|block| names_in(&block.text).into_iter().next())
        .collect();
    (!files.is_empty()).then_some(files)
}

/// Gives each claim to the bundle that it is about: in its row, else in its section, else further out.
fn attach(bundles: Vec<Placed<BundleReference>>, claims: Vec<Placed<Claim>>, found: &mut PageClaims) {
    let carriers = Carriers::new(&bundles);
    found.bundles = bundles.into_iter().map(|bundle| bundle.what).collect();
    for claim in claims {
        let chosen = carriers.of(&claim);
        match chosen.and_then(|index| found.bundles.get_mut(index)) {
            Some(bundle) => bundle.claims.push(claim.what),
            // A digest without a bundle may be of anything.
            None if matches!(claim.what.what, Claimed::Digest { .. }) => {}
            // `changed files: none`, where nothing ran.
            None if claim.what.what == Claimed::ChangedFiles(vec![]) => {}
            None => found.loose.push(claim.what),
        }
    }
}

/// Bundles by their place.
struct Carriers {
    rows: BTreeMap<(usize, usize), usize>,
    /// By the headings above: order and index, in order.
    sections: BTreeMap<Vec<usize>, Vec<(usize, usize)>>,
    count: usize,
}

impl Carriers {
    fn new(bundles: &[Placed<BundleReference>]) -> Self {
        let mut carriers = Self {
            rows: BTreeMap::new(),
            sections: BTreeMap::new(),
            count: bundles.len(),
        };
        for (index, bundle) in bundles.iter().enumerate() {
            match bundle.row {
                Some(row) => {
                    carriers.rows.entry(row).or_insert(index);
                }
                None => carriers
                    .sections
                    .entry(bundle.above.clone())
                    .or_default()
                    .push((bundle.order, index)),
            }
        }
        carriers
    }

    fn of(&self, claim: &Placed<Claim>) -> Option<usize> {
        if let Some(index) = claim.row.and_then(|row| self.rows.get(&row)) {
            return Some(*index);
        }
        // The innermost section first, the document last; in each the one before the claim.
        let inner = (0..=claim.above.len()).rev().find_map(|depth| {
            let here = self.sections.get(&claim.above[..depth])?;
            let after = here.partition_point(|(order, _)| *order <= claim.order);
            here.get(after.saturating_sub(1)).map(|(_, index)| *index)
        });
        inner.or((self.count == 1).then_some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::markdown::read_page;
    use super::*;

    const RUN: &str = "20261120t103101z-r1-string-slugify-ib5cvr6ubc";
    const OTHER: &str = "20261120t103102z-r1-string-slugify-ib5cvr6ubd";

    fn read(text: &str) -> PageClaims {
        read_claims(&read_page(text))
    }

    fn status_of(bundle: &BundleReference) -> Vec<&str> {
        let word = |claim: &Claim| matches!(claim.what, Claimed::Status(_));
        bundle
            .claims
            .iter()
            .filter(|claim| word(claim))
            .map(|claim| match &claim.what {
                Claimed::Status(word) => word.as_str(),
                Claimed::Digest { .. } | Claimed::ChangedFiles(_) => "",
            })
            .collect()
    }

    #[test]
    fn claims_belong_to_the_bundle_of_their_row_section_or_document() {
        let found = read(&format!(
            "- Bundle: `{RUN}`\n- report status: pass\n- Bundle: `{OTHER}`\n- report status: fail\n"
        ));
        assert_eq!(
            found.bundles.iter().map(status_of).collect::<Vec<_>>(),
            [["pass"], ["fail"]]
        );
        let found = read(&format!(
            "# A\n\nBundle: {RUN}\n\n## Inner\n\n`report status: pass`\n\n# B\n\nBundle: {OTHER}\n\nThe report status is blocked.\n"
        ));
        assert_eq!(
            found.bundles.iter().map(status_of).collect::<Vec<_>>(),
            [["pass"], ["blocked"]]
        );
        let found = read(&format!(
            "| Bundle | Report status |\n|---|---|\n| {RUN} | pass |\n| runs/{OTHER} | fail |\n"
        ));
        assert_eq!(
            found.bundles.iter().map(status_of).collect::<Vec<_>>(),
            [["pass"], ["fail"]]
        );
        let found = read(&format!(
            "| Field | Value |\n|---|---|\n| Bundle | {RUN} |\n| Report status | pass |\n"
        ));
        assert_eq!(found.bundles.iter().map(status_of).collect::<Vec<_>>(), [["pass"]]);
        let found = read("- report status: pass\n");
        assert_eq!((found.bundles.len(), found.loose.len()), (0, 1));
    }

    #[test]
    fn what_says_nothing_claims_nothing() {
        for text in [
            "report status: none\n",
            "report status: not recorded yet\n",
            "Never write report status: pass without a bundle.\n",
            "> report status: pass\n",
            "```\nreport status: pass\n```\n",
            "The report status must be shown.\n",
            "Digest sha256:0000000000000000000000000000000000000000000000000000000000000000\n",
        ] {
            assert_eq!(read(text), PageClaims::default(), "{text}");
        }
        assert_eq!(read("report status: green\n").unreadable, [(1, "green".to_owned())]);
    }

    #[test]
    fn changed_files_stand_on_the_line_or_in_the_list_below() {
        let files = |text: &str| match &read(text).loose[0].what {
            Claimed::ChangedFiles(files) => files.clone(),
            Claimed::Status(_) | Claimed::Digest { .. } => vec![],
        };
        assert_eq!(files("- Changed files: `a.py`, `src/b.py`\n"), ["a.py", "src/b.py"]);
        assert_eq!(files("Changed files:\n\n- `a.py`\n- src/b.py\n"), ["a.py", "src/b.py"]);
        assert_eq!(read("Changed files: none\n"), PageClaims::default());
        let none = read(&format!("- Bundle: {RUN}\n- Changed files: none\n"));
        assert_eq!(none.bundles[0].claims[0].what, Claimed::ChangedFiles(vec![]));
    }

    #[test]
    fn a_run_is_known_by_its_id() {
        assert!(is_run_id(RUN));
        for bad in [
            "",
            "2026-x-y",
            "20261120t103101z-x",
            "20261120t103101z-x-IB5CVR6UBC",
            "20261120103101zz-x-ib5cvr6ubc",
        ] {
            assert!(!is_run_id(bad), "{bad}");
        }
    }
}

//! Claims about documents that somebody made to be slow or to break the reader.

use cto_schema::WorkspaceRules;

use super::{Planner, WorldAnswers};

fn planner() -> Planner {
    Planner::new(WorkspaceRules::built_in().unwrap(), 1_780_000_000).unwrap()
}

/// Each is a chance to take time by the square of its length: a megabyte of it would not end.
#[test]
fn one_thing_ten_thousand_times_is_read_to_its_end() {
    let run = "20261120t103101z-r1-string-slugify-ib5cvr6ubc";
    let many = |text: &str| text.repeat(10_000);
    let documents = [
        many("# a\n"),
        format!("runtime_default_activation: true\n{}", many("x\n")),
        format!(
            "{}{}",
            many(&format!("bundle: {run}\n\n")),
            many("report status: pass\n\n")
        ),
        many("Case is the default if "),
        many("> "),
        many("- "),
        many("["),
        many("\"a b"),
        many("| a "),
        many("~~*`"),
    ];
    let planner = planner();
    let files: Vec<_> = documents
        .iter()
        .enumerate()
        .map(|(number, text)| planner.read(&format!("closeouts/{number}.md"), text.as_bytes(), &[]))
        .collect();
    let found = planner.judge(&files, &WorldAnswers::default(), vec![]);
    assert!(found.len() > 10_000, "{}", found.len());
}

#[test]
fn a_board_of_many_slips_is_judged() {
    let entry = |number: usize| {
        format!(
            "- {{id: CTO-WORK-{number:05}, title: x, type: AFK, status: draft, blocked_by: [CTO-WORK-9{number:05}], evidence: []}}\n"
        )
    };
    let board: String = (0..500).map(entry).collect();
    let files = [planner().read("WORKBOARD.yaml", board.as_bytes(), &[])];
    let found = planner().judge(&files, &WorldAnswers::default(), vec![]);
    assert!(
        found
            .iter()
            .filter(|finding| finding.rule.id() == "workboard-blocker-unknown")
            .count()
            == 500
    );
    assert!(found.iter().all(|finding| finding.message.len() < 2_000));
}

#[test]
fn no_file_makes_the_reader_panic_and_every_finding_has_a_mend() {
    let names = [
        "a.md",
        "WORKBOARD.yaml",
        "issues/i.md",
        "prd/p.md",
        "CONTEXT.md",
        "admissions/a.json",
        "contracts/c.yaml",
        "x.json",
    ];
    let texts: [&[u8]; 14] = [
        b"",
        b"\xff\xfe\x00",
        b"---\n---\n",
        b"---",
        b"---\n",
        b"--- \n: \n---\n",
        b"\xef\xbb\xbf# x\r\n\r\n|\r\n|-|\r\n",
        b"|\n|-|\n||\n",
        b"# CTO-WORK-1 - x\n\nType:\n\n- [ ] \n",
        b"- 1\n- [a]\n- {id: [x], blocked_by: {a: b}}\n",
        b"{\"a\":",
        b"## Acceptance\n\n- AC-\n- AC-99999999999999999999\n",
        "Ünï: cödé — ‘x ✓ \u{202e} [l](%ff%zz#%) ![i](<a b>)".as_bytes(),
        b"<!-- \n- [x](..)[y](../../..)[z](.)\n",
    ];
    let planner = planner();
    for name in names {
        for text in texts {
            let reading = planner.read(name, text, &[(1, "rule".to_owned())]);
            let files = [reading];
            planner.ask(&files);
            for finding in planner.judge(&files, &WorldAnswers::default(), vec![]) {
                assert!(!finding.mend.is_empty() && !finding.message.is_empty(), "{finding:?}");
            }
        }
    }
}

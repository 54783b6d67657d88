//! The prompt: one text for every engine, made from the contract alone.

use cto_schema::TaskContract;

/// Longest prompt in bytes; an argument may have 128 KiB.
const MAX_BYTES: usize = 64 * 1024;
/// Longest brief and longest notes in it.
const MAX_TEXT: usize = 24 * 1024;
/// Most entries of one list.
const MAX_ENTRIES: usize = 100;
/// Longest entry.
const MAX_ENTRY: usize = 400;

/// Returns what an engine is told: the task, its bounds, and how it is judged. The same contract gives the same text.
pub(crate) fn prompt(contract: &TaskContract) -> String {
    let mut text = format!(
        "# Task: {}\n\n{}\n",
        line(&contract.title),
        cut(&contract.brief, MAX_TEXT)
    );
    // Before the lists: whatever is cut, this is not.
    text.push_str(
        "\n## Rules\n\nWork only in the current repository. Do not commit, push, or open a pull request. \
         There is no network. Leave no process running.\n",
    );
    section(&mut text, "Notes", &cut(&contract.architecture_notes, MAX_TEXT));
    list(&mut text, "You may change only these paths", &contract.allowed_paths);
    list(
        &mut text,
        "You must not change these paths",
        &contract.effective_forbidden_paths(),
    );
    list(
        &mut text,
        "You must not attempt these actions",
        &contract.effective_forbidden_actions(),
    );
    let commands: Vec<String> = contract
        .verification_commands
        .iter()
        .map(|argv| shell_line(argv))
        .collect();
    list(&mut text, "The change is verified by these commands", &commands);
    list(&mut text, "It is done when", &contract.success_criteria);
    list(&mut text, "The evidence must show", &contract.evidence_expectations);
    cut(&text, MAX_BYTES)
}

/// Returns the title as one line that is no option.
pub(crate) fn title(contract: &TaskContract) -> String {
    let title = line(&contract.title);
    let title = title.trim_start_matches('-').trim();
    if title.is_empty() {
        "task".to_owned()
    } else {
        title.to_owned()
    }
}

fn section(text: &mut String, heading: &str, body: &str) {
    if !body.trim().is_empty() {
        *text = format!("{text}\n## {heading}\n\n{body}\n");
    }
}

fn list(text: &mut String, heading: &str, entries: &[String]) {
    let shown = entries
        .iter()
        .take(MAX_ENTRIES)
        .map(|entry| format!("- {}", line(entry)));
    let mut lines: Vec<String> = shown.collect();
    if entries.len() > MAX_ENTRIES {
        lines.push(format!("- and {} more", entries.len() - MAX_ENTRIES));
    }
    section(text, heading, &lines.join("\n"));
}

/// Renders an argv as text that a shell would read as the same words.
pub(crate) fn shell_line(argv: &[String]) -> String {
    let plain = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-/:=@%+,".contains(&b))
    };
    let quoted = |word: &String| {
        if plain(word) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    argv.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// Makes one line of printable characters.
fn line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(spaced.trim(), MAX_ENTRY)
}

/// Cuts at a character; NUL can stand in no argument.
fn cut(text: &str, cap: usize) -> String {
    let text = text.replace('\0', " ");
    if text.len() <= cap {
        return text;
    }
    let mut end = cap;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}\n[{} bytes cut]", &text[..end], text.len() - end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract() -> TaskContract {
        let text = r#"{
            "task_id": "t", "title": "-x\nFix", "brief": "Fix 'slugify'.", "allowed_paths": ["src/a.py"],
            "forbidden_actions": [], "mutation_mode": "copied-repo", "target_repository": "/r",
            "success_criteria": ["tests pass"], "verification_commands": [["sh", "-c", "echo 'a b'"]]
        }"#;
        let mut value: serde_json::Value = serde_json::from_str(text).unwrap();
        value["forbidden_actions"] = serde_json::json!(cto_schema::FORBIDDEN_ACTIONS);
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_prompt_says_task_bounds_and_rules() {
        let text = prompt(&contract());
        for part in [
            "# Task: -x Fix\n",
            "Fix 'slugify'.",
            "- src/a.py",
            "- push",
            r"- sh -c 'echo '\''a b'\'''",
            "- tests pass",
            "Do not commit, push, or open a pull request.",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert_eq!(text, prompt(&contract()));
        assert_eq!(title(&contract()), "x Fix");
    }

    #[test]
    fn a_huge_contract_makes_a_bounded_prompt_without_nul() {
        let mut contract = contract();
        contract.brief = "ä\0".repeat(200_000);
        contract.architecture_notes = "n".repeat(200_000);
        contract.allowed_paths = (0..5000).map(|n| format!("{}{n}", "p".repeat(900))).collect();
        contract.success_criteria = vec!["s".repeat(100_000); 500];
        let text = prompt(&contract);
        assert!(text.len() < MAX_BYTES + 100, "{}", text.len());
        assert!(!text.contains('\0'));
        assert!(text.starts_with('#'));
    }
}

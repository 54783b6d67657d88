//! The canary of a test script: a patch that adds one failing test to a file that the script calls.

use super::super::CaseFile;
use super::script::CanaryPlace;

/// Returns the patch for a file of `tests/`; the error is a problem of the case.
pub(super) fn patch(place: &CanaryPlace, files: &[CaseFile]) -> Result<String, String> {
    let path = format!("tests/{}", place.file);
    let file = files.iter().find(|file| file.path == path.as_bytes());
    let text = file
        .and_then(|file| std::str::from_utf8(&file.bytes).ok())
        .filter(|text| !text.is_empty() && !text.contains('\r'))
        .ok_or_else(|| {
            format!("{path} is empty, not UTF-8 or has carriage returns; a test that must fail is added to it")
        })?;
    let added = if place.is_pytest && text.contains("def test_") {
        "\n\ndef test_cto_canary():\n    raise AssertionError(\"this test must fail\")\n"
    } else {
        // Whoever loads the file fails, however it looks for tests.
        "\n\nraise AssertionError(\"this check must fail\")\n"
    };
    let lines: Vec<&str> = text.lines().collect();
    let count = lines.len();
    let last = lines.last().copied().unwrap_or_default();
    let more = added.lines().count();
    let plus: String = added.lines().map(|line| format!("+{line}\n")).collect();
    let head = format!(
        "diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -{count},1 +{count},{} @@\n",
        more + 1
    );
    Ok(if text.ends_with('\n') {
        format!("{head} {last}\n{plus}")
    } else {
        format!("{head}-{last}\n\\ No newline at end of file\n+{last}\n{plus}")
    })
}

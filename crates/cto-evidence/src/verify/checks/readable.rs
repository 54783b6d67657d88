//! Checks of what people read: inert, and about this run with this verdict.

use cto_schema::Status;

use crate::render::verdict_line;
use crate::verify::{Context, Finding, not_applicable, yes};

/// `report.md` and `report.html` hold nothing active and say this run and this verdict.
pub(super) fn readable(context: &Context<'_>) -> Finding {
    let report = context.report()?;
    let mut read = Vec::new();
    for name in ["report.md", "report.html"] {
        let Some(bytes) = context.bundle.document(name) else {
            continue;
        };
        let text = std::str::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8"))?;
        inert(text).map_err(|what| format!("{name} {what}"))?;
        says(text, name, &report.run_id, report.status)?;
        read.push(name);
    }
    if let Some(html) = context.bundle.document("report.html") {
        passive(&String::from_utf8_lossy(html).to_ascii_lowercase())?;
    }
    if read.is_empty() {
        return not_applicable("the run has neither report.md nor report.html");
    }
    yes(format!("{}: inert, this run, this verdict", read.join(", ")))
}

/// No character that a renderer of ours would let through: nothing that moves a cursor or reorders text.
fn inert(text: &str) -> Result<(), String> {
    let hostile = text
        .lines()
        .find(|line| cto_schema::escape(line.as_bytes(), usize::MAX) != **line);
    if hostile.is_some() || text.contains('\r') {
        return Err("holds a control, bidirectional or invisible character".to_owned());
    }
    Ok(())
}

/// The first heading is the verdict. Only it counts: text of the run further down may quote anything.
fn says(text: &str, name: &str, run_id: &str, status: Status) -> Result<(), String> {
    if !text.contains(run_id) {
        return Err(format!("{name} does not name the run"));
    }
    let heading = if name.ends_with(".md") {
        text.lines().next()
    } else {
        text.split_once("<h1")
            .and_then(|(_, rest)| rest.split_once("</h1>"))
            .map(|(heading, _)| heading)
    };
    if heading.is_some_and(|heading| heading.ends_with(verdict_line(status))) {
        Ok(())
    } else {
        Err(format!(
            "the heading of {name} does not say the verdict '{}'",
            status.word()
        ))
    }
}

/// Elements that a report may be made of: none of them runs or fetches anything.
const ELEMENTS: [&str; 53] = [
    "!doctype", "a", "b", "body", "br", "caption", "code", "dd", "details", "div", "dl", "dt", "em", "footer", "g",
    "h1", "h2", "h3", "h4", "head", "header", "hr", "html", "i", "li", "line", "main", "meta", "nav", "ol", "p",
    "path", "pre", "rect", "section", "small", "span", "strong", "style", "summary", "svg", "table", "tbody", "td",
    "text", "tfoot", "th", "thead", "time", "title", "tr", "ul", "figure",
];
/// Attributes that a report may use.
const ATTRIBUTES: [&str; 24] = [
    "charset",
    "class",
    "colspan",
    "content",
    "d",
    "height",
    "html",
    "href",
    "http-equiv",
    "id",
    "lang",
    "name",
    "open",
    "role",
    "rowspan",
    "scope",
    "tabindex",
    "title",
    "viewbox",
    "width",
    "x",
    "y",
    "datetime",
    "aria-hidden",
];

/// HTML that cannot run or fetch anything even where a viewer ignores its policy.
///
/// Text of the run is escaped, so every angle bracket opens a tag of the renderer's own; anything else is foreign.
pub(crate) fn passive(html: &str) -> Result<(), String> {
    if !html.contains("content=\"default-src 'none'; style-src 'unsafe-inline'") {
        return Err("report.html lacks its content security policy".to_owned());
    }
    let mut rest = html;
    while let Some((_, tail)) = rest.split_once('<') {
        let (tag, after) = tail.split_once('>').ok_or("report.html has a tag that does not end")?;
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(|c| !c.is_whitespace())
            .collect();
        if !ELEMENTS.contains(&name.as_str()) {
            return Err(format!("report.html holds an element '{name:.40}'"));
        }
        attributes(
            tag.trim_start_matches('/')
                .strip_prefix(name.as_str())
                .unwrap_or_default(),
        )?;
        rest = after;
        if name == "style" && !tag.starts_with('/') {
            let (style, after) = rest
                .split_once("</style")
                .ok_or("the style of report.html does not end")?;
            if ["url(", "@import", "image(", "image-set(", "\\", "expression"]
                .iter()
                .any(|word| style.contains(word))
            {
                return Err("the style of report.html fetches something".to_owned());
            }
            rest = after.split_once('>').ok_or("the style of report.html does not end")?.1;
        }
    }
    Ok(())
}

/// Reads `name="value"` pairs; a value ends at the next quote and nothing stands between pairs but blanks.
fn attributes(mut text: &str) -> Result<(), String> {
    loop {
        text = text.trim_start();
        if text.is_empty() {
            return Ok(());
        }
        let end = text
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .unwrap_or(text.len());
        let (name, tail) = text.split_at(end);
        let (value, tail) = match tail.strip_prefix("=\"") {
            Some(value) => value
                .split_once('"')
                .ok_or("report.html has an attribute that does not end")?,
            None => ("", tail),
        };
        let known = ATTRIBUTES.contains(&name) || name.starts_with("aria-");
        let harmless = match name {
            "href" => value.starts_with('#'),
            "http-equiv" => value == "content-security-policy",
            _ => known,
        };
        if !harmless {
            return Err(format!("report.html holds an attribute '{name:.40}'"));
        }
        text = tail;
    }
}

//! The few facts of a TOML file that decide which tests run; a tolerant reader, since cargo itself is the judge.

use std::collections::BTreeMap;

/// The largest file that is read, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// The most lines of one value.
const MAX_CONTINUED: usize = 1000;

/// A TOML file as tables of raw values.
#[derive(Debug, Default)]
pub(super) struct Toml {
    tables: Vec<Table>,
}

/// One `[table]` or one element of a `[[table]]`.
#[derive(Debug, Default)]
pub(super) struct Table {
    name: String,
    values: BTreeMap<String, String>,
}

impl Toml {
    /// Reads what can be read; a line that is no TOML is passed over.
    pub(super) fn parse(text: &str) -> Self {
        // A value that never closes would be scanned again for each line that follows it.
        let text = if text.len() > MAX_BYTES { "" } else { text };
        let mut toml = Self {
            tables: vec![Table::default()],
        };
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(header) = line.strip_prefix('[') {
                let name = header.trim_start_matches('[').split(']').next().unwrap_or_default();
                toml.tables.push(Table {
                    name: unquoted_path(name),
                    values: BTreeMap::new(),
                });
                continue;
            }
            let Some((key, first)) = line.split_once('=') else {
                continue;
            };
            let mut value = first.trim().to_owned();
            let mut continued = 0;
            while continued < MAX_CONTINUED && !complete(&value) {
                continued += 1;
                let Some(next) = lines.next() else { break };
                value.push('\n');
                value.push_str(next);
            }
            toml.insert(&unquoted_path(key), value);
        }
        toml
    }

    fn insert(&mut self, key: &str, value: String) {
        let Some(current) = self.tables.last_mut() else {
            return;
        };
        match key.rsplit_once('.') {
            Some((parent, last)) => {
                let name = if current.name.is_empty() {
                    parent.to_owned()
                } else {
                    format!("{}.{parent}", current.name)
                };
                match self.tables.iter_mut().find(|table| table.name == name) {
                    Some(table) => table.values.insert(last.to_owned(), value),
                    // Inserted before the current table, which must stay the last.
                    None => {
                        let values = BTreeMap::from([(last.to_owned(), value)]);
                        self.tables.insert(self.tables.len() - 1, Table { name, values });
                        None
                    }
                };
            }
            None => {
                current.values.insert(key.to_owned(), value);
            }
        }
    }

    /// Returns the first table of that name.
    pub(super) fn table(&self, name: &str) -> Option<&Table> {
        self.tables
            .iter()
            .find(|table| table.name == name && !table.values.is_empty())
            .or_else(|| self.tables.iter().find(|table| table.name == name))
    }

    /// Returns every table of that name, in order.
    pub(super) fn tables<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Table> {
        self.tables.iter().filter(move |table| table.name == name)
    }
}

impl Table {
    /// Returns a text value.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        strings(self.values.get(key)?).into_iter().next()
    }

    /// Returns the texts of an array, or a single text.
    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        self.values.get(key).map(|value| strings(value)).unwrap_or_default()
    }

    /// Returns a boolean.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        let word = self.values.get(key)?.split(['#', ' ']).next()?;
        word.parse().ok()
    }

    /// Returns whether the key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }
}

fn unquoted_path(path: &str) -> String {
    path.split('.')
        .map(|part| part.trim().trim_matches(['"', '\'']))
        .collect::<Vec<_>>()
        .join(".")
}

/// Returns whether brackets and triple quotes are closed.
fn complete(value: &str) -> bool {
    let scan = Scan::of(value);
    scan.depth <= 0 && !scan.open
}

/// Returns every string literal in a raw value, comments left out.
fn strings(value: &str) -> Vec<String> {
    Scan::of(value).strings
}

struct Scan {
    depth: i32,
    open: bool,
    strings: Vec<String>,
}

impl Scan {
    fn of(value: &str) -> Self {
        let mut scan = Self {
            depth: 0,
            open: false,
            strings: Vec::new(),
        };
        let mut rest = value;
        while let Some(c) = rest.chars().next() {
            let triple = ["\"\"\"", "'''"].into_iter().find(|quotes| rest.starts_with(quotes));
            if let Some(quotes) = triple {
                let body = &rest[3..];
                let Some(end) = body.find(quotes) else {
                    scan.open = true;
                    return scan;
                };
                scan.strings.push(body[..end].to_owned());
                rest = &body[end + 3..];
                continue;
            }
            match c {
                '"' | '\'' => {
                    let body = &rest[1..];
                    let Some(end) = closing(body, c) else {
                        return scan;
                    };
                    scan.strings.push(unescape(&body[..end], c));
                    rest = &body[end + 1..];
                    continue;
                }
                '#' => {
                    rest = rest.split_once('\n').map_or("", |(_, after)| after);
                    continue;
                }
                '[' | '{' => scan.depth += 1,
                ']' | '}' => scan.depth -= 1,
                _ => {}
            }
            rest = &rest[c.len_utf8()..];
        }
        scan
    }
}

fn closing(body: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            '\n' => return None,
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

fn unescape(text: &str, quote: char) -> String {
    if quote == '\'' {
        text.to_owned()
    } else {
        text.replace("\\\"", "\"").replace("\\\\", "\\")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_shapes_that_manifests_have() {
        let toml = Toml::parse(concat!(
            "lib.path = \"src/x.rs\"\n[package] # c\nname = \"a-b\" # \"no\"\nautotests = false\n",
            "[workspace]\nmembers = [\n  \"crates/*\", # \"gone\"\n  'tools/x',\n]\n",
            "[[test]]\nname = \"one\"\nharness = false\n[[test]]\nname = \"two\"\n",
            "[tool.pytest.ini_options]\naddopts = \"\"\"\n-k \"x\"\n\"\"\"\n",
        ));
        assert_eq!(toml.table("package").unwrap().text("name").unwrap(), "a-b");
        assert_eq!(toml.table("package").unwrap().flag("autotests"), Some(false));
        assert_eq!(toml.table("lib").unwrap().text("path").unwrap(), "src/x.rs");
        assert_eq!(
            toml.table("workspace").unwrap().texts("members"),
            ["crates/*", "tools/x"]
        );
        assert_eq!(
            toml.tables("test").filter_map(|t| t.text("name")).collect::<Vec<_>>(),
            ["one", "two"]
        );
        assert_eq!(
            toml.table("tool.pytest.ini_options")
                .unwrap()
                .text("addopts")
                .unwrap()
                .trim(),
            "-k \"x\""
        );
    }
}

//! Templates of engine manifests: a closed set of placeholders, checked when the manifest is read.

use std::fmt::Write as _;

/// A text with placeholders, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Placeholder),
}

/// Where a template stands; text of people may only stand where nothing has to be quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// One argument.
    Argument,
    /// The value of one variable.
    Variable,
    /// The content of one file.
    File,
}

/// Everything that a template may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placeholder {
    Program,
    Model,
    Key,
    BaseUrl,
    Home,
    Workspace,
    Provider,
    Prompt,
    Title,
}

const PLACEHOLDERS: [(&str, Placeholder); 9] = [
    ("program", Placeholder::Program),
    ("model", Placeholder::Model),
    ("key", Placeholder::Key),
    ("base_url", Placeholder::BaseUrl),
    ("home", Placeholder::Home),
    ("workspace", Placeholder::Workspace),
    ("provider", Placeholder::Provider),
    ("prompt", Placeholder::Prompt),
    ("title", Placeholder::Title),
];

impl Placeholder {
    /// Returns the name between the braces.
    pub(super) fn name(self) -> &'static str {
        PLACEHOLDERS
            .iter()
            .find(|(_, known)| *known == self)
            .map_or("", |(name, _)| name)
    }

    /// Returns whether the value is text of people, in any alphabet.
    fn is_text(self) -> bool {
        matches!(self, Self::Prompt | Self::Title)
    }
}

impl Template {
    /// Reads a template; the error says which placeholder cannot stand there.
    pub(super) fn parse(text: &str, place: Place) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            plain.push_str(&rest[..at]);
            let Some((name, after)) = placeholder_at(&rest[at..]) else {
                plain.push('{');
                rest = &rest[at + 1..];
                continue;
            };
            let known = PLACEHOLDERS.iter().find(|(known, _)| *known == name);
            let Some((_, placeholder)) = known else {
                let nearest = cto_schema::nearest(name, PLACEHOLDERS.iter().map(|(known, _)| *known));
                let mut error = format!("unknown placeholder '{{{name}}}'");
                if let Some(nearest) = nearest {
                    // Writing to a String cannot fail.
                    write!(error, " (did you mean '{{{nearest}}}'?)").unwrap_or_default();
                }
                return Err(error);
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Value(*placeholder));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        let template = Self { parts };
        let text = template.placeholders().find(|placeholder| placeholder.is_text());
        match text {
            Some(text) if template.parts.len() > 1 => Err(format!(
                "'{{{}}}' must be {} of its own",
                text.name(),
                match place {
                    Place::Argument => "an argument",
                    Place::Variable => "a variable",
                    Place::File => "a file",
                }
            )),
            _ => Ok(template),
        }
    }

    /// Returns what the template asks for.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = Placeholder> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(placeholder) => Some(*placeholder),
            Part::Text(_) => None,
        })
    }

    /// Fills the template in.
    pub(super) fn fill<E>(&self, value: impl Fn(Placeholder) -> Result<String, E>) -> Result<String, E> {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => Ok(text.clone()),
                Part::Value(placeholder) => value(*placeholder),
            })
            .collect()
    }
}

/// Splits `{name}rest`; braces around anything but lower-case letters and `_` are text, as JSON and TOML need them.
fn placeholder_at(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('{')?.split_once('}')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_name.then_some((name, after))
}

/// Returns whether a value needs no quoting in an argument, in JSON, in TOML and in YAML, and is no option.
pub(super) fn is_safe(value: &str) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/@+".contains(&byte);
    !value.is_empty() && value.len() <= 1024 && value.bytes().all(safe) && !value.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> String {
        let template = Template::parse(text, Place::File).unwrap();
        template
            .fill(|placeholder| Ok::<_, ()>(placeholder.name().to_uppercase()))
            .unwrap()
    }

    #[test]
    fn braces_of_json_and_toml_are_text() {
        assert_eq!(
            fill(r#"{"a":{},"m":"{model}","k":"{env:KEY}","x":{"y":1}}"#),
            r#"{"a":{},"m":"MODEL","k":"{env:KEY}","x":{"y":1}}"#
        );
        assert_eq!(fill("cto/{model}{{"), "cto/MODEL{{");
        assert_eq!(fill(""), "");
    }

    #[test]
    fn an_unknown_placeholder_is_an_error_with_the_nearest_name() {
        let error = Template::parse("{modle}", Place::File).unwrap_err();
        assert_eq!(error, "unknown placeholder '{modle}' (did you mean '{model}'?)");
        assert!(Template::parse("x{secret}", Place::Argument).is_err());
    }

    #[test]
    fn text_of_people_stands_alone() {
        for place in [Place::Argument, Place::Variable, Place::File] {
            assert!(Template::parse("{prompt}", place).is_ok());
            assert!(Template::parse("--message={prompt}", place).is_err());
            assert!(Template::parse("{title}: {prompt}", place).is_err());
        }
    }

    #[test]
    fn values_that_would_need_quoting_or_are_options_are_unsafe() {
        for safe in ["qwen2.5-coder:7b", "a/b@2025-01", "http://127.0.0.1:8080/v1"] {
            assert!(is_safe(safe), "{safe}");
        }
        for unsafe_value in [
            "", "-m", "a b", "a\"b", "a\\b", "a'b", "a\nb", "a{b", "ä", "!sh", "$x", "a#b",
        ] {
            assert!(!is_safe(unsafe_value), "{unsafe_value}");
        }
    }
}

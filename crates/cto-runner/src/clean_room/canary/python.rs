//! What pytest and unittest share: where in a Python file the failing test goes, and its code.

/// The part of a file that a command selects by name, which the failing test must take over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In place of a module-level function, whose name the command gives.
    Function(String),
    /// As a method of a class, whose name the command gives.
    Class(String),
    /// In place of a method of a class, both named by the command.
    Method(String, String),
}

impl Place {
    /// Returns whether a file has what the place names.
    pub(super) fn is_in(&self, text: &str) -> bool {
        match self {
            Self::Function(name) => defines(text, &["def ", "async def "], name),
            Self::Class(class) => defines(text, &["class "], class),
            Self::Method(class, _) => defines(text, &["class "], class),
        }
    }

    /// Returns the name of the test: the one that the place gives, else the proposed one.
    pub(super) fn test_name(&self, proposed: &str) -> String {
        match self {
            Self::Function(name) | Self::Method(_, name) => name.clone(),
            Self::Class(_) => proposed.to_owned(),
        }
    }

    /// Returns code for a place that the command names; `token` is an unused identifier.
    ///
    /// Assigning to the class or redefining the function is the only way into a test that is selected by name: a new
    /// function beside it would not be collected.
    pub(super) fn named_code(&self, name: &str, token: &str) -> String {
        let raise = |argument: &str, function: &str| {
            format!("\n\ndef {function}({argument}):\n    raise AssertionError(\"{token}\")\n")
        };
        match self {
            Self::Function(function) => raise("", function),
            Self::Class(class) | Self::Method(class, _) => {
                format!("{}\n\n{class}.{name} = _{token}\n", raise("self", &format!("_{token}")))
            }
        }
    }
}

/// Returns whether the module itself may be skipped or filtered, so that another file is the better choice.
pub(super) fn may_be_skipped(text: &str) -> bool {
    const TOP_LEVEL: &[&str] = &[
        "pytestmark",
        "importorskip(",
        "raise unittest.SkipTest",
        "raise SkipTest",
        "__test__",
        "def load_tests",
    ];
    let top_level = text.lines().filter(|line| !line.starts_with([' ', '\t', '#']));
    text.contains("allow_module_level")
        || top_level
            .into_iter()
            .any(|line| TOP_LEVEL.iter().any(|mark| line.contains(mark)))
}

/// Returns whether text is a Python identifier in ASCII.
pub(super) fn is_identifier(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn defines(text: &str, keywords: &[&str], name: &str) -> bool {
    text.lines().any(|line| {
        let rest = keywords
            .iter()
            .find_map(|keyword| line.strip_prefix(keyword))
            .and_then(|rest| rest.trim_start().strip_prefix(name));
        rest.is_some_and(|rest| rest.trim_start().starts_with(['(', ':']))
    })
}

//! Names of artifacts: a closed alphabet, so that a name is a name in every tool that reads the bundle.

use crate::manifest::{ATTESTATION, SUMS};
use crate::run_dir::{events::EVENTS, journal::JOURNAL, trace::TRACE};

/// An artifact's name, split into directories and a file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArtifactName<'a> {
    /// Directories, separated by `/`; empty at the top.
    pub(crate) parent: &'a str,
    /// The file's own name.
    pub(crate) file: &'a str,
}

/// Reads a name: `[A-Za-z0-9._-]+(/…)*` without a part that starts with a dot, at most 200 bytes and four levels.
pub(crate) fn parse(name: &str) -> Option<ArtifactName<'_>> {
    let part_holds = |part: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(known)
    };
    let holds = name.len() <= 200 && name.split('/').count() <= 4 && name.split('/').all(part_holds);
    let (parent, file) = name.rsplit_once('/').unwrap_or(("", name));
    holds.then_some(ArtifactName { parent, file })
}

/// Tells whether an artifact may have a name: plain ASCII parts that do not start with a dot, at most four.
pub fn is_artifact_name(name: &str) -> bool {
    parse(name).is_some() && !is_reserved(name)
}

/// True for names that only the run directory itself writes.
pub(crate) fn is_reserved(name: &str) -> bool {
    [JOURNAL, EVENTS, TRACE, SUMS, ATTESTATION].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_a_name_and_refuses_what_could_leave_the_directory() {
        assert_eq!(
            parse("report.json"),
            Some(ArtifactName {
                parent: "",
                file: "report.json"
            })
        );
        assert_eq!(
            parse("backend/a-b_c.log"),
            Some(ArtifactName {
                parent: "backend",
                file: "a-b_c.log"
            })
        );
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "..",
            "a/../b",
            ".tmp-1",
            "a/.b",
            "a b",
            "ä",
            "a\n",
            "a/b/c/d/e",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
        assert_eq!(parse(&"x".repeat(201)), None);
    }
}

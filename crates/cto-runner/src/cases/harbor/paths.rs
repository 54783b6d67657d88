//! The paths that a task knows, as they are here: its working directory is the workspace.

/// Which path is which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Renamed {
    pairs: Vec<(String, &'static str)>,
}

impl Renamed {
    /// Names what lies elsewhere here, for a task with this working directory.
    pub(super) fn of(workdir: &str) -> Self {
        let mut pairs = vec![
            ("/tests".to_owned(), "/workspace/tests"),
            ("/logs".to_owned(), "/tmp/logs"),
        ];
        if !workdir.is_empty() && workdir != "/workspace" {
            pairs.push((workdir.to_owned(), "/workspace"));
        }
        // The longer path first, so that none is taken for the beginning of another.
        pairs.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
        Self { pairs }
    }

    /// Renames every path in a text, in one pass; a path that only begins or ends alike is another one.
    pub(super) fn text(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('/') {
            let (before, here) = rest.split_at(at);
            out.push_str(before);
            let starts = !out.ends_with(|c: char| c.is_ascii_alphanumeric() || "/._-~$}".contains(c));
            let found = self
                .pairs
                .iter()
                .find(|(from, _)| starts && here.starts_with(from.as_str()) && ends_here(&here[from.len()..]));
            rest = match found {
                Some((from, to)) => {
                    out.push_str(to);
                    &here[from.len()..]
                }
                None => {
                    out.push('/');
                    &here[1..]
                }
            };
        }
        out.push_str(rest);
        out
    }
}

/// True where a path component ends.
fn ends_here(rest: &str) -> bool {
    let mut chars = rest.chars();
    match chars.next() {
        Some('.') => !chars.next().is_some_and(|c| c.is_ascii_alphanumeric()),
        Some(c) => !(c.is_ascii_alphanumeric() || c == '_' || c == '-'),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renames_whole_paths_and_nothing_else() {
        let text = |text: &str| Renamed::of("/app").text(text);
        for (from, to) in [
            ("/app/x.py", "/workspace/x.py"),
            ("cd /app", "cd /workspace"),
            ("(\"/app\")", "(\"/workspace\")"),
            ("in /app. Then", "in /workspace. Then"),
            ("/tests/test_outputs.py", "/workspace/tests/test_outputs.py"),
            ("> /logs/verifier/reward.txt", "> /tmp/logs/verifier/reward.txt"),
            ("/application /app2 /app-x /app.d", "/application /app2 /app-x /app.d"),
            (
                "src/app/x ./app ../app $HOME/app ~/app",
                "src/app/x ./app ../app $HOME/app ~/app",
            ),
            ("https://host/app/x", "https://host/app/x"),
            ("/app/tests/x", "/workspace/tests/x"),
        ] {
            assert_eq!(text(from), to);
        }
        assert_eq!(Renamed::of("/workspace").text("/workspace/a /app"), "/workspace/a /app");
        assert_eq!(
            Renamed::of("/tests/app").text("/tests/app/x /tests/y"),
            "/workspace/x /workspace/tests/y"
        );
    }
}

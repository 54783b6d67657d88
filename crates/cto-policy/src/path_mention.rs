//! Whether a command line speaks of a directory, as a pure question about bytes: in doubt it does.

/// Returns the path below one of `roots` that an argument of a process names; `cwd` is where its relative paths begin.
///
/// Arguments hold paths in many forms: alone, after `--option=`, glued to `-C`, in a list, in a shell's text. Each piece
/// is looked at as a path of its own, and the argument as a whole, because a path may hold any separator.
pub fn mentioned_path(argument: &[u8], cwd: Option<&[u8]>, roots: &[Vec<u8>]) -> Option<Vec<u8>> {
    let below = |path: &[u8]| {
        let whole = normal(path);
        roots.iter().any(|root| is_below(&whole, root)).then_some(whole)
    };
    let resolve = |piece: &[u8]| -> Option<Vec<u8>> {
        if piece.first() == Some(&b'/') {
            return below(piece);
        }
        // `-C/srv/core`: what is glued to a short option begins at the first slash.
        let glued = piece
            .first()
            .filter(|first| **first == b'-')
            .and_then(|_| piece.iter().position(|byte| *byte == b'/'))
            .and_then(|slash| below(piece.get(slash..)?));
        glued.or_else(|| {
            // A word without a slash is a word, unless it is the directory's own name seen from above.
            let from = cwd.filter(|_| !piece.is_empty() && !piece.starts_with(b"-"))?;
            below(&[from, b"/", piece].concat())
        })
    };
    let after_equals = argument
        .iter()
        .position(|byte| *byte == b'=')
        .and_then(|at| argument.get(at + 1..))
        .unwrap_or_default();
    [argument, after_equals]
        .into_iter()
        .chain(argument.split(|byte| is_separator(*byte)))
        .filter(|piece| !piece.is_empty())
        .find_map(resolve)
        .or_else(|| with_separators(argument, roots))
}

/// A root whose own name holds a separator is looked for as it stands.
fn with_separators(argument: &[u8], roots: &[Vec<u8>]) -> Option<Vec<u8>> {
    let odd = roots.iter().filter(|root| root.iter().any(|byte| is_separator(*byte)));
    odd.into_iter()
        .find(|root| argument.windows(root.len()).any(|window| window == root.as_slice()))
        .cloned()
}

/// Returns whether a normal path is a directory or lies in it.
pub fn is_below(path: &[u8], root: &[u8]) -> bool {
    path.strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || root == b"/")
}

fn is_separator(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"\"'`=:,;|&<>(){}[]@\\\0".contains(&byte)
}

/// Takes `.`, `..` and doubled slashes out of an absolute path.
fn normal(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut whole = vec![b'/'];
    whole.extend_from_slice(&parts.join(&b'/'));
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(argument: &str, cwd: &str, root: &str) -> bool {
        mentioned_path(argument.as_bytes(), Some(cwd.as_bytes()), &[root.as_bytes().to_vec()]).is_some()
    }

    #[test]
    fn finds_a_path_in_every_form_that_programs_take() {
        for argument in [
            "/srv/core",
            "/srv/core/",
            "/srv/core/docs/a.md",
            "//srv/./core",
            "/srv/x/../core/docs",
            "--git-dir=/srv/core/.git",
            "-C/srv/core",
            "file:///srv/core",
            "host:/srv/core",
            "/a:/srv/core:/b",
            "cd /srv/core && make",
            "cat '/srv/core/a'",
            "x=$(cat /srv/core/a)",
            "core",
            "./core/docs",
            "../srv/core",
            "--to=core/x",
        ] {
            assert!(names(argument, "/srv", "/srv/core"), "{argument}");
        }
        assert!(names("see /srv/my core/x now", "/", "/srv/my core"));
        assert!(names("/srv/a=b", "/", "/srv/a=b"));
        assert!(names("x", "/srv/core/docs", "/srv/core"));
    }

    #[test]
    fn another_directory_is_not_the_one_that_is_meant() {
        for argument in [
            "/srv/core2",
            "/srv/cor",
            "/srv",
            "/backup/srv/core",
            "-C/backup/srv/core",
            "/srv/core/../other",
            "core",
            "--core",
            "",
        ] {
            assert!(!names(argument, "/home", "/srv/core"), "{argument}");
        }
        assert!(!names("/srv/core", "/", "/core"));
        assert!(mentioned_path(b"core", None, &[b"/srv/core".to_vec()]).is_none());
    }
}

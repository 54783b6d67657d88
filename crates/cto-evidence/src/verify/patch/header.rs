//! Header lines of a git patch: names, quoted or plain, and modes.

/// Reads the path of `diff --git a/PATH b/PATH`; both must be the same.
pub(super) fn diff_path(rest: &[u8]) -> Result<Vec<u8>, String> {
    let (old, new) = if rest.starts_with(b"\"") {
        let (old, rest) = unquote(rest)?;
        let rest = rest
            .strip_prefix(b" ")
            .ok_or("a quoted name is not followed by a second one")?;
        let (new, rest) = unquote(rest)?;
        if !rest.is_empty() {
            return Err("text follows the names of a section".to_owned());
        }
        (old, new)
    } else {
        // Plain names may hold spaces, but both are equally long: `a/N b/N`.
        let middle = rest.len() / 2;
        if rest.len() < 5 || rest.len().is_multiple_of(2) || rest[middle] != b' ' {
            return Err("a section names two different paths; renames are not written".to_owned());
        }
        (rest[..middle].to_owned(), rest[middle + 1..].to_owned())
    };
    let old = old.strip_prefix(b"a/").ok_or("an old name does not start with a/")?;
    let new = new.strip_prefix(b"b/").ok_or("a new name does not start with b/")?;
    if old != new {
        return Err("a section names two different paths; renames are not written".to_owned());
    }
    check_path(old)?;
    Ok(old.to_owned())
}

/// Reads the name of a `---` or `+++` line: `None` is `/dev/null`.
pub(super) fn file_name(rest: &[u8], prefix: &[u8]) -> Result<Option<Vec<u8>>, String> {
    if rest == b"/dev/null" {
        return Ok(None);
    }
    let name = if rest.starts_with(b"\"") {
        let (name, rest) = unquote(rest)?;
        if !rest.is_empty() && rest != b"\t" {
            return Err("text follows a file name".to_owned());
        }
        name
    } else {
        // Git ends a name that holds a space with a tab.
        rest.strip_suffix(b"\t").unwrap_or(rest).to_owned()
    };
    let path = name.strip_prefix(prefix).ok_or("a file name lacks its a/ or b/")?;
    Ok(Some(path.to_owned()))
}

/// Refuses a path that could leave the tree that it is applied to.
fn check_path(path: &[u8]) -> Result<(), String> {
    let bad = |part: &[u8]| part.is_empty() || part == b"." || part == b".." || part.contains(&0);
    if path.split(|b| *b == b'/').any(bad) {
        return Err("a path is absolute or has an empty, '.' or '..' part".to_owned());
    }
    Ok(())
}

/// Reads a name in git's C quotes and returns what follows it.
fn unquote(text: &[u8]) -> Result<(Vec<u8>, &[u8]), String> {
    let bad = || "a quoted name is malformed".to_owned();
    let mut name = Vec::new();
    let mut at = 1;
    loop {
        match *text.get(at).ok_or_else(bad)? {
            b'"' => return Ok((name, &text[at + 1..])),
            b'\\' => {
                let escape = *text.get(at + 1).ok_or_else(bad)?;
                at += 2;
                name.push(match escape {
                    b'a' => 7,
                    b'b' => 8,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 11,
                    b'f' => 12,
                    b'r' => b'\r',
                    b'"' | b'\\' => escape,
                    b'0'..=b'3' => {
                        let digits = text.get(at..at + 2).ok_or_else(bad)?;
                        at += 2;
                        if !digits.iter().all(|d| (b'0'..=b'7').contains(d)) {
                            return Err(bad());
                        }
                        (escape - b'0') * 64 + (digits[0] - b'0') * 8 + (digits[1] - b'0')
                    }
                    _ => return Err(bad()),
                });
            }
            byte => {
                name.push(byte);
                at += 1;
            }
        }
    }
}

/// Reads a mode that git can carry.
pub(super) fn mode(text: &[u8]) -> Result<String, String> {
    match text {
        b"100644" => Ok("100644".to_owned()),
        b"100755" => Ok("100755".to_owned()),
        b"120000" => Ok("120000".to_owned()),
        _ => Err("a mode is not that of a file or a symbolic link".to_owned()),
    }
}

/// Reads `index OLD..NEW[ MODE]` and returns the mode.
pub(super) fn index(rest: &[u8]) -> Result<Option<String>, String> {
    let bad = || "an index line is malformed".to_owned();
    let text = std::str::from_utf8(rest).map_err(|_| bad())?;
    let (ids, tail) = text
        .split_once(' ')
        .map_or((text, None), |(ids, tail)| (ids, Some(tail)));
    let (old, new) = ids.split_once("..").ok_or_else(bad)?;
    let id = |id: &str| (4..=64).contains(&id.len()) && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !id(old) || !id(new) {
        return Err(bad());
    }
    tail.map(|tail| mode(tail.as_bytes())).transpose()
}

/// Reads `@@ -A[,B] +C[,D] @@…` and returns how many old and new lines follow.
pub(super) fn hunk(rest: &[u8]) -> Result<(u64, u64), String> {
    let bad = || "a hunk header is malformed".to_owned();
    let end = rest.windows(3).position(|w| w == b" @@").ok_or_else(bad)?;
    let ranges = std::str::from_utf8(&rest[..end]).map_err(|_| bad())?;
    let (old, new) = ranges.split_once(' ').ok_or_else(bad)?;
    let count = |range: Option<&str>| -> Result<u64, String> {
        let range = range.ok_or_else(bad)?;
        let (start, count) = range.split_once(',').unwrap_or((range, "1"));
        start.parse::<u64>().map_err(|_| bad())?;
        count.parse().map_err(|_| bad())
    };
    Ok((count(old.strip_prefix('-'))?, count(new.strip_prefix('+'))?))
}

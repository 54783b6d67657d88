//! Judges the raw head of a request for what two parsers may read differently.

/// What is wrong with a head.
pub(crate) type Ambiguity = &'static str;

/// Where a head ends, if it has.
pub(crate) fn end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Looks at a whole head, the empty line included.
pub(crate) fn judge(head: &[u8]) -> Result<(), Ambiguity> {
    let text = std::str::from_utf8(head).map_err(|_| "a head that is no text")?;
    let mut lines = text.strip_suffix("\r\n\r\n").ok_or("a head without end")?.split("\r\n");
    let request = lines.next().unwrap_or_default();
    if request.split(' ').count() != 3 || !request.ends_with(" HTTP/1.1") {
        return Err("a request line that is not method, target and HTTP/1.1");
    }
    let (mut hosts, mut lengths, mut codings) = (0_u32, 0_u32, 0_u32);
    for line in std::iter::once(request).chain(lines.clone()) {
        if line.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            return Err("a control character in the head");
        }
    }
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("a header line without a colon")?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err("a header line that begins or goes on with a space");
        }
        let value = value.trim_matches([' ', '\t']);
        match name.to_ascii_lowercase().as_str() {
            "host" => hosts += 1,
            "content-length" => {
                lengths += 1;
                if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err("a length that is no number");
                }
            }
            "transfer-encoding" => {
                codings += 1;
                if !value.eq_ignore_ascii_case("chunked") {
                    return Err("a transfer coding other than chunked");
                }
            }
            _ => {}
        }
    }
    match (hosts, lengths, codings) {
        (1, 0..=1, 0) | (1, 0, 0..=1) => Ok(()),
        (0 | 2.., _, _) => Err("no host or several"),
        _ => Err("two statements about the length of the body"),
    }
}

#[cfg(test)]
mod tests {
    use super::{end, judge};

    #[test]
    fn ordinary_heads_are_good() {
        for head in [
            "POST /v1/responses HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: 12\r\n\r\n",
            "GET /v1/models HTTP/1.1\r\nhost:127.0.0.1\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nX-A: b\tc\r\nHost: a\r\n\r\n",
        ] {
            assert_eq!(judge(head.as_bytes()), Ok(()), "{head}");
            assert_eq!(end(head.as_bytes()), Some(head.len()));
        }
    }

    #[test]
    fn heads_that_smuggle_are_not() {
        for headers in [
            "Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
            "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
            "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Host: a\r\nTransfer-Encoding: gzip, chunked",
            "Host: a\r\nTransfer-Encoding: xchunked",
            "Host: a\r\nContent-Length: 5\r\nContent-Length: 5",
            "Host: a\r\nContent-Length: +5",
            "Host: a\r\nContent-Length: 5, 5",
            "Host: a\r\nContent-Length : 5",
            "Host: a\r\nX: b\r\n continued: c",
            "Host: a\r\nX: b\nTransfer-Encoding: chunked",
            "Host: a\r\nX: b\0c",
            "Host: a\r\nHost: b",
            "X: y",
            "Host: a\r\nno colon",
        ] {
            let head = format!("POST /v1/responses HTTP/1.1\r\n{headers}\r\n\r\n");
            assert!(judge(head.as_bytes()).is_err(), "{headers:?}");
        }
        assert!(judge(b"POST /v1/responses HTTP/1.0\r\nHost: a\r\n\r\n").is_err());
        assert!(judge(b"POST  /v1/responses HTTP/1.1\r\nHost: a\r\n\r\n").is_err());
        assert!(judge(b"POST /v1/ responses HTTP/1.1\r\nHost: a\r\n\r\n").is_err());
    }
}

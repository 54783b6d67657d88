//! The engine's side, byte by byte: what was sent back, and whether it came to its end.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// Where a head ends.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// The length that a head names.
pub(crate) fn body_length(head: &str) -> Option<usize> {
    let line = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("content-length:"))?;
    line.split_once(':')?.1.trim().parse().ok()
}

/// What came back on a connection.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// The body came to the end that its framing says.
    pub(crate) is_whole: bool,
    /// The connection was reset.
    pub(crate) is_reset: bool,
}

impl Got {
    /// No client takes this for a whole response.
    pub(crate) fn has_failed(&self) -> bool {
        self.status != 200 || !self.is_whole
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends bytes and reads until the connection ends.
pub(crate) fn exchange(port: u16, bytes: &[u8]) -> Got {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    // A gateway that has already refused does not read on.
    drop(stream.write_all(bytes));
    read(&mut stream)
}

/// Reads until the connection ends.
pub(crate) fn read(stream: &mut TcpStream) -> Got {
    let (mut raw, mut piece, mut is_reset) = (Vec::new(), vec![0; 65536], false);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => raw.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                is_reset = true;
                break;
            }
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&raw)),
        }
    }
    parse(&raw, is_reset)
}

/// Takes a response apart.
pub(crate) fn parse(raw: &[u8], is_reset: bool) -> Got {
    let end = head_end(raw).unwrap_or(raw.len());
    let head = String::from_utf8_lossy(&raw[..end]).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    let rest = &raw[end..];
    let (body, is_whole) = match body_length(&head) {
        Some(length) => (rest.to_vec(), rest.len() == length),
        None if head.to_ascii_lowercase().contains("transfer-encoding: chunked") => dechunk(rest),
        None => (rest.to_vec(), !head.is_empty()),
    };
    Got {
        status,
        head,
        body,
        is_whole,
        is_reset,
    }
}

fn dechunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else {
            return (body, false);
        };
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        rest = &rest[line + 2..];
        if length == 0 {
            return (body, rest == b"\r\n");
        }
        if rest.len() < length + 2 {
            body.extend_from_slice(&rest[..rest.len().min(length)]);
            return (body, false);
        }
        body.extend_from_slice(&rest[..length]);
        rest = &rest[length + 2..];
    }
}

/// A request as an agent sends it.
pub(crate) fn request(port: u16, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "POST {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

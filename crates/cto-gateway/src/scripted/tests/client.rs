//! A client that reads HTTP/1.1 by hand and says how a reply ended.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A reply as it was read.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    /// Whether the body came whole.
    pub(super) whole: bool,
}

impl Reply {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Returns the events of a stream: name and data.
    pub(super) fn events(&self) -> Vec<(String, String)> {
        let blocks = self.text().split("\n\n").filter(|block| !block.is_empty());
        blocks
            .map(|block| {
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().trim_start().to_owned()
                };
                (field("event:"), field("data:"))
            })
            .collect()
    }
}

/// Sends a request and reads what comes, up to `limit` bytes or until nothing came for `patience`.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: Vec<u8>,
    pub(super) patience: Duration,
    pub(super) limit: usize,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            method: "POST",
            path: "/",
            headers: &[],
            body: vec![],
            patience: Duration::from_secs(20),
            limit: usize::MAX,
        }
    }
}

impl Request<'_> {
    /// Sends it; none when no head of a reply came.
    pub(super) fn send(&self, address: SocketAddr) -> Option<Reply> {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(self.patience)).unwrap();
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n",
            self.method, self.path
        );
        for (name, value) in self.headers {
            head.push_str(&[name, ": ", value, "\r\n"].concat());
        }
        head.push_str(&["Content-Length: ", &self.body.len().to_string(), "\r\n\r\n"].concat());
        stream.write_all(head.as_bytes()).unwrap();
        // A server that refuses a large body may close before it has read all of it.
        let _refused = stream.write_all(&self.body).is_err();
        let raw = self.read(&mut stream);
        drop(stream.shutdown(Shutdown::Both));
        parse(&raw, self.method == "HEAD")
    }

    /// Reads until the connection ends, the limit is reached, or patience ends.
    fn read(&self, stream: &mut TcpStream) -> Vec<u8> {
        let mut raw = vec![];
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            raw.extend_from_slice(&buffer[..read]);
            if raw.len() >= self.limit {
                break;
            }
        }
        raw
    }
}

/// Posts JSON and reads the reply whole.
pub(super) fn post(address: SocketAddr, path: &str, body: &Value) -> Reply {
    let request = Request {
        path,
        headers: &[
            ("Content-Type", "application/json"),
            ("Authorization", "Bearer key-123"),
        ],
        body: body.to_string().into_bytes(),
        ..Request::default()
    };
    request.send(address).unwrap()
}

fn parse(raw: &[u8], head_only: bool) -> Option<Reply> {
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&raw[..end]).unwrap();
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
    let headers: BTreeMap<String, String> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let rest = &raw[end + 4..];
    let chunked = headers.get("transfer-encoding").is_some_and(|value| value == "chunked");
    let length = headers
        .get("content-length")
        .map(|value| value.parse::<usize>().unwrap());
    let (body, whole) = match length {
        _ if head_only => (vec![], true),
        _ if chunked => unchunk(rest),
        Some(length) => (rest.to_vec(), rest.len() == length),
        None => (rest.to_vec(), false),
    };
    Some(Reply {
        status,
        headers,
        body,
        whole,
    })
}

/// Joins chunks; says whether the last one was there.
fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = vec![];
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        rest = &rest[end + 2..];
        if size == 0 {
            return (body, rest == b"\r\n");
        }
        let there = size.min(rest.len());
        body.extend_from_slice(&rest[..there]);
        if there < size || rest.len() < size + 2 {
            break;
        }
        rest = &rest[size + 2..];
    }
    (body, false)
}

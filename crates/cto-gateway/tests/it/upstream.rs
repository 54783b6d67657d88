//! A raw upstream: what it sends is a list of bytes and pauses, right or wrong.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::wire::{body_length, head_end};

/// A request as it reached the upstream.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// An upstream that answers by a script.
pub(crate) struct Upstream {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Upstream {
    /// Serves on a free port; the script gets the number of the request, the request and the connection.
    pub(crate) fn start(script: impl Fn(usize, &Asked, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, script) = (Arc::new(Mutex::new(Vec::new())), Arc::new(script));
        let all = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (all, script) = (Arc::clone(&all), Arc::clone(&script));
                let mut stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                thread::spawn(move || {
                    let Some(request) = read(&mut stream) else { return };
                    let number = {
                        let mut all = all.lock().unwrap();
                        all.push(request.clone());
                        all.len()
                    };
                    script(number, &request, &mut stream);
                    drop(stream.shutdown(Shutdown::Write));
                });
            }
        });
        Self { port, asked }
    }

    /// Always the same bytes.
    pub(crate) fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_, _, stream| say(stream, &bytes))
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// Writes; a gateway that has hung up is no surprise here.
pub(crate) fn say(stream: &mut TcpStream, bytes: &[u8]) {
    drop(stream.write_all(bytes));
}

/// Holds the connection open until the other side is gone; false when it did not go in time.
pub(crate) fn hold(stream: &mut TcpStream, most: Duration) -> bool {
    stream.set_read_timeout(Some(most)).unwrap();
    !matches!(stream.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

fn read(stream: &mut TcpStream) -> Option<Asked> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 65536]);
    loop {
        if let Some(end) = head_end(&bytes) {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = body_length(&head).unwrap_or(0);
            if bytes.len() >= end + length {
                let body = bytes[end..end + length].to_vec();
                return Some(Asked { head, body });
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

/// A response with a length.
pub(crate) fn document(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A JSON response.
pub(crate) fn json(body: &str) -> Vec<u8> {
    document("200 OK", "Content-Type: application/json\r\n", body.as_bytes())
}

pub(crate) const EVENTS: &[u8] =
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// One chunk of a chunked body.
pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A whole event stream, in one chunk.
pub(crate) fn events(body: &[u8]) -> Vec<u8> {
    [EVENTS, &chunk(body), b"0\r\n\r\n"].concat()
}

//! How much memory a scripted model takes, in a process where nothing else runs.
#![expect(clippy::unwrap_used, reason = "test code: a surprise must be loud")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use cto_gateway::scripted::{ScriptedModel, ScriptedOptions};

const MEBIBYTE: usize = 1 << 20;

#[test]
fn endless_answers_to_many_clients_cost_little_memory() {
    let model = ScriptedModel::start(ScriptedOptions::default()).unwrap();
    let body = r#"{"model":"scripted-endless","stream":true,"input":"r1-string-slugify"}"#;
    let head = format!(
        "POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut buffer = vec![0; MEBIBYTE];
    let before = resident_bytes();
    let mut clients: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut client = TcpStream::connect(model.address()).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            client.write_all(head.as_bytes()).unwrap();
            client.write_all(body.as_bytes()).unwrap();
            // From here on the server sends as much as it can, and nobody but one client reads it.
            client.read_exact(&mut buffer[..4096]).unwrap();
            client
        })
        .collect();
    let mut read = 0;
    while read < 256 * MEBIBYTE {
        let more = clients[0].read(&mut buffer).unwrap();
        assert!(more > 0, "the answer ended after {read} bytes");
        read += more;
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 96 * MEBIBYTE, "{grown} bytes more for 64 clients");
}

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

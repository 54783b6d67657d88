//! Clients: one call at a time, or 64.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::upstream::{EVENTS, MODEL};

const STREAMS: usize = 64;
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";
/// A benchmark that waits for ever measures nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measured times.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn extend(&mut self, times: Vec<Duration>) {
        self.0.extend(times);
    }

    fn at(&self, part: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted[sorted.len() * part / 100].as_secs_f64() * 1000.0
    }

    pub(crate) fn median_ms(&self) -> f64 {
        self.at(50)
    }

    pub(crate) fn high_ms(&self) -> f64 {
        self.at(95)
    }
}

fn ask(port: u16, pace: Duration, events: u32) -> TcpStream {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let body = format!(
        "{{\"model\":\"{MODEL}\",\"stream\":true,\"metadata\":{{\"pace_us\":{},\"events\":{events}}},\"user\":\"{}\",\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]}}",
        pace.as_micros(),
        NEXT.fetch_add(1, Ordering::Relaxed),
        "a word or two ".repeat(500),
    );
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all([head.as_bytes(), body.as_bytes()].concat().as_slice())
        .unwrap();
    stream
}

/// Reads up to a text, beyond what was read before.
fn read_to(stream: &mut TcpStream, seen: &mut Vec<u8>, end: &[u8]) {
    let mut piece = [0; 16384];
    while !seen.windows(end.len()).any(|window| window == end) {
        let keep = seen.len().saturating_sub(end.len());
        seen.drain(..keep);
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(seen));
        seen.extend_from_slice(&piece[..count]);
    }
}

/// From the connection's beginning to the first event.
pub(crate) fn first_byte(port: u16) -> Duration {
    let began = Instant::now();
    let (mut stream, mut seen) = (ask(port, Duration::ZERO, 1), Vec::new());
    read_to(&mut stream, &mut seen, b"data: ");
    let time = began.elapsed();
    read_to(&mut stream, &mut seen, LAST_CHUNK);
    time
}

/// To the last event of each of 64 streams at once, from the moment at which the first of them may begin: a client that
/// waits for a processor to begin on waits too.
pub(crate) fn streams(port: u16, pace: Duration) -> Vec<Duration> {
    let gate = Arc::new((Barrier::new(STREAMS), OnceLock::new()));
    let clients: Vec<_> = (0..STREAMS)
        .map(|_| {
            let gate = Arc::clone(&gate);
            thread::spawn(move || {
                let (barrier, began) = &*gate;
                barrier.wait();
                let began = began.get_or_init(Instant::now);
                let mut stream = ask(port, pace, EVENTS);
                read_to(&mut stream, &mut Vec::new(), LAST_CHUNK);
                began.elapsed()
            })
        })
        .collect();
    clients.into_iter().map(|client| client.join().unwrap()).collect()
}

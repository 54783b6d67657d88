//! Clients: one call at a time, or 64.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use crate::upstream::{EVENTS, MODEL};

const STREAMS: usize = 64;

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
        "{{\"model\":\"{MODEL}\",\"stream\":true,\"pace_us\":{},\"events\":{events},\"user\":\"{}\",\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]}}",
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
    stream
        .write_all([head.as_bytes(), body.as_bytes()].concat().as_slice())
        .unwrap();
    stream
}

/// Reads up to a text.
fn read_to(stream: &mut TcpStream, end: &[u8]) {
    let (mut tail, mut piece) = (Vec::new(), [0; 16384]);
    loop {
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&tail));
        let keep = tail.len().saturating_sub(end.len());
        tail.drain(..keep);
        tail.extend_from_slice(&piece[..count]);
        if tail.windows(end.len()).any(|window| window == end) {
            return;
        }
    }
}

/// From the connection's beginning to the first event.
pub(crate) fn first_byte(port: u16) -> Duration {
    let began = Instant::now();
    let mut stream = ask(port, Duration::ZERO, 1);
    read_to(&mut stream, b"data: ");
    let time = began.elapsed();
    read_to(&mut stream, b"0\r\n\r\n");
    time
}

/// From the connection's beginning to the last event, of each of 64 streams at once.
pub(crate) fn streams(port: u16, pace: Duration) -> Vec<Duration> {
    let gate = Arc::new(Barrier::new(STREAMS));
    let clients: Vec<_> = (0..STREAMS)
        .map(|_| {
            let gate = Arc::clone(&gate);
            thread::spawn(move || {
                gate.wait();
                let began = Instant::now();
                let mut stream = ask(port, pace, EVENTS);
                read_to(&mut stream, b"0\r\n\r\n");
                began.elapsed()
            })
        })
        .collect();
    clients.into_iter().map(|client| client.join().unwrap()).collect()
}

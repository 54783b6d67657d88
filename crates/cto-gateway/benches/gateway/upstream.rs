//! A model that streams chunks at a pace that the request names.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

/// The only model there is.
pub(crate) const MODEL: &str = "scripted-1";

/// Events of one stream.
pub(crate) const EVENTS: u32 = 100;

/// The port that a child says it serves.
pub(crate) fn port_of(child: &mut Child) -> u16 {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    line.trim().parse().unwrap()
}

/// Serves for ever.
pub(crate) fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        thread::spawn(move || {
            stream.set_nodelay(true).unwrap();
            // A client that hangs up is nothing special.
            drop(connection(stream));
        });
    }
}

fn connection(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body = String::from_utf8(body).unwrap();
        let field = |name: &str| -> u64 {
            let at = body.find(name).unwrap() + name.len();
            body[at..]
                .chars()
                .take_while(char::is_ascii_digit)
                .collect::<String>()
                .parse()
                .unwrap()
        };
        answer(&mut stream, field("\"pace_us\":"), field("\"events\":"))?;
    }
}

fn answer(stream: &mut TcpStream, pace_us: u64, events: u64) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let began = Instant::now();
    let mut text = String::new();
    for number in 0..=events {
        let finish = if number == events { "\"stop\"" } else { "null" };
        text.clear();
        write!(
            text,
            "data: {{\"id\":\"chatcmpl-0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"{MODEL}\",\
             \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"word number {number} \"}},\"finish_reason\":{finish}}}]}}\n\n"
        )
        .unwrap();
        if number == events {
            text.push_str("data: [DONE]\n\n");
        }
        // One write for an event, as servers do; the events of a model that does not wait are still writes of their own.
        stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())?;
        let next = began + Duration::from_micros(pace_us) * u32::try_from(number + 1).unwrap();
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    stream.write_all(b"0\r\n\r\n")
}

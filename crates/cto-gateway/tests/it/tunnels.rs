//! `CONNECT` to admitted hosts.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use cto_gateway::{Record, RefusalReason};

use crate::upstream::Upstream;
use crate::world::World;

/// The engine's end of a tunnel.
fn connect(world: &World, host: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", world.port)).unwrap();
    stream
        .write_all(format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    stream
}

#[test]
fn a_tunnel_to_an_admitted_host_passes_bytes_and_is_recorded() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("127.0.0.1:{}", far.local_addr().unwrap().port());
    let server = thread::spawn(move || {
        let (mut stream, _) = far.accept().unwrap();
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).unwrap();
        stream.write_all(b"welcome").unwrap();
        hello
    });
    let admitted = host.clone();
    let mut world = World::with(Upstream::saying(""), |order| order.egress = vec![admitted]);
    let mut stream = connect(&world, &host);
    stream.write_all(b"hello").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    drop(stream);
    assert_eq!((server.join().unwrap(), answer.as_str()), (*b"hello", "welcome"));
    world.wait_for(2);
    let records = world.finish();
    let [Record::Egress(egress)] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!((&egress.host, egress.connected, egress.seq), (&host, true, 1));
    assert_eq!((egress.sent_bytes, egress.received_bytes), (5, 7));
}

#[test]
fn a_download_lasts_as_long_as_it_goes_on_and_silence_ends_it() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("127.0.0.1:{}", far.local_addr().unwrap().port());
    let server = thread::spawn(move || {
        let (mut stream, _) = far.accept().unwrap();
        for _ in 0..12 {
            stream.write_all(b"x").unwrap();
            thread::park_timeout(Duration::from_millis(100));
        }
        // Then it says nothing, and neither does the engine.
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.read(&mut [0]).unwrap_or(0)
    });
    let admitted = host.clone();
    let mut world = World::with(Upstream::saying(""), |order| {
        (order.egress, order.limits.idle_ms) = (vec![admitted], 500);
    });
    let mut stream = connect(&world, &host);
    let mut answer = String::new();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!((answer.len(), server.join().unwrap()), (12, 0));
    world.wait_for(2);
    let records = world.finish();
    assert!(
        matches!(&records[..], [Record::Egress(egress)] if egress.received_bytes == 12),
        "{records:?}"
    );
}

#[test]
fn a_host_that_is_not_there_is_recorded_as_that() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world = World::with(Upstream::saying(""), |order| order.egress = vec![free.to_string()]);
    let got = world.raw(format!("CONNECT {free} HTTP/1.1\r\nHost: {free}\r\n\r\n"));
    assert_eq!(got.status, 502);
    let records = world.finish();
    assert!(
        matches!(&records[..], [Record::Egress(egress)] if !egress.connected),
        "{records:?}"
    );
}

#[test]
fn other_hosts_are_refused_however_they_are_spelt() {
    for target in [
        "evil.example:443",
        "packages.example:80",
        "packages.example",
        "packages.example:443@evil.example:443",
    ] {
        let world = World::with(Upstream::saying(""), |order| {
            order.egress = vec!["packages.example:443".to_owned()];
        });
        let got = world.raw(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"));
        assert!(got.status >= 400, "{target}: {}", got.status);
        let reason = world.refused().reason;
        assert!(
            matches!(reason, RefusalReason::HostNotAdmitted | RefusalReason::AmbiguousRequest),
            "{target}: {reason:?}"
        );
    }
}

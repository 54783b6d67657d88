//! An upstream behind TLS: the system's roots decide, and the name must be the one that was asked for.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use cto_gateway::{CallOutcome, Dialect, GatewayProcess, Record};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::streams::good;
use crate::upstream::{Upstream, events};
use crate::world::{KEY, World, order, program, question};

/// A root that signed the certificate below, for a hundred years, for tests only.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/root.pem");
/// The certificate of `localhost` and its key.
const CERTIFICATE: &[u8] = include_bytes!("../data/localhost.der");
const PRIVATE: &[u8] = include_bytes!("../data/localhost.key.der");

/// Serves Messages over TLS; gives its port.
fn serve() -> u16 {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(PRIVATE));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(CERTIFICATE)], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            let mut head = Vec::new();
            let mut piece = [0; 4096];
            while !String::from_utf8_lossy(&head).contains("\"stream\"") {
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => head.extend_from_slice(&piece[..count]),
                }
            }
            if String::from_utf8_lossy(&head).contains(KEY) {
                stream.write_all(&events(good(Dialect::Messages).as_bytes())).unwrap();
                stream.conn.send_close_notify();
                stream.flush().unwrap();
            }
        }
    });
    port
}

fn environment(roots: &str) -> Vec<(OsString, OsString)> {
    vec![
        ("MODEL_SECRET".into(), KEY.into()),
        ("SSL_CERT_FILE".into(), roots.into()),
    ]
}

fn asked(host: &str, roots: &str) -> (u16, CallOutcome, String) {
    let port = serve();
    let world = World::start(Upstream::saying(""), environment(roots), |order| {
        order.routes[0].base_url = format!("https://{host}:{port}");
    });
    let got = world.post("/v1/messages", &question(true));
    let call = world.call();
    (got.status, call.outcome, call.detail)
}

#[test]
fn a_certificate_must_be_of_a_trusted_root_and_of_the_name() {
    assert!(Path::new(ROOT).exists());
    let failed = "the upstream could not be reached: TLS failed".to_owned();
    assert_eq!(asked("localhost", ROOT), (200, CallOutcome::Completed, String::new()));
    assert_eq!(
        asked("127.0.0.1", ROOT),
        (502, CallOutcome::Unreachable, failed.clone())
    );
    // The system's own roots, or none at all, did not sign it.
    let others = "/etc/ssl/certs/ca-certificates.crt";
    if Path::new(others).exists() {
        assert_eq!(asked("localhost", others), (502, CallOutcome::Unreachable, failed));
    }
}

#[test]
fn a_connection_that_is_refused_is_told_from_tls() {
    let world = World::start(Upstream::saying(""), environment(ROOT), |order| {
        order.routes[0].base_url = "https://localhost:1".to_owned();
    });
    world.post("/v1/messages", &question(true));
    let call = world.call();
    assert_eq!(call.outcome, CallOutcome::Unreachable);
    assert!(call.detail.ends_with("the connection was refused"), "{}", call.detail);
}

#[test]
fn a_machine_without_roots_is_not_configured_and_needs_none_for_plain_http() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("none");
    let start = |base_url: &str| {
        let mut order = order(1);
        order.routes[0].base_url = base_url.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let environment = environment(none.to_str().unwrap());
        let gateway = GatewayProcess::start(program(), &order, listener.into(), environment).unwrap();
        gateway.finish().unwrap()
    };
    let records = start("https://localhost:1");
    let [Record::Unavailable { outcome, detail }] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(*outcome, CallOutcome::NotConfigured);
    assert!(detail.starts_with("no root certificates"), "{detail}");
    assert_eq!(start("http://localhost:1"), [Record::Ready, Record::Closed]);
}

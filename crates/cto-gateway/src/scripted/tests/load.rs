//! Many at a time, and how much memory that takes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::client::post;
use super::requests::{PROMPT, conversation, first};
use super::{PATHS, plain};

#[test]
fn equal_requests_have_equal_answers_on_any_server() {
    let (one, other) = (plain(), plain());
    for path in PATHS {
        for stream in [true, false] {
            let body = first(path, "scripted-fix", stream);
            let answers = [&one, &other, &one].map(|model| post(model.address(), path, &body).body);
            assert!(answers[0] == answers[1] && answers[1] == answers[2]);
        }
    }
}

#[test]
fn sixty_four_runs_side_by_side_do_not_mix() {
    let model = plain();
    let address = model.address();
    let run = |number: usize| {
        let path = PATHS[number % 3];
        let case = ["r1-string-slugify", "r1-go-slugify"][number % 2];
        let file = ["strings.py", "slugify.go"][number % 2];
        let prompt = format!("{PROMPT} is not meant; run {number} of {case}").replace("Fix slugify so", "");
        let mut results = vec![];
        for wanted in [
            format!("cat {file}"),
            format!("cat > {file}"),
            format!("Changed {file}."),
        ] {
            let body = conversation(path, "scripted-fix", false, &prompt, &results);
            let reply = post(address, path, &body);
            assert!(reply.text().contains(&wanted), "{number}: {}", reply.text());
            results.push("done".to_owned());
        }
    };
    std::thread::scope(|scope| {
        for number in 0..64 {
            scope.spawn(move || run(number));
        }
    });
    assert_eq!(model.stop().len(), 64 * 3);
}

#[test]
fn clients_that_do_not_read_cost_no_memory() {
    let model = plain();
    let body = first(PATHS[1], "scripted-endless", true).to_string();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        PATHS[1],
        body.len()
    );
    let before = resident_bytes();
    let clients: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut client = TcpStream::connect(model.address()).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            client.write_all(head.as_bytes()).unwrap();
            client.write_all(body.as_bytes()).unwrap();
            // From here on the server sends as much as it can.
            client.read_exact(&mut [0; 4096]).unwrap();
            client
        })
        .collect();
    let mut greedy = &clients[0];
    let mut buffer = vec![0; 1 << 20];
    let mut read = 0;
    while read < 256 << 20 {
        read += greedy.read(&mut buffer).unwrap();
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 96 << 20, "{grown} bytes more for 64 clients");
}

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

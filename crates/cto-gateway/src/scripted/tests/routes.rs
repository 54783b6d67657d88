//! Everything beside the answers: paths, keys, the log, and the end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{Request, post};
use super::requests::first;
use super::{PATHS, plain, start};
use crate::scripted::{ScriptedError, ScriptedModel, ScriptedOptions};

#[test]
fn models_are_listed_for_the_clients_of_either_vendor() {
    let model = plain();
    let list = Request {
        method: "GET",
        path: "/v1/models",
        ..Request::default()
    };
    let list = list.send(model.address()).unwrap().json();
    let data = list["data"].as_array().unwrap();
    assert_eq!(list["first_id"], data[0]["id"]);
    assert_eq!(data[0]["id"], "scripted-fix");
    assert!(data.iter().any(|model| model["id"] == "scripted-gzip-bomb"));
    for name in ["scripted-cut-at-2", "scripted-hang-at-9", "scripted-500-once"] {
        assert!(data.iter().any(|model| model["id"] == name), "{name}");
    }
    for model in data {
        assert_eq!((&model["object"], &model["type"]), (&json!("model"), &json!("model")));
    }
}

#[test]
fn a_head_of_the_root_and_a_count_of_tokens_are_answered() {
    let model = plain();
    let head = Request {
        method: "HEAD",
        ..Request::default()
    };
    assert_eq!(head.send(model.address()).unwrap().status, 200);
    let count = post(
        model.address(),
        "/v1/messages/count_tokens",
        &first(PATHS[2], "scripted-500", false),
    );
    assert!(count.json()["input_tokens"].as_u64().unwrap() > 10);
}

#[test]
fn what_is_no_request_for_an_answer_is_refused_in_the_words_of_the_vendor() {
    let model = plain();
    let nowhere = post(model.address(), "/v1/nowhere", &json!({}));
    assert_eq!(nowhere.status, 404);
    for path in PATHS {
        for body in [json!([]), json!({ "messages": [] })] {
            assert_eq!(post(model.address(), path, &body).status, 400);
        }
        let unknown = post(model.address(), path, &first(path, "scripted-nonsense", true));
        assert_eq!(unknown.status, 404);
        let kind = &unknown.json()["error"]["type"];
        assert_eq!(kind == "not_found_error", path == PATHS[2]);
    }
    let large = Request {
        path: PATHS[0],
        body: vec![b' '; (32 << 20) + 1],
        ..Request::default()
    };
    assert_eq!(large.send(model.address()).unwrap().status, 413);
}

#[test]
fn only_the_required_key_opens_and_no_key_is_remembered() {
    let model = start(ScriptedOptions {
        required_key: Some("the-only-key".to_owned()),
        ..ScriptedOptions::default()
    });
    let ask = |header: (&str, &str)| {
        let request = Request {
            path: PATHS[2],
            headers: &[header, ("X-Extra", "1")],
            body: first(PATHS[2], "scripted-fix", true).to_string().into_bytes(),
            ..Request::default()
        };
        request.send(model.address()).unwrap().status
    };
    assert_eq!(ask(("Authorization", "Bearer the-only-key")), 200);
    assert_eq!(ask(("X-Api-Key", "the-only-key")), 200);
    assert_eq!(ask(("Authorization", "Bearer another-key")), 401);
    assert_eq!(ask(("X-Nothing", "1")), 401);
    let seen = model.stop();
    let remembered = format!("{seen:?}");
    assert!(!remembered.contains("the-only-key") && !remembered.contains("another-key"));
    assert_eq!(
        seen.iter().map(|request| request.has_credential).collect::<Vec<_>>(),
        [true, true, true, false]
    );
}

#[test]
fn the_log_tells_what_was_asked_and_with_which_headers() {
    let model = plain();
    let body = first(PATHS[1], "scripted-429", true);
    post(model.address(), "/some/base/v1/responses?beta=true", &body);
    let [seen] = model.stop().try_into().unwrap();
    assert_eq!((seen.number, seen.status, seen.fault), (1, 429, Some("429")));
    assert_eq!(seen.path, "/some/base/v1/responses");
    assert_eq!(seen.model.as_deref(), Some("scripted-429"));
    assert_eq!(seen.dialect, Some(crate::Dialect::Responses));
    assert_eq!(seen.tools, ["exec_command"]);
    assert_eq!(
        seen.header_names,
        ["authorization", "connection", "content-length", "content-type", "host"]
    );
    assert_eq!(seen.body_bytes, u64::try_from(body.to_string().len()).unwrap());
    assert!(seen.body_sha256.unwrap().starts_with("sha256:"));
}

#[test]
fn only_loopback_is_listened_on() {
    let options = ScriptedOptions {
        listen: SocketAddr::from(([0, 0, 0, 0], 0)),
        ..ScriptedOptions::default()
    };
    assert!(matches!(
        ScriptedModel::start(options).unwrap_err(),
        ScriptedError::NotLoopback(_)
    ));
}

#[test]
fn stopping_ends_what_is_under_way_at_once() {
    for fault in ["hang", "hang-midway", "slow", "endless"] {
        let model = plain();
        let address = model.address();
        let path = PATHS[0];
        let body = first(path, &format!("scripted-{fault}"), true);
        let asking = std::thread::spawn(move || {
            let request = Request {
                path,
                body: body.to_string().into_bytes(),
                ..Request::default()
            };
            request.send(address).is_some_and(|reply| reply.whole)
        });
        while model.requests().is_empty() {
            std::thread::yield_now();
        }
        let begun = Instant::now();
        model.stop();
        assert!(begun.elapsed() < Duration::from_secs(5), "{fault}");
        assert!(!asking.join().unwrap(), "{fault}");
    }
}

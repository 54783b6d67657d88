//! Budgets, parallel calls, numbers of calls: what the run may use up.

use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use cto_gateway::{CallOutcome, CallSide, Dialect, Price, Record, RefusalReason};

use crate::streams::{CHAT, good};
use crate::upstream::{EVENTS, Upstream, chunk, events, hold, json, say};
use crate::wire::request;
use crate::world::{MODEL, World, question};

fn body(number: usize) -> Vec<u8> {
    format!(r#"{{"model":"{MODEL}","stream":true,"user":"{number}"}}"#).into_bytes()
}

#[test]
fn a_budget_of_tokens_ends_the_run_of_calls() {
    let world = World::with(Upstream::saying(events(CHAT.as_bytes())), |order| {
        order.budget.tokens = Some(30);
    });
    let statuses: Vec<u16> = (0..4)
        .map(|number| world.post("/v1/chat/completions", &body(number)).status)
        .collect();
    assert_eq!(statuses, [200, 200, 403, 403]);
    let records = world.finish();
    let Record::Call(second) = &records[1] else {
        panic!("{records:?}")
    };
    assert_eq!(
        (second.outcome, second.side),
        (CallOutcome::BudgetExhausted, CallSide::Gateway)
    );
    let Record::Refused(third) = &records[2] else {
        panic!("{records:?}")
    };
    assert_eq!(third.reason, RefusalReason::BudgetExhausted);
}

#[test]
fn calls_at_the_same_time_pass_a_budget_by_less_than_one_of_them() {
    let world = World::with(Upstream::saying(events(CHAT.as_bytes())), |order| {
        order.budget.tokens = Some(40);
    });
    let port = world.port;
    let send =
        move |number| crate::wire::exchange(port, &request(port, "/v1/chat/completions", "", &body(number))).status;
    let calls: Vec<_> = (0..30).map(|number| thread::spawn(move || send(number))).collect();
    let statuses: Vec<u16> = calls.into_iter().map(|call| call.join().unwrap()).collect();
    let used: Vec<u64> = world
        .finish()
        .into_iter()
        .filter_map(|record| match record {
            Record::Call(call) => call.usage.map(|usage| usage.input + usage.output),
            _ => None,
        })
        .collect();
    let (all, one) = (used.iter().sum::<u64>(), *used.iter().max().unwrap());
    assert!((40..40 + one).contains(&all), "{used:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), used.len());
    assert_eq!(
        statuses.iter().filter(|status| **status == 403).count(),
        30 - used.len()
    );
}

#[test]
fn calls_that_fit_into_a_budget_run_side_by_side() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let upstream = Upstream::start(move |_, _, stream| {
        held.lock().unwrap().recv_timeout(Duration::from_secs(10)).unwrap();
        say(stream, &events(CHAT.as_bytes()));
    });
    let world = World::with(upstream, |order| order.budget.tokens = Some(10_000));
    let port = world.port;
    let send = move |number: usize| {
        let body = format!(r#"{{"model":"{MODEL}","stream":true,"max_tokens":1000,"user":"{number}"}}"#);
        crate::wire::exchange(port, &request(port, "/v1/chat/completions", "", body.as_bytes())).status
    };
    let calls: Vec<_> = (0..2).map(|number| thread::spawn(move || send(number))).collect();
    while world.upstream.asked().len() < 2 {
        thread::yield_now();
    }
    release.send(()).unwrap();
    release.send(()).unwrap();
    for call in calls {
        assert_eq!(call.join().unwrap(), 200);
    }
}

#[test]
fn money_is_counted_by_the_prices_of_the_route() {
    let world = World::with(Upstream::saying(events(good(Dialect::Responses).as_bytes())), |order| {
        order.budget.cost_micro_usd = Some(100);
        order.routes[0].price = Some(Price {
            input: 3_000_000,
            cached_input: 300_000,
            output: 15_000_000,
        });
    });
    let statuses: Vec<u16> = (0..3)
        .map(|number| world.post("/v1/responses", &body(number)).status)
        .collect();
    assert_eq!(statuses, [200, 200, 403]);
    let records = world.finish();
    let Record::Call(first) = &records[0] else {
        panic!("{records:?}")
    };
    // 4 fresh, 8 cached, 5 out: 12 + 2.4 + 75, rounded up.
    assert_eq!(first.cost_micro_usd, Some(90));
}

#[test]
fn leaving_out_the_usage_is_no_way_around_the_budget() {
    let silent = CHAT.replace("\"usage\"", "\"used\"");
    let world = World::with(Upstream::saying(events(silent.as_bytes())), |order| {
        order.budget.tokens = Some(100);
    });
    assert_eq!(world.post("/v1/chat/completions", &body(1)).status, 200);
    assert_eq!(world.post("/v1/chat/completions", &body(2)).status, 403);
}

#[test]
fn calls_at_a_time_and_altogether_are_bounded() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let upstream = Upstream::start(move |_, _, stream| {
        held.lock().unwrap().recv_timeout(Duration::from_secs(10)).unwrap();
        say(stream, &events(CHAT.as_bytes()));
    });
    let mut world = World::with(upstream, |order| {
        (order.limits.parallel_calls, order.limits.calls) = (2, 3);
    });
    let port = world.port;
    let send =
        move |number| crate::wire::exchange(port, &request(port, "/v1/chat/completions", "", &body(number))).status;
    let calls: Vec<_> = (0..2).map(|number| thread::spawn(move || send(number))).collect();
    while world.upstream.asked().len() < 2 {
        thread::yield_now();
    }
    assert_eq!(send(7), 429);
    release.send(()).unwrap();
    release.send(()).unwrap();
    for call in calls {
        assert_eq!(call.join().unwrap(), 200);
    }
    world.wait_for(4);
    release.send(()).unwrap();
    assert_eq!(send(8), 200);
    assert_eq!(send(9), 403);
    let refused: Vec<_> = world
        .finish()
        .into_iter()
        .filter_map(|record| match record {
            Record::Refused(refused) => Some(refused.reason),
            _ => None,
        })
        .collect();
    assert_eq!(refused, [RefusalReason::TooMany, RefusalReason::TooMany]);
}

#[test]
fn records_of_refusals_are_bounded_and_the_gap_shows() {
    let world = World::with(Upstream::saying(events(CHAT.as_bytes())), |order| {
        order.limits.calls = 5;
    });
    for _ in 0..40 {
        assert_eq!(world.post("/v1/nothing", b"{}").status, 404);
    }
    assert_eq!(world.post("/v1/chat/completions", &question(true)).status, 200);
    let records = world.finish();
    // The first of each reason are recorded, and the call.
    assert_eq!(records.len(), 21);
    let Some(Record::Call(call)) = records.last() else {
        panic!("{records:?}")
    };
    assert_eq!(call.seq, 41);
}

#[test]
fn a_call_is_on_record_from_its_beginning() {
    let upstream = Upstream::start(|_, _, stream| {
        hold(stream, Duration::from_secs(10));
    });
    let mut world = World::new(upstream);
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", world.port)).unwrap();
    let question = request(world.port, "/v1/chat/completions", "", &question(true));
    std::io::Write::write_all(&mut stream, &question).unwrap();
    let begun = world.wait_for_beginning();
    drop(stream);
    assert_eq!(world.call().seq, begun);
}

#[test]
fn an_engine_that_hangs_up_takes_the_upstream_with_it() {
    let (gone, seen) = mpsc::channel();
    let gone = Mutex::new(gone);
    let upstream = Upstream::start(move |_, _, stream| {
        say(stream, EVENTS);
        say(stream, &chunk(&CHAT.as_bytes()[..CHAT.len() / 2]));
        gone.lock()
            .unwrap()
            .send(hold(stream, Duration::from_secs(10)))
            .unwrap();
    });
    let mut world = World::new(upstream);
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", world.port)).unwrap();
    std::io::Write::write_all(
        &mut stream,
        &request(world.port, "/v1/chat/completions", "", &question(true)),
    )
    .unwrap();
    std::io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
    drop(stream);
    assert!(
        seen.recv_timeout(Duration::from_secs(10)).unwrap(),
        "the upstream was not let go"
    );
    world.wait_for(2);
    let call = world.call();
    assert_eq!((call.outcome, call.side), (CallOutcome::EngineGone, CallSide::Engine));
}

#[test]
fn an_engine_that_hangs_up_after_the_last_event_has_its_whole_response() {
    let upstream = Upstream::start(|_, _, stream| {
        say(stream, EVENTS);
        say(stream, &chunk(CHAT.as_bytes()));
        hold(stream, Duration::from_secs(10));
    });
    let mut world = World::new(upstream);
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", world.port)).unwrap();
    std::io::Write::write_all(
        &mut stream,
        &request(world.port, "/v1/chat/completions", "", &question(true)),
    )
    .unwrap();
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains("[DONE]") {
        let mut piece = [0; 4096];
        let count = std::io::Read::read(&mut stream, &mut piece).unwrap();
        got.extend_from_slice(&piece[..count]);
    }
    drop(stream);
    world.wait_for(2);
    assert_eq!(world.call().outcome, CallOutcome::Completed);
}

#[test]
fn the_gateways_own_bound_on_memory_is_not_the_upstreams_failure() {
    const CALLS: usize = 5;
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let body = format!(
        r#"{{"model":"{MODEL}","choices":[{{"message":{{"content":"{}"}},"finish_reason":"stop"}}]}}"#,
        "x".repeat(60_000)
    );
    let bytes = json(&body);
    let upstream = Upstream::start(move |_, _, stream| {
        // All but the last byte, so that what came is held until all calls are here.
        let (most, last) = bytes.split_at(bytes.len() - 1);
        say(stream, most);
        held.lock().unwrap().recv_timeout(Duration::from_secs(10)).unwrap();
        say(stream, last);
    });
    let mut world = World::with(upstream, |order| {
        // Twice the largest request and the largest response together: room for four.
        (order.limits.request_bytes, order.limits.response_bytes) = (64 << 10, 64 << 10);
    });
    let port = world.port;
    let send = move || {
        let question = question(false);
        crate::wire::exchange(port, &request(port, "/v1/chat/completions", "", &question)).status
    };
    let calls: Vec<_> = (0..CALLS).map(|_| thread::spawn(send)).collect();
    // The one that finds no room ends while the others wait for their last byte.
    world.wait_for(2);
    for _ in 0..CALLS {
        release.send(()).unwrap();
    }
    let statuses: Vec<u16> = calls.into_iter().map(|call| call.join().unwrap()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), CALLS - 1);
    let records = world.finish();
    let Some(Record::Call(first)) = records.first() else {
        panic!("{records:?}")
    };
    assert_eq!((first.outcome, first.side), (CallOutcome::TooLarge, CallSide::Gateway));
}

#[test]
fn a_call_that_was_never_sent_costs_nothing_and_is_no_failure_of_the_upstream() {
    let world = World::with(Upstream::saying(""), |order| {
        // As long as an address may be, so that none is left for the path of the call.
        let base = &mut order.routes[0].base_url;
        base.push_str(&"x".repeat(65_530 - base.len()));
        order.budget.tokens = Some(1);
    });
    for _ in 0..6 {
        assert_eq!(world.post("/v1/chat/completions", &question(true)).status, 502);
    }
    assert_eq!(world.upstream.asked().len(), 0);
    for record in world.finish() {
        let Record::Call(call) = record else {
            panic!("{record:?}")
        };
        assert_eq!(
            (call.outcome, call.side),
            (CallOutcome::NotConfigured, CallSide::Gateway)
        );
    }
}

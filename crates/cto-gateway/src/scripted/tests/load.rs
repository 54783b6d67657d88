//! The same again, and many at a time.

use super::client::post;
use super::requests::{PROMPT, conversation, first};
use super::streams::said;
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
fn sixty_four_streams_side_by_side_do_not_mix() {
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
            let body = conversation(path, "scripted-fix", true, &prompt, &results);
            let said = said(path, &post(address, path, &body));
            let done = said.calls.first().map_or(&said.text, |(_, _, input)| input);
            assert!(done.contains(&wanted), "{number}: {said:?}");
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

//! Claims about running git.

use super::*;

#[test]
fn refuses_an_old_or_foreign_program() {
    assert_eq!(parse_version("2.47.3\n"), Some((2, 47)));
    assert_eq!(parse_version("2.40.1 (Apple Git-1)\n"), Some((2, 40)));
    let foreign = Git::at("/bin/true".into());
    assert!(matches!(foreign.version(), Err(GitError::Version { .. })));
    let missing = Git::at("/nonexistent/git".into());
    assert!(matches!(missing.version(), Err(GitError::Io { .. })));
}

#[test]
fn a_failure_carries_the_escaped_complaint_and_a_large_output_is_refused() {
    let git = Git::find().unwrap();
    let error = git.run(GitCall::new("cat-file").arg("\x1b[31m")).unwrap_err();
    assert!(!error.to_string().contains('\x1b'), "{error}");
    let error = git.run(GitCall::new("version").cap(3)).unwrap_err();
    assert!(matches!(error, GitError::TooLarge { cap: 3, .. }), "{error}");
}

#[test]
fn a_program_that_closes_its_output_and_stays_is_not_waited_for_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("git");
    let mut file = File::create(&program).unwrap();
    file.write_all(b"#!/bin/sh\nexec >&-\nexec sleep 600\n").unwrap();
    drop(file);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let git = Git::at(program).with_limit(Duration::from_millis(200));
    let begun = Instant::now();
    let error = git.run(GitCall::new("version")).unwrap_err();
    assert!(matches!(error, GitError::TimedOut { .. }), "{error}");
    let stop = Stop::new().unwrap();
    stop.ask();
    let error = git.stopped_by(&stop).run(GitCall::new("version")).unwrap_err();
    assert!(matches!(error, GitError::Stopped { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn nothing_of_the_callers_environment_reaches_git() {
    let git = Git::find().unwrap();
    let seen = git
        .run(GitCall::new("config").args(["--list", "--show-origin"]))
        .unwrap();
    for line in String::from_utf8(seen).unwrap().lines() {
        assert!(line.starts_with("command line:"), "{line}");
    }
}

#[test]
fn quotes_every_byte_that_git_quotes() {
    assert_eq!(quote_path(b"a\n\"\\\xff b"), b"\"a\\012\\\"\\\\\\377 b\"");
}

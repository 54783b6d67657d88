//! The canary of Node's own test runner.

use super::arguments::Arguments;
use super::command::Call;
use super::filter::{literals, title};
use super::javascript::{is_commonjs, is_module_package, may_be_skipped};
use super::scene::{Scene, globs, refuse, resolve, split};
use super::{Canary, NoCanary};

const VALUED: &[&str] = &[
    "-r",
    "--require",
    "--import",
    "--loader",
    "--experimental-loader",
    "-C",
    "--conditions",
    "--test-name-pattern",
    "--test-skip-pattern",
    "--test-reporter",
    "--test-reporter-destination",
    "--test-concurrency",
    "--test-timeout",
    "--env-file",
    "--test-shard",
    "--test-coverage-include",
    "--test-coverage-exclude",
];

/// Makes the canary of a `node --test` command.
pub(super) fn canary(scene: &Scene<'_>, call: &Call) -> Result<Canary, NoCanary> {
    let arguments = Arguments::parse(&call.args, VALUED);
    if let Some(option) = arguments.first_of(&["--test-shard", "--watch", "--test-rerun-failures"]) {
        return refuse(format!("'{option}' leaves no plain choice of files"));
    }
    let pattern = arguments.value(&["--test-name-pattern"]);
    let Some(name) = title(pattern, scene.token()) else {
        return refuse("no test title can be made for '--test-name-pattern'");
    };
    for skip in arguments.values(&["--test-skip-pattern"]) {
        match literals(skip) {
            Some(skips) if !skips.iter().any(|(_, text)| name.contains(text.as_str())) => {}
            _ => return refuse("'--test-skip-pattern' may match the test"),
        }
    }
    let candidates = collected(scene, call, &arguments);
    let typed = |path: &str| path.ends_with(".ts") || path.ends_with(".mts") || path.ends_with(".cts");
    let chosen = scene.choose(candidates, &|_, _| true, &|path, text| {
        typed(path) || (may_be_skipped(text) && !arguments.has(&["--test-only"]))
    });
    let Some(chosen) = chosen else {
        return refuse("no file that 'node --test' runs was found");
    };
    let Ok(quoted) = serde_json::to_string(&name) else {
        return refuse("the test title cannot be written");
    };
    let token = scene.token();
    let options = if arguments.has(&["--test-only"]) {
        "{ only: true }, "
    } else {
        ""
    };
    let body = format!("({quoted}, {options}() => {{\n  throw new Error(\"{token}\");\n}});\n");
    let code = if is_module(scene, &chosen.path, &chosen.text) {
        format!("\nimport {{ test as t_{token} }} from \"node:test\";\nt_{token}{body}")
    } else {
        format!("\n;require(\"node:test\").test{body}")
    };
    Ok(Canary {
        runner: "node --test",
        content: chosen.append(&code),
        file: chosen.path.into_bytes(),
        test_name: name,
    })
}

/// Decides the kind of a module as Node does: by ending, then by package, then by what is written in it.
fn is_module(scene: &Scene<'_>, path: &str, text: &str) -> bool {
    let named = |ending: [&str; 2]| ending.iter().any(|ending| path.ends_with(ending));
    if named([".mjs", ".mts"]) {
        return true;
    }
    if named([".cjs", ".cts"]) {
        return false;
    }
    is_module_package(scene, path)
        || (!is_commonjs(path, text)
            && text
                .lines()
                .any(|line| line.starts_with("import ") || line.starts_with("export ")))
}

fn collected(scene: &Scene<'_>, call: &Call, arguments: &Arguments) -> Vec<String> {
    let enter = |path: &str| !matches!(split(path).1, "node_modules" | ".git");
    let program = |path: &str| {
        [".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"]
            .iter()
            .any(|ending| path.ends_with(ending))
            && !path.ends_with(".d.ts")
    };
    let operands: Vec<&String> = arguments.positional.iter().chain(&arguments.rest).collect();
    if operands.is_empty() {
        return scene.walk(&call.directory, &enter, &|path| program(path) && is_test_name(path));
    }
    let mut found = Vec::new();
    for word in operands {
        let Some(path) = resolve(&call.directory, word) else {
            continue;
        };
        if scene.is_directory(&path) {
            found.extend(scene.walk(&path, &enter, &|path| program(path) && is_test_name(path)));
        } else if scene.exists(&path) {
            found.push(path);
        } else {
            let set = globs(&[path.as_str()]);
            found.extend(scene.walk(&call.directory, &enter, &|file| program(file) && set.is_match(file)));
        }
    }
    found
}

/// Returns whether Node runs a file without being asked: by its name, or because it is below a `test` directory.
fn is_test_name(path: &str) -> bool {
    let (directory, name) = split(path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let ended = [".test", "-test", "_test"]
        .iter()
        .any(|ending| stem.len() > ending.len() && stem.ends_with(ending));
    stem == "test" || stem.starts_with("test-") || ended || directory.split('/').any(|part| part == "test")
}

//! The canary of `cargo test` and `cargo nextest run`: which packages and targets run, and a failing test in one.

use super::arguments::Arguments;
use super::command::Call;
use super::scene::{Scene, ancestors, globs, join, refuse, resolve, split};
use super::toml::{Table, Toml};
use super::{Canary, NoCanary};

const VALUED: &[&str] = &[
    "-p",
    "--package",
    "--test",
    "--bin",
    "--example",
    "--bench",
    "-F",
    "--features",
    "--manifest-path",
    "--target",
    "--target-dir",
    "-j",
    "--jobs",
    "--profile",
    "--exclude",
    "--color",
    "--config",
    "-Z",
    "--message-format",
    "-E",
    "--filterset",
    "--filter-expr",
    "-P",
    "--partition",
    "--retries",
    "--test-threads",
    "--lockfile-path",
];
/// Options of the test program, after `--`.
const HARNESS_VALUED: &[&str] = &[
    "--test-threads",
    "--skip",
    "--format",
    "--color",
    "--logfile",
    "-Z",
    "--shuffle-seed",
];
/// Options that restrict the targets; without any, the library, the programs and the integration tests run.
const TARGETS: &[&str] = &[
    "--lib",
    "--bins",
    "--bin",
    "--tests",
    "--test",
    "--examples",
    "--example",
    "--benches",
    "--bench",
    "--all-targets",
];

/// Member patterns that are looked at; a hostile manifest may list any number.
const MAX_MEMBERS: usize = 300;

/// A source file that is the root of a test program.
#[derive(Debug)]
struct Target {
    path: String,
    /// Integration tests are test code as a whole; elsewhere the test needs `#[cfg(test)]`.
    integration: bool,
}

/// Makes the canary of a cargo command.
pub(super) fn canary(scene: &Scene<'_>, call: &Call) -> Result<Canary, NoCanary> {
    let arguments = Arguments::parse(&call.args, VALUED);
    let harness = Arguments::parse(&arguments.rest, HARNESS_VALUED);
    if let Some(option) = arguments.first_of(&[
        "--no-run",
        "--doc",
        "-E",
        "--filterset",
        "--filter-expr",
        "--partition",
        "--help",
    ]) {
        return refuse(format!("'{option}' leaves no plain choice of tests"));
    }
    if let Some(option) = harness.first_of(&["--exact", "--list", "--bench", "--help"]) {
        return refuse(format!("'{option}' leaves no room for another test"));
    }
    let filters: Vec<&String> = [&arguments.positional, &harness.positional]
        .into_iter()
        .flatten()
        .collect();
    let mut targets = Vec::new();
    for package in packages(scene, call, &arguments)? {
        targets.extend(package_targets(scene, &package, &arguments));
    }
    let can = |_: &str, text: &str| {
        let plain: String = text.split_whitespace().collect();
        !["#![no_std]", "#![no_main]", "#![no_implicit_prelude]"]
            .iter()
            .any(|mark| plain.contains(mark))
    };
    let doubtful = |_: &str, text: &str| {
        text.lines()
            .any(|line| line.starts_with("#![cfg(") || line.starts_with("#![feature("))
    };
    let candidates = targets.iter().map(|target| target.path.clone()).collect();
    let Some(chosen) = scene.choose(candidates, &can, &doubtful) else {
        return refuse("no target with the standard test harness was found");
    };
    let integration = targets
        .iter()
        .any(|target| target.path == chosen.path && target.integration);
    let path = test_path(scene, &filters)?;
    if harness
        .values(&["--skip"])
        .iter()
        .any(|skip| path.join("::").contains(skip))
    {
        return refuse("'--skip' matches every name that could be made");
    }
    let ignored = if harness.has(&["--ignored"]) { "#[ignore]\n" } else { "" };
    let code = code(&path, integration, ignored, scene.token());
    let name = path.join("::");
    Ok(Canary {
        runner: call.runner,
        content: chosen.append(&code),
        file: chosen.path.into_bytes(),
        test_name: name,
    })
}

/// Returns the module path and the name of the test; the first filter must be a part of them, joined by `::`.
fn test_path(scene: &Scene<'_>, filters: &[&String]) -> Result<Vec<String>, NoCanary> {
    let mut path = vec![format!("m_{}", scene.token())];
    let Some(filter) = filters.first() else {
        path.push(format!("test_{}", scene.token()));
        return Ok(path);
    };
    let mut parts: Vec<&str> = filter.split("::").collect();
    let last = parts.pop().unwrap_or_default();
    let word = |part: &&str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let module =
        |part: &&str| !part.is_empty() && !part.starts_with(|c: char| c.is_ascii_digit()) && !KEYWORDS.contains(part);
    // The first part may be the end of a longer name, which `m_` in front makes it.
    if !parts.iter().all(word) || !parts.iter().skip(1).all(module) || !word(&last) {
        return refuse(format!(
            "no test name can be made for the filter '{}'",
            cto_schema::escape(filter.as_bytes(), 80)
        ));
    }
    let nested = !parts.is_empty();
    for (at, part) in parts.into_iter().enumerate() {
        path.push(if at == 0 { format!("m_{part}") } else { part.to_owned() });
    }
    let begin = if last.starts_with(|c: char| c.is_ascii_digit()) && !nested {
        "t"
    } else {
        ""
    };
    if nested && last.starts_with(|c: char| c.is_ascii_digit()) {
        return refuse("the filter names something that is no test");
    }
    path.push(if last.is_empty() {
        format!("test_{}", scene.token())
    } else {
        format!("{begin}{last}_{}", scene.token())
    });
    Ok(path)
}

const KEYWORDS: &[&str] = &["self", "super", "crate", "mod", "fn", "use", "impl", "test"];

fn code(path: &[String], integration: bool, ignored: &str, token: &str) -> String {
    let Some((name, modules)) = path.split_last() else {
        return String::new();
    };
    let gate = if integration { "" } else { "#[cfg(test)]\n" };
    // The filter's spelling must not turn a denied lint into the failure.
    let named = path.iter().any(|part| part.contains(|c: char| c.is_ascii_uppercase()));
    let lint = if named { "#[allow(non_snake_case)]\n" } else { "" };
    let open: String = modules.iter().map(|module| format!("mod {module} {{\n")).collect();
    let close = "}\n".repeat(modules.len());
    format!("\n{gate}{lint}{open}#[test]\n{ignored}fn {name}() {{\n    panic!(\"{token}\");\n}}\n{close}")
}

/// Returns the directories of the packages that the command tests.
fn packages(scene: &Scene<'_>, call: &Call, arguments: &Arguments) -> Result<Vec<String>, NoCanary> {
    let home = match arguments.value(&["--manifest-path"]) {
        Some(path) => resolve(&call.directory, path).map(|path| split(&path).0.to_owned()),
        None => scene.nearest(&call.directory, "Cargo.toml"),
    };
    let Some(home) = home else {
        return refuse("there is no Cargo.toml");
    };
    let Some(manifest) = manifest(scene, &home) else {
        return refuse("Cargo.toml cannot be read");
    };
    let (root, workspace) = workspace(scene, &home);
    let members = members(scene, &root, &workspace);
    let name = |directory: &String| manifest_name(scene, directory);
    let wanted = arguments.values(&["-p", "--package"]);
    let found: Vec<String> = if !wanted.is_empty() {
        let bare: Vec<&str> = wanted
            .iter()
            .map(|spec| {
                spec.rsplit(['/', '#'])
                    .next()
                    .unwrap_or(spec)
                    .split(['@', ':'])
                    .next()
                    .unwrap_or(spec)
            })
            .collect();
        members
            .into_iter()
            .filter(|member| name(member).is_some_and(|name| globs(&bare).is_match(name)))
            .collect()
    } else if arguments.has(&["--workspace", "--all"]) || manifest.table("package").is_none() {
        let defaults = workspace
            .table("workspace")
            .map(|table| table.texts("default-members"))
            .unwrap_or_default();
        let chosen = if defaults.is_empty() || arguments.has(&["--workspace", "--all"]) {
            members
        } else {
            expand(scene, &root, &defaults)
        };
        let excluded = arguments.values(&["--exclude"]);
        chosen
            .into_iter()
            .filter(|member| !name(member).is_some_and(|name| excluded.contains(&name.as_str())))
            .collect()
    } else {
        vec![home]
    };
    if found.is_empty() {
        refuse("no package of the workspace is selected")
    } else {
        Ok(found)
    }
}

fn manifest(scene: &Scene<'_>, directory: &str) -> Option<Toml> {
    Some(Toml::parse(&scene.text(&join(directory, "Cargo.toml"))?))
}

fn manifest_name(scene: &Scene<'_>, directory: &str) -> Option<String> {
    manifest(scene, directory)?.table("package")?.text("name")
}

/// Returns the workspace's directory and manifest; a package alone is its own.
fn workspace(scene: &Scene<'_>, home: &str) -> (String, Toml) {
    for directory in ancestors(home) {
        if let Some(manifest) = manifest(scene, &directory).filter(|manifest| manifest.table("workspace").is_some()) {
            return (directory, manifest);
        }
    }
    (home.to_owned(), manifest(scene, home).unwrap_or_default())
}

fn members(scene: &Scene<'_>, root: &str, workspace: &Toml) -> Vec<String> {
    let listed = workspace
        .table("workspace")
        .map(|table| (table.texts("members"), table.texts("exclude")));
    let (members, excluded) = listed.unwrap_or_default();
    let mut found = expand(scene, root, &members);
    let excluded: Vec<String> = excluded.iter().filter_map(|path| resolve(root, path)).collect();
    found.retain(|member| !excluded.contains(member));
    if workspace.table("package").is_some() {
        found.insert(0, root.to_owned());
    }
    found.dedup();
    found
}

fn expand(scene: &Scene<'_>, root: &str, patterns: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for pattern in patterns.iter().take(MAX_MEMBERS) {
        let Some(path) = resolve(root, pattern) else {
            continue;
        };
        if !pattern.contains(['*', '?', '[']) {
            found.push(path);
            continue;
        }
        let set = globs(&[path.as_str()]);
        let fixed: Vec<&str> = path
            .split('/')
            .take_while(|part| !part.contains(['*', '?', '[']))
            .collect();
        let enter = |directory: &str| !matches!(split(directory).1, "target" | "node_modules" | ".git" | "src");
        let keep = |file: &str| split(file).1 == "Cargo.toml" && set.is_match(split(file).0);
        found.extend(
            scene
                .walk(&fixed.join("/"), &enter, &keep)
                .iter()
                .map(|file| split(file).0.to_owned()),
        );
    }
    found
}

/// Returns the roots of a package's test programs that the command runs.
fn package_targets(scene: &Scene<'_>, directory: &str, arguments: &Arguments) -> Vec<Target> {
    let Some(toml) = manifest(scene, directory) else {
        return Vec::new();
    };
    let all = !arguments.has(TARGETS) || arguments.has(&["--all-targets", "--tests"]);
    let automatic = |key: &str| toml.table("package").and_then(|table| table.flag(key)) != Some(false);
    let runs = |table: Option<&Table>| {
        table.is_none_or(|table| {
            table.flag("harness") != Some(false) && table.flag("test") != Some(false) && !table.has("required-features")
        })
    };
    let mut found = Vec::new();
    let library = toml.table("lib");
    if (all || arguments.has(&["--lib"])) && runs(library) {
        let path = library
            .and_then(|table| table.text("path"))
            .unwrap_or_else(|| "src/lib.rs".to_owned());
        found.push((path, false));
    }
    for (kind, flag, group, main, folder, integration) in [
        ("bin", "--bin", "--bins", Some("src/main.rs"), "src/bin", false),
        ("test", "--test", "--tests", None, "tests", true),
    ] {
        let wanted = globs(&arguments.values(&[flag]));
        let selected = |name: &str| all || arguments.has(&[group]) || wanted.is_match(name);
        let mut listed: Vec<(String, String)> = Vec::new();
        let automatic = automatic(if integration { "autotests" } else { "autobins" });
        if automatic {
            let package = toml
                .table("package")
                .and_then(|table| table.text("name"))
                .unwrap_or_default();
            listed.extend(main.map(|path| (package, path.to_owned())));
            for (name, is_directory) in scene.names(&join(directory, folder)) {
                if is_directory {
                    listed.push((name.clone(), format!("{folder}/{name}/main.rs")));
                } else if let Some(stem) = name.strip_suffix(".rs") {
                    listed.push((stem.to_owned(), format!("{folder}/{name}")));
                }
            }
        }
        for table in toml.tables(kind) {
            let Some(name) = table.text("name") else {
                continue;
            };
            let path = table.text("path").or_else(|| {
                listed
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, path)| path.clone())
            });
            let path = path.unwrap_or_else(|| format!("{folder}/{name}.rs"));
            listed.retain(|(known, known_path)| *known != name && *known_path != path);
            if runs(Some(table)) {
                listed.push((name, path));
            }
        }
        found.extend(
            listed
                .into_iter()
                .filter(|(name, _)| selected(name))
                .map(|(_, path)| (path, integration)),
        );
    }
    let paths = found.into_iter().filter_map(|(path, integration)| {
        Some(Target {
            path: resolve(directory, &path)?,
            integration,
        })
    });
    paths.filter(|target| scene.exists(&target.path)).collect()
}

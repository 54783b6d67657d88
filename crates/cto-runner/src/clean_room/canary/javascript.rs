//! The canaries of vitest, jest and bun: file patterns, the configuration that changes them, and module kinds.

use globset::GlobSet;

use super::arguments::Arguments;
use super::command::Call;
use super::filter::title;
use super::scene::{Scene, ancestors, globs, join, refuse, resolve, split, within};
use super::{Canary, NoCanary};

const VITEST_VALUED: &[&str] = &[
    "-r",
    "--root",
    "-c",
    "--config",
    "-t",
    "--testNamePattern",
    "--dir",
    "--project",
    "--reporter",
    "--environment",
    "--pool",
    "--bail",
    "--exclude",
    "--outputFile",
    "--maxWorkers",
    "--testTimeout",
    "--mode",
    "--retry",
    "--shard",
];
const JEST_VALUED: &[&str] = &[
    "-c",
    "--config",
    "-t",
    "--testNamePattern",
    "--testPathPattern",
    "--testPathPatterns",
    "--rootDir",
    "-w",
    "--maxWorkers",
    "--reporters",
    "--env",
    "--coverageDirectory",
    "--testTimeout",
    "--shard",
    "--selectProjects",
];
const BUN_VALUED: &[&str] = &[
    "-t",
    "--test-name-pattern",
    "--timeout",
    "--preload",
    "-r",
    "--bail",
    "--coverage-reporter",
];

/// What differs between the runners of this family.
struct Family<'a> {
    runner: &'static str,
    arguments: Arguments,
    root: String,
    collected: GlobSet,
    /// Whether an operand that is no file name is a part of the path.
    operands: Vec<String>,
    pattern: Option<&'a str>,
}

/// Makes the canary of a vitest command.
pub(super) fn vitest(scene: &Scene<'_>, call: &Call) -> Result<Canary, NoCanary> {
    let arguments = Arguments::parse(&call.args, VITEST_VALUED);
    let mut operands = arguments.positional.clone();
    match operands.first().map(String::as_str) {
        Some("run" | "watch" | "dev") => {
            operands.remove(0);
        }
        Some(verb @ ("bench" | "list" | "related" | "init")) => {
            return refuse(format!("'vitest {verb}' does not simply run the tests"));
        }
        _ => {}
    }
    if let Some(option) = arguments.first_of(&[
        "--changed",
        "--shard",
        "--project",
        "--exclude",
        "--passWithNoTests=only",
    ]) {
        return refuse(format!("'{option}' leaves no plain choice of files"));
    }
    let root = directory(call, arguments.value(&["-r", "--root"]))?;
    let configured = configured(
        scene,
        &root,
        arguments.value(&["-c", "--config"]),
        &["vitest.config", "vite.config"],
        "include",
    );
    let collected =
        globs(&configured.unwrap_or_else(|| vec!["**/*.{test,spec}.{js,mjs,cjs,ts,mts,cts,jsx,tsx}".to_owned()]));
    let pattern = arguments.value(&["-t", "--testNamePattern"]).map(str::to_owned);
    let family = Family {
        runner: "vitest",
        root,
        collected,
        operands,
        pattern: pattern.as_deref(),
        arguments,
    };
    generate(scene, call, &family, &|path, text, title, token| {
        // Without an import, a file that cannot hold one has only the globals that a configuration may switch on.
        let import = format!(
            "\nimport {{ test as t_{token} }} from \"vitest\";\nt_{token}({title}, () => {{\n  throw new Error(\"{token}\");\n}});\n"
        );
        (!is_commonjs(path, text)).then_some(import)
    })
}

/// Makes the canary of a jest command.
pub(super) fn jest(scene: &Scene<'_>, call: &Call) -> Result<Canary, NoCanary> {
    let arguments = Arguments::parse(&call.args, JEST_VALUED);
    let refused = [
        "--findRelatedTests",
        "-o",
        "--onlyChanged",
        "--listTests",
        "--shard",
        "--selectProjects",
        "--showConfig",
        "-f",
        "--onlyFailures",
    ];
    if let Some(option) = arguments.first_of(&refused) {
        return refuse(format!("'{option}' leaves no plain choice of files"));
    }
    let root = directory(call, arguments.value(&["--rootDir"]))?;
    let package: Option<serde_json::Value> = scene
        .text(&join(&root, "package.json"))
        .and_then(|text| serde_json::from_str(&text).ok());
    let listed = package
        .as_ref()
        .and_then(|package| package.get("jest")?.get("testMatch")?.as_array().cloned());
    let listed = listed.map(|items| {
        items
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    });
    let configured = listed.or_else(|| {
        configured(
            scene,
            &root,
            arguments.value(&["-c", "--config"]),
            &["jest.config"],
            "testMatch",
        )
    });
    let defaults = [
        "**/__tests__/**/*.{js,mjs,cjs,ts,mts,cts,jsx,tsx}",
        "**/*.{test,spec}.{js,mjs,cjs,ts,mts,cts,jsx,tsx}",
        "**/{test,spec}.{js,ts,jsx,tsx}",
    ];
    let patterns = configured.unwrap_or_else(|| defaults.iter().map(|p| (*p).to_owned()).collect());
    let patterns: Vec<String> = patterns
        .iter()
        .map(|p| plain_glob(p.trim_start_matches("<rootDir>/")))
        .collect();
    let operands = [
        arguments.positional.clone(),
        arguments
            .values(&["--testPathPattern", "--testPathPatterns"])
            .iter()
            .map(|v| (*v).to_owned())
            .collect(),
    ]
    .concat();
    let pattern = arguments.value(&["-t", "--testNamePattern"]).map(str::to_owned);
    let family = Family {
        runner: "jest",
        root,
        collected: globs(&patterns),
        operands,
        pattern: pattern.as_deref(),
        arguments,
    };
    generate(scene, call, &family, &|path, text, title, token| {
        let body = format!("({title}, () => {{\n  throw new Error(\"{token}\");\n}});\n");
        // A file that imports its functions may live where there are no globals.
        if text.contains("@jest/globals") {
            return Some(if is_commonjs(path, text) {
                format!("\n;require(\"@jest/globals\").test{body}")
            } else {
                format!("\nimport {{ test as t_{token} }} from \"@jest/globals\";\nt_{token}{body}")
            });
        }
        let shadowed = ["const test =", "let test =", "var test =", "function test("];
        (!shadowed.iter().any(|mark| text.contains(mark))).then(|| format!("\n;test{body}"))
    })
}

/// Makes the canary of a `bun test` command.
pub(super) fn bun(scene: &Scene<'_>, call: &Call) -> Result<Canary, NoCanary> {
    let arguments = Arguments::parse(&call.args, BUN_VALUED);
    if let Some(option) = arguments.first_of(&["--only", "--todo"]) {
        return refuse(format!("'{option}' runs marked tests alone"));
    }
    let collected = globs(&["**/*{.,_}{test,spec}.{js,jsx,ts,tsx,mjs,cjs,mts,cts}"]);
    let pattern = arguments.value(&["-t", "--test-name-pattern"]).map(str::to_owned);
    let operands = arguments.positional.clone();
    let family = Family {
        runner: "bun test",
        root: call.directory.clone(),
        collected,
        operands,
        pattern: pattern.as_deref(),
        arguments,
    };
    generate(scene, call, &family, &|path, text, title, token| {
        let body = format!("({title}, () => {{\n  throw new Error(\"{token}\");\n}});\n");
        Some(if is_commonjs(path, text) {
            format!("\n;require(\"bun:test\").test{body}")
        } else {
            format!("\nimport {{ test as t_{token} }} from \"bun:test\";\nt_{token}{body}")
        })
    })
}

/// Writes the code for a path, its text, a quoted title and a token; `None` where the file cannot take it.
type Write<'f> = dyn Fn(&str, &str, &str, &str) -> Option<String> + 'f;

fn generate(scene: &Scene<'_>, call: &Call, family: &Family<'_>, write: &Write<'_>) -> Result<Canary, NoCanary> {
    let Some(name) = title(family.pattern, scene.token()) else {
        return refuse(format!(
            "no test title can be made for the name pattern '{}'",
            shown(family.pattern)
        ));
    };
    let Ok(quoted) = serde_json::to_string(&name) else {
        return refuse("the test title cannot be written");
    };
    let enter = |path: &str| {
        !matches!(
            split(path).1,
            "node_modules" | ".git" | "dist" | "cypress" | ".cache" | ".output"
        )
    };
    let exact = family.runner == "bun test" || family.arguments.has(&["--runTestsByPath"]);
    let keep = |path: &str| {
        let relative = path
            .strip_prefix(family.root.as_str())
            .unwrap_or(path)
            .trim_start_matches('/');
        let collected = family.collected.is_match(relative);
        let wanted = |word: &String| match resolve(&call.directory, word) {
            Some(file) if exact && scene.exists(&file) => within(path, &file),
            _ => path.contains(word.trim_start_matches("./").trim_end_matches('$')),
        };
        collected && (family.operands.is_empty() || family.operands.iter().any(wanted))
    };
    let candidates = scene.walk(&family.root, &enter, &keep);
    let can = |path: &str, text: &str| write(path, text, &quoted, scene.token()).is_some();
    let Some(chosen) = scene.choose(candidates, &can, &|_, text| may_be_skipped(text)) else {
        return refuse(format!("no file that {} collects was found", family.runner));
    };
    let Some(code) = write(&chosen.path, &chosen.text, &quoted, scene.token()) else {
        return refuse("the file cannot take a test");
    };
    Ok(Canary {
        runner: family.runner,
        content: chosen.append(&code),
        file: chosen.path.into_bytes(),
        test_name: name,
    })
}

fn shown(pattern: Option<&str>) -> String {
    cto_schema::escape(pattern.unwrap_or_default().as_bytes(), 80)
}

fn directory(call: &Call, root: Option<&str>) -> Result<String, NoCanary> {
    match resolve(&call.directory, root.unwrap_or(".")) {
        Some(root) => Ok(root),
        None => refuse("the root directory is outside the workspace"),
    }
}

/// Returns whether a test in the file may be left out because of a mark elsewhere in it.
pub(super) fn may_be_skipped(text: &str) -> bool {
    [".only(", ".only.", "fdescribe(", "fit(", "process.exit("]
        .iter()
        .any(|mark| text.contains(mark))
}

/// Returns whether a file is a CommonJS module by its name and its content.
pub(super) fn is_commonjs(path: &str, text: &str) -> bool {
    let modern = text
        .lines()
        .any(|line| line.starts_with("import ") || line.starts_with("import{") || line.starts_with("export "));
    let named = path.ends_with(".cjs") || path.ends_with(".cts");
    named || (!modern && text.contains("require("))
}

/// Returns whether the nearest package says that its `.js` files are ES modules.
pub(super) fn is_module_package(scene: &Scene<'_>, path: &str) -> bool {
    let package = ancestors(split(path).0).find_map(|directory| scene.text(&join(&directory, "package.json")));
    let value = package.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    value.is_some_and(|value| value.get("type").and_then(|kind| kind.as_str()) == Some("module"))
}

/// Reads a list of patterns from a configuration program, as far as it is written out in one array of texts.
fn configured(scene: &Scene<'_>, root: &str, named: Option<&str>, stems: &[&str], key: &str) -> Option<Vec<String>> {
    const ENDINGS: [&str; 8] = ["ts", "mts", "cts", "js", "mjs", "cjs", "json", "tsx"];
    let found = stems.iter().flat_map(|stem| {
        ENDINGS
            .iter()
            .map(move |ending| join(root, &format!("{stem}.{ending}")))
    });
    let text = named
        .and_then(|file| resolve(root, file))
        .into_iter()
        .chain(found)
        .find_map(|file| scene.text(&file))?;
    // A vite configuration has other `include` lists; the one of the tests comes after `test:` and before coverage.
    let scope = if key == "include" {
        text.split_once("test:")?.1.split("coverage").next()?
    } else {
        &text
    };
    let after = scope
        .match_indices(key)
        .find(|(at, _)| !scope[..*at].ends_with(|c: char| c.is_alphanumeric()))?
        .0
        + key.len();
    let list = scope[after..]
        .trim_start_matches(['"', '\''])
        .trim_start()
        .strip_prefix(':')?
        .trim_start()
        .strip_prefix('[')?;
    let body = list.split(']').next().filter(|body| !body.contains("..."));
    // A pattern may hold brackets itself: then the default stands, and a canary that is not collected will show.
    let items: Vec<String> = body?
        .split(['"', '\'', '`'])
        .skip(1)
        .step_by(2)
        .map(plain_glob)
        .collect();
    (!items.is_empty()).then_some(items)
}

/// Rewrites the extended globs that JavaScript tools use for file endings into braces.
fn plain_glob(pattern: &str) -> String {
    let whole = pattern
        .replace("?(c|m)[jt]s?(x)", "{js,ts,jsx,tsx,mjs,mts,cjs,cts}")
        .replace("[jt]s?(x)", "{js,ts,jsx,tsx}");
    whole
        .replace("?(*.)+(spec|test)", "{*.spec,*.test,spec,test}")
        .trim_start_matches("./")
        .to_owned()
}

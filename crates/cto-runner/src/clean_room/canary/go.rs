//! The canary of `go test`: the packages of the command, and a test file that surely builds there.

use super::arguments::Arguments;
use super::command::Call;
use super::filter::literals;
use super::scene::{Scene, join, refuse, resolve, split};
use super::{Canary, NoCanary};

const VALUED: &[&str] = &[
    "-run",
    "-skip",
    "-count",
    "-timeout",
    "-tags",
    "-coverprofile",
    "-covermode",
    "-coverpkg",
    "-cpu",
    "-parallel",
    "-bench",
    "-benchtime",
    "-mod",
    "-modfile",
    "-C",
    "-o",
    "-p",
    "-shuffle",
    "-vet",
    "-ldflags",
    "-gcflags",
    "-asmflags",
    "-outputdir",
    "-fuzz",
    "-fuzztime",
    "-overlay",
    "-pgo",
    "-exec",
    "-list",
    "-cpuprofile",
    "-memprofile",
];

/// Endings of file names that are build constraints.
const CONSTRAINED: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "illumos",
    "ios",
    "js",
    "linux",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasip1",
    "windows",
    "386",
    "amd64",
    "arm",
    "arm64",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mipsle",
    "ppc64",
    "ppc64le",
    "riscv64",
    "s390x",
    "wasm",
];

/// Makes the canary of a `go test` command.
pub(super) fn canary(scene: &Scene<'_>, call: &Call) -> Result<Canary, NoCanary> {
    let arguments = Arguments::parse_go(&call.args, VALUED);
    if let Some(option) = arguments.first_of(&["-c", "-list", "-exec", "-fuzz", "-n", "-overlay"]) {
        return refuse(format!("'{option}' does not simply run the tests"));
    }
    let Some(home) = arguments
        .value(&["-C"])
        .map_or_else(|| Some(call.directory.clone()), |path| resolve(&call.directory, path))
    else {
        return refuse("'-C' leaves the workspace");
    };
    let name = test_name(scene, &arguments)?;
    let candidates = files(scene, &home, &arguments.positional)?;
    let chosen = scene.choose(candidates, &|path, text| builds(path, text), &|_, text| {
        text.contains("func TestMain(")
    });
    let Some(chosen) = chosen else {
        return refuse("no unconstrained test file that imports \"testing\" was found in the command's packages");
    };
    let code = format!("\nfunc {name}(t *testing.T) {{\n\tt.Fatal(\"{}\")\n}}\n", scene.token());
    Ok(Canary {
        runner: "go test",
        content: chosen.append(&code),
        file: chosen.path.into_bytes(),
        test_name: name,
    })
}

/// Returns whether the file is built on every system and `testing` in it means the package: anything else would make
/// the canary a compile error, which proves nothing.
fn builds(path: &str, text: &str) -> bool {
    let stem = path.strip_suffix("_test.go").unwrap_or(path);
    let constrained = stem
        .rsplit('_')
        .next()
        .is_some_and(|last| last != split(stem).1 && CONSTRAINED.contains(&last));
    let directive = text
        .lines()
        .any(|line| line.starts_with("//go:build") || line.starts_with("// +build"));
    let mut block = false;
    let mut imports = false;
    for line in text.lines().map(str::trim) {
        match line.strip_prefix("import") {
            Some(rest) if rest.trim() == "\"testing\"" => imports = true,
            Some(rest) if rest.trim() == "(" => block = true,
            _ if block && line == "\"testing\"" => imports = true,
            _ if line == ")" => block = false,
            _ => {}
        }
    }
    imports && !constrained && !directive
}

/// Returns a test name that `-run` selects and `-skip` does not.
fn test_name(scene: &Scene<'_>, arguments: &Arguments) -> Result<String, NoCanary> {
    let token = scene.token();
    let mut name = format!("Test_{token}");
    if let Some(pattern) = arguments.value(&["-run"]) {
        let first = pattern.split('/').next().unwrap_or(pattern);
        let word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let alternatives = literals(first).unwrap_or_default();
        let found = alternatives
            .into_iter()
            .find_map(|(anchored, text)| match text.as_str() {
                "" => Some(name.clone()),
                text if !word(text) => None,
                text if text.starts_with("Test") => Some(format!("{text}_{token}")),
                text if anchored => "Test".starts_with(text).then(|| name.clone()),
                text => Some(format!("Test_{text}_{token}")),
            });
        match found {
            // `Test` and a lower-case letter is no test to Go.
            Some(found) if !found[4..].starts_with(|c: char| c.is_ascii_lowercase()) => {
                name = found;
            }
            _ => {
                return refuse(format!(
                    "no test name can be made for -run '{}'",
                    cto_schema::escape(pattern.as_bytes(), 80)
                ));
            }
        }
    }
    match arguments.value(&["-skip"]).map(literals) {
        Some(None) => refuse("'-skip' is a pattern that cto does not read"),
        Some(Some(skips)) if skips.iter().any(|(_, text)| name.contains(text.as_str())) => {
            refuse("'-skip' matches the test")
        }
        _ => Ok(name),
    }
}

/// Returns the test files of the packages that the command names.
fn files(scene: &Scene<'_>, home: &str, operands: &[String]) -> Result<Vec<String>, NoCanary> {
    let module = module(scene, home);
    let here = [".".to_owned()];
    let operands = if operands.is_empty() { &here } else { operands };
    let mut found = Vec::new();
    for word in operands {
        if word.ends_with(".go") {
            found.extend(resolve(home, word).filter(|path| path.ends_with("_test.go") && scene.exists(path)));
            continue;
        }
        let relative = match &module {
            _ if word.starts_with('.') => resolve(home, word),
            Some((root, name)) => word
                .strip_prefix(name.as_str())
                .filter(|rest| rest.is_empty() || rest.starts_with('/'))
                .and_then(|rest| resolve(root, rest.trim_start_matches('/'))),
            None => None,
        };
        let Some(path) = relative else { continue };
        let (directory, deep) = match path.strip_suffix("...") {
            Some(directory) => (directory.trim_end_matches('/').to_owned(), true),
            None => (path, false),
        };
        let enter = |path: &str| {
            let name = split(path).1;
            deep && !name.starts_with(['.', '_'])
                && !matches!(name, "testdata" | "vendor")
                && !scene.exists(&join(path, "go.mod"))
        };
        let keep = |path: &str| path.ends_with("_test.go") && !split(path).1.starts_with(['.', '_']);
        found.extend(scene.walk(&directory, &enter, &keep));
    }
    if found.is_empty() {
        refuse("no test file was found in the command's packages")
    } else {
        Ok(found)
    }
}

/// Returns the directory and the name of the module.
fn module(scene: &Scene<'_>, home: &str) -> Option<(String, String)> {
    let root = scene.nearest(home, "go.mod")?;
    let text = scene.text(&join(&root, "go.mod"))?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("module "))?;
    let name = line
        .split("//")
        .next()
        .unwrap_or(line)
        .trim()
        .trim_matches('"')
        .to_owned();
    Some((root, name))
}

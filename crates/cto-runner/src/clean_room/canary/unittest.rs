//! The canary of `python -m unittest`: named modules, or discovery by its own rules.

use super::arguments::Arguments;
use super::command::Call;
use super::python::{Place, is_identifier, may_be_skipped};
use super::scene::{Scene, globs, join, refuse, resolve, split};
use super::{Canary, NoCanary};

const VALUED: &[&str] = &[
    "-k",
    "-s",
    "--start-directory",
    "-p",
    "--pattern",
    "-t",
    "--top-level-directory",
    "--durations",
];

/// Makes the canary of a unittest command.
pub(super) fn canary(scene: &Scene<'_>, call: &Call) -> Result<Canary, NoCanary> {
    let arguments = Arguments::parse(&call.args, VALUED);
    let doubtful = |_: &str, text: &str| may_be_skipped(text);
    let names = &arguments.positional;
    let discovers = names.first().is_none_or(|word| word == "discover");
    let (open, named) = if discovers {
        (discovered(scene, call, &arguments)?, Vec::new())
    } else {
        mentioned(scene, call, names)
    };
    let method = method_name(scene, &arguments)?;
    let can = |_: &str, text: &str| !text.trim_end_matches(['\n', '\r']).ends_with('\\');
    if let Some(chosen) = scene.choose(open, &can, &doubtful) {
        let token = scene.token();
        let code = format!(
            "\n\nclass Test_{token}(__import__(\"unittest\").TestCase):\n    def {method}(self):\n        self.fail(\"{token}\")\n"
        );
        return Ok(Canary {
            runner: "unittest",
            content: chosen.append(&code),
            file: chosen.path.into_bytes(),
            test_name: method,
        });
    }
    for (path, place) in named {
        let inside = place.clone();
        let Some(chosen) = scene.choose(vec![path], &move |_, text| inside.is_in(text), &doubtful) else {
            continue;
        };
        let name = place.test_name(&method);
        let content = chosen.append(&place.named_code(&name, scene.token()));
        return Ok(Canary {
            runner: "unittest",
            content,
            file: chosen.path.into_bytes(),
            test_name: name,
        });
    }
    refuse("no module that unittest loads was found")
}

/// Follows `unittest discover`: files by pattern, and only those directories below the start that are packages.
fn discovered(scene: &Scene<'_>, call: &Call, arguments: &Arguments) -> Result<Vec<String>, NoCanary> {
    let operands = arguments.positional.get(1..).unwrap_or_default();
    let operand = |at: usize| operands.get(at).map(String::as_str);
    let start = arguments
        .value(&["-s", "--start-directory"])
        .or_else(|| operand(0))
        .unwrap_or(".");
    let pattern = arguments
        .value(&["-p", "--pattern"])
        .or_else(|| operand(1))
        .unwrap_or("test*.py");
    let dotted = start.replace('.', "/");
    let paths = [resolve(&call.directory, start), resolve(&call.directory, &dotted)];
    let Some(root) = paths.into_iter().flatten().find(|path| scene.is_directory(path)) else {
        return refuse(format!(
            "the start directory '{}' is not there",
            cto_schema::escape(start.as_bytes(), 80)
        ));
    };
    let patterns = globs(&[pattern]);
    let enter = |path: &str| {
        let package = scene.text(&join(path, "__init__.py"));
        is_identifier(split(path).1) && package.is_some_and(|text| !text.contains("def load_tests"))
    };
    let keep = |path: &str| {
        let name = split(path).1;
        patterns.is_match(name) && name.strip_suffix(".py").is_some_and(is_identifier)
    };
    Ok(scene.walk(&root, &enter, &keep))
}

type Named = Vec<(String, Place)>;

/// Resolves file names and dotted names from the current directory, which is first on Python's path.
fn mentioned(scene: &Scene<'_>, call: &Call, names: &[String]) -> (Vec<String>, Named) {
    let (mut open, mut named) = (Vec::new(), Named::new());
    for name in names {
        if let Some(path) = resolve(&call.directory, name).filter(|path| path.ends_with(".py") && scene.exists(path)) {
            open.push(path);
            continue;
        }
        let parts: Vec<&str> = name.split('.').collect();
        if !parts.iter().all(|part| is_identifier(part)) {
            continue;
        }
        let module = (1..=parts.len()).rev().find_map(|length| {
            let base = join(&call.directory, &parts[..length].join("/"));
            let files = [format!("{base}.py"), format!("{base}/__init__.py")];
            files
                .into_iter()
                .find(|file| scene.exists(file))
                .map(|file| (file, &parts[length..]))
        });
        match module {
            Some((file, [])) => open.push(file),
            Some((file, [class])) => named.push((file, Place::Class((*class).to_owned()))),
            Some((file, [class, method])) => {
                named.push((file, Place::Method((*class).to_owned(), (*method).to_owned())));
            }
            _ => {}
        }
    }
    (open, named)
}

/// Returns a method name that `-k` selects: a substring, or a pattern of plain text and `*`.
fn method_name(scene: &Scene<'_>, arguments: &Arguments) -> Result<String, NoCanary> {
    let token = scene.token();
    let Some(pattern) = arguments.values(&["-k"]).into_iter().next() else {
        return Ok(format!("test_{token}"));
    };
    let plain = pattern.trim_matches('*');
    let inner_star = pattern.contains('*') && !(pattern.starts_with('*') && pattern.ends_with('*'));
    if plain.is_empty() {
        return Ok(format!("test_{token}"));
    }
    if !plain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') || inner_star {
        return refuse(format!(
            "no test name can be made for -k '{}'",
            cto_schema::escape(pattern.as_bytes(), 80)
        ));
    }
    Ok(format!("test_{plain}_{token}"))
}

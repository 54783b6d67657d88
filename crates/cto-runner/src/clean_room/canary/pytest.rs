//! The canary of pytest: its arguments, its configuration files and the files that it collects.

use std::collections::BTreeMap;

use super::arguments::Arguments;
use super::command::Call;
use super::filter::Filter;
use super::python::{Place, is_identifier, may_be_skipped};
use super::scene::{Scene, ancestors, globs, join, refuse, resolve, split, within};
use super::toml::Toml;
use super::words::chained_commands;
use super::{Canary, NoCanary};

/// Options that take a value; a plugin's unknown option is taken for a flag.
const VALUED: &[&str] = &[
    "-k",
    "-m",
    "-c",
    "--config-file",
    "--rootdir",
    "-p",
    "-o",
    "--override-ini",
    "-n",
    "--numprocesses",
    "--maxfail",
    "--deselect",
    "--ignore",
    "--ignore-glob",
    "--tb",
    "--durations",
    "-W",
    "--cov",
    "--cov-report",
    "--cov-config",
    "--junitxml",
    "--junit-xml",
    "--timeout",
    "--confcutdir",
    "--basetemp",
    "--import-mode",
    "--color",
    "-r",
    "--dist",
    "--log-level",
    "--log-cli-level",
    "--capture",
    "--verbosity",
    "--reruns",
    "--ds",
    "--asyncio-mode",
];

/// Test paths of a configuration that are looked at.
const MAX_TESTPATHS: usize = 100;

/// Directories that pytest does not enter by default.
const NOT_ENTERED: &[&str] = &["CVS", "_darcs", "build", "dist", "node_modules", "venv", "__pycache__"];

/// The settings that decide what is collected.
#[derive(Debug, Default)]
struct Settings {
    directory: String,
    values: BTreeMap<String, Vec<String>>,
}

impl Settings {
    fn words(&self, key: &str, default: &[&str]) -> Vec<String> {
        match self.values.get(key).filter(|words| !words.is_empty()) {
            Some(words) => words.clone(),
            None => default.iter().map(|word| (*word).to_owned()).collect(),
        }
    }
}

/// Makes the canary of a pytest command.
pub(super) fn canary(scene: &Scene<'_>, call: &Call) -> Result<Canary, NoCanary> {
    let first = Arguments::parse(&call.args, VALUED);
    let settings = settings(scene, call, &first);
    let arguments = match settings.values.get("addopts") {
        Some(words) => Arguments::parse(&[words.as_slice(), &call.args].concat(), VALUED),
        None => first,
    };
    if let Some(option) = arguments.first_of(&[
        "--collect-only",
        "--co",
        "--help",
        "-h",
        "--version",
        "--fixtures",
        "--pyargs",
    ]) {
        return refuse(format!("'{option}' runs no tests of known files"));
    }
    let (open, named) = selected(scene, call, &arguments, &settings)?;
    let can = |_: &str, text: &str| is_python_text(text);
    let doubtful = |_: &str, text: &str| may_be_skipped(text);
    if let Some(chosen) = scene.choose(open, &can, &doubtful) {
        let (name, decoration) = test_name(scene, &arguments, &settings, &chosen.path)?;
        let code = format!(
            "\n\n{decoration}def {name}():\n    raise AssertionError(\"{}\")\n",
            scene.token()
        );
        return Ok(Canary {
            runner: "pytest",
            content: chosen.append(&code),
            file: chosen.path.into_bytes(),
            test_name: name,
        });
    }
    if arguments.has(&["-k", "-m"]) && !named.is_empty() {
        return refuse("the command selects tests by name and by '-k' or '-m'");
    }
    for (path, place) in named {
        let inside = place.clone();
        let Some(chosen) = scene.choose(vec![path], &move |_, text| inside.is_in(text), &doubtful) else {
            continue;
        };
        let name = place.test_name(&format!("test_{}", scene.token()));
        let content = chosen.append(&place.named_code(&name, scene.token()));
        return Ok(Canary {
            runner: "pytest",
            content,
            file: chosen.path.into_bytes(),
            test_name: name,
        });
    }
    refuse("no file that pytest collects was found")
}

/// A file that ends in a continued line would swallow what is appended.
fn is_python_text(text: &str) -> bool {
    !text.trim_end_matches(['\n', '\r']).ends_with('\\')
}

type Named = Vec<(String, Place)>;

/// Returns the files that are collected whole, and those of which the command names a part.
fn selected(
    scene: &Scene<'_>,
    call: &Call,
    arguments: &Arguments,
    settings: &Settings,
) -> Result<(Vec<String>, Named), NoCanary> {
    let patterns = globs(&settings.words("python_files", &["test_*.py", "*_test.py"]));
    let ignored: Vec<String> = arguments
        .values(&["--ignore"])
        .into_iter()
        .filter_map(|path| resolve(&call.directory, path))
        .collect();
    let enter = |path: &str| {
        let name = split(path).1;
        let virtualenv = || scene.exists(&join(path, "pyvenv.cfg"));
        !(NOT_ENTERED.contains(&name)
            || name.starts_with('.')
            || name.ends_with(".egg")
            || ignored.iter().any(|i| i == path)
            || virtualenv())
    };
    let keep =
        |path: &str| patterns.is_match(split(path).1) && path.ends_with(".py") && !ignored.iter().any(|i| i == path);
    let mut operands: Vec<(String, &str)> = [&arguments.positional, &arguments.rest]
        .into_iter()
        .flatten()
        .map(|word| (call.directory.clone(), word.as_str()))
        .collect();
    let testpaths = settings.words("testpaths", &[]);
    if operands.is_empty() {
        if call.directory == settings.directory {
            operands = testpaths
                .iter()
                .take(MAX_TESTPATHS)
                .map(|word| (settings.directory.clone(), word.as_str()))
                .collect();
        }
        operands.push((call.directory.clone(), "."));
        // Without any test path that exists, the current directory is searched.
        let exists = |(base, word): &(String, &str)| {
            resolve(base, word).is_some_and(|path| scene.exists(&path) || word.contains('*'))
        };
        if operands.len() > 1 && operands[..operands.len() - 1].iter().any(exists) {
            operands.pop();
        }
    }
    let (mut open, mut named) = (Vec::new(), Named::new());
    for (base, word) in operands {
        let (file, id) = word
            .split_once("::")
            .map_or((word, None), |(file, id)| (file, Some(id)));
        let Some(path) = resolve(&base, file) else {
            continue;
        };
        match id {
            Some(id) => named.extend(place(id).map(|place| (path, place))),
            None if scene.is_directory(&path) => open.extend(scene.walk(&path, &enter, &keep)),
            None if file.contains(['*', '?', '[']) => {
                let set = globs(&[path.as_str(), &format!("{path}/**")]);
                let wanted = |file: &str| {
                    set.is_match(file)
                        && file.ends_with(".py")
                        && (globs(&[path.as_str()]).is_match(file) || keep(file))
                };
                open.extend(scene.walk(&base, &enter, &wanted));
            }
            None if scene.exists(&path) && path.ends_with(".py") => open.push(path),
            None => {}
        }
    }
    Ok((open, named))
}

/// Reads the part of a node id after the file; a parametrised id cannot be taken over.
fn place(id: &str) -> Option<Place> {
    let parts: Vec<&str> = id.split("::").collect();
    if !parts.iter().all(|part| is_identifier(part)) {
        return None;
    }
    match parts.as_slice() {
        [name] if name.starts_with(|c: char| c.is_ascii_uppercase()) => Some(Place::Class((*name).to_owned())),
        [name] => Some(Place::Function((*name).to_owned())),
        [class, method] => Some(Place::Method((*class).to_owned(), (*method).to_owned())),
        _ => None,
    }
}

/// Returns a name that the filters select, and the marker lines that it needs.
fn test_name(
    scene: &Scene<'_>,
    arguments: &Arguments,
    settings: &Settings,
    path: &str,
) -> Result<(String, String), NoCanary> {
    let function = settings.words("python_functions", &["test"]).swap_remove(0);
    let named = |words: &[&str]| {
        let middle = [words, &[scene.token()]].concat().join("_");
        match function.split_once('*') {
            Some((head, tail)) => format!("{head}{middle}{}", tail.replace('*', "")),
            None => format!("{}_{middle}", function.trim_end_matches('_')),
        }
    };
    let mut name = named(&[]);
    if let Some(text) = arguments.value(&["-k"]) {
        let shown = cto_schema::escape(text.as_bytes(), 80);
        let Some(filter) = Filter::parse(text) else {
            return refuse(format!("no test name can be made for -k '{shown}'"));
        };
        let lower_path = path.to_lowercase();
        let selects = |name: &str| {
            let lower = name.to_lowercase();
            // What pytest matches besides the name differs by version: both readings must select the test.
            filter.holds(&|word| lower.contains(&word.to_lowercase()))
                && filter
                    .holds(&|word| lower.contains(&word.to_lowercase()) || lower_path.contains(&word.to_lowercase()))
        };
        match filter
            .proposals()
            .iter()
            .map(|words| named(words))
            .find(|name| selects(name))
        {
            Some(found) => name = found,
            None => return refuse(format!("no test name matches -k '{shown}'")),
        }
    }
    let mut decoration = String::new();
    if let Some(text) = arguments.value(&["-m"]) {
        let shown = cto_schema::escape(text.as_bytes(), 80);
        let marks = Filter::parse(text).and_then(|filter| {
            let proposals: Vec<Vec<String>> = filter
                .proposals()
                .iter()
                .map(|p| p.iter().map(|w| (*w).to_owned()).collect())
                .collect();
            proposals
                .into_iter()
                .find(|marks| filter.holds(&|word| marks.iter().any(|mark| mark == word)))
        });
        let Some(marks) = marks else {
            return refuse(format!("no set of markers matches -m '{shown}'"));
        };
        decoration = marks
            .iter()
            .map(|mark| format!("@__import__(\"pytest\").mark.{mark}\n"))
            .collect();
    }
    Ok((name, decoration))
}

/// Finds the configuration file as pytest does: from the arguments' common directory upwards, or where `-c` says.
fn settings(scene: &Scene<'_>, call: &Call, arguments: &Arguments) -> Settings {
    if let Some(file) = arguments
        .value(&["-c", "--config-file"])
        .and_then(|file| resolve(&call.directory, file))
    {
        let directory = split(&file).0.to_owned();
        return Settings {
            directory,
            values: read(scene, &file, true).unwrap_or_default(),
        };
    }
    let mut start: Option<String> = None;
    for word in &arguments.positional {
        let file = word.split("::").next().unwrap_or(word);
        let Some(path) = resolve(&call.directory, file).filter(|path| scene.exists(path)) else {
            continue;
        };
        let directory = if scene.is_directory(&path) {
            path
        } else {
            split(&path).0.to_owned()
        };
        start = Some(match start {
            Some(old) => ancestors(&old)
                .find(|parent| within(&directory, parent))
                .unwrap_or_default(),
            None => directory,
        });
    }
    for directory in ancestors(&start.unwrap_or_else(|| call.directory.clone())) {
        for (name, always) in [
            ("pytest.ini", true),
            (".pytest.ini", true),
            ("pyproject.toml", false),
            ("tox.ini", false),
            ("setup.cfg", false),
        ] {
            if let Some(values) = read(scene, &join(&directory, name), always) {
                return Settings { directory, values };
            }
        }
    }
    Settings {
        directory: call.directory.clone(),
        values: BTreeMap::new(),
    }
}

fn read(scene: &Scene<'_>, path: &str, always: bool) -> Option<BTreeMap<String, Vec<String>>> {
    const KEYS: [&str; 4] = ["testpaths", "python_files", "python_functions", "addopts"];
    let text = scene.text(path)?;
    let mut values = BTreeMap::new();
    if path.ends_with(".toml") {
        let toml = Toml::parse(&text);
        let table = toml
            .table("tool.pytest.ini_options")
            .or_else(|| toml.table("tool.pytest"))?;
        for key in KEYS {
            let texts = table.texts(key);
            let words = if texts.len() == 1 {
                split_words(&texts[0])
            } else {
                texts
            };
            values.insert(key.to_owned(), words);
        }
        return Some(values);
    }
    let section = if path.ends_with(".cfg") {
        "[tool:pytest]"
    } else {
        "[pytest]"
    };
    let mut inside = false;
    let mut found = always;
    let mut current: Option<String> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with('[') && !line.starts_with([' ', '\t']) {
            inside = trimmed == section;
            found |= inside;
            current = None;
        } else if !inside || trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
        } else if line.starts_with([' ', '\t']) {
            if let Some(words) = current.as_ref().and_then(|key| values.get_mut(key)) {
                Vec::extend(words, split_words(trimmed));
            }
        } else if let Some((key, value)) = trimmed.split_once(['=', ':']) {
            let key = key.trim().to_owned();
            values.insert(key.clone(), split_words(value.trim()));
            current = Some(key);
        }
    }
    found.then_some(values)
}

fn split_words(text: &str) -> Vec<String> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match chained_commands(&line) {
        Some(commands) if commands.len() == 1 => commands.into_iter().flatten().collect(),
        _ => line
            .split(' ')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect(),
    }
}

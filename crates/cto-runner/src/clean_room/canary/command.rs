//! Which runner a command starts, seen through environments, shells, package managers and package scripts.

use super::NoCanary;
use super::scene::{Scene, join, refuse, resolve};
use super::words::{chained_commands, is_assignment};

/// How many wrappers are looked through; a script that names itself ends here.
const MAX_WRAPPERS: usize = 12;

/// A recognised runner, its arguments and the directory it runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Name in the table of runners.
    pub(super) runner: &'static str,
    /// Words after the runner's own name.
    pub(super) args: Vec<String>,
    /// Directory from the root of the tree, empty at the root.
    pub(super) directory: String,
}

/// Options of package managers that are followed by a value which changes nothing for us.
const VALUED: &[&str] = &[
    "--with",
    "--python",
    "--extra",
    "--group",
    "--only-group",
    "--no-group",
    "--env-file",
    "--package",
    "--index-url",
    "--loglevel",
    "--reporter",
    "--cache-dir",
    "-p",
];

/// Finds the runner behind a command.
pub(super) fn recognise(scene: &Scene<'_>, argv: &[String]) -> Result<Call, NoCanary> {
    look(scene, argv, "", MAX_WRAPPERS)
}

fn look(scene: &Scene<'_>, argv: &[String], directory: &str, left: usize) -> Result<Call, NoCanary> {
    let Some((program, args)) = argv.split_first() else {
        return refuse("the command is empty");
    };
    let Some(left) = left.checked_sub(1).filter(|_| scene.may_look()) else {
        return refuse("the command is wrapped too deeply");
    };
    let name = program.rsplit('/').next().unwrap_or(program);
    let again = |words: &[String], directory: &str| look(scene, words, directory, left);
    let call = |runner, args: &[String]| {
        Ok(Call {
            runner,
            args: args.to_vec(),
            directory: directory.to_owned(),
        })
    };
    match name {
        "pytest" | "py.test" => call("pytest", args),
        "vitest" => call("vitest", args),
        "jest" => call("jest", args),
        "env" | "cross-env" | "cross-env-shell" => environment(args, directory, &again),
        "sh" | "bash" | "dash" | "zsh" => shell(scene, args, directory, left),
        "timeout" => again(skip(args, &["-s", "--signal", "-k", "--kill-after"], 1), directory),
        "nice" => again(skip(args, &["-n", "--adjustment"], 0), directory),
        "time" | "exec" | "command" | "nohup" | "dotenv" => again(skip(args, &[], 0), directory),
        "c8" | "nyc" => again(skip(args, &["-r", "--reporter"], 0), directory),
        "coverage" if args.first().is_some_and(|word| word == "run") => {
            python(skip_until_module(&args[1..]), directory, name)
        }
        "uv" | "poetry" | "pipenv" | "pdm" | "hatch" | "rye" => {
            let (options, rest) = split_command(args, VALUED, directory)?;
            match rest.split_first() {
                Some((word, rest)) if word == "run" => {
                    let (inner, rest) = split_command(rest, VALUED, &options)?;
                    match rest.split_first() {
                        Some((word, module)) if word == "-m" || word == "--module" => module_call(module, &inner, name),
                        _ => again(rest, &inner),
                    }
                }
                _ => refuse(format!("'{name}' is not followed by 'run'")),
            }
        }
        "npx" | "bunx" | "pnpx" => {
            let (directory, rest) = split_command(args, VALUED, directory)?;
            again(rest, &directory)
        }
        "npm" | "pnpm" | "yarn" | "bun" => package_manager(scene, name, args, directory, left),
        "node" | "nodejs" => node(args, directory),
        "cargo" => cargo(args, directory),
        "go" => {
            let (directory, rest) = split_command(args, &[], directory)?;
            match rest.split_first() {
                Some((word, rest)) if word == "test" => Ok(Call {
                    runner: "go test",
                    args: rest.to_vec(),
                    directory,
                }),
                _ => refuse("the go command is not 'go test'"),
            }
        }
        name if is_python(name) => python(args, directory, name),
        name => refuse(format!(
            "'{}' is not a test runner that cto can make a canary for",
            cto_schema::escape(name.as_bytes(), 60)
        )),
    }
}

fn is_python(name: &str) -> bool {
    let rest = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy"));
    rest.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

/// Drops leading options (with the values that some take) and then a number of words.
fn skip<'w>(words: &'w [String], valued: &[&str], operands: usize) -> &'w [String] {
    let mut at = 0;
    while let Some(word) = words.get(at).filter(|word| word.starts_with('-')) {
        at += if valued.contains(&word.as_str()) { 2 } else { 1 };
        if word == "--" {
            break;
        }
    }
    words.get(at + operands..).unwrap_or_default()
}

/// Reads a package manager's own options: returns the directory that they select and the words after them.
fn split_command<'w>(
    words: &'w [String],
    valued: &[&str],
    directory: &str,
) -> Result<(String, &'w [String]), NoCanary> {
    const DIRECTORY: &[&str] = &["-C", "--directory", "--prefix", "--dir", "--cwd"];
    let mut directory = directory.to_owned();
    let mut at = 0;
    while let Some(word) = words.get(at).filter(|word| word.starts_with('-')) {
        let (name, inline) = word
            .split_once('=')
            .map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        match name {
            "--" => return Ok((directory, words.get(at + 1..).unwrap_or_default())),
            "-m" | "--module" => break,
            "-r" | "--recursive" | "-w" | "--workspace" | "--workspaces" | "-ws" | "--filter" | "-F" | "--project" => {
                return refuse(format!(
                    "'{name}' selects packages, so the command's own test files are not known"
                ));
            }
            _ if DIRECTORY.contains(&name) => {
                let value = inline
                    .or_else(|| words.get(at + 1).map(String::as_str))
                    .unwrap_or_default();
                directory = resolve(&directory, value).ok_or_else(|| outside(value))?;
                at += usize::from(inline.is_none());
            }
            _ => at += usize::from(inline.is_none() && valued.contains(&name)),
        }
        at += 1;
    }
    Ok((directory, words.get(at..).unwrap_or_default()))
}

fn outside(path: &str) -> NoCanary {
    NoCanary {
        reason: format!("'{}' is outside the workspace", cto_schema::escape(path.as_bytes(), 80)),
    }
}

type Again<'f> = dyn Fn(&[String], &str) -> Result<Call, NoCanary> + 'f;

fn environment(args: &[String], directory: &str, again: &Again<'_>) -> Result<Call, NoCanary> {
    let mut directory = directory.to_owned();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-u" | "--unset" => {
                words.next();
            }
            "-C" | "--chdir" => {
                let value = words.next().map(String::as_str).unwrap_or_default();
                directory = resolve(&directory, value).ok_or_else(|| outside(value))?;
            }
            word if word.starts_with("-S") || word.starts_with("--split") => {
                return refuse("'env -S' splits words itself");
            }
            word if is_assignment(word) || word.starts_with('-') => {}
            _ => {
                let rest: Vec<String> = std::iter::once(word.clone()).chain(words.cloned()).collect();
                return again(&rest, &directory);
            }
        }
    }
    refuse("'env' starts no program")
}

fn shell(scene: &Scene<'_>, args: &[String], directory: &str, left: usize) -> Result<Call, NoCanary> {
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-o" => {
                words.next();
            }
            word if word.starts_with('-') && !word.starts_with("--") && word.ends_with('c') => {
                return match words.next() {
                    Some(script) => run_script(scene, script, &[], directory, left),
                    None => refuse("the shell has no script"),
                };
            }
            // `-euo pipefail` and the like.
            word if word.starts_with('-') && word.ends_with('o') => {
                words.next();
            }
            word if word.starts_with('-') => {}
            _ => break,
        }
    }
    refuse("the shell runs a script file")
}

/// Looks into a script: `cd` moves, the first command of the chain that is a runner is the one.
fn run_script(
    scene: &Scene<'_>,
    script: &str,
    extra: &[String],
    directory: &str,
    left: usize,
) -> Result<Call, NoCanary> {
    let Some(mut commands) = chained_commands(script) else {
        return refuse("the shell script is more than simple commands joined by '&&'");
    };
    if let Some(last) = commands.last_mut() {
        last.extend_from_slice(extra);
    }
    let mut directory = directory.to_owned();
    let mut refusal = None;
    for command in &commands {
        match (command.first().map(String::as_str), command.get(1)) {
            (Some("cd"), Some(target)) => {
                directory = resolve(&directory, target).ok_or_else(|| outside(target))?;
            }
            (Some("set" | "export" | "echo"), _) => {}
            _ => match look(scene, command, &directory, left) {
                Ok(call) => return Ok(call),
                Err(error) => refusal = Some(error),
            },
        }
    }
    Err(refusal.unwrap_or(NoCanary {
        reason: "the shell script runs no program".to_owned(),
    }))
}

fn package_manager(
    scene: &Scene<'_>,
    name: &str,
    args: &[String],
    directory: &str,
    left: usize,
) -> Result<Call, NoCanary> {
    let (directory, rest) = split_command(args, VALUED, directory)?;
    let Some((verb, rest)) = rest.split_first() else {
        return refuse(format!("'{name}' has no command"));
    };
    match (name, verb.as_str()) {
        ("bun", "test") => Ok(Call {
            runner: "bun test",
            args: rest.to_vec(),
            directory,
        }),
        (_, "exec" | "x" | "dlx") => {
            let (directory, rest) = split_command(rest, VALUED, &directory)?;
            look(scene, rest, &directory, left)
        }
        ("npm", "t" | "tst" | "test") | ("pnpm", "t" | "test") | ("yarn", "test") => {
            package_script(scene, "test", rest, &directory, left)
        }
        (_, "run" | "run-script") => {
            let (directory, rest) = split_command(rest, VALUED, &directory)?;
            match rest.split_first() {
                Some((script, rest)) => package_script(scene, script, rest, &directory, left),
                None => refuse(format!("'{name} run' names no script")),
            }
        }
        // `yarn vitest` runs the script of that name or else the program.
        ("yarn" | "pnpm", word) => match package_script(scene, word, rest, &directory, left) {
            Err(_) if script_text(scene, word, &directory).is_none() => {
                let words: Vec<String> = std::iter::once(verb).chain(rest).cloned().collect();
                look(scene, &words, &directory, left)
            }
            found => found,
        },
        (name, word) => refuse(format!(
            "'{name} {}' runs no tests",
            cto_schema::escape(word.as_bytes(), 40)
        )),
    }
}

fn package_script(
    scene: &Scene<'_>,
    script: &str,
    extra: &[String],
    directory: &str,
    left: usize,
) -> Result<Call, NoCanary> {
    let Some(text) = script_text(scene, script, directory) else {
        let file = join(directory, "package.json");
        return refuse(format!(
            "{file} has no script '{}'",
            cto_schema::escape(script.as_bytes(), 60)
        ));
    };
    // `npm test -- x` hands `x` to the script, and so do the others with or without the dashes.
    let extra: Vec<String> = extra
        .iter()
        .filter(|word| *word != "--" && *word != "--silent" && *word != "-s")
        .cloned()
        .collect();
    run_script(scene, &text, &extra, directory, left)
}

fn script_text(scene: &Scene<'_>, script: &str, directory: &str) -> Option<String> {
    let package: serde_json::Value = serde_json::from_str(&scene.text(&join(directory, "package.json"))?).ok()?;
    Some(package.get("scripts")?.get(script)?.as_str()?.to_owned())
}

fn node(args: &[String], directory: &str) -> Result<Call, NoCanary> {
    const VALUED: &[&str] = &[
        "-r",
        "--require",
        "--import",
        "--loader",
        "--experimental-loader",
        "-C",
        "--conditions",
    ];
    if args
        .iter()
        .take_while(|word| word.starts_with('-'))
        .any(|word| word == "--test")
    {
        return Ok(Call {
            runner: "node --test",
            args: args.to_vec(),
            directory: directory.to_owned(),
        });
    }
    let rest = skip(args, VALUED, 0);
    let Some((file, rest)) = rest.split_first() else {
        return refuse("'node' runs no file");
    };
    let runner = match file.rsplit('/').next().unwrap_or(file) {
        "jest" | "jest.js" => "jest",
        "vitest" | "vitest.mjs" => "vitest",
        _ => {
            return refuse("'node' runs a program that is not a test runner; 'node --test' is one");
        }
    };
    Ok(Call {
        runner,
        args: rest.to_vec(),
        directory: directory.to_owned(),
    })
}

fn cargo(args: &[String], directory: &str) -> Result<Call, NoCanary> {
    const VALUED: &[&str] = &["--config", "-Z", "--color", "-C"];
    let args = args
        .get(usize::from(args.first().is_some_and(|word| word.starts_with('+')))..)
        .unwrap_or_default();
    let verb = args.len() - skip(args, VALUED, 0).len();
    let (directory, _) = split_command(&args[..verb], VALUED, directory)?;
    let manifest = args[..verb].iter().any(|word| word.starts_with("--manifest-path"));
    let words: Vec<&str> = args[verb..].iter().map(String::as_str).take(2).collect();
    let (runner, used) = match words.as_slice() {
        _ if manifest => return refuse("'--manifest-path' stands before cargo's command"),
        ["test" | "t", ..] => ("cargo test", 1),
        ["nextest", "run" | "r"] => ("cargo nextest", 2),
        _ => return refuse("the cargo command is neither 'cargo test' nor 'cargo nextest run'"),
    };
    Ok(Call {
        runner,
        args: args[verb + used..].to_vec(),
        directory,
    })
}

fn python(args: &[String], directory: &str, name: &str) -> Result<Call, NoCanary> {
    let mut words = args.iter().enumerate();
    while let Some((at, word)) = words.next() {
        match word.as_str() {
            "-m" => return module_call(&args[at + 1..], directory, name),
            "-X" | "-W" => {
                words.next();
            }
            // A cluster such as `-Bm` ends in the module too.
            word if word.starts_with('-')
                && !word.starts_with("--")
                && word.len() > 2
                && word.ends_with('m')
                && !word.starts_with("-X")
                && !word.starts_with("-W") =>
            {
                return module_call(&args[at + 1..], directory, name);
            }
            "-c" => return refuse("python runs code from the command line"),
            word if word.starts_with('-') => {}
            _ => {
                return refuse(
                    "python runs a script, which need not collect what is added to it; use -m pytest or -m unittest",
                );
            }
        }
    }
    refuse("python runs no module")
}

fn skip_until_module(args: &[String]) -> &[String] {
    args.iter()
        .position(|word| word == "-m")
        .and_then(|at| args.get(at..))
        .unwrap_or_default()
}

fn module_call(words: &[String], directory: &str, name: &str) -> Result<Call, NoCanary> {
    let Some((module, args)) = words.split_first() else {
        return refuse(format!("'{name} -m' names no module"));
    };
    let runner = match module.as_str() {
        "pytest" => "pytest",
        "unittest" => "unittest",
        "coverage" if args.first().is_some_and(|word| word == "run") => {
            return python(skip_until_module(&args[1..]), directory, "coverage run");
        }
        other => {
            return refuse(format!(
                "the module '{}' is neither pytest nor unittest",
                cto_schema::escape(other.as_bytes(), 60)
            ));
        }
    };
    Ok(Call {
        runner,
        args: args.to_vec(),
        directory: directory.to_owned(),
    })
}

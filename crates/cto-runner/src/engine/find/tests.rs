//! Claims about finding engines, on made-up installations.

use std::collections::BTreeMap;

use super::*;
use crate::engine::Engines;
use crate::settings::Settings;

struct World {
    root: tempfile::TempDir,
    environment: BTreeMap<String, String>,
    toolchains: Vec<PathBuf>,
}

impl World {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            environment: BTreeMap::new(),
            toolchains: vec![],
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        fs::canonicalize(self.root.path()).unwrap().join(path)
    }

    fn file(&self, path: &str, content: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::io::Write::write_all(&mut fs::File::create(&path).unwrap(), content.as_bytes()).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn codex(&self, modules: &str) -> String {
        let arch = std::env::consts::ARCH;
        let (package, triple) = match arch {
            "aarch64" => ("@openai/codex-linux-arm64", "aarch64-unknown-linux-musl"),
            _ => ("@openai/codex-linux-x64", "x86_64-unknown-linux-musl"),
        };
        let native = format!("{modules}/{package}/vendor/{triple}/bin/codex");
        self.file(&native, "\u{7f}ELF");
        self.file(
            &format!("{modules}/@openai/codex/package.json"),
            r#"{"version":"0.169.0"}"#,
        );
        self.file(
            &format!("{modules}/@openai/codex/bin/codex.js"),
            "#!/usr/bin/env node\n",
        );
        self.file(
            &format!("{modules}/{package}/package.json"),
            r#"{"version":"0.169.0-x"}"#,
        );
        let entry = r#"{"version":"0.169.0-x","integrity":"sha512-abc"}"#;
        let lock = format!(r#"{{"packages":{{"node_modules/{package}":{entry}}}}}"#);
        self.file(&format!("{modules}/.package-lock.json"), &lock);
        native
    }

    fn search(&self, engine: &str) -> Search {
        let engines = Engines::new(&Settings::default()).unwrap();
        let (engine, _) = engines.find(engine).unwrap();
        engine.search(&Places {
            environment: &self.environment,
            toolchains: &self.toolchains,
        })
    }

    fn found(&self, engine: &str) -> Installation {
        match self.search(engine) {
            Search::Found(found) => *found,
            other => panic!("{other:?}"),
        }
    }

    fn missing(&self, engine: &str) -> String {
        match self.search(engine) {
            Search::Missing { looked, mend } => format!("{} | {mend}", looked.join("; ")),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn nothing_is_found_where_nothing_is_named() {
    let world = World::new();
    for engine in ["codex", "pi", "claude", "opencode", "case", "aider"] {
        let text = world.missing(engine);
        let variable = format!("CTO_HARNESS_{}_BIN", engine.to_uppercase());
        assert!(
            text.contains(&format!("{variable} is not set")) && text.contains("set CTO_HARNESS"),
            "{text}"
        );
    }
}

#[test]
fn a_mapped_npm_prefix_gives_the_native_program_with_version_and_integrity() {
    for modules in ["agents/node_modules", "agents/lib/node_modules"] {
        let mut world = World::new();
        let native = world.codex(modules);
        world.toolchains = vec![world.at("agents")];
        let found = world.found("codex");
        assert_eq!(found.program, world.at(&native));
        assert!(
            found.binds.is_empty(),
            "the toolchain is mapped already: {:?}",
            found.binds
        );
        let package = found.package.unwrap();
        assert_eq!(
            (
                package.registry,
                package.name.as_str(),
                package.version.as_str(),
                package.integrity.as_deref()
            ),
            ("npm", "@openai/codex", "0.169.0", Some("sha512-abc"))
        );
    }
}

#[test]
fn a_wrapper_that_the_variable_names_stands_for_its_native_program() {
    let mut world = World::new();
    let native = world.codex("x/node_modules");
    let link = world.at("x/node_modules/.bin/codex");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("../@openai/codex/bin/codex.js", &link).unwrap();
    for named in [link.display().to_string(), world.at(&native).display().to_string()] {
        world.environment.insert("CTO_HARNESS_CODEX_BIN".to_owned(), named);
        let found = world.found("codex");
        assert_eq!(found.program, world.at(&native));
        assert_eq!(found.binds.len(), 1);
        assert!(found.program.starts_with(&found.binds[0]) && found.how == "CTO_HARNESS_CODEX_BIN");
    }
}

#[test]
fn a_wrapper_without_its_package_is_refused() {
    let mut world = World::new();
    world.file("bin/codex", "#!/usr/bin/env node\n");
    let path = world.at("bin/codex").display().to_string();
    world.environment.insert("CTO_HARNESS_CODEX_BIN".to_owned(), path);
    assert!(world.missing("codex").contains("wrapper script"));
}

#[test]
fn a_variable_that_does_not_hold_is_not_replaced_by_a_toolchain() {
    let mut world = World::new();
    world.codex("agents/node_modules");
    world.toolchains = vec![world.at("agents")];
    world.file("plain", "x");
    fs::set_permissions(world.at("plain"), fs::Permissions::from_mode(0o644)).unwrap();
    let plain = world.at("plain").display().to_string();
    for (value, part) in [
        ("codex", "no absolute path"),
        ("/nonexistent/codex", "/nonexistent/codex"),
        ("/usr", "no program"),
        (plain.as_str(), "no program"),
    ] {
        world
            .environment
            .insert("CTO_HARNESS_CODEX_BIN".to_owned(), value.to_owned());
        let text = world.missing("codex");
        assert!(text.contains(part), "{value}: {text}");
    }
}

#[test]
fn case_in_its_checkout_is_refused_with_what_to_do() {
    let mut world = World::new();
    world.file("case/dist/ca", "\u{7f}ELF");
    let program = world.at("case/dist/ca").display().to_string();
    world.environment.insert("CTO_HARNESS_CASE_BIN".to_owned(), program);
    world.found("case");
    // A linked work tree has a file there.
    world.file("case/.git", "gitdir: /elsewhere\n");
    assert!(world.missing("case").contains("copy it to a directory of its own"));
}

#[test]
fn case_is_named_by_its_variable_alone_and_never_by_a_bare_word() {
    let mut world = World::new();
    world.file("tools/bin/case", "\u{7f}ELF");
    world.file("tools/bin/ca", "\u{7f}ELF");
    world.toolchains = vec![world.at("tools")];
    assert!(world.missing("case").contains("set CTO_HARNESS_CASE_BIN"));
    world
        .environment
        .insert("CTO_HARNESS_CASE_BIN".to_owned(), "case".to_owned());
    assert!(world.missing("case").contains("no absolute path"));
    world.file("checkout/package.json", "{}");
    world.file("checkout/dist/ca", "\u{7f}ELF");
    let path = world.at("checkout/dist/ca").display().to_string();
    world.environment.insert("CTO_HARNESS_CASE_BIN".to_owned(), path);
    let found = world.found("case");
    assert_eq!(found.binds, [world.at("checkout")], "its prompts lie there");
}

#[test]
fn a_virtual_environment_gives_program_version_and_its_python() {
    let mut world = World::new();
    world.file("python/bin/python3", "");
    let base = world.at("python/bin");
    world.file(
        "venv/pyvenv.cfg",
        &format!("home = {}\nversion = 3.11\n", base.display()),
    );
    world.file("venv/bin/aider", "#!/x/python3\n");
    let information = "venv/lib/python3.11/site-packages/aider_chat-0.86.2.dist-info";
    world.file(&format!("{information}/RECORD"), "a,sha256=x,1\n");
    world.file(
        &format!("{information}/METADATA"),
        "Name: aider-chat\nVersion: 0.86.2\n",
    );
    world.file("venv/lib/python3.11/site-packages/zzz-1.dist-info/RECORD", "");
    let path = world.at("venv/bin/aider").display().to_string();
    world.environment.insert("CTO_HARNESS_AIDER_BIN".to_owned(), path);
    let found = world.found("aider");
    assert_eq!(found.program, world.at("venv/bin/aider"));
    assert_eq!(found.binds, [world.at("venv"), world.at("python")]);
    let package = found.package.unwrap();
    assert_eq!((package.registry, package.version.as_str()), ("pypi", "0.86.2"));
    assert!(package.integrity.unwrap().starts_with("sha256:"));
    world.environment.clear();
    world.toolchains = vec![world.at("venv")];
    assert_eq!(world.found("aider").binds, [world.at("python")]);
    fs::remove_file(world.at(&format!("{information}/METADATA"))).unwrap();
    assert!(world.missing("aider").contains("METADATA does not exist"));
}

#[test]
fn a_package_whose_record_is_of_another_version_has_no_integrity_and_an_unreadable_one_is_refused() {
    let mut world = World::new();
    world.codex("agents/node_modules");
    world.toolchains = vec![world.at("agents")];
    let lock = world.at("agents/node_modules/.package-lock.json");
    let text = fs::read_to_string(&lock).unwrap();
    world.file(
        "agents/node_modules/.package-lock.json",
        &text.replace("0.169.0", "0.168.0"),
    );
    assert_eq!(world.found("codex").package.unwrap().integrity, None);
    world.file("agents/node_modules/.package-lock.json", "{");
    assert!(world.missing("codex").contains(".package-lock.json: EOF"));
}

#[test]
fn a_script_needs_its_interpreter_in_the_sandbox() {
    let mut world = World::new();
    world.file("a/node_modules/@mariozechner/pi-coding-agent/dist/cli.js", "x");
    world.file(
        "a/node_modules/@mariozechner/pi-coding-agent/package.json",
        r#"{"version":"0.73.1"}"#,
    );
    world.file("node/bin/node", "x");
    world.toolchains = vec![world.at("a"), world.at("node")];
    let found = world.found("pi");
    assert_eq!(found.interpreter.as_deref(), Some("node"));
    assert!(found.program.ends_with("dist/cli.js"));
    assert_eq!(found.package.unwrap().version, "0.73.1");
}

/// The agents of `scripts/agents`; a missing one fails.
#[test]
fn the_pinned_agents_are_found_with_version_and_integrity() {
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever starts the tests says where the agents lie"
    )]
    let agents = std::env::var_os("CTO_TEST_AGENTS").map(PathBuf::from);
    let agents = agents.expect("CTO_TEST_AGENTS names no directory: run: bash scripts/test");
    let mut world = World::new();
    world.toolchains = vec![fs::canonicalize(&agents).unwrap_or(agents)];
    let pins = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/agents/package.json")).unwrap();
    let pins: serde_json::Value = serde_json::from_slice(&pins).unwrap();
    for (engine, package, interpreter) in [
        ("codex", "@openai/codex", None),
        ("pi", "@mariozechner/pi-coding-agent", Some("node")),
        ("claude", "@anthropic-ai/claude-code", None),
        ("opencode", "opencode-linux-x64", None),
    ] {
        let Search::Found(found) = world.search(engine) else {
            panic!("{engine} is not installed: run: bash scripts/test");
        };
        assert_eq!(found.interpreter.as_deref(), interpreter);
        assert_eq!(
            is_script(&found.program),
            interpreter.is_some(),
            "{engine} is no wrapper"
        );
        let known = found.package.unwrap();
        assert_eq!(
            (known.name.as_str(), known.version.as_str()),
            (package, pins["dependencies"][package].as_str().unwrap())
        );
        assert!(known.integrity.unwrap().starts_with("sha512-"), "{engine}");
    }
}

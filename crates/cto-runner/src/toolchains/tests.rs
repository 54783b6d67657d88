//! Claims about finding toolchains and programs, on made-up homes.

use std::os::unix::fs::symlink;

use super::*;

fn program(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::File::create(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn found(home: &Path, path: &str) -> Vec<(String, String)> {
    let relative = |root: &Path| root.strip_prefix(home).unwrap_or(root).to_str().unwrap().to_owned();
    discover(Some(home), path)
        .iter()
        .map(|toolchain| (toolchain.name.clone(), relative(&toolchain.root)))
        .collect()
}

#[test]
fn finds_versions_by_their_own_roots() {
    let home = tempfile::tempdir().unwrap();
    for file in [
        ".pyenv/versions/3.11.7/bin/python3",
        ".rustup/toolchains/1.95.0-x/bin/cargo",
        ".nvm/versions/node/v20/bin/node",
        ".volta/tools/image/node/22/bin/node",
        ".bun/bin/bun",
        ".deno/bin/deno",
        "sdk/go1.22/bin/go",
        "miniconda3/bin/conda",
        ".sdkman/candidates/java/21/bin/java",
        ".local/share/uv/python/cpython-3.12/bin/python3",
        ".cargo/bin/cargo",
        ".local/share/pipx/venvs/black/bin/python",
        ".pyenv/versions/empty/readme",
        ".local/share/fnm/node-versions/v1/installation/bin/node",
    ] {
        program(&home.path().join(file));
    }
    program(&home.path().join(".cargo/credentials.toml"));
    symlink("3.11.7", home.path().join(".pyenv/versions/current")).unwrap();
    let roots: Vec<String> = found(home.path(), "").into_iter().map(|(_, root)| root).collect();
    assert_eq!(
        roots,
        [
            ".bun/bin",
            ".cargo/bin",
            ".deno/bin",
            ".local/share/fnm/node-versions/v1",
            ".local/share/pipx/venvs/black",
            ".local/share/uv/python/cpython-3.12",
            ".nvm/versions/node/v20",
            ".pyenv/versions/3.11.7",
            ".rustup/toolchains/1.95.0-x",
            ".sdkman/candidates/java/21",
            ".volta/tools/image/node/22",
            "miniconda3",
            "sdk/go1.22",
        ]
    );
    for toolchain in discover(Some(home.path()), "") {
        assert!(
            toolchain
                .bin
                .iter()
                .all(|bin| bin.starts_with(&toolchain.root) && bin.is_dir()),
            "{toolchain:?}"
        );
        assert!(toolchain.enable().contains(toolchain.root.to_str().unwrap()));
        assert_eq!(
            toolchain.environment.contains_key("JAVA_HOME"),
            toolchain.name.starts_with("java")
        );
    }
}

#[test]
fn takes_the_search_path_without_homes_shims_and_credentials() {
    let home = tempfile::tempdir().unwrap();
    let opt = tempfile::tempdir().unwrap();
    for file in [
        "go/bin/go",
        "go/pkg/x",
        "loose/tool",
        "leaky/bin/x",
        "leaky/lib/y",
        "leaky/.npmrc",
    ] {
        program(&opt.path().join(file));
    }
    for file in [
        ".cargo/bin/cargo",
        ".pyenv/shims/python3",
        ".local/bin/black",
        "bin/mine",
        "lib/x",
    ] {
        program(&home.path().join(file));
    }
    let (h, o) = (home.path().display(), opt.path().display());
    let path = format!(
        "{h}/.cargo/bin:{h}/.pyenv/shims:{h}/.local/bin:{h}/bin:{h}:{o}/go/bin:{o}/loose:{o}/leaky/bin:/usr/bin:/bin:.::relative:{o}/go/../loose:{o}/gone"
    );
    let mut roots: Vec<PathBuf> = discover(Some(home.path()), &path)
        .into_iter()
        .map(|toolchain| toolchain.root)
        .collect();
    roots.sort();
    let mut expected = vec![
        home.path().join(".cargo/bin"),
        home.path().join(".local/bin"),
        home.path().join("bin"),
        opt.path().join("go"),
        opt.path().join("loose"),
        opt.path().join("leaky/bin"),
    ];
    expected.sort();
    assert_eq!(roots, expected);
}

#[test]
fn a_configured_root_has_its_programs_found() {
    let root = tempfile::tempdir().unwrap();
    for file in ["a/bin/x", "b/installation/bin/node", "c/bun"] {
        program(&root.path().join(file));
    }
    for (name, bin) in [("a", "a/bin"), ("b", "b/installation/bin"), ("c", "c")] {
        assert_eq!(from_root(&root.path().join(name)).bin, [root.path().join(bin)]);
    }
    assert!(from_root(&root.path().join("gone")).bin.is_empty());
}

#[test]
fn names_secrets_that_lie_in_a_root() {
    let home = tempfile::tempdir().unwrap();
    program(&home.path().join("miniconda3/bin/conda"));
    program(&home.path().join("miniconda3/.netrc"));
    let notes = discover(Some(home.path()), "").remove(0).notes.join(" ");
    assert!(notes.contains("'.netrc'"), "{notes}");
}

#[test]
fn finds_programs_without_the_current_directory() {
    let root = tempfile::tempdir().unwrap();
    program(&root.path().join("a/tool"));
    program(&root.path().join("b/tool"));
    fs::create_dir(root.path().join("a/dir")).unwrap();
    fs::File::create(root.path().join("a/plain")).unwrap();
    let path = [
        PathBuf::new(),
        PathBuf::from("."),
        root.path().join("a"),
        root.path().join("b"),
    ];
    assert_eq!(find_program("tool", &path), Some(root.path().join("a/tool")));
    for name in ["dir", "plain", "gone", "", ".", "..", "./tool", "a/tool", "../a/tool"] {
        assert_eq!(find_program(name, &path), None, "{name}");
    }
    assert_eq!(find_program("Cargo.toml", &[PathBuf::new(), PathBuf::from(".")]), None);
}

#[test]
fn enabled_toolchains_come_before_the_system() {
    let enabled = [toolchain("x", Path::new("/opt/x"), Some(Path::new("/opt/x/bin")), None)];
    assert_eq!(
        search_path(&enabled),
        ["/opt/x/bin", "/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from)
    );
}

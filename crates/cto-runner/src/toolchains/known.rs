//! The toolchains that are known by the place where they live in a home directory.

/// A kind of toolchain that keeps its versions in one directory.
pub(super) struct Versions {
    pub(super) name: &'static str,
    /// Directory below the home whose entries are roots.
    pub(super) directory: &'static str,
    /// Program below the root that must be there.
    pub(super) program: &'static str,
    pub(super) note: &'static str,
}

/// Version managers and where their versions lie.
pub(super) const VERSIONS: &[Versions] = &[
    Versions {
        name: "python (pyenv)",
        directory: ".pyenv/versions",
        program: "bin/python3",
        note: "",
    },
    Versions {
        name: "rust",
        directory: ".rustup/toolchains",
        program: "bin/cargo",
        note: "a toolchain's own directory needs neither RUSTUP_HOME nor ~/.cargo; ~/.cargo is left out because credentials.toml lies in it, and crates come from a dependency layer",
    },
    Versions {
        name: "node (nvm)",
        directory: ".nvm/versions/node",
        program: "bin/node",
        note: "",
    },
    Versions {
        name: "node (fnm)",
        directory: ".local/share/fnm/node-versions",
        program: "installation/bin/node",
        note: "",
    },
    Versions {
        name: "node (volta)",
        directory: ".volta/tools/image/node",
        program: "bin/node",
        note: "volta's own shims are left out: they choose versions by files in ~/.volta",
    },
    Versions {
        name: "node (asdf)",
        directory: ".asdf/installs/nodejs",
        program: "bin/node",
        note: "",
    },
    Versions {
        name: "python (asdf)",
        directory: ".asdf/installs/python",
        program: "bin/python3",
        note: "",
    },
    Versions {
        name: "python (uv)",
        directory: ".local/share/uv/python",
        program: "bin/python3",
        note: "",
    },
    Versions {
        name: "java (sdkman)",
        directory: ".sdkman/candidates/java",
        program: "bin/java",
        note: "",
    },
    Versions {
        name: "go",
        directory: "sdk",
        program: "bin/go",
        note: "modules come from a dependency layer, not from ~/go/pkg",
    },
    Versions {
        name: "conda environment",
        directory: "miniconda3/envs",
        program: "bin/python",
        note: "",
    },
    Versions {
        name: "conda environment",
        directory: "anaconda3/envs",
        program: "bin/python",
        note: "",
    },
    Versions {
        name: "conda environment",
        directory: "miniforge3/envs",
        program: "bin/python",
        note: "",
    },
    Versions {
        name: "pipx program",
        directory: ".local/share/pipx/venvs",
        program: "bin/python",
        note: "its interpreter may lie elsewhere: map that one too when it is not below /usr",
    },
    Versions {
        name: "uv tool",
        directory: ".local/share/uv/tools",
        program: "bin/python",
        note: "its interpreter may lie elsewhere: map that one too when it is not below /usr",
    },
];

/// A toolchain whose root is one known directory.
pub(super) const SINGLE: &[(&str, &str, &str, &str)] = &[
    (
        "cargo programs",
        ".cargo/bin",
        "cargo",
        "cargo and rustc in it are rustup's proxies: enable a rust toolchain's own directory before it; only bin/ is mapped, since credentials.toml lies beside it",
    ),
    (
        "bun",
        ".bun/bin",
        "bun",
        "only bin/ is mapped: ~/.bun/install is a cache",
    ),
    ("deno", ".deno/bin", "deno", ""),
    ("go", "go/bin", "go", "only bin/ is mapped: ~/go/pkg is a cache"),
    ("npm programs", ".npm-global", "bin/npm", ""),
    ("npm programs", ".local/lib/node_modules", ".bin", ""),
    (
        "conda",
        "miniconda3",
        "bin/conda",
        "the whole installation is mapped, with every environment in it",
    ),
    (
        "conda",
        "anaconda3",
        "bin/conda",
        "the whole installation is mapped, with every environment in it",
    ),
    (
        "conda",
        "miniforge3",
        "bin/conda",
        "the whole installation is mapped, with every environment in it",
    ),
];

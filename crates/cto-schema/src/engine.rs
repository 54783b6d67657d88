//! An engine manifest: everything that is always true of a coding agent, as data (spec 05).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::blocker::BlockerCode;

/// An engine manifest, a YAML file. `cto engines` lists the embedded ones; `harness.yaml` registers more.
///
/// Texts named *template* may hold `{program}`, `{model}`, `{key}`, `{base_url}`, `{home}`, `{workspace}`,
/// `{provider}`, `{prompt}` and `{title}`. An unknown name is an error; braces around anything but a lower-case name
/// are text, as JSON and TOML need them. All values but `{prompt}` and `{title}` are of letters, digits and
/// `. _ - : / @ +`, so that they need no quoting; these two may only be a whole argument, variable or file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineDocument {
    /// Schema of the document: `cto/engine/1.0`.
    pub schema: String,
    /// Name on the command line, `[a-z][a-z0-9.-]{0,31}`; the names of its gates follow from it.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// How the program is found. `CTO_HARNESS_<NAME>_BIN` always comes first, then `program` of `harness.yaml`.
    pub find: EngineFind,
    /// How it proves what it is.
    #[serde(default)]
    pub identity: Option<EngineIdentity>,
    /// Arguments after the program; templates.
    pub argv: Vec<String>,
    /// Variables on top of the sandbox's own; the values are templates.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Files of the private home, which is made fresh for each run.
    #[serde(default)]
    pub home: Vec<EngineHomeFile>,
    /// How it speaks to a model; absent when it needs none.
    #[serde(default)]
    pub model: Option<EngineModel>,
    /// Whether it runs only with a provider decision and a build record, at every stage.
    #[serde(default)]
    pub needs_decision: bool,
    /// Task files in the workspace that need more than templates.
    #[serde(default)]
    pub task_files: EngineTaskFiles,
    /// Files and directories of a target repository that could own the agent; they are covered in its sandbox.
    #[serde(default)]
    pub mask: Vec<String>,
    /// What the engine itself writes in the workspace: recorded, never part of the patch.
    #[serde(default)]
    pub scratch: Vec<String>,
    /// Whether it starts in `/` instead of the workspace.
    #[serde(default)]
    pub start_in_root: bool,
    /// Its own sandbox and how the manifest switches it off, for people; empty when it has none.
    #[serde(default)]
    pub own_sandbox: String,
    /// Whether it commits by itself.
    #[serde(default)]
    pub commits: bool,
    /// What it would like to reach besides the model, for people.
    #[serde(default)]
    pub calls_home: Vec<String>,
    /// How its output is read.
    pub stream: EngineStream,
    /// What its exit codes say, for people; they are never read as success.
    #[serde(default)]
    pub exit_codes: String,
    /// Texts that say what went wrong.
    #[serde(default)]
    pub failures: Vec<EngineFailure>,
    /// What of the private home is evidence.
    #[serde(default)]
    pub keep: Vec<EngineKeep>,
    /// Limits below which it does not work.
    #[serde(default)]
    pub minimum: EngineMinimum,
    /// When it counts as done although it still runs; absent for an engine that ends by itself.
    #[serde(default)]
    pub lifecycle: Option<EngineLifecycle>,
}

/// How the program is found. Nothing is looked up in the search path of the harness.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EngineFind {
    /// Names of the program in the `bin` of a toolchain directory that the operator maps.
    pub names: Vec<String>,
    /// The npm package that holds it.
    pub npm: Option<EngineNpm>,
    /// The PyPI package that holds it.
    pub pypi: Option<EnginePypi>,
    /// Whether only `CTO_HARNESS_<NAME>_BIN` may name it.
    pub only_by_variable: bool,
}

/// A program in an npm package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineNpm {
    /// The package, for example `@openai/codex`.
    pub package: String,
    /// The native program by processor (`x86_64`, `aarch64`): the package that holds it and the path in it. A wrapper
    /// script that starts a native child is never used.
    #[serde(default)]
    pub native: BTreeMap<String, EngineNative>,
    /// The script in the package, for an agent that is one.
    #[serde(default)]
    pub script: Option<String>,
}

/// A native program in a package of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineNative {
    /// The package.
    pub package: String,
    /// The program in it.
    pub path: String,
}

/// A program in a PyPI package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnginePypi {
    /// The package.
    pub package: String,
    /// The program in the environment's `bin`.
    pub script: String,
}

/// How an engine proves what it is; asked in a sandbox, or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineIdentity {
    /// Arguments after the program.
    pub argv: Vec<String>,
    /// Text that its output must hold.
    pub expect: String,
}

/// One file of the private home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineHomeFile {
    /// Where, relative to the home.
    pub path: String,
    /// What it holds; a template.
    pub content: String,
}

/// How an engine speaks to a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineModel {
    /// Wire formats that it may use.
    pub dialects: Vec<EngineDialect>,
    /// Path after scheme, host and port in `{base_url}`: `/v1`, or empty.
    #[serde(default)]
    pub base_path: String,
    /// The variable that carries the dummy key.
    pub key_variable: String,
    /// The provider's name inside the engine; the value of `{provider}`.
    #[serde(default)]
    pub runtime_provider: Option<String>,
    /// Providers whose session the engine is only given over a bridge: `CTO_HARNESS_<NAME>_OPENAI_CODEX_AUTH_BRIDGE=1`.
    #[serde(default)]
    pub bridged: Vec<String>,
}

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineDialect {
    /// OpenAI Chat Completions.
    ChatCompletions,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
}

/// Task files in the workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineTaskFiles {
    /// None: the prompt says it all.
    #[default]
    None,
    /// The task file, its text and the configuration of the Case engine.
    Case,
}

/// How an engine's output is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineStream {
    /// How a line is read.
    pub parser: EngineParser,
    /// The event that ends a complete stream; with `lines`, the text that such a line starts with. A stream without it
    /// fails the run.
    #[serde(default)]
    pub final_event: Option<String>,
    /// What a line of `jsonl` means; only with that parser.
    #[serde(default)]
    pub jsonl: Option<EngineJsonl>,
    /// Globs of log files in the workspace that the parser reads besides the output.
    #[serde(default)]
    pub logs: Vec<String>,
}

/// Who reads a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EngineParser {
    /// Each line is a message.
    Lines,
    /// Each line is a JSON object; `jsonl` says what it means.
    Jsonl,
    /// `codex exec --json`.
    Codex,
    /// `pi --mode json`.
    Pi,
    /// `claude -p --output-format stream-json`.
    Claude,
    /// `opencode run --format json`.
    Opencode,
    /// `ca run`: human lines, and an event log in the workspace.
    Case,
}

/// What the lines of a JSON stream mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineJsonl {
    /// JSON pointer (RFC 6901) to the name of a line's event, for example `/type`.
    pub name: String,
    /// What events mean; others are counted and left in the raw log.
    pub events: Vec<EngineJsonlEvent>,
}

/// What one event of a JSON stream means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineJsonlEvent {
    /// The event's name.
    pub name: String,
    /// What it becomes.
    #[serde(rename = "as")]
    pub kind: EngineJsonlKind,
    /// JSON pointers to what is quoted; the whole line when empty.
    #[serde(default)]
    pub quote: Vec<String>,
    /// A value that must stand where the pointer points, else the event states a failure.
    #[serde(default)]
    pub success: Option<EngineJsonlSuccess>,
}

/// A value that says success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineJsonlSuccess {
    /// JSON pointer to it.
    pub pointer: String,
    /// What must stand there.
    pub equals: serde_json::Value,
}

/// What an event of a JSON stream becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineJsonlKind {
    /// `engine.message`.
    Message,
    /// `engine.plan`.
    Plan,
    /// `engine.tool_call`.
    ToolCall,
    /// `engine.file_change`.
    FileChange,
    /// `engine.usage`.
    Usage,
    /// `engine.error`; it states a failure.
    Error,
    /// Nothing: the event is known and says nothing.
    Nothing,
}

/// A text that says what went wrong. It is looked for in failures that the stream states, on standard error, and with
/// `lines` on standard output; it can fail a run, and never make one pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineFailure {
    /// The text, as a part of a line.
    pub text: String,
    /// What it means: `engine_failed`, `agent_protocol`, `reviewer_rejected`, `provider_unavailable`,
    /// `provider_auth_unavailable` or `provider_response_shape`.
    pub blocker: BlockerCode,
    /// Name of the file below `backend/` that says so, for example `provider-unavailable.txt`.
    pub marker: String,
}

/// A file or directory of the private home that is evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineKeep {
    /// Where, relative to the home.
    pub from: String,
    /// Its name below `backend/`.
    pub to: String,
    /// Most KiB that are kept of it, a directory's files together.
    pub max_kib: u32,
}

/// Limits below which an engine does not work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EngineMinimum {
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Processes and threads.
    pub processes: u32,
}

/// When an engine that lingers counts as done: `HEAD` is not the baseline's any more, the tree is clean, and it is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineLifecycle {
    /// How long it prints nothing and waits for no answer of its model, in seconds.
    pub idle_seconds: u32,
}

//! Reading a manifest: strictly, and with everything judged before any of it is used.

use std::path::{Component, Path};

use cto_gateway::Dialect;
use cto_schema::{
    BlockerCode, EngineDialect, EngineDocument, EngineParser, SchemaId, Sha256Digest, check_schema, escape,
    explain_yaml,
};

use super::ManifestEngine;
use crate::engine::template::{Place, Placeholder, Template};
use crate::engine::{EngineError, EngineManifest, MinimumLimits, Wire, stream};

/// The largest manifest in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// What a known failure may mean: nothing that only the harness can know.
const FAILURE_CODES: [BlockerCode; 6] = [
    BlockerCode::EngineFailed,
    BlockerCode::AgentProtocol,
    BlockerCode::ReviewerRejected,
    BlockerCode::ProviderUnavailable,
    BlockerCode::ProviderAuthUnavailable,
    BlockerCode::ProviderResponseShape,
];

/// Reads a manifest; `from` names it in errors.
pub(in crate::engine) fn read_manifest(bytes: &[u8], from: &str) -> Result<ManifestEngine, EngineError> {
    let refuse = |reason: String| EngineError::Manifest {
        from: from.to_owned(),
        reason,
    };
    if bytes.len() > MAX_BYTES {
        return Err(refuse(format!("it has {} bytes, {MAX_BYTES} are allowed", bytes.len())));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8".to_owned()))?;
    let options = serde_saphyr::options! { strict_booleans: true };
    let document: EngineDocument =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| refuse(explain_yaml(&error.to_string())))?;
    check_schema(&document.schema, SchemaId::ENGINE).map_err(|error| refuse(error.to_string()))?;
    judge(&document).map_err(refuse)?;
    let templates = Templates::read(&document).map_err(refuse)?;
    let needs_model = templates
        .all()
        .flat_map(Template::placeholders)
        .find(|placeholder| needs_model(*placeholder));
    if let (Some(placeholder), None) = (needs_model, &document.model) {
        return Err(refuse(format!(
            "'{{{}}}' needs a model; add 'model:'",
            placeholder.name()
        )));
    }
    let about = EngineManifest {
        digest: Some(Sha256Digest::of(bytes)),
        ..about(&document)
    };
    Ok(ManifestEngine {
        document,
        about,
        templates,
        program: None,
    })
}

/// Every template of a manifest, read.
#[derive(Clone, Debug)]
pub(super) struct Templates {
    pub(super) argv: Vec<Template>,
    pub(super) env: Vec<(String, Template)>,
    pub(super) home: Vec<(String, Template)>,
}

impl Templates {
    fn read(document: &EngineDocument) -> Result<Self, String> {
        let parse = |field: String, text: &str, place| {
            Template::parse(text, place).map_err(|reason| format!("{field}: {reason}"))
        };
        let argv = document.argv.iter().enumerate();
        let argv = argv.map(|(at, word)| parse(format!("argv {}", at + 1), word, Place::Argument));
        let env = document.env.iter().map(|(name, value)| {
            let template = parse(format!("env {name}"), value, Place::Variable)?;
            Ok((name.clone(), template))
        });
        let home = document.home.iter().map(|file| {
            let template = parse(format!("home {}", file.path), &file.content, Place::File)?;
            Ok((file.path.clone(), template))
        });
        Ok(Self {
            argv: argv.collect::<Result<_, String>>()?,
            env: env.collect::<Result<_, String>>()?,
            home: home.collect::<Result<_, String>>()?,
        })
    }

    fn all(&self) -> impl Iterator<Item = &Template> {
        let env = self.env.iter().map(|(_, template)| template);
        let home = self.home.iter().map(|(_, template)| template);
        self.argv.iter().chain(env).chain(home)
    }
}

fn needs_model(placeholder: Placeholder) -> bool {
    match placeholder {
        Placeholder::Model | Placeholder::Key | Placeholder::BaseUrl | Placeholder::Provider => true,
        Placeholder::Program
        | Placeholder::Home
        | Placeholder::Workspace
        | Placeholder::Prompt
        | Placeholder::Title => false,
    }
}

/// What is judged besides the shape: names, paths, variables, and fields that belong together.
fn judge(document: &EngineDocument) -> Result<(), String> {
    let name = document.name.as_bytes();
    let in_name = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(b);
    if !name.first().is_some_and(u8::is_ascii_lowercase) || name.len() > 32 || !name.iter().all(in_name) {
        let shown = escape(name, 60);
        return Err(format!(
            "name '{shown}' is not a letter and at most 31 of a-z, 0-9, '.' and '-'"
        ));
    }
    if document.summary.trim().is_empty() || document.summary.chars().any(char::is_control) {
        return Err("summary is not one line".to_owned());
    }
    judge_find(document)?;
    if document.lifecycle.is_some_and(|lifecycle| lifecycle.idle_seconds == 0) {
        return Err("lifecycle: idle_seconds is 0; an engine needs time between two signs of life".to_owned());
    }
    for name in document
        .env
        .keys()
        .chain(document.model.iter().map(|model| &model.key_variable))
    {
        if !is_variable(name) {
            return Err(format!(
                "'{}' cannot be a variable of an engine",
                escape(name.as_bytes(), 60)
            ));
        }
    }
    let home = document.home.iter().map(|file| &file.path);
    let keep = document.keep.iter().map(|keep| &keep.from);
    let kept = document.keep.iter().map(|keep| &keep.to);
    let mask = document.mask.iter().chain(&document.scratch);
    let markers = document.failures.iter().map(|failure| &failure.marker);
    for path in home
        .chain(keep)
        .chain(kept)
        .chain(mask)
        .chain(markers)
        .chain(&document.stream.logs)
    {
        if !is_plain(path) {
            return Err(format!(
                "'{}' is no plain relative path; leave out '..', '.', '\\' and a leading '/'",
                escape(path.as_bytes(), 120)
            ));
        }
    }
    for failure in &document.failures {
        if failure.text.len() < 3 {
            return Err("a failure's text is shorter than 3 bytes".to_owned());
        }
        if !FAILURE_CODES.contains(&failure.blocker) {
            let codes = FAILURE_CODES.map(|code| code.name()).join(", ");
            return Err(format!("a failure's blocker must be one of {codes}"));
        }
    }
    judge_model_and_stream(document)
}

fn judge_find(document: &EngineDocument) -> Result<(), String> {
    let find = &document.find;
    let elsewhere = !find.names.is_empty() || find.npm.is_some() || find.pypi.is_some();
    if find.only_by_variable && elsewhere {
        return Err("find: only_by_variable excludes names, npm and pypi".to_owned());
    }
    if let Some(name) = find.names.iter().find(|name| name.contains('/') || !is_plain(name)) {
        return Err(format!(
            "find: '{}' is no name of a program",
            escape(name.as_bytes(), 60)
        ));
    }
    let Some(npm) = &find.npm else { return Ok(()) };
    if npm.native.is_empty() == npm.script.is_none() {
        return Err("find: npm needs either native or script".to_owned());
    }
    let natives = npm.native.values().flat_map(|native| [&native.package, &native.path]);
    let paths = natives.chain(&npm.script).chain([&npm.package]);
    match paths.into_iter().find(|path| !is_plain(path)) {
        Some(path) => Err(format!(
            "find: '{}' is no plain relative path",
            escape(path.as_bytes(), 120)
        )),
        None => Ok(()),
    }
}

fn judge_model_and_stream(document: &EngineDocument) -> Result<(), String> {
    if let Some(model) = &document.model {
        if model.dialects.is_empty() {
            return Err("model: dialects is empty".to_owned());
        }
        if !(model.base_path.is_empty() || model.base_path.starts_with('/') && is_plain(&model.base_path[1..])) {
            return Err("model: base_path is neither empty nor a path such as /v1".to_owned());
        }
    }
    let stream = &document.stream;
    if (stream.parser == EngineParser::Jsonl) != stream.jsonl.is_some() {
        return Err("stream: parser jsonl and the field 'jsonl' belong together".to_owned());
    }
    let pointers = stream.jsonl.iter().flat_map(|jsonl| {
        let events = jsonl.events.iter().flat_map(|event| {
            let success = event.success.iter().map(|success| &success.pointer);
            event.quote.iter().chain(success)
        });
        events.chain([&jsonl.name])
    });
    if let Some(pointer) = pointers.into_iter().find(|pointer| !pointer.starts_with('/')) {
        return Err(format!(
            "stream: '{}' is no JSON pointer; it starts with '/'",
            escape(pointer.as_bytes(), 60)
        ));
    }
    if let Some(event) = &stream.final_event
        && let Some(jsonl) = &stream.jsonl
        && !jsonl.events.iter().any(|known| known.name == *event)
    {
        return Err(format!("stream: final_event '{event}' is not among its events"));
    }
    match (stream::final_event(stream.parser), &stream.final_event) {
        (Some(own), Some(stated)) if own == stated => Ok(()),
        (Some(own), _) => Err(format!("stream: the final event of this parser is '{own}'")),
        (None, _) => Ok(()),
    }
}

/// Names that start a program of their own choice, or that the sandbox sets.
fn is_variable(name: &str) -> bool {
    let shape =
        |(at, byte): (usize, u8)| byte.is_ascii_alphabetic() || byte == b'_' || (at > 0 && byte.is_ascii_digit());
    !name.is_empty()
        && name.bytes().enumerate().all(shape)
        && !name.starts_with("LD_")
        && !["PATH", "HOME", "TMPDIR"].contains(&name)
}

/// A relative path of ordinary components; one trailing slash marks a directory.
fn is_plain(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    !path.is_empty()
        && path.len() < 512
        && escape(path.as_bytes(), usize::MAX) == path
        && !path.contains('\\')
        && path.split('/').all(|part| !part.is_empty() && part != ".")
        && Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

/// What every part of the harness knows of the engine.
fn about(document: &EngineDocument) -> EngineManifest {
    let dialect = |dialect: &EngineDialect| match dialect {
        EngineDialect::ChatCompletions => Dialect::ChatCompletions,
        EngineDialect::Responses => Dialect::Responses,
        EngineDialect::Messages => Dialect::Messages,
    };
    EngineManifest {
        digest: None,
        name: document.name.clone(),
        summary: document.summary.clone(),
        gated: true,
        gated_by_env: None,
        ungated_up_to_stage: 0,
        parser: <&str>::from(document.stream.parser).to_owned(),
        final_event: document.stream.final_event.clone(),
        model_optional: false,
        needs_decision: document.needs_decision,
        wire: document.model.as_ref().map(|model| Wire {
            dialects: model.dialects.iter().map(dialect).collect(),
            runtime_provider: model.runtime_provider.clone(),
            bridged: model.bridged.clone(),
        }),
        commits: document.commits,
        logs: document.stream.logs.clone(),
        scratch: document.scratch.clone(),
        lifecycle_idle_seconds: document.lifecycle.map(|lifecycle| lifecycle.idle_seconds),
        minimum: MinimumLimits {
            memory_mib: document.minimum.memory_mib,
            processes: document.minimum.processes,
        },
    }
}

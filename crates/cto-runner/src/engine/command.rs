//! The `command` engine: any program that the operator names.

use std::ffi::OsString;

use cto_sandbox::Program;
use cto_schema::{EngineParser, EngineStream};

use super::{
    Engine, EngineError, EngineManifest, EngineOutput, EngineTask, Invocation, ModelEndpoint, Normalized, Places,
    Search, stream,
};

/// Its output promises nothing: each line is a message.
const LINES: EngineStream = EngineStream {
    parser: EngineParser::Lines,
    final_event: None,
    jsonl: None,
    logs: vec![],
};

/// Any program, with no promise about its output.
#[derive(Debug)]
pub(super) struct Command {
    manifest: EngineManifest,
}

impl Command {
    pub(super) fn new() -> Self {
        Self {
            manifest: EngineManifest {
                name: "command".to_owned(),
                summary: "any program that the operator names after '--'; no gate for copies".to_owned(),
                ungated_up_to_stage: 3,
                model_optional: true,
                parser: "lines".to_owned(),
                ..EngineManifest::default()
            },
        }
    }
}

/// Where the model is, in the variables that most agents and client libraries read. The key is a dummy.
fn model_environment(model: &ModelEndpoint) -> Vec<(OsString, OsString)> {
    let variable = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
    vec![
        variable("MODEL", &model.model),
        variable("OPENAI_BASE_URL", &format!("{}/v1", model.base)),
        variable("OPENAI_API_KEY", &model.key),
        variable("ANTHROPIC_BASE_URL", &model.base),
        variable("ANTHROPIC_API_KEY", &model.key),
        variable("NO_PROXY", "127.0.0.1"),
    ]
}

impl Engine for Command {
    fn manifest(&self) -> &EngineManifest {
        &self.manifest
    }

    fn search(&self, _places: &Places<'_>) -> Search {
        Search::NotNeeded
    }

    fn program(&self, task: &EngineTask<'_>) -> Option<OsString> {
        Some(task.command.first().cloned().unwrap_or_default())
    }

    /// The words `{brief}` and `{title}` of the argv are replaced; the brief is in `TASK_BRIEF` as well.
    fn invocation(&self, task: &EngineTask<'_>) -> Result<Invocation, EngineError> {
        if task.command.is_empty() {
            return Err(EngineError::NoCommand);
        }
        let contract = task.contract;
        let argv: Vec<OsString> = task
            .command
            .iter()
            .map(|word| match word.to_str() {
                Some("{brief}") => OsString::from(&contract.brief),
                Some("{title}") => OsString::from(&contract.title),
                _ => word.clone(),
            })
            .collect();
        let shown = argv
            .iter()
            .map(|word| cto_schema::escape(word.as_encoded_bytes(), 400))
            .collect();
        let mut env = vec![
            ("TASK_ID".into(), OsString::from(&contract.task_id)),
            ("TASK_BRIEF".into(), OsString::from(&contract.brief)),
        ];
        env.extend(task.model.into_iter().flat_map(model_environment));
        Ok(Invocation {
            env,
            ..Invocation::of(Program::Argv(argv), shown)
        })
    }

    fn normalize(&self, output: &EngineOutput<'_>) -> Normalized {
        stream::read(&LINES, output)
    }
}

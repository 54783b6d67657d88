//! Engines that are manifests: data in, the one invocation and the one reading of a stream out.

mod read;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;

use cto_sandbox::Program;
use cto_schema::{EngineDocument, EngineTaskFiles, Sha256Digest};

use super::template::{Placeholder, is_safe};
use super::{
    Engine, EngineError, EngineManifest, EngineOutput, EngineTask, HomeFile, Installation, Invocation, Keep,
    ModelEndpoint, Normalized, Places, Search, case_task, failures, find, prompt, stream,
};

pub(super) use read::read_manifest;

/// The manifests inside the program, in the order in which they are listed; a test walks `engines/`.
pub(super) const EMBEDDED: &[(&str, &str)] = &[
    ("engines/codex.yaml", include_str!("../../../../../engines/codex.yaml")),
    ("engines/pi.yaml", include_str!("../../../../../engines/pi.yaml")),
    (
        "engines/claude.yaml",
        include_str!("../../../../../engines/claude.yaml"),
    ),
    (
        "engines/opencode.yaml",
        include_str!("../../../../../engines/opencode.yaml"),
    ),
    ("engines/case.yaml", include_str!("../../../../../engines/case.yaml")),
    ("engines/aider.yaml", include_str!("../../../../../engines/aider.yaml")),
];

/// An engine that a manifest describes.
#[derive(Clone, Debug)]
pub(super) struct ManifestEngine {
    document: EngineDocument,
    about: EngineManifest,
    templates: read::Templates,
    /// What `harness.yaml` names as its program.
    program: Option<PathBuf>,
}

impl ManifestEngine {
    /// Takes over what the settings say about the engine.
    pub(super) fn configure(&mut self, program: Option<PathBuf>, gated_by_env: Option<String>) {
        self.program = program;
        self.about.gated_by_env = gated_by_env;
    }

    fn values<'a>(&'a self, task: &'a EngineTask<'_>, found: &'a Installation) -> Values<'a> {
        Values {
            engine: self,
            task,
            found,
        }
    }

    /// The words that come before the template's: the program, after its interpreter where it is a script.
    fn start(found: &Installation) -> Vec<OsString> {
        let interpreter = found.interpreter.iter().map(OsString::from);
        interpreter.chain([found.program.clone().into_os_string()]).collect()
    }
}

impl Engine for ManifestEngine {
    fn manifest(&self) -> &EngineManifest {
        &self.about
    }

    fn document(&self) -> Option<&EngineDocument> {
        Some(&self.document)
    }

    fn search(&self, places: &Places<'_>) -> Search {
        find::search(&self.document, &self.about, self.program.as_deref(), places)
    }

    fn program(&self, task: &EngineTask<'_>) -> Option<OsString> {
        let missing = || OsString::from(&self.about.name);
        Some(
            task.program
                .map_or_else(missing, |found| found.program.clone().into_os_string()),
        )
    }

    fn invocation(&self, task: &EngineTask<'_>) -> Result<Invocation, EngineError> {
        let name = || self.about.name.clone();
        let found = task.program.ok_or_else(|| EngineError::NoProgram { name: name() })?;
        let values = self.values(task, found);
        let fill = |placeholder| values.get(placeholder);
        let mut argv = Self::start(found);
        let mut shown: Vec<String> = argv
            .iter()
            .map(|word| cto_schema::escape(word.as_encoded_bytes(), 400))
            .collect();
        for template in &self.templates.argv {
            let word = template.fill(fill)?;
            let is_prompt = template
                .placeholders()
                .any(|placeholder| placeholder == Placeholder::Prompt);
            shown.push(if is_prompt {
                shown_prompt(&word)
            } else {
                cto_schema::escape(word.as_bytes(), 400)
            });
            argv.push(word.into());
        }
        let mut invocation = Invocation::of(Program::Argv(argv), shown);
        for (variable, template) in &self.templates.env {
            invocation.env.push((variable.into(), template.fill(fill)?.into()));
        }
        if let (Some(model), Some(_)) = (&self.document.model, task.model) {
            let key = values.get(Placeholder::Key)?;
            invocation.env.push((OsString::from(&model.key_variable), key.into()));
        }
        for (path, template) in &self.templates.home {
            invocation.home.push(HomeFile {
                path: PathBuf::from(path),
                content: template.fill(fill)?.into_bytes(),
                mode: 0o600,
            });
        }
        invocation.binds.clone_from(&found.binds);
        invocation.masks = self
            .document
            .mask
            .iter()
            .map(|path| PathBuf::from(path.trim_end_matches('/')))
            .collect();
        invocation.keep = self.document.keep.iter().map(keep).collect();
        invocation.workdir_root = self.document.start_in_root;
        match self.document.task_files {
            EngineTaskFiles::None => {}
            EngineTaskFiles::Case => case_task::add(task, found, &mut invocation),
        }
        Ok(invocation)
    }

    fn normalize(&self, output: &EngineOutput<'_>) -> Normalized {
        let mut normalized = stream::read(&self.document.stream, output);
        failures::note(&self.document, output, &mut normalized);
        normalized
    }
}

fn keep(keep: &cto_schema::EngineKeep) -> Keep {
    Keep {
        from: PathBuf::from(keep.from.trim_end_matches('/')),
        to: keep.to.trim_end_matches('/').to_owned(),
        max_bytes: u64::from(keep.max_kib) << 10,
    }
}

/// The prompt is long and follows from the contract: evidence shows its size and digest.
fn shown_prompt(prompt: &str) -> String {
    format!(
        "<prompt: {} bytes, {}>",
        prompt.len(),
        Sha256Digest::of(prompt.as_bytes())
    )
}

/// The values of one run for the placeholders.
struct Values<'a> {
    engine: &'a ManifestEngine,
    task: &'a EngineTask<'a>,
    found: &'a Installation,
}

impl Values<'_> {
    fn get(&self, placeholder: Placeholder) -> Result<String, EngineError> {
        let value = match placeholder {
            Placeholder::Prompt => return Ok(prompt::prompt(self.task.contract)),
            Placeholder::Title => return Ok(prompt::title(self.task.contract)),
            Placeholder::Program => self.found.program.to_string_lossy().into_owned(),
            Placeholder::Home => cto_sandbox::HOME.to_owned(),
            Placeholder::Workspace => cto_sandbox::WORKSPACE.to_owned(),
            Placeholder::Model => self.model()?.model.clone(),
            Placeholder::Key => self.model()?.key.clone(),
            Placeholder::Provider => {
                let own = self
                    .engine
                    .about
                    .wire
                    .as_ref()
                    .and_then(|wire| wire.runtime_provider.clone());
                own.map_or_else(|| self.model().map(|model| model.provider.clone()), Ok)?
            }
            Placeholder::BaseUrl => {
                let path = self.engine.document.model.as_ref().map_or("", |model| &model.base_path);
                format!("{}{path}", self.model()?.base)
            }
        };
        if is_safe(&value) {
            return Ok(value);
        }
        Err(EngineError::UnsafeValue {
            name: self.engine.about.name.clone(),
            what: placeholder.name(),
            value: cto_schema::escape(value.as_bytes(), 120),
        })
    }

    fn model(&self) -> Result<&ModelEndpoint, EngineError> {
        self.task.model.ok_or_else(|| EngineError::NoModel {
            name: self.engine.about.name.clone(),
        })
    }
}

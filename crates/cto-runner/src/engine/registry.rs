//! The engines of an installation: two in code, the rest as manifests.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use super::command::Command;
use super::fake::Fake;
use super::manifest::{EMBEDDED, ManifestEngine, read_manifest};
use super::{Engine, EngineError, PLAYS};
use crate::settings::{EngineSettings, Settings};

/// The engines of an installation; no two have one name.
#[derive(Clone, Debug)]
pub struct Engines {
    all: Vec<Arc<dyn Engine>>,
}

impl Engines {
    /// Puts together what is embedded and what the settings register.
    pub fn new(settings: &Settings) -> Result<Self, EngineError> {
        let mut manifests = Vec::new();
        for (from, text) in EMBEDDED {
            add(&mut manifests, read_manifest(text.as_bytes(), from)?, Path::new(from))?;
        }
        let registered = settings
            .engines
            .iter()
            .filter_map(|(name, engine)| Some((name, engine.manifest.as_ref()?)));
        for (name, path) in registered {
            add(&mut manifests, from_file(name, path)?, path)?;
        }
        for (name, engine) in &settings.engines {
            configure(&mut manifests, name, engine)?;
        }
        let code: [Arc<dyn Engine>; 2] = [Arc::new(Fake::new()), Arc::new(Command::new())];
        let manifests = manifests.into_iter().map(|engine| Arc::new(engine) as Arc<dyn Engine>);
        Ok(Self {
            all: code.into_iter().chain(manifests).collect(),
        })
    }

    /// Returns every engine, in the order in which they are listed.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Engine>> {
        self.all.iter()
    }

    /// Puts an engine in the place of the one with its name.
    pub(crate) fn replace(&mut self, engine: Arc<dyn Engine>) {
        let name = &engine.manifest().name;
        if let Some(known) = self.all.iter_mut().find(|known| known.manifest().name == *name) {
            *known = engine;
        }
    }

    /// Finds an engine by the name before the colon, and the variant after it.
    pub fn find<'a>(&self, selector: &'a str) -> Result<(Arc<dyn Engine>, Option<&'a str>), EngineError> {
        let (name, variant) = match selector.split_once(':') {
            Some((name, variant)) => (name, Some(variant)),
            None => (selector, None),
        };
        let engine = self.all().find(|engine| engine.manifest().name == name).cloned();
        let engine = engine.ok_or_else(|| {
            let names = self.all().map(|engine| engine.manifest().name.as_str());
            EngineError::Unknown {
                name: cto_schema::escape(name.as_bytes(), 80),
                suggestion: cto_schema::nearest(name, names),
            }
        })?;
        if let Some(variant) = variant.filter(|v| name != "fake" || !PLAYS.iter().any(|play| play.name == *v)) {
            return Err(EngineError::UnknownVariant {
                variant: cto_schema::escape(variant.as_bytes(), 80),
                suggestion: cto_schema::nearest(variant, PLAYS.iter().map(|play| play.name)),
            });
        }
        Ok((engine, variant))
    }
}

/// Names that are engines in code.
const IN_CODE: [&str; 2] = ["fake", "command"];

fn add(all: &mut Vec<ManifestEngine>, engine: ManifestEngine, from: &Path) -> Result<(), EngineError> {
    let name = &engine.manifest().name;
    if IN_CODE.contains(&name.as_str()) || all.iter().any(|known| known.manifest().name == *name) {
        return Err(EngineError::Duplicate {
            name: name.clone(),
            from: from.to_owned(),
        });
    }
    all.push(engine);
    Ok(())
}

fn from_file(name: &str, path: &Path) -> Result<ManifestEngine, EngineError> {
    let refuse = |reason: String| EngineError::Settings {
        name: cto_schema::escape(name.as_bytes(), 60),
        reason,
    };
    if !path.is_absolute() {
        return Err(refuse(format!(
            "manifest '{}' is no absolute path; write it in full",
            path.display()
        )));
    }
    let file = std::fs::File::open(path).map_err(|error| refuse(format!("{}: {error}", path.display())))?;
    let mut bytes = Vec::new();
    // The reader refuses more, with its own words.
    let read = file.take(1 << 20).read_to_end(&mut bytes);
    read.map_err(|error| refuse(format!("{}: {error}", path.display())))?;
    let engine = read_manifest(&bytes, &path.display().to_string())?;
    if engine.manifest().name != name {
        return Err(refuse(format!(
            "its manifest {} is of '{}'; use that name",
            path.display(),
            engine.manifest().name
        )));
    }
    Ok(engine)
}

fn configure(all: &mut [ManifestEngine], name: &str, settings: &EngineSettings) -> Result<(), EngineError> {
    let refuse = |reason: String| EngineError::Settings {
        name: cto_schema::escape(name.as_bytes(), 60),
        reason,
    };
    if IN_CODE.contains(&name) {
        let fixed = settings.program.is_some() || settings.gated_by_env.is_some();
        let what = "it is part of the program; only its model and records can be set";
        return if fixed { Err(refuse(what.to_owned())) } else { Ok(()) };
    }
    let known = || {
        all.iter()
            .map(|engine| engine.manifest().name.clone())
            .collect::<Vec<_>>()
    };
    let nearest = || cto_schema::nearest(name, known().iter().map(String::as_str));
    let Some(at) = all.iter().position(|engine| engine.manifest().name == name) else {
        let hint = nearest()
            .map(|name| format!(" (did you mean '{name}'?)"))
            .unwrap_or_default();
        return Err(refuse(format!("no engine has this name; add its manifest{hint}")));
    };
    if let Some(program) = settings.program.as_ref().filter(|program| !program.is_absolute()) {
        return Err(refuse(format!(
            "program '{}' is no absolute path; write it in full",
            program.display()
        )));
    }
    let only_by_variable = all[at]
        .document()
        .is_some_and(|document| document.find.only_by_variable);
    if only_by_variable && settings.program.is_some() {
        let variable = all[at].manifest().program_variable();
        return Err(refuse(format!(
            "its program is named by {variable} alone; remove 'program'"
        )));
    }
    if let Some(variable) = &settings.gated_by_env {
        let shape = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        if !variable.starts_with("CTO_HARNESS_ALLOW_") || !variable.bytes().all(shape) {
            return Err(refuse(
                "gated_by_env must be CTO_HARNESS_ALLOW_ and A-Z, 0-9, '_'".to_owned(),
            ));
        }
    }
    all[at].configure(settings.program.clone(), settings.gated_by_env.clone());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "schema: cto/engine/1.0\nname: NAME\nsummary: s\nfind: {names: [x]}\nargv: ['{prompt}']\n\
                            stream: {parser: lines}\n";

    fn settings(name: &str, manifest: &str, more: &str) -> (tempfile::TempDir, Settings) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.yaml");
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), manifest.as_bytes()).unwrap();
        let yaml = format!("engines: {{{name}: {{manifest: {}{more}}}}}", path.display());
        (dir, serde_saphyr::from_str(&yaml).unwrap())
    }

    fn refusal(settings: &Settings) -> String {
        let error = Engines::new(settings).map(|_| ()).unwrap_err();
        crate::run::chain(&error)
    }

    #[test]
    fn the_embedded_engines_are_found_by_name_and_variant() {
        let engines = Engines::new(&Settings::default()).unwrap();
        let names: Vec<_> = engines.all().map(|engine| engine.manifest().name.clone()).collect();
        assert_eq!(
            names,
            ["fake", "command", "codex", "pi", "claude", "opencode", "case", "aider"]
        );
        assert_eq!(engines.find("fake:no-diff").unwrap().1, Some("no-diff"));
        assert!(matches!(engines.find("codxe"), Err(EngineError::Unknown { suggestion: Some(s), .. }) if s == "codex"));
        assert!(matches!(
            engines.find("codex:x"),
            Err(EngineError::UnknownVariant { .. })
        ));
    }

    #[test]
    fn a_manifest_of_the_settings_is_an_engine_that_is_gated() {
        let (_dir, settings) = settings(
            "mine",
            &MANIFEST.replace("NAME", "mine"),
            ", gated_by_env: CTO_HARNESS_ALLOW_X",
        );
        let engines = Engines::new(&settings).unwrap();
        let (engine, _) = engines.find("mine").unwrap();
        assert!(engine.manifest().gated);
        assert_eq!(engine.manifest().allow_gate(), "CTO_HARNESS_ALLOW_X");
    }

    #[test]
    fn a_name_that_is_taken_or_differs_is_an_error() {
        for taken in ["codex", "fake", "command"] {
            let (_dir, settings) = settings(taken, &MANIFEST.replace("NAME", taken), "");
            assert!(refusal(&settings).contains("is taken"), "{taken}");
        }
        let (_dir, settings) = settings("mine", &MANIFEST.replace("NAME", "yours"), "");
        assert!(refusal(&settings).contains("use that name"));
    }

    #[test]
    fn settings_that_name_no_engine_or_no_absolute_path_are_errors() {
        for (yaml, part) in [
            ("engines: {codx: {program: /x}}", "did you mean 'codex'"),
            ("engines: {codex: {program: x}}", "absolute"),
            ("engines: {mine: {manifest: x.yaml}}", "absolute"),
            (
                "engines: {mine: {manifest: /nonexistent/x.yaml}}",
                "/nonexistent/x.yaml",
            ),
            ("engines: {case: {program: /x/ca}}", "CTO_HARNESS_CASE_BIN alone"),
            ("engines: {codex: {gated_by_env: PATH}}", "CTO_HARNESS_ALLOW_"),
            ("engines: {command: {program: /x}}", "part of the program"),
        ] {
            let settings: Settings = serde_saphyr::from_str(yaml).unwrap();
            let text = refusal(&settings);
            assert!(text.contains(part), "{yaml}: {text}");
        }
        assert!(serde_saphyr::from_str::<Settings>("engines: {codex: {binary: /x}}").is_err());
    }
}

//! The record of `cto admit build`.

use cto_runner::{BuildRequest, Engine, Harness, Places, Search, judge_made_build, make_build};
use serde_json::Value;

use crate::cli_admissions::AdmitBuild;
use crate::error::CommandError;

pub(super) fn record(harness: &Harness, engine: &dyn Engine, args: &AdmitBuild) -> Result<Value, CommandError> {
    let places = Places {
        environment: &harness.environment,
        toolchains: &harness.settings.toolchains,
    };
    let search = engine.search(&places);
    let found = match &search {
        Search::Found(found) => Some(found),
        Search::NotNeeded | Search::Missing { .. } => None,
    };
    let named = args.bin.as_ref().map(|path| path.to_owned());
    let binary = named
        .or_else(|| found.map(|found| found.program.clone()))
        .ok_or_else(|| {
            let mend = match &search {
                Search::Missing { mend, .. } => mend.clone(),
                Search::NotNeeded | Search::Found(_) => "give --bin PATH".to_owned(),
            };
            CommandError::refused("failed to find the engine's program").hint(mend)
        })?;
    // What is known of the found program holds for another path only when it is the same file.
    let same = found.filter(|found| {
        let real = |path: &std::path::Path| std::fs::canonicalize(path).ok();
        real(&found.program).is_some() && real(&found.program) == real(&binary)
    });
    let declared = engine.document().and_then(|document| document.identity.as_ref());
    let identity = match (&args.identity, declared) {
        (Some(text), _) => Some((vec!["--help".to_owned()], text.clone())),
        (None, Some(identity)) => Some((identity.argv.clone(), identity.expect.clone())),
        (None, None) => None,
    };
    let mut tools = Vec::new();
    for tool in &args.tool {
        let (name, version) = tool
            .split_once('=')
            .ok_or_else(|| CommandError::usage("a tool's version is written NAME=VERSION, such as bun=1.2.3"))?;
        tools.push((name.to_owned(), version.to_owned()));
    }
    let interpreted = same.is_some_and(|found| found.interpreter.is_some());
    let argv = engine
        .document()
        .map(|document| document.argv.clone())
        .unwrap_or_default();
    let request = BuildRequest {
        engine: engine.manifest().name.clone(),
        binary,
        interpreted,
        binds: same.map(|found| found.binds.clone()).unwrap_or_default(),
        source: args.source.clone(),
        source_url: args.source_url.clone(),
        package: args.package.clone(),
        build_command: args.build_command.clone(),
        tools,
        identity,
        command_shape: std::iter::once("{program}".to_owned()).chain(argv).collect(),
    };
    let refused = |reason: String| CommandError::refused(format!("failed to record the build: {reason}"));
    let record = make_build(harness, &request).map_err(refused)?;
    judge_made_build(&record, interpreted).map_err(refused)?;
    serde_json::to_value(&record).map_err(|error| CommandError::failed(&error))
}

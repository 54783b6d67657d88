//! Facts about engine, installation, sandbox and target, gathered one source at a time and stored as read.

mod target;

pub(crate) use target::target_admission;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cto_policy::{GATES, Phase, decide};
use cto_sandbox::Provider;
use cto_schema::{
    EligibilityDecision, EngineFacts, Facts, LadderFacts, RunsRootFacts, TaskContract, VerificationFacts, escape,
};

use crate::baseline::ObjectSource;
use crate::cases::LoadedCase;
use crate::engine::{Engine, EngineError, EngineTask, Places, Search};
use crate::model::{ModelPlan, Program, gather_admissions, needs_model};
use crate::request::{Harness, RunRequest, Task};
use crate::run::chain;
use crate::sandbox_facts::{CageTest, DEFAULT_PROVIDER, cage_test, find_provider};
use crate::source::{SourceLock, SourceRepository};
use crate::tool::{Git, GitError};
use crate::toolchains::{Toolchain, find_program, from_root, search_path};

/// What was gathered for one run, and the things themselves where the run goes on to use them.
pub(crate) struct Gathering {
    pub(crate) facts: Facts,
    pub(crate) engine: Result<(Arc<dyn Engine>, Option<String>), EngineError>,
    /// Where the engine's program is.
    pub(crate) program: Search,
    /// The admitted model and how it is reached, for engines that need one.
    pub(crate) model: Option<ModelPlan>,
    pub(crate) provider: Option<&'static dyn Provider>,
    pub(crate) cage_test: Option<CageTest>,
    /// Held, so that the repository that was looked at is the one that is used.
    pub(crate) source: Option<SourceRepository>,
    pub(crate) lock: Option<SourceLock>,
    pub(crate) target: Option<(ObjectSource, String)>,
}

/// What facts are gathered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A run, or the question whether there may be one.
    Run,
    /// A packet, which is made before anybody has approved anything.
    Packet,
}

/// Gathers what the gates look at. No repository fact is read before the environment has said yes. Whatever a self-test
/// makes on the host has a name that starts with `unique`.
pub(crate) fn gather(
    harness: &Harness,
    git: &Git,
    request: &RunRequest,
    contract: Result<&TaskContract, &str>,
    unique: &str,
    purpose: Purpose,
) -> Gathering {
    let engine = harness.engines.find(&request.engine);
    let engine = engine.map(|(engine, variant)| (engine, variant.map(str::to_owned)));
    let program = search_engine(harness, request, &engine);
    let name = provider_name(harness, request);
    let provider = find_provider(&name);
    let cage_test = provider.map(|provider| {
        cage_test(
            provider,
            &harness.settings.sandbox,
            &harness.reexec,
            &harness.home.cache(),
            &harness.home.work(),
            unique,
        )
    });
    let mut gathering = Gathering {
        facts: Facts::default(),
        engine,
        program,
        model: None,
        provider,
        cage_test,
        source: None,
        lock: None,
        target: None,
    };
    gathering.facts.engine = engine_facts(harness, request, contract.ok(), &gathering);
    gathering.gather_admissions(harness, request);
    gathering.gather_ladder(harness, contract.ok());
    gathering.facts.verification = verification_facts(harness, request, contract.ok());
    // Asked once; without it neither a target nor a patch can be read, and it is no matter of the contract.
    gathering.facts.git_problem = match git.version() {
        Ok(_) | Err(GitError::Stopped { .. }) => None,
        Err(error) => Some(chain(&error)),
    };
    gathering.facts.runs_root = RunsRootFacts {
        writable: true,
        inside_target: home_inside_target(harness, contract.ok()),
    };
    match &gathering.cage_test {
        Some(test) => gathering.facts.sandbox = test.facts(),
        None => {
            let shown = escape(name.as_bytes(), 60);
            gathering.facts.sandbox.detail = format!("sandbox provider '{shown}' is not one of native, bwrap, none");
            gathering.facts.sandbox.provider = shown;
        }
    }
    if let Ok(contract) = contract {
        gathering.gather_approval(harness, request, contract);
    }
    let early = decide(contract, &gathering.facts);
    let refuses_before_the_target = early.gates.iter().any(|outcome| {
        let before = GATES
            .iter()
            .any(|gate| gate.name == outcome.gate && gate.phase < Phase::Target);
        // Whoever asks for an approval has none yet, and it is bound to the target.
        let awaited = purpose == Purpose::Packet && outcome.gate == "approval";
        before && outcome.refusal.is_some() && !awaited
    });
    if let (false, Ok(contract)) = (refuses_before_the_target, contract) {
        gathering.gather_target(harness, git, request, contract);
    }
    gathering
}

/// Looks at an engine by itself: its gates, its program, its records. No contract, sandbox or target is asked.
pub(crate) fn look_at_engine(harness: &Harness, request: &RunRequest) -> (Facts, Search) {
    let engine = harness.engines.find(&request.engine);
    let engine = engine.map(|(engine, variant)| (engine, variant.map(str::to_owned)));
    let mut gathering = Gathering {
        facts: Facts::default(),
        program: search_engine(harness, request, &engine),
        engine,
        model: None,
        provider: None,
        cage_test: None,
        source: None,
        lock: None,
        target: None,
    };
    gathering.facts.engine = engine_facts(harness, request, None, &gathering);
    gathering.gather_admissions(harness, request);
    (gathering.facts, gathering.program)
}

/// Decides whether one engine may run a contract, and runs nothing.
pub fn decide_only(harness: &Harness, request: &RunRequest) -> EligibilityDecision {
    let (_, contract) = crate::run::read_task(harness, request);
    let contract = contract.as_ref().map_err(String::as_str);
    let gathering = gather(
        harness,
        &harness.git,
        request,
        contract,
        &format!("decide-{}", std::process::id()),
        Purpose::Run,
    );
    decide(contract, &gathering.facts)
}

fn provider_name(harness: &Harness, request: &RunRequest) -> String {
    let settings = &harness.settings.sandbox.provider;
    request
        .provider
        .as_ref()
        .or(settings.as_ref())
        .map_or(DEFAULT_PROVIDER, String::as_str)
        .to_owned()
}

fn case(request: &RunRequest) -> Option<&LoadedCase> {
    match &request.task {
        Task::Case(case) => Some(case),
        Task::Contract { .. } => None,
    }
}

/// Looks for the engine's program where the operator said that engines are.
fn search_engine(
    harness: &Harness,
    request: &RunRequest,
    engine: &Result<(Arc<dyn Engine>, Option<String>), EngineError>,
) -> Search {
    let places = Places {
        environment: &harness.environment,
        toolchains: &toolchains(harness, request),
    };
    engine
        .as_ref()
        .map_or(Search::NotNeeded, |(engine, _)| engine.search(&places))
}

fn engine_facts(
    harness: &Harness,
    request: &RunRequest,
    contract: Option<&TaskContract>,
    gathering: &Gathering,
) -> EngineFacts {
    let Ok((engine, variant)) = &gathering.engine else {
        return EngineFacts {
            name: escape(request.engine.as_bytes(), 80),
            ..EngineFacts::default()
        };
    };
    let manifest = engine.manifest();
    let (allow, stage) = (manifest.allow_gate(), manifest.stage_gate());
    let program = contract.and_then(|contract| {
        let task = EngineTask {
            contract,
            case: case(request),
            variant: variant.as_deref(),
            command: &request.command,
            program: gathering.program.installation(),
            model: None,
        };
        engine.program(&task)
    });
    let in_view = |program: &OsString| program_in_view(program, &toolchains(harness, request));
    let program_found = match &gathering.program {
        Search::NotNeeded => program.as_ref().map(in_view),
        Search::Found(_) => Some(true),
        Search::Missing { .. } => Some(false),
    };
    EngineFacts {
        name: manifest.name.clone(),
        registered: true,
        gated: manifest.gated,
        allow_gate_set: harness.environment.get(&allow).is_some_and(|value| value == "1"),
        stage_gate_value: harness
            .environment
            .get(&stage)
            .cloned()
            .or(request.stage.map(|stage| stage.to_string())),
        allow_gate: Some(allow),
        stage_gate: Some(stage),
        program_found,
        program: program.map(|p| escape(p.as_encoded_bytes(), 200)).unwrap_or_default(),
        program_problem: match &gathering.program {
            Search::Missing { looked, mend } => format!("{}; {mend}", looked.join("; ")),
            Search::NotNeeded | Search::Found(_) => String::new(),
        },
        program_digest: None,
        manifest_digest: manifest.digest,
        climbs_as: climbs_as(manifest, request),
        ladder: LadderFacts::default(),
        ungated_up_to_stage: manifest.ungated_up_to_stage,
        needs_model: needs_model(harness, request, manifest),
        minimum_memory_mib: manifest.minimum.memory_mib,
        minimum_processes: manifest.minimum.processes,
    }
}

/// The engine `command` is whatever program it is given, so the program is what climbs.
fn climbs_as(manifest: &crate::engine::EngineManifest, request: &RunRequest) -> Option<String> {
    let program = request.command.first().filter(|_| manifest.name == "command")?;
    let digest = std::fs::File::open(program).and_then(crate::baseline::beneath::digest_reader);
    Some(match digest {
        Ok((digest, _)) => digest.to_string(),
        Err(_) => format!("not a file here: {}", escape(program.as_encoded_bytes(), 200)),
    })
}

fn verification_facts(harness: &Harness, request: &RunRequest, contract: Option<&TaskContract>) -> VerificationFacts {
    let toolchains = toolchains(harness, request);
    let commands = contract
        .map(|contract| contract.verification_commands.as_slice())
        .unwrap_or_default();
    let layers = contract
        .map(|contract| contract.dependency_layers.as_slice())
        .unwrap_or_default();
    let in_layer = |program: &str| layers.iter().any(|layer| Path::new(program).starts_with(&layer.mount));
    // A layer's programs are known only once it is mounted; its bin is on the search path.
    let maybe_in_layer = |program: &str| !layers.is_empty() && !program.contains('/');
    let mut missing: Vec<String> = commands
        .iter()
        .filter_map(|argv| argv.first())
        .filter(|program| !in_layer(program) && !maybe_in_layer(program))
        .filter(|program| !program_in_view(OsStr::new(program.as_str()), &toolchains))
        .map(|program| escape(program.as_bytes(), 200))
        .collect();
    missing.dedup();
    let root = harness.home.layers();
    let missing_layers = layers
        .iter()
        .filter_map(|layer| crate::layers::resolve(&root, layer).err())
        .map(|error| chain(&error))
        .collect();
    VerificationFacts {
        missing_programs: missing,
        missing_layers,
    }
}

/// Returns every toolchain directory that the operator maps into the cages.
pub(crate) fn toolchains(harness: &Harness, request: &RunRequest) -> Vec<PathBuf> {
    let mut all = request.toolchains.clone();
    all.extend(
        harness
            .settings
            .toolchains
            .iter()
            .filter(|path| !request.toolchains.contains(path))
            .cloned(),
    );
    all
}

/// Tells whether a cage's view will show a program: below /usr, in a toolchain, or in the workspace itself.
pub(crate) fn program_in_view(program: &OsStr, toolchains: &[PathBuf]) -> bool {
    let path = Path::new(program);
    if program.is_empty() {
        return false;
    }
    if path.is_absolute() {
        let shown = ["/usr", "/bin", "/sbin", "/lib", "/lib64"]
            .iter()
            .any(|root| path.starts_with(root));
        let mapped = toolchains.iter().any(|root| path.starts_with(root));
        // What lies in the workspace exists only later.
        return path.starts_with(cto_sandbox::WORKSPACE) || ((shown || mapped) && path.exists());
    }
    if path.components().count() > 1 {
        return true;
    }
    let enabled: Vec<Toolchain> = toolchains.iter().map(|root| from_root(root)).collect();
    program
        .to_str()
        .is_some_and(|name| find_program(name, &search_path(&enabled)).is_some())
}

fn home_inside_target(harness: &Harness, contract: Option<&TaskContract>) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let target = contract.and_then(|contract| contract.target_repository.as_ref());
    match (
        target.and_then(|target| real(Path::new(target))),
        real(harness.home.root()),
    ) {
        (Some(target), Some(home)) => home.starts_with(target),
        _ => false,
    }
}

impl Gathering {
    /// Gathers records, provider and binary, for an engine that runs with a model.
    fn gather_admissions(&mut self, harness: &Harness, request: &RunRequest) {
        let Ok((engine, _)) = &self.engine else { return };
        if !self.facts.engine.needs_model {
            return;
        }
        let installation = self.program.installation();
        let named = request.command.first().map(Path::new).filter(|path| path.is_absolute());
        let program = Program {
            path: installation.map(|found| found.program.as_path()).or(named),
            interpreted: installation.is_some_and(|found| found.interpreter.is_some()),
        };
        let (facts, plan) = gather_admissions(harness, request, engine.manifest(), program);
        self.facts.engine.program_digest = facts.binary.digest;
        self.facts.admissions = facts;
        self.model = plan;
    }

    /// Gathers whether the stage below is validated, where the gate may ask.
    fn gather_ladder(&mut self, harness: &Harness, contract: Option<&TaskContract>) {
        let stage = contract.map_or(0, |contract| contract.mutation_mode.stage());
        let engine = &mut self.facts.engine;
        engine.ladder.proving = harness.validator.is_some();
        let asked = (2..=5).contains(&stage) && (engine.gated || stage > engine.ungated_up_to_stage);
        if engine.ladder.proving || !asked {
            return;
        }
        let admissions = cto_policy::admissions_of(&self.facts);
        let engine = &mut self.facts.engine;
        match crate::ladder::one_rung(harness, &engine.name, stage - 1, &admissions) {
            Ok(rung) => {
                engine.ladder.validated = rung.validated();
                engine.ladder.missing = rung.missing.iter().map(|name| (*name).to_owned()).collect();
            }
            Err(error) => engine.ladder.missing = vec![chain(&error)],
        }
    }
}

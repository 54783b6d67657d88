//! What is asked for, what is admitted, and what is there: only all three together give a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use cto_evidence::Home;
use cto_gateway::{Budget, CredentialSource, Dialect, Preflight};
use cto_policy::ModelAdmissionStatus as S;
use cto_schema::{BuildAdmission, RepositoryAdmission, Sha256Digest, SourceAdmission};
use serde_json::{Value, json};

use super::*;
use crate::engine::Wire;
use crate::lacks::lacks;
use crate::request::Task;
use crate::settings::Settings;
use crate::tool::Git;

const ENDPOINT: &str = "http://10.11.12.13:4567/v1";

struct World {
    place: tempfile::TempDir,
    settings: String,
    environment: BTreeMap<String, String>,
    present: BTreeSet<String>,
    endpoints: BTreeMap<String, String>,
    manifest: EngineManifest,
    flag: Option<RequestedModel>,
}

fn manifest(name: &str) -> EngineManifest {
    EngineManifest {
        name: name.to_owned(),
        gated: true,
        wire: Some(Wire {
            dialects: vec![Dialect::ChatCompletions],
            runtime_provider: Some("openai".to_owned()),
            bridged: vec![],
        }),
        ..EngineManifest::default()
    }
}

fn admission(provider: &str, model: &str) -> Value {
    json!({
        "admission_timestamp": "2026-06-01T00:00:00-04:00",
        "allowed_network_class": "local-or-hosted",
        "approval_source": "operator",
        "credential_source_class": "the-operators-own",
        "model": model,
        "provider": provider,
        "review_trigger": "before anything changes",
        "status": "admitted"
    })
}

impl World {
    /// A world in which `scripted/m` is admitted for engine `pi` and its endpoint is set.
    fn new() -> Self {
        let world = Self {
            place: tempfile::tempdir().unwrap(),
            settings: String::new(),
            environment: BTreeMap::from([("CTO_HARNESS_PI_LOCAL_BASE_URL".to_owned(), ENDPOINT.to_owned())]),
            present: BTreeSet::new(),
            endpoints: BTreeMap::new(),
            manifest: manifest("pi"),
            flag: None,
        };
        world.record(RecordKind::Model, &admission("scripted", "m"));
        world
    }

    fn harness(&self) -> Harness {
        let home = Home::open(&self.place.path().join("home")).unwrap();
        let settings: Settings = if self.settings.is_empty() {
            Settings::default()
        } else {
            serde_saphyr::from_str(&self.settings).unwrap()
        };
        settings.check_models().unwrap();
        let git = Git::at(PathBuf::from("/usr/bin/git"));
        Harness::new(home, settings, git, self.environment.clone(), vec![])
            .unwrap()
            .with_variables(self.present.clone(), self.endpoints.clone())
    }

    fn path(&self, kind: RecordKind) -> PathBuf {
        own_place(&self.harness(), &self.manifest.name, kind)
    }

    fn record(&self, kind: RecordKind, value: &Value) -> PathBuf {
        let path = self.path(kind);
        put(&path, value.to_string().as_bytes());
        path
    }

    fn gather(&self) -> (AdmissionFacts, Option<ModelPlan>) {
        let mut request = RunRequest::of(
            Task::Contract {
                path: PathBuf::new(),
                bytes: vec![],
            },
            self.manifest.name.clone(),
        );
        request.model = self.flag.clone();
        let gathered = gather_admissions(&self.harness(), &request, &self.manifest, Program::default());
        let shown = format!("{gathered:?} {}", serde_json::to_string(&gathered.0).unwrap());
        assert!(
            !shown.contains("10.11.12.13") && !shown.contains("4567"),
            "an endpoint is shown: {shown}"
        );
        gathered
    }
}

fn put(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    crate::baseline::sample::write(path, bytes);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// The class of the credential of the requested provider.
fn class(facts: &cto_schema::AdmissionFacts) -> &str {
    &facts.model.providers[0].credential_class
}

#[test]
fn a_scripted_model_needs_an_admission_and_an_endpoint_and_nothing_else() {
    let mut world = World::new();
    let (facts, plan) = world.gather();
    let plan = plan.unwrap();
    assert_eq!(facts.model.requested_by, "record");
    assert_eq!((plan.preflight, class(&facts)), (Preflight::Local, "none"));
    assert_eq!(facts.model.runtime_provider.as_deref(), Some("openai"));
    let order = plan.order(Budget::default());
    let route = &order.routes[0];
    assert_eq!(
        (route.provider.as_str(), route.model.as_str(), route.base_url.as_str()),
        ("scripted", "m", ENDPOINT)
    );
    assert_eq!(order.dialects, [Dialect::ChatCompletions]);
    let bytes = std::fs::read(world.path(RecordKind::Model)).unwrap();
    assert_eq!(facts.model.admission.digest, Some(Sha256Digest::of(&bytes)));

    world.present.insert("CTO_SCRIPTED_KEY".to_owned());
    assert!(
        world.gather().1.is_none(),
        "a key does not go to another machine in the clear"
    );
    world.settings = "providers: {scripted: {plain_http: true}}".to_owned();
    let plan = world.gather().1.unwrap();
    assert_eq!(
        plan.routes()[0].credential,
        CredentialSource::Environment("CTO_SCRIPTED_KEY".to_owned())
    );

    world.environment.clear();
    let (facts, plan) = world.gather();
    assert!(plan.is_none());
    let reach = &facts.model.providers[0];
    assert!(!reach.endpoint_configured && reach.endpoint_detail.contains("set CTO_HARNESS_PI_LOCAL_BASE_URL"));
}

#[test]
fn a_pair_comes_from_one_place_and_the_nearest_one_counts() {
    let mut world = World::new();
    let asked = |world: &World| {
        let model = world.gather().0.model;
        (model.requested_by, model.provider, model.model)
    };
    let pair = |by: &str, provider: Option<&str>, model: Option<&str>| {
        (by.to_owned(), provider.map(str::to_owned), model.map(str::to_owned))
    };
    assert_eq!(asked(&world), pair("record", Some("scripted"), Some("m")));
    world.manifest.name = "mine".to_owned();
    world.record(RecordKind::Model, &admission("scripted", "m"));
    world
        .environment
        .insert("CTO_HARNESS_MINE_MODEL".to_owned(), "other".to_owned());
    assert_eq!(
        asked(&world),
        pair("environment", None, Some("other")),
        "halves are not joined"
    );
    world
        .environment
        .insert("CTO_HARNESS_MINE_MODEL_PROVIDER".to_owned(), "openai".to_owned());
    assert_eq!(asked(&world), pair("environment", Some("openai"), Some("other")));
    world.flag = Some(RequestedModel {
        provider: Some("scripted".to_owned()),
        model: Some("x".to_owned()),
        by: "flag",
    });
    assert_eq!(asked(&world), pair("flag", Some("scripted"), Some("x")));
    assert!(world.gather().1.is_none(), "only the admitted pair has a plan");
}

#[test]
fn an_external_provider_needs_a_credential_and_an_encrypted_endpoint() {
    let mut world = World::new();
    world.record(RecordKind::Model, &admission("openai", "gpt-x"));
    let (facts, plan) = world.gather();
    assert!(plan.is_none());
    let reach = &facts.model.providers[0];
    assert_eq!((reach.class.as_str(), reach.endpoint_configured), ("external", true));
    assert!(
        !reach.credential_present && reach.credential_detail.contains("set OPENAI_API_KEY"),
        "{reach:?}"
    );
    world.present.insert("OPENAI_API_KEY".to_owned());
    let (facts, plan) = world.gather();
    let plan = plan.unwrap();
    assert_eq!((plan.preflight, class(&facts)), (Preflight::None, "environment"));
    assert!(
        plan.routes()[0].base_url.starts_with("https://"),
        "a local address is never used for it"
    );

    world.settings = format!("providers: {{openai: {{base_url: '{ENDPOINT}'}}}}");
    let (facts, plan) = world.gather();
    assert!(plan.is_none() && facts.model.providers[0].endpoint_detail.contains("not https"));
}

#[test]
fn a_provider_of_the_settings_is_reached_as_they_say() {
    let mut world = World::new();
    world.record(RecordKind::Model, &admission("lan", "m"));
    let (facts, plan) = world.gather();
    assert!(plan.is_none() && facts.model.providers[0].endpoint_detail.contains("under providers:"));

    let key = world.place.path().join("key");
    put(&key, b"x");
    world.settings = format!(
        "providers: {{lan: {{class: local, base_url_env: LAN_URL, plain_http: true, credential: {{file: {}}}, prices: {{m: {{input: 1, cached_input: 0, output: 2}}}}}}}}",
        key.display()
    );
    world.environment.clear();
    world.endpoints.insert("LAN_URL".to_owned(), ENDPOINT.to_owned());
    let (facts, plan) = world.gather();
    let route = &plan.unwrap().routes()[0];
    assert_eq!((route.base_url.as_str(), class(&facts)), (ENDPOINT, "file"));
    assert_eq!(route.price.unwrap().output, 2);

    // Another machine hears a credential only where the operator says that it may.
    let careful = world.settings.replace("plain_http: true, ", "");
    let daring = std::mem::replace(&mut world.settings, careful);
    let (facts, plan) = world.gather();
    assert!(plan.is_none() && facts.model.providers[0].endpoint_detail.contains("plain_http: true"));
    for (address, there) in [
        ("http://127.0.0.1:4567/v1", true),
        ("https://10.11.12.13:4567/v1", true),
    ] {
        world.endpoints.insert("LAN_URL".to_owned(), address.to_owned());
        assert_eq!(world.gather().1.is_some(), there, "{address}");
    }
    world.endpoints.insert("LAN_URL".to_owned(), ENDPOINT.to_owned());
    world.settings = daring;

    // The owner's right to execute it is one that the gateway does not take.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o700)).unwrap();
    let (facts, plan) = world.gather();
    assert!(plan.is_none() && facts.model.providers[0].credential_detail.contains("chmod 600"));
    std::fs::remove_file(&key).unwrap();
    assert!(world.gather().1.is_none());

    for wrong in [
        "http://user@10.11.12.13:4567/v1",
        "10.11.12.13:4567",
        "http://10.11.12.13:4567/v1?x",
    ] {
        world.endpoints.insert("LAN_URL".to_owned(), wrong.to_owned());
        let detail = world.gather().0.model.providers[0].endpoint_detail.clone();
        assert!(detail.contains("LAN_URL cannot be used"), "{detail}");
    }
    world.manifest.wire.as_mut().unwrap().dialects = vec![Dialect::Messages];
    world.settings =
        "providers: {lan: {class: local, base_url: 'http://10.11.12.13:4567', dialects: [responses]}}".to_owned();
    world.endpoints.clear();
    assert!(
        world.gather().0.model.providers[0]
            .endpoint_detail
            .contains("no wire format in common")
    );
}

#[test]
fn an_oauth_session_reaches_the_case_engine_only_over_its_bridge() {
    let mut world = World::new();
    world.manifest = manifest("case");
    world.manifest.needs_decision = true;
    let wire = world.manifest.wire.as_mut().unwrap();
    wire.dialects.clear();
    wire.bridged = vec!["openai-codex".to_owned()];
    world.record(RecordKind::Model, &admission("openai-codex", "gpt-5.5"));
    world.settings =
        "providers: {openai-codex: {base_url: 'https://example.org/v1', credential: {environment: CODEX_SESSION}}}"
            .to_owned();
    world.present.insert("CODEX_SESSION".to_owned());
    let (facts, plan) = world.gather();
    let reach = &facts.model.providers[0];
    assert!(plan.is_none() && !reach.credential_present, "{reach:?}");
    assert!(
        reach
            .credential_detail
            .contains("CTO_HARNESS_CASE_OPENAI_CODEX_AUTH_BRIDGE=1")
    );
    assert!(facts.decision_required);
    world
        .environment
        .insert("CTO_HARNESS_CASE_OPENAI_CODEX_AUTH_BRIDGE".to_owned(), "1".to_owned());
    assert!(world.gather().1.is_some());
    world.environment.insert(
        "CTO_HARNESS_CASE_OPENAI_CODEX_AUTH_BRIDGE".to_owned(),
        "true".to_owned(),
    );
    assert!(world.gather().1.is_none());
}

#[test]
fn every_admitted_fallback_must_be_reachable_and_becomes_a_route() {
    let mut world = World::new();
    let mut record = admission("scripted", "m");
    record["fallback"] = json!([{"provider": "scripted", "model": "n"}, {"provider": "openai", "model": "o"}]);
    world.record(RecordKind::Model, &record);
    assert!(world.gather().1.is_none(), "the fallback's credential is not there");
    world.present.insert("OPENAI_API_KEY".to_owned());
    let plan = world.gather().1.unwrap();
    let routes: Vec<_> = plan
        .routes()
        .into_iter()
        .map(|route| (route.provider, route.model))
        .collect();
    let pair = |provider: &str, model: &str| (provider.to_owned(), model.to_owned());
    assert_eq!(
        routes,
        [pair("scripted", "m"), pair("scripted", "n"), pair("openai", "o")]
    );
}

#[test]
fn a_record_that_is_no_honest_file_admits_nothing() {
    let good = admission("scripted", "m").to_string();
    let status = |world: &World| {
        let (facts, plan) = world.gather();
        let judged = judge_model(&facts);
        assert!(plan.is_none() && judged.blocks && !judged.reason.is_empty());
        judged.status
    };
    type Spoil = fn(&Path, &str);
    let table: [(&str, S, Spoil); 17] = [
        ("missing", S::MissingAdmission, |path, _| {
            std::fs::remove_file(path).unwrap();
        }),
        ("symlink", S::InvalidAdmission, |path, _| {
            let real = path.with_extension("real");
            std::fs::rename(path, &real).unwrap();
            symlink(&real, path).unwrap();
        }),
        ("dangling symlink", S::InvalidAdmission, |path, _| {
            std::fs::remove_file(path).unwrap();
            symlink("nowhere", path).unwrap();
        }),
        ("fifo", S::InvalidAdmission, |path, _| {
            std::fs::remove_file(path).unwrap();
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        }),
        ("directory", S::InvalidAdmission, |path, _| {
            std::fs::remove_file(path).unwrap();
            std::fs::create_dir(path).unwrap();
        }),
        ("group-writable", S::InvalidAdmission, |path, _| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o620)).unwrap();
        }),
        ("world-writable", S::InvalidAdmission, |path, _| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o602)).unwrap();
        }),
        ("1 MiB", S::InvalidAdmission, |path, good| {
            put(path, format!("{good}{}", " ".repeat(1 << 20)).as_bytes());
        }),
        ("empty", S::InvalidAdmission, |path, _| put(path, b"")),
        ("depth 1000", S::InvalidAdmission, |path, good| {
            let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
            put(path, good.replace("\"admitted\"", &deep).as_bytes());
        }),
        ("duplicate key", S::InvalidAdmission, |path, good| {
            put(path, good.replacen('{', "{\"status\":\"not_admitted\",", 1).as_bytes());
        }),
        ("byte order mark", S::InvalidAdmission, |path, good| {
            put(path, format!("\u{feff}{good}").as_bytes());
        }),
        ("crlf", S::InvalidAdmission, |path, good| {
            put(path, format!("{good}\r\n").as_bytes());
        }),
        ("lone surrogate", S::InvalidAdmission, |path, good| {
            put(path, good.replace("operator", "\\udfff").as_bytes());
        }),
        ("not utf-8", S::InvalidAdmission, |path, good| {
            put(path, &[good.as_bytes(), b"\xff"].concat());
        }),
        ("a credential", S::InvalidAdmission, |path, good| {
            let key = ["sk-ant-", "api03-", &"aB3dE5gH7jK9".repeat(8)].concat();
            put(path, good.replace("operator", &key).as_bytes());
        }),
        ("another kind", S::InvalidAdmission, |path, _| {
            put(path, b"{\"decision_status\":\"not_decided\"}");
        }),
    ];
    for (name, expected, spoil) in table {
        let world = World::new();
        spoil(&world.path(RecordKind::Model), &good);
        assert_eq!(status(&world), expected, "{name}");
    }
}

#[test]
fn a_record_of_somebody_else_admits_nothing() {
    if lacks("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let world = World::new();
    std::os::unix::fs::chown(world.path(RecordKind::Model), Some(65534), None).unwrap();
    let (facts, plan) = world.gather();
    assert!(plan.is_none());
    assert_eq!(judge_model(&facts).status, S::InvalidAdmission);
    assert!(judge_model(&facts).reason.contains("65534"));
}

#[test]
fn what_was_read_counts_and_not_what_the_file_says_later() {
    let world = World::new();
    let (facts, plan) = world.gather();
    let read = std::fs::read(world.path(RecordKind::Model)).unwrap();
    world.record(RecordKind::Model, &admission("scripted", "evil"));
    let plan = plan.unwrap();
    assert_eq!(plan.routes()[0].model, "m");
    assert_eq!(facts.model.admission.digest, Some(Sha256Digest::of(&read)));
}

#[test]
fn every_kind_is_read_from_its_own_variable_or_place() {
    let mut world = World::new();
    for kind in RecordKind::all() {
        let place = record_place(&world.harness(), &world.manifest, *kind);
        assert_eq!(place.by, "default");
        assert!(place.path.ends_with(format!("admissions/pi/{}.json", kind.word())));
        let variable = Variables::of(&world.manifest).record(*kind);
        world.environment.insert(variable, "/x/record.json".to_owned());
        let place = record_place(&world.harness(), &world.manifest, *kind);
        assert_eq!((place.by, place.path), ("environment", PathBuf::from("/x/record.json")));
    }
    let missing = world.place.path().join("none");
    assert!(!read_fact::<SourceAdmission>(&missing).present);
    assert!(!read_fact::<BuildAdmission>(&missing).present);
    assert!(!read_fact::<RepositoryAdmission>(&missing).present);
    world.manifest.name = "../../etc/x".to_owned();
    let own = own_place(&world.harness(), &world.manifest.name, RecordKind::Model);
    assert!(own.starts_with(world.harness().home.root()), "{}", own.display());
    assert!(!own.components().any(|part| part == std::path::Component::ParentDir));
}

#[test]
fn settings_that_cannot_be_meant_are_errors() {
    for (yaml, part) in [
        ("providers: {lan: {base_url: 'http://x'}}", "external or local"),
        ("providers: {Lan: {class: local}}", "provider's name"),
        (
            "providers: {lan: {class: local, base_url_env: 'http://x'}}",
            "base_url_env",
        ),
        (
            "providers: {lan: {class: local, credential: {environment: sk-x}}}",
            "never a value",
        ),
        ("providers: {lan: {class: local, credential: {file: key}}}", "absolute"),
        (
            "providers: {lan: {class: local, credential: {command: [pass, x]}}}",
            "absolute",
        ),
        ("profiles: {fast: {provider: openai}}", "both"),
        ("profiles: {fast: {stage: 7}}", "1 to 6"),
        ("engines: {pi: {model: '../x'}}", "model's name"),
    ] {
        let settings: Settings = serde_saphyr::from_str(yaml).unwrap();
        let error = settings.check_models().unwrap_err();
        assert!(error.contains(part), "{yaml}: {error}");
    }
    for yaml in [
        "providers: {lan: {class: local, key: x}}",
        "providers: {lan: {class: local, credential: {value: x}}}",
        "providers: {lan: {class: near}}",
        "providers: {lan: {class: local, base_url: 'http://u@h'}}",
        "profiles: {fast: {binary: /x}}",
        "gateway: {limits: {call: 1}}",
    ] {
        assert!(serde_saphyr::from_str::<Settings>(yaml).is_err(), "{yaml}");
    }
    let settings: Settings = serde_saphyr::from_str(
        "providers: {lan: {class: local, base_url: 'http://10.11.12.13:4567', credential: {environment: LAN_KEY}}}",
    )
    .unwrap();
    let shown = format!("{settings:?} {}", serde_json::to_string(&settings).unwrap());
    assert!(!shown.contains("10.11"), "{shown}");
}

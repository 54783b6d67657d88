//! An approval binds where the agent may connect, and the bundle says where that was.

use cto_gateway::scripted::{ScriptedModel, ScriptedOptions};
use serde_json::{Value, json};

use crate::model::Modelled;
use crate::operator::{Operator, approve};
use crate::support::{GOOD, codes, contract, write};

const HARNESS: &str =
    "gateway: {egress: [\"registry.example.org:443\"], limits: {first_byte_ms: 4000, idle_ms: 4000}}\n";
const AGENT: [&str; 4] = ["--", "/bin/sh", "-c", GOOD];

/// Asks, approves, and lets `change` happen before the run.
fn approved_then(world: &mut Modelled, operator: &Operator, task: &str, change: impl FnOnce(&mut Modelled)) -> Value {
    let repository = world.installation.scripted(task);
    let mut contract = contract(task, &repository);
    contract["approval_required"] = json!(true);
    let file = world.installation.contract(&contract);
    let words = ["--contract", file.to_str().unwrap()];
    let (code, packet) = world.run(&[&["request"][..], &words, &AGENT].concat());
    assert_eq!(code, 0, "{packet:#}");
    for (name, part) in [
        ("gateway.egress", "registry.example.org:443"),
        ("model.endpoints", "scripted/scripted-fix on this machine over http"),
        ("gateway.limits", "sha256:"),
    ] {
        let bound = packet["bound"][name].as_str().unwrap();
        assert!(bound.contains(part), "{name}: {bound}");
    }
    assert!(!packet.to_string().contains(&world.model.address().to_string()));
    assert_eq!(approve(&world.installation, operator, &packet).0, 0);
    change(world);
    let id = packet["packet_id"].as_str().unwrap();
    world.run(&[&["run", "--approval", id][..], &words, &AGENT].concat()).1
}

#[test]
fn an_approval_binds_where_the_agent_may_connect() {
    let mut world = Modelled::new("command", "scripted-fix");
    let operator = Operator::of(&world.installation);
    let settings = world.installation.home().join("harness.yaml");
    write(&settings, HARNESS.as_bytes());
    let passed = approved_then(&mut world, &operator, "REACH-0", |_| {});
    assert_eq!(passed["status"], "pass", "{passed:#}");
    assert_eq!(passed["egress"], json!(["registry.example.org:443"]));
    let text = std::fs::read_to_string(world.installation.bundle(&passed).join("report.md")).unwrap();
    assert!(text.contains("May also reach: `registry.example.org:443`"), "{text}");
    for (index, (name, changed)) in [
        ("gateway.egress", HARNESS.replace("registry", "elsewhere")),
        ("gateway.limits", HARNESS.replace("{first", "{calls: 9999, first")),
        (
            "gateway.provider_tools",
            HARNESS.replace("{egress", "{provider_tools: [web_search], egress"),
        ),
        (
            "gateway.request_fields",
            HARNESS.replace("{egress", "{request_fields: [foo], egress"),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let report = approved_then(&mut world, &operator, &format!("REACH-1{index}"), |_| {
            write(&settings, changed.as_bytes());
        });
        write(&settings, HARNESS.as_bytes());
        assert_eq!(codes(&report), ["approval_stale"], "{name}: {report:#}");
        assert!(report["blockers"].to_string().contains(name), "{report:#}");
        assert_eq!(report["case_process_started"], false);
    }
    let other = ScriptedModel::start(ScriptedOptions::default()).unwrap();
    let report = approved_then(&mut world, &operator, "REACH-2", |world| {
        for (name, value) in &mut world.env {
            if name.ends_with("_LOCAL_BASE_URL") {
                *value = other.openai_base_url();
            }
        }
    });
    assert_eq!(codes(&report), ["approval_stale"], "{report:#}");
    assert!(report["blockers"].to_string().contains("model.endpoints"), "{report:#}");
    assert!(other.requests().is_empty(), "nothing was asked of the other endpoint");
}

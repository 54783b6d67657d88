//! `task.toml` of a Harbor task, read strictly: a key that is not known could ask for anything.

use cto_schema::{Timeouts, escape, explain_yaml};
use serde::Deserialize;

/// The keys of `task.toml`, schema versions 1.0 to 1.4.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TaskToml {
    #[serde(alias = "version")]
    schema_version: Option<String>,
    task: Task,
    /// Free text about the task; nothing follows from it.
    #[serde(rename = "metadata")]
    _metadata: toml::Table,
    agent: Phase,
    verifier: Phase,
    environment: Environment,
    solution: Solution,
    #[serde(rename = "source")]
    _source: Option<String>,
    steps: Option<toml::Value>,
    #[serde(rename = "multi_step_reward_strategy")]
    _multi_step_reward_strategy: Option<String>,
    artifacts: Option<Vec<toml::Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Task {
    name: String,
    description: String,
    #[serde(rename = "version")]
    _version: Option<String>,
    #[serde(rename = "authors")]
    _authors: Vec<toml::Value>,
    #[serde(rename = "keywords")]
    _keywords: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Phase {
    timeout_sec: Option<f64>,
    user: Option<toml::Value>,
    network_mode: Option<String>,
    allowed_hosts: Option<Vec<String>>,
    env: toml::Table,
    environment_mode: Option<String>,
    environment: Option<toml::Table>,
    collect: Option<Vec<toml::Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Environment {
    network_mode: Option<String>,
    allowed_hosts: Option<Vec<String>>,
    allow_internet: Option<bool>,
    docker_image: Option<String>,
    os: Option<String>,
    gpus: Option<i64>,
    gpu_types: Option<Vec<String>>,
    tpu: Option<toml::Value>,
    mcp_servers: Option<Vec<toml::Value>>,
    env: toml::Table,
    skills_dir: Option<String>,
    healthcheck: Option<toml::Value>,
    workdir: Option<String>,
    #[serde(rename = "build_timeout_sec")]
    _build_timeout_sec: Option<f64>,
    // How much a container may use; the cage has limits of its own, which a contract sets.
    #[serde(rename = "cpus")]
    _cpus: Option<toml::Value>,
    #[serde(rename = "memory_mb")]
    _memory_mb: Option<i64>,
    #[serde(rename = "memory")]
    _memory: Option<String>,
    #[serde(rename = "storage_mb")]
    _storage_mb: Option<i64>,
    #[serde(rename = "storage")]
    _storage: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Solution {
    env: toml::Table,
}

/// Reads the document; what it asks for and cannot have is a problem.
pub(super) fn read(text: &str, problems: &mut Vec<String>) -> Option<TaskToml> {
    let task: TaskToml = match toml::from_str(text) {
        Ok(task) => task,
        Err(error) => {
            let line = error
                .span()
                .map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let what = explain_yaml(error.message());
            problems.push(format!("task.toml, line {line}: {what}"));
            return None;
        }
    };
    if let Some(version) = task
        .schema_version
        .as_deref()
        .filter(|version| !version.starts_with("1."))
    {
        let shown = escape(version.as_bytes(), 40);
        problems.push(format!("task.toml: schema_version {shown} is not known; 1.x is"));
    }
    task.refuse(problems);
    Some(task)
}

impl TaskToml {
    /// Returns one line for people.
    pub(super) fn title(&self) -> Option<String> {
        let texts = [&self.task.description, &self.task.name];
        let line = |text: &&String| text.lines().next().map(str::trim).map(str::to_owned);
        texts.iter().find_map(|text| line(text).filter(|line| !line.is_empty()))
    }

    /// Returns the time limits, rounded up to seconds.
    pub(super) fn timeouts(&self) -> Timeouts {
        let usual = Timeouts::default();
        Timeouts {
            engine_seconds: seconds(self.agent.timeout_sec).unwrap_or(usual.engine_seconds),
            // The task limits the whole time, and says nothing of silence.
            idle_seconds: 0,
            verification_seconds: seconds(self.verifier.timeout_sec).unwrap_or(usual.verification_seconds),
            ..usual
        }
    }

    fn refuse(&self, problems: &mut Vec<String>) {
        self.refuse_phases(problems);
        self.refuse_environment(problems);
        let several = "a task of several steps is several cases; make a task directory of each";
        refuse(problems, self.steps.is_some(), "steps", several);
        let left = "what an agent leaves in the workspace is in the patch; leave it away";
        refuse(problems, some(self.artifacts.as_ref()), "artifacts", left);
    }

    fn refuse_phases(&self, problems: &mut Vec<String>) {
        for (name, phase) in [("agent", &self.agent), ("verifier", &self.verifier)] {
            let asks = asks_for_a_network(phase.network_mode.as_ref(), phase.allowed_hosts.as_ref());
            refuse(problems, asks, &format!("{name}.network_mode"), NETWORK);
            let is_root = |user: &toml::Value| user.as_str() == Some("root") || user.as_integer() == Some(0);
            let user = phase.user.as_ref().is_some_and(|user| !is_root(user));
            let choice = "who runs in a cage is the harness's choice; leave it away";
            refuse(problems, user, &format!("{name}.user"), choice);
            refuse(problems, !phase.env.is_empty(), &format!("{name}.env"), VARIABLES);
            let bad_time = phase.timeout_sec.is_some() && seconds(phase.timeout_sec).is_none();
            let range = "is no time between 1 second and 30 days";
            refuse(problems, bad_time, &format!("{name}.timeout_sec"), range);
        }
        let mode = self.verifier.environment_mode.as_deref();
        let separate = mode.is_some_and(|mode| mode != "shared") || self.verifier.environment.is_some();
        refuse(problems, separate, "verifier.environment", CONTAINER);
        let collect = "only the workspace is looked at; let tests/test.sh collect";
        refuse(
            problems,
            some(self.verifier.collect.as_ref()),
            "verifier.collect",
            collect,
        );
        refuse(problems, !self.solution.env.is_empty(), "solution.env", VARIABLES);
    }

    fn refuse_environment(&self, problems: &mut Vec<String>) {
        let asked = &self.environment;
        let mut refuse = |when: bool, key: &str, why: &str| refuse(problems, when, &format!("environment.{key}"), why);
        let asks = asks_for_a_network(asked.network_mode.as_ref(), asked.allowed_hosts.as_ref());
        refuse(asks, "network_mode", NETWORK);
        let internet = "there is no network in a case; set it to false if the task does without";
        refuse(asked.allow_internet == Some(true), "allow_internet", internet);
        refuse(!asked.env.is_empty(), "env", VARIABLES);
        refuse(asked.docker_image.is_some(), "docker_image", CONTAINER);
        let other_system = asked.os.as_deref().is_some_and(|os| os != "linux");
        refuse(other_system, "os", "only linux is supported");
        let accelerators = asked.gpus.is_some_and(|gpus| gpus > 0) || asked.gpu_types.is_some() || asked.tpu.is_some();
        refuse(accelerators, "gpus", "a cage has no accelerator");
        let servers = "a cage reaches no server; the agent's own tools are all it has";
        refuse(some(asked.mcp_servers.as_ref()), "mcp_servers", servers);
        let skills = "skills cannot be given to an agent here; leave it away";
        refuse(asked.skills_dir.is_some(), "skills_dir", skills);
        let beside = "nothing runs beside the agent; leave it away";
        refuse(asked.healthcheck.is_some(), "healthcheck", beside);
        refuse(
            asked.workdir.is_some(),
            "workdir",
            "say it as WORKDIR in the Dockerfile",
        );
    }
}

const NETWORK: &str = "there is no network in a case; say network_mode = \"no-network\" if the task does without";
const VARIABLES: &str = "variables cannot be given to a case; write the values into the task's files";
const CONTAINER: &str = "a container cannot be made here; use a Dockerfile with FROM, WORKDIR and COPY";

fn refuse(problems: &mut Vec<String>, when: bool, key: &str, why: &str) {
    if when {
        problems.push(format!("task.toml: {key}: {why}"));
    }
}

fn asks_for_a_network(mode: Option<&String>, hosts: Option<&Vec<String>>) -> bool {
    mode.is_some_and(|mode| mode != "no-network") || hosts.is_some_and(|hosts| !hosts.is_empty())
}

fn some(list: Option<&Vec<toml::Value>>) -> bool {
    list.is_some_and(|list| !list.is_empty())
}

/// Takes a time of up to 30 days.
fn seconds(time: Option<f64>) -> Option<u32> {
    let time = time?.ceil();
    (1..=30 * 86_400).find(|second| f64::from(*second) >= time && time >= 1.0)
}

//! Stops 4 and 5: put the facts on record and ask every gate.

use std::collections::BTreeMap;
use std::sync::Arc;

use cto_policy::decide;
use cto_sandbox::Provider;
use cto_schema::{Blocker, BlockerCode, EventType, JournalEvent, MutationMode, TaskContract};
use serde_json::{Value, json};

use super::markers::marker;
use super::secrets::public_values;
use super::{Halt, Journey};
use crate::baseline::ObjectSource;
use crate::engine::{Engine, Installation};
use crate::facts::{Purpose, gather};
use crate::model::ModelPlan;
use crate::sandbox_facts::CageTest;
use crate::watch::Stage;

/// Proof that every gate said yes; only [`Journey::admit`] makes one.
pub(super) struct Admitted {
    pub(super) contract: TaskContract,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) program: Option<Installation>,
    pub(super) variant: Option<String>,
    pub(super) provider: &'static dyn Provider,
    pub(super) cage_test: CageTest,
    pub(super) objects: ObjectSource,
    pub(super) commit: String,
    /// The admitted model, for engines that run with one.
    pub(super) model: Option<ModelPlan>,
}

impl Journey<'_> {
    /// Gathers facts and decides; `None` is a refusal, which is on record.
    pub(super) fn admit(&mut self) -> Result<Option<Admitted>, Halt> {
        self.stage(Stage::Gates);
        let from = self.now();
        let gathering = gather(
            self.harness,
            &self.harness.git.stopped_by(self.watch.stop),
            self.request,
            self.contract.as_ref().map_err(String::as_str),
            super::open::unique_part(self.dir.run_id()),
            Purpose::Run,
        );
        self.facts = gathering.facts;
        self.source = gathering.source;
        self.target_lock = gathering.lock;
        if let Err(error) = &gathering.engine {
            self.span("engine.find", from, &super::chain(error), "");
        }
        self.know_public(&public_values(&self.facts));
        // Journal and decision tell of the same texts, so that the gates can be asked again.
        let facts = self.dir.clean("decision.json", self.facts.clone())?;
        let decision = decide(self.contract.as_ref().map_err(String::as_str), &facts);
        let admitted = decision.selected_backend != "none";
        if admitted {
            self.facts = facts;
        } else {
            self.hide_target();
            self.facts = self.dir.clean("decision.json", self.facts.clone())?;
        }
        self.dir.journal(JournalEvent::FactsGathered {
            facts: Box::new(self.facts.clone()),
        })?;
        // Before the decision: whoever finds that, after a kill, must find what it was about.
        self.write_owned_contract(admitted)?;
        let decision_digest = self.write_json("decision.json", &decision)?;
        self.dir.journal(JournalEvent::Decided {
            decision_digest,
            admitted,
        })?;
        self.span(
            "gates",
            from,
            if admitted { "ok" } else { "refused" },
            &decision.reasons.join("; "),
        );
        self.decision = Some(decision);
        if !admitted {
            self.refuse()?;
            return Ok(None);
        }
        let program = gathering.program.installation().cloned();
        let model = gathering.model;
        let (Ok((engine, variant)), Some(provider), Some(cage_test), Some((objects, commit)), Ok(contract)) = (
            gathering.engine,
            gathering.provider,
            gathering.cage_test,
            gathering.target,
            &self.contract,
        ) else {
            return Err(Halt::Ignorant(
                "the gates admitted a run whose facts are incomplete".to_owned(),
            ));
        };
        let contract = contract.clone();
        self.plan(&contract, &cage_test)?;
        if cto_policy::needs_approval(&contract) {
            self.tell_request(&contract)?;
        }
        Ok(Some(Admitted {
            contract,
            engine,
            program,
            variant,
            provider,
            cage_test,
            objects,
            commit,
            model,
        }))
    }

    /// What a refusal puts on record never shows where an owned repository is: the approval's sentence names it.
    fn hide_target(&mut self) {
        let Some(path) = self.owned_target() else { return };
        let hidden = cto_policy::shown_path(&path);
        let facts = &mut self.facts.approval;
        let said = facts
            .statement
            .as_mut()
            .and_then(|statement| statement.sentence.as_mut());
        for sentence in facts.sentence.iter_mut().chain(said) {
            let shown = path.escape_default().to_string();
            *sentence = sentence.replace(&path, &hidden).replace(&shown, &hidden);
        }
    }

    fn owned_target(&self) -> Option<String> {
        let contract = self.contract.as_ref().ok()?;
        let is_owned = contract.mutation_mode == MutationMode::OwnedNoncriticalRepo;
        contract.target_repository.clone().filter(|_| is_owned)
    }

    /// The contract of a run on an owned repository; a refusal holds a digest in the place of the repository's path.
    fn write_owned_contract(&mut self, admitted: bool) -> Result<(), Halt> {
        let Ok(contract) = &self.contract else { return Ok(()) };
        if contract.mutation_mode != MutationMode::OwnedNoncriticalRepo {
            return Ok(());
        }
        let mut shown = contract.clone();
        if !admitted {
            shown.target_repository = shown.target_repository.as_deref().map(cto_policy::shown_path);
        }
        self.dir.write("contract.json", &shown.canonical())?;
        Ok(())
    }

    /// Records the harness's own plan of the run.
    fn plan(&mut self, contract: &TaskContract, cage: &CageTest) -> Result<(), Halt> {
        let workspace = cage.workspace(self.request.workspace.or(self.harness.settings.workspace));
        self.dir.event(
            EventType::PlanUpdated,
            json!({
                "steps": ["baseline", "workspace", "engine", "write set", "clean room", "seal"],
                "sandbox": cage.provider,
                "workspace": workspace.word(),
                "verification_commands": contract.verification_commands,
                "timeouts": contract.timeouts,
            }),
        )?;
        let test = serde_json::to_value(cage).unwrap_or_default();
        self.write_json("self-test.json", &test)?;
        Ok(())
    }

    /// Returns what the event of a gate that said no holds: nothing of the engine ran.
    pub(super) fn gate_blocked(&self, gate: &str, reason: &str) -> Value {
        json!({
            "backend": self.backend,
            "gate": gate,
            "reason": reason,
            "mutation_mode": self.contract.as_ref().ok().map(|contract| contract.mutation_mode),
            "case_executed": false,
        })
    }

    fn refuse(&mut self) -> Result<(), Halt> {
        let Some(decision) = &self.decision else {
            return Ok(());
        };
        let refused: Vec<(String, Blocker)> = decision
            .gates
            .iter()
            .filter_map(|gate| Some((gate.gate.clone(), gate.refusal.clone()?)))
            .collect();
        let log: String = refused
            .iter()
            .map(|(gate, refusal)| format!("{gate}: {}\n", refusal.detail))
            .collect();
        let is_denial = |refusal: &Blocker| refusal.event == EventType::ApprovalDenied;
        for (gate, refusal) in refused.iter().filter(|(_, refusal)| !is_denial(refusal)) {
            let data = self.gate_blocked(gate, &refusal.detail);
            self.dir.event(EventType::BackendGateBlocked, data)?;
        }
        let denials: Vec<(BlockerCode, String)> = refused
            .iter()
            .filter(|(_, refusal)| is_denial(refusal))
            .map(|(_, refusal)| (refusal.code, refusal.detail.clone()))
            .collect();
        if let (false, Ok(contract)) = (denials.is_empty(), self.contract.clone()) {
            self.tell_denial(&contract, &denials)?;
        }
        let Some(decision) = &self.decision else {
            return Ok(());
        };
        let mut markers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for refusal in decision.gates.iter().filter_map(|gate| gate.refusal.as_ref()) {
            if let Some(name) = marker(refusal.code) {
                markers.entry(name).or_default().push(&refusal.detail);
            }
        }
        for (name, details) in markers {
            self.dir.write(name, format!("{}\n", details.join("\n")).as_bytes())?;
        }
        let engine = self.backend.split(':').next().unwrap_or_default();
        let safe: String = engine.chars().filter(|c| c.is_ascii_alphanumeric()).take(40).collect();
        self.dir.write(&format!("backend/{safe}-gate.log"), log.as_bytes())?;
        Ok(())
    }
}

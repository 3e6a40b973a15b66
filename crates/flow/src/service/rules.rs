//! Rules.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::slot::{Parsed, Slot};
use super::{FlowService, Tail};
use crate::FlowError;
use crate::explain;
use crate::graph::Reads;
use crate::plan::{self, Plan, Program};
use crate::run::{Predecessor, RuleState};
use crate::sql::stream::StreamDefinition;
use crate::suggest::suggest;

/// A rule in a list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct RuleSummary {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What it is doing, in eKuiper's words.
    pub status: String,
    /// Its version.
    pub version: String,
    /// Whether its messages are traced: never.
    pub trace: bool,
    /// Its tags.
    pub tags: Vec<String>,
}

/// What a rule cannot do without, whether it is there or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleNeeds {
    /// The streams it reads.
    pub streams: Vec<String>,
    /// The sources of those streams, each with the configuration key the stream names; empty for none.
    pub sources: Vec<(String, String)>,
    /// The sinks of its actions, each with the configuration key the action names; empty for none.
    pub sinks: Vec<(String, String)>,
    /// The plugin functions it calls.
    pub functions: Vec<String>,
}

impl FlowService {
    /// Creates a rule and, unless it says `"triggered": false`, starts it; gives its id.
    ///
    /// # Errors
    /// All of [`FlowError`] that a rule can have; nothing is created then.
    pub async fn create_rule(&self, json: &str) -> Result<String, FlowError> {
        let parsed = Parsed::read(json, None)?;
        let id = parsed.rule.id.clone();
        if self.slot(&id).is_some() {
            return Err(FlowError::RuleExists(id));
        }
        let plan = self.plan(&parsed).await?;
        self.insert_rule(json, parsed, plan).await?;
        Ok(id)
    }

    /// Replaces a rule, or creates it when there is none of that id. Until the new one has been found
    /// possible and is stored, the old one runs on.
    ///
    /// # Errors
    /// As [`FlowService::create_rule`]; the old rule runs on then.
    pub async fn put_rule(&self, id: &str, json: &str) -> Result<(), FlowError> {
        let parsed = Parsed::read(json, Some(id))?;
        let plan = self.plan(&parsed).await?;
        let Some(slot) = self.slot(id) else {
            return self.insert_rule(json, parsed, plan).await;
        };
        let changing = slot.changing.lock().await;
        if slot.is_deleted() {
            drop(changing);
            return self.insert_rule(json, parsed, plan).await;
        }
        let wanted = parsed.rule.triggered;
        let before = slot.parsed().is_some_and(|before| before.rule.temp);
        let (store, now) = (&self.0.store, self.now());
        match (before, parsed.rule.temp) {
            (_, true) => store.rule_delete(id).await?,
            (true, false) => store.rule_insert(id, json, wanted, now).await?,
            (false, false) => store.rule_update(id, json, wanted, now).await?,
        }
        slot.set_rule(json.into(), parsed.clone(), wanted);
        slot.stop().await;
        slot.start(&parsed, plan, None);
        Ok(())
    }

    /// Deletes a rule. A run that does not end in time is left to end by itself.
    ///
    /// # Errors
    /// [`FlowError::RuleMissing`], [`FlowError::Store`].
    pub async fn delete_rule(&self, id: &str) -> Result<(), FlowError> {
        let missing = || missing(id, format!("rule {id} not found"), false);
        let slot = self.slot(id).ok_or_else(missing)?;
        let _changing = slot.changing.lock().await;
        if slot.is_deleted() {
            return Err(missing());
        }
        self.0.store.rule_delete(id).await?;
        let ending = slot.delete();
        if let Some(ending) = ending {
            let mut all = self.0.ending.lock();
            all.retain(|_, ended| !*ended.borrow());
            all.insert(id.to_owned(), ending);
        }
        self.0.registry.lock().rules.remove(id);
        slot.stop().await;
        Ok(())
    }

    /// Starts a rule; one that runs already runs on.
    ///
    /// # Errors
    /// [`FlowError::RuleMissing`], or why it cannot be started: then it is `stopped by error` and is tried
    /// again when symbols come.
    pub async fn start_rule(&self, id: &str) -> Result<(), FlowError> {
        let slot = self.registered(id)?;
        {
            let _changing = slot.changing.lock().await;
            self.0.store.rule_trigger(id, true, self.now()).await?;
            slot.set_wanted(true);
            if slot.is_running() {
                return Ok(());
            }
        }
        self.launch(&slot).await
    }

    /// Stops a rule; it stays stopped also after a restart of the program.
    ///
    /// # Errors
    /// [`FlowError::RuleMissing`], [`FlowError::Store`].
    pub async fn stop_rule(&self, id: &str) -> Result<(), FlowError> {
        let slot = self.registered(id)?;
        let _changing = slot.changing.lock().await;
        self.0.store.rule_trigger(id, false, self.now()).await?;
        slot.set_wanted(false);
        slot.stop().await;
        Ok(())
    }

    /// Stops and starts a rule; its counters begin anew.
    ///
    /// # Errors
    /// As [`FlowService::start_rule`].
    pub async fn restart_rule(&self, id: &str) -> Result<(), FlowError> {
        let slot = self.registered(id)?;
        {
            let _changing = slot.changing.lock().await;
            self.0.store.rule_trigger(id, true, self.now()).await?;
            slot.set_wanted(true);
            slot.stop().await;
        }
        self.launch(&slot).await
    }

    /// Whether a rule could be created, without creating it; gives the streams it reads.
    ///
    /// # Errors
    /// As [`FlowService::create_rule`], but an id that exists is no error.
    pub async fn validate_rule(&self, json: &str) -> Result<Vec<String>, FlowError> {
        let parsed = Parsed::read(json, None)?;
        self.plan(&parsed).await?;
        Ok(parsed
            .program
            .stream()
            .into_iter()
            .map(str::to_owned)
            .collect())
    }

    /// What a rule will do: its nodes, the plugins that have a part in it, and what holds where nothing was said.
    ///
    /// # Errors
    /// [`FlowError::RuleMissing`], or why it cannot run as it is now.
    pub async fn explain_rule(&self, id: &str) -> Result<Json, FlowError> {
        let parsed = self.parsed(id)?;
        let plan = self.plan(&parsed).await?;
        Ok(explain::document(
            &plan,
            &parsed.program,
            self.0.catalog.as_ref(),
        ))
    }

    /// The same in eKuiper's form: a line for each node, the last first.
    ///
    /// # Errors
    /// As [`FlowService::explain_rule`]; [`FlowError::Plan`] for a graph, which has no such form.
    pub async fn explain_rule_in_lines(&self, id: &str) -> Result<String, FlowError> {
        let parsed = self.parsed(id)?;
        if parsed.rule.graph.is_some() {
            return Err(FlowError::Plan("only support explain sql now".to_owned()));
        }
        Ok(explain::text(&self.plan(&parsed).await?))
    }

    /// What a rule would do that is not created by this.
    ///
    /// # Errors
    /// As [`FlowService::validate_rule`].
    pub async fn explain_draft(&self, json: &str) -> Result<Json, FlowError> {
        let parsed = Parsed::read(json, None)?;
        let plan = self.plan(&parsed).await?;
        Ok(explain::document(
            &plan,
            &parsed.program,
            self.0.catalog.as_ref(),
        ))
    }

    /// All rules, sorted by id.
    pub fn rules(&self) -> Vec<RuleSummary> {
        self.slots()
            .into_iter()
            .map(|slot| {
                let parsed = slot.parsed();
                let rule = parsed.as_ref().map(|parsed| &parsed.rule);
                RuleSummary {
                    id: slot.id.clone(),
                    name: rule.map_or_else(String::new, |rule| rule.name.clone()),
                    status: slot.state().doing.as_str().to_owned(),
                    version: rule.map_or_else(String::new, |rule| rule.version.clone()),
                    trace: false,
                    tags: rule.map_or_else(Vec::new, |rule| rule.tags.clone()),
                }
            })
            .collect()
    }

    /// A rule's JSON as it was sent.
    ///
    /// # Errors
    /// [`FlowError::RuleMissing`].
    pub fn rule_json(&self, id: &str) -> Result<Arc<str>, FlowError> {
        let slot = self.slot(id);
        slot.map(|slot| slot.json())
            .ok_or_else(|| missing(id, format!("Rule {id} is not found."), true))
    }

    /// Whether it is a rule that ends with the server.
    pub fn is_temporary_rule(&self, id: &str) -> bool {
        let parsed = self.slot(id).and_then(|slot| slot.parsed());
        parsed.is_some_and(|parsed| parsed.rule.temp)
    }

    /// What a rule cannot do without.
    ///
    /// # Errors
    /// [`FlowError::RuleMissing`], or why the stored rule cannot be read.
    pub fn rule_needs(&self, id: &str) -> Result<RuleNeeds, FlowError> {
        let slot = self.slot(id);
        let slot = slot.ok_or_else(|| missing(id, format!("Rule {id} is not found."), true))?;
        let parsed = slot.parsed().ok_or_else(|| slot.unreadable())?;
        let stream = parsed.program.stream().map(str::to_owned);
        let source = self.definition(&parsed.program).map(|definition| {
            let source = definition.source_type().to_owned();
            (source, definition.options.conf_key.clone())
        });
        let sinks = parsed.rule.actions.iter().map(|action| {
            let key = action.properties.get("resourceId").and_then(Json::as_str);
            (action.sink.clone(), key.unwrap_or_default().to_owned())
        });
        let calls = parsed.program.calls().iter();
        Ok(RuleNeeds {
            streams: stream.into_iter().collect(),
            sources: source.into_iter().collect(),
            sinks: sinks.collect(),
            functions: calls.map(|call| call.name.clone()).collect(),
        })
    }

    /// What a rule is doing.
    ///
    /// # Errors
    /// [`FlowError::RuleMissing`].
    pub fn rule_state(&self, id: &str) -> Result<RuleState, FlowError> {
        Ok(self.known(id)?.state().doing)
    }

    /// A rule's status document: how it stands, then the metrics of its nodes.
    ///
    /// # Errors
    /// [`FlowError::RuleMissing`].
    pub fn rule_status(&self, id: &str) -> Result<Map<String, Json>, FlowError> {
        Ok(self.known(id)?.document())
    }

    /// The status of all rules in short, by id.
    pub fn all_status(&self) -> Map<String, Json> {
        self.slots()
            .into_iter()
            .map(|slot| (slot.id.clone(), slot.summary()))
            .collect()
    }

    /// A rule's nodes and what leads from which to which.
    ///
    /// # Errors
    /// [`FlowError::RuleMissing`], or why the stored rule cannot be read.
    pub fn rule_topology(&self, id: &str) -> Result<Json, FlowError> {
        let slot = self.known(id)?;
        let parsed = slot.parsed().ok_or_else(|| slot.unreadable())?;
        Ok(plan::topology(&parsed.rule, &parsed.program))
    }

    /// The rows a rule gives to its sinks, from now on.
    ///
    /// # Errors
    /// [`FlowError::RuleMissing`].
    pub fn tail_rule(&self, id: &str) -> Result<Tail, FlowError> {
        Ok(Tail(self.known(id)?.watch()))
    }

    /// Stores a new rule and starts it.
    async fn insert_rule(
        &self,
        json: &str,
        parsed: Arc<Parsed>,
        plan: Plan,
    ) -> Result<(), FlowError> {
        let id = parsed.rule.id.clone();
        let wanted = parsed.rule.triggered;
        let slot = self.new_slot(id.clone(), json.into(), Ok(parsed.clone()), wanted);
        let _changing = slot.changing.lock().await;
        {
            // Reserved before it is stored, so that of two at once only one goes on.
            let mut registry = self.0.registry.lock();
            if registry.rules.contains_key(&id) {
                return Err(FlowError::RuleExists(id));
            }
            if let Some(stream) = parsed.program.stream()
                && !registry.streams.contains_key(stream)
            {
                return Err(no_stream(stream, ""));
            }
            registry.rules.insert(id.clone(), slot.clone());
        }
        if !parsed.rule.temp
            && let Err(error) = self
                .0
                .store
                .rule_insert(&id, json, wanted, self.now())
                .await
        {
            slot.delete();
            self.0.registry.lock().rules.remove(&id);
            return Err(error);
        }
        if let Some(dir) = self.0.places.state_of(&id) {
            // A new rule begins with nothing, also where one of its id went with the last program.
            let _ = std::fs::remove_dir_all(dir);
        }
        let predecessor = self.ending(&id);
        slot.start(&parsed, plan, predecessor);
        Ok(())
    }

    /// Plans and starts a rule that shall run.
    pub(super) async fn launch(&self, slot: &Arc<Slot>) -> Result<(), FlowError> {
        let Some(parsed) = slot.parsed() else {
            return Err(slot.unreadable());
        };
        match self.plan(&parsed).await {
            Ok(plan) => {
                let _changing = slot.changing.lock().await;
                let predecessor = self.ending(&slot.id);
                slot.start(&parsed, plan, predecessor);
                Ok(())
            }
            Err(error) => {
                slot.set_error(&parsed, &error, self.now());
                Err(error)
            }
        }
    }

    async fn plan(&self, parsed: &Parsed) -> Result<Plan, FlowError> {
        let stream = self.definition(&parsed.program).ok_or_else(|| {
            let name = parsed.program.stream().unwrap_or_default();
            let known = self.streams();
            let near = suggest(name, known.iter().map(|stream| stream.name.as_str()));
            no_stream(name, &near)
        })?;
        let catalog = self.0.catalog.as_ref();
        let shared = stream.options.shared;
        let mut plan = plan::plan(parsed.rule.clone(), &parsed.program, stream, catalog).await?;
        self.check_places(&plan)?;
        plan.encrypt_with(self.0.sink_key.as_ref())?;
        if let (true, Some(name)) = (shared, parsed.program.stream()) {
            plan.source = self.0.shared.source(name, plan.source);
        }
        Ok(plan)
    }

    /// Whether there is room for what the rule keeps.
    fn check_places(&self, plan: &Plan) -> Result<(), FlowError> {
        let places = &self.0.places;
        let caching = plan.sinks.iter().find(|sink| sink.options.cache.is_some());
        if let (Some(sink), None) = (caching, &places.cache) {
            return Err(FlowError::Topology(format!(
                "sink {}: enableCache needs a directory, which this server has not",
                sink.op_id
            )));
        }
        let keeps = plan.operators.as_ref().and_then(|it| it.keeper()).is_some();
        if plan.rule.options.qos > 0 && keeps && places.state.is_none() {
            return Err(FlowError::RuleOptions {
                id: plan.rule.id.clone(),
                reason: "qos needs a directory, which this server has not".to_owned(),
            });
        }
        if plan.rule.options.log.is_some() && places.logs.is_none() {
            return Err(FlowError::RuleOptions {
                id: plan.rule.id.clone(),
                reason: "debug and logFilename need a directory, which this server has not"
                    .to_owned(),
            });
        }
        Ok(())
    }

    /// Where a rule's rows come from, if it is there.
    fn definition(&self, program: &Program) -> Option<Arc<StreamDefinition>> {
        match &program.reads {
            Reads::Stream(name) => self.stream(name).map(|entry| entry.definition),
            Reads::Own(definition) => Some(definition.clone()),
        }
    }

    fn ending(&self, id: &str) -> Predecessor {
        self.0.ending.lock().remove(id)
    }

    fn slot(&self, id: &str) -> Option<Arc<Slot>> {
        self.0.registry.lock().rules.get(id).cloned()
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.0.registry.lock().rules.values().cloned().collect()
    }

    fn parsed(&self, id: &str) -> Result<Arc<Parsed>, FlowError> {
        let slot = self.known(id)?;
        slot.parsed().ok_or_else(|| slot.unreadable())
    }

    fn known(&self, id: &str) -> Result<Arc<Slot>, FlowError> {
        self.slot(id)
            .ok_or_else(|| missing(id, format!("Rule {id} is not found"), true))
    }

    fn registered(&self, id: &str) -> Result<Arc<Slot>, FlowError> {
        self.slot(id).ok_or_else(|| {
            missing(
                id,
                format!("Rule {id} is not found in registry, please check if it is created"),
                true,
            )
        })
    }
}

fn missing(id: &str, text: String, typed: bool) -> FlowError {
    FlowError::RuleMissing {
        id: id.to_owned(),
        text,
        typed,
    }
}

fn no_stream(name: &str, near: &str) -> FlowError {
    FlowError::Plan(format!(
        "fail to get stream {name}, please check if stream is created{near}"
    ))
}

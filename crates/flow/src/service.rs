//! The handle through which everything else uses streams and rules.

mod patrol;
mod rules;
mod shared;
mod slot;
mod streams;
mod tail;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::join_all;
use parking_lot::Mutex;
use plugyard_symbol::{Catalog, SymbolKind};
use sea_orm::DatabaseConnection;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::plan;
use crate::run::Places;
use crate::seal::SinkKey;
use crate::sql::stream::StreamDefinition;
use crate::store::Store;
use crate::{FlowError, SystemClock};
pub use rules::{RuleNeeds, RuleSummary};
use shared::SharedStreams;
use slot::{Parsed, Slot};
pub use streams::StreamSummary;
pub use tail::{Tail, TailEvent};

/// Streams and rules: kept in the database, run over the symbols of a catalogue. Cheap to clone.
///
/// Nothing here holds a lock while a plugin is asked something, so a plugin that hangs holds up only
/// what concerns its own rule.
#[derive(Clone)]
pub struct FlowService(Arc<Inner>);

struct Inner {
    store: Store,
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    registry: Mutex<Registry>,
    /// Held while streams are being changed; no plugin has a part in that.
    streams_changing: tokio::sync::Mutex<()>,
    /// The running sources of shared streams.
    shared: SharedStreams,
    places: Places,
    /// For `encryption` of sinks.
    sink_key: Option<SinkKey>,
    /// When rules that an error stopped were last looked at.
    looked_at: Mutex<i64>,
    /// Runs of deleted rules that have not ended: the next rule of that id waits for them.
    ending: Mutex<HashMap<String, watch::Receiver<bool>>>,
}

#[derive(Default)]
struct Registry {
    streams: BTreeMap<String, StreamEntry>,
    rules: BTreeMap<String, Arc<Slot>>,
    /// Nothing starts by itself any more.
    closed: bool,
}

#[derive(Clone)]
struct StreamEntry {
    definition: Arc<StreamDefinition>,
    statement: Arc<str>,
}

/// Who uses a symbol.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SymbolUsers {
    /// Streams whose TYPE it is, sorted.
    pub streams: Vec<String>,
    /// Rules that read from such a stream, send to it or call it, sorted.
    pub rules: Vec<String>,
}

impl std::fmt::Debug for FlowService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlowService").finish_non_exhaustive()
    }
}

impl FlowService {
    /// A service over a migrated database (see [`crate::migrations`]) and a catalogue, usually a
    /// [`crate::Combined`] of [`crate::Builtins`] and the plugins'. Nothing runs before [`FlowService::recover`].
    pub fn new(database: DatabaseConnection, catalog: Arc<dyn Catalog>) -> Self {
        Self::with_clock(database, catalog, Arc::new(SystemClock))
    }

    /// The same with a clock of the caller's.
    pub fn with_clock(
        database: DatabaseConnection,
        catalog: Arc<dyn Catalog>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::made(database, catalog, clock, Places::default(), None)
    }

    /// The same with directories for what rules keep: messages that wait for sinks (`enableCache`) below
    /// `cache`, logs of rules (`debug`, `logFilename`) below `logs`. They are made when they are needed.
    /// To be called before the service is used.
    #[must_use]
    pub fn with_directories(self, cache: PathBuf, logs: PathBuf) -> Self {
        self.with(|places, _| (places.cache, places.logs) = (Some(cache), Some(logs)))
    }

    /// The same with a directory for what the windows of rules hold (`qos`). To be called before the service is
    /// used.
    #[must_use]
    pub fn with_state_directory(self, state: PathBuf) -> Self {
        self.with(|places, _| places.state = Some(state))
    }

    /// The same with a key for sinks whose messages leave encrypted (`encryption`). To be called before the service
    /// is used.
    #[must_use]
    pub fn with_sink_key(self, key: SinkKey) -> Self {
        self.with(|_, sink_key| *sink_key = Some(key))
    }

    fn with(self, change: impl FnOnce(&mut Places, &mut Option<SinkKey>)) -> Self {
        let inner = self.0;
        let (mut places, mut key) = (inner.places.clone(), inner.sink_key.clone());
        change(&mut places, &mut key);
        Self::made(
            inner.store.0.clone(),
            inner.catalog.clone(),
            inner.clock.clone(),
            places,
            key,
        )
    }

    fn made(
        database: DatabaseConnection,
        catalog: Arc<dyn Catalog>,
        clock: Arc<dyn Clock>,
        places: Places,
        sink_key: Option<SinkKey>,
    ) -> Self {
        let now = clock.now_ms();
        Self(Arc::new(Inner {
            store: Store(database),
            catalog,
            clock,
            shared: SharedStreams::default(),
            places,
            sink_key,
            looked_at: Mutex::new(now),
            registry: Mutex::default(),
            streams_changing: tokio::sync::Mutex::default(),
            ending: Mutex::default(),
        }))
    }

    /// Reads what is stored and sets the rules going that shall run, each on its own; a plugin that takes
    /// its time holds up nobody but its own rules. To be called once, when the plugins have registered
    /// their symbols. A rule that cannot be started is `stopped by error`, says why, and is tried again by
    /// [`FlowService::catalog_changed`].
    ///
    /// # Errors
    /// [`FlowError::Store`].
    pub async fn recover(&self) -> Result<(), FlowError> {
        for row in self.0.store.streams().await? {
            match StreamDefinition::parse(&row.statement) {
                Ok(definition) => {
                    let entry = StreamEntry {
                        definition: Arc::new(definition),
                        statement: row.statement.into(),
                    };
                    self.0.registry.lock().streams.insert(row.name, entry);
                }
                Err(error) => tracing::error!(
                    flow.stream = row.name,
                    %error,
                    "Stream `{}` is stored but cannot be read", row.name
                ),
            }
        }
        for row in self.0.store.rules().await? {
            let parsed = Parsed::read(&row.json, Some(&row.id));
            let slot = self.new_slot(row.id.clone(), row.json.into(), parsed, row.triggered);
            self.0.registry.lock().rules.insert(row.id, slot);
        }
        self.keep_patrolling();
        let service = self.clone();
        tokio::spawn(async move { service.start_wanted().await });
        Ok(())
    }

    /// Tells that symbols have come or gone: rules that are `stopped by error` are tried again. Ends when
    /// each has been tried.
    pub async fn catalog_changed(&self) {
        self.start_wanted().await;
    }

    /// Ends all rules, as at the end of the program; they stay wanted. Ends when they have, within bounds.
    pub async fn shutdown(&self) {
        let slots: Vec<_> = {
            let mut registry = self.0.registry.lock();
            registry.closed = true;
            registry.rules.values().cloned().collect()
        };
        join_all(slots.iter().map(|slot| slot.stop())).await;
    }

    /// Who uses a symbol: what an uninstall would break.
    pub fn users_of(&self, kind: SymbolKind, name: &str) -> SymbolUsers {
        let registry = self.0.registry.lock();
        let streams: Vec<String> = registry
            .streams
            .values()
            .filter(|entry| kind == SymbolKind::Source && entry.definition.source_type() == name)
            .map(|entry| entry.definition.name.clone())
            .collect();
        let rules = registry
            .rules
            .values()
            .filter(|slot| {
                slot.parsed().is_some_and(|parsed| {
                    let stream = parsed.program.stream();
                    stream.is_some_and(|stream| streams.iter().any(|it| it == stream))
                        || plan::symbols(&parsed.rule, &parsed.program)
                            .any(|symbol| symbol == (kind, name))
                })
            })
            .map(|slot| slot.id.clone())
            .collect();
        SymbolUsers { streams, rules }
    }

    async fn start_wanted(&self) {
        let slots: Vec<_> = self.0.registry.lock().rules.values().cloned().collect();
        join_all(
            slots
                .into_iter()
                .filter(|slot| slot.is_waiting())
                .map(|slot| async move {
                    if let Err(error) = self.launch(&slot).await {
                        tracing::warn!(
                            flow.rule = slot.id,
                            %error,
                            "Rule `{}` cannot be started", slot.id
                        );
                    }
                }),
        )
        .await;
    }

    fn new_slot(
        &self,
        id: String,
        json: Arc<str>,
        parsed: Result<Arc<Parsed>, FlowError>,
        wanted: bool,
    ) -> Arc<Slot> {
        let (clock, places) = (self.0.clock.clone(), self.0.places.clone());
        Arc::new(Slot::new(id, json, parsed, wanted, clock, places))
    }

    fn now(&self) -> i64 {
        self.0.clock.now_ms()
    }
}

//! Streams.

use std::sync::Arc;

use serde_json::Value as Json;

use super::{FlowService, StreamEntry};
use crate::FlowError;
use crate::sql::stream::StreamDefinition;

/// A stream in a list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct StreamSummary {
    /// Its name.
    pub name: String,
    /// The source symbol it reads from.
    #[serde(rename = "type")]
    pub source_type: String,
    /// Its format.
    pub format: String,
}

impl FlowService {
    /// Creates a stream; gives its name. The plugin of its TYPE need not be there yet.
    ///
    /// # Errors
    /// [`FlowError::StreamSql`], [`FlowError::StreamExists`], [`FlowError::Store`].
    pub async fn create_stream(&self, sql: &str) -> Result<String, FlowError> {
        let definition = StreamDefinition::parse(sql).map_err(FlowError::StreamSql)?;
        let name = definition.name.clone();
        let temp = definition.options.temp;
        let _changing = self.0.streams_changing.lock().await;
        {
            let mut registry = self.0.registry.lock();
            if registry.streams.contains_key(&name) {
                return Err(FlowError::StreamExists(name));
            }
            registry
                .streams
                .insert(name.clone(), entry(definition, sql));
        }
        if !temp && let Err(error) = self.0.store.stream_insert(&name, sql, self.now()).await {
            self.0.registry.lock().streams.remove(&name);
            return Err(error);
        }
        Ok(name)
    }

    /// Replaces a stream. Rules that run go on with the old one until they are restarted.
    ///
    /// # Errors
    /// [`FlowError::StreamSql`], [`FlowError::StreamMissing`], [`FlowError::StreamNameDiffers`], [`FlowError::Store`].
    pub async fn replace_stream(&self, name: &str, sql: &str) -> Result<(), FlowError> {
        let definition = StreamDefinition::parse(sql).map_err(FlowError::StreamSql)?;
        let _changing = self.0.streams_changing.lock().await;
        if definition.name != name {
            return Err(FlowError::StreamNameDiffers {
                expected: name.to_owned(),
                found: definition.name,
            });
        }
        let Some(before) = self.stream(name) else {
            return Err(FlowError::StreamMissing(name.to_owned()));
        };
        let (store, now) = (&self.0.store, self.now());
        match (before.definition.options.temp, definition.options.temp) {
            (_, true) => store.stream_delete(name).await?,
            (true, false) => store.stream_insert(name, sql, now).await?,
            (false, false) => store.stream_update(name, sql, now).await?,
        }
        if let Some(current) = self.0.registry.lock().streams.get_mut(name) {
            *current = entry(definition, sql);
        }
        Ok(())
    }

    /// Deletes a stream; with `force` also while rules read from it.
    ///
    /// # Errors
    /// [`FlowError::StreamMissing`], [`FlowError::StreamReferenced`], [`FlowError::Store`].
    pub async fn drop_stream(&self, name: &str, force: bool) -> Result<(), FlowError> {
        let _changing = self.0.streams_changing.lock().await;
        let removed = {
            let mut registry = self.0.registry.lock();
            let referenced = registry.rules.values().any(|slot| {
                slot.parsed()
                    .is_some_and(|parsed| parsed.program.stream() == Some(name))
            });
            if referenced && !force {
                return Err(FlowError::StreamReferenced(name.to_owned()));
            }
            registry
                .streams
                .remove(name)
                .ok_or_else(|| FlowError::StreamMissing(name.to_owned()))?
        };
        if let Err(error) = self.0.store.stream_delete(name).await {
            let mut registry = self.0.registry.lock();
            registry.streams.entry(name.to_owned()).or_insert(removed);
            return Err(error);
        }
        Ok(())
    }

    /// All streams, sorted by name.
    pub fn streams(&self) -> Vec<StreamSummary> {
        let registry = self.0.registry.lock();
        registry
            .streams
            .values()
            .map(|entry| StreamSummary {
                name: entry.definition.name.clone(),
                source_type: entry.definition.source_type().to_owned(),
                format: entry.definition.format().to_owned(),
            })
            .collect()
    }

    /// A stream in eKuiper's form.
    ///
    /// # Errors
    /// [`FlowError::StreamUnknown`].
    pub fn describe_stream(&self, name: &str) -> Result<Json, FlowError> {
        let entry = self
            .stream(name)
            .ok_or_else(|| FlowError::StreamUnknown(name.to_owned()))?;
        Ok(entry.definition.describe(&entry.statement))
    }

    /// Whether it is a stream that ends with the server.
    pub fn is_temporary_stream(&self, name: &str) -> bool {
        self.stream(name)
            .is_some_and(|entry| entry.definition.options.temp)
    }

    /// The types of a stream's columns.
    ///
    /// # Errors
    /// [`FlowError::StreamMissing`].
    pub fn stream_schema(&self, name: &str) -> Result<Json, FlowError> {
        let entry = self
            .stream(name)
            .ok_or_else(|| FlowError::StreamMissing(name.to_owned()))?;
        Ok(entry.definition.schema())
    }

    pub(super) fn stream(&self, name: &str) -> Option<StreamEntry> {
        self.0.registry.lock().streams.get(name).cloned()
    }
}

fn entry(definition: StreamDefinition, sql: &str) -> StreamEntry {
    StreamEntry {
        definition: Arc::new(definition),
        statement: sql.into(),
    }
}

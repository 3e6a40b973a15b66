//! The kind as the platform sees it.

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt as _};
use plugyard_archive::{Listing, PackageReader};
use plugyard_model::{Health, HealthState, Inspection, KindId, PluginName, Problem, codes};
use plugyard_platform::Kind;
use plugyard_platform::kind::{
    Change, HealthEvent, Installation, KindError, Likeness, LogLine, Plan, StepCx, StepError,
    StepOutput, StepSpec,
};
use serde_json::{Value as Json, json};

use crate::host::WebHost;
use crate::package::{self, KIND};

/// Implements [`Kind`].
pub(crate) struct WebKind {
    pub(crate) host: WebHost,
}

impl WebKind {
    pub(crate) fn new(host: WebHost) -> Self {
        Self { host }
    }
}

#[async_trait]
impl Kind for WebKind {
    fn id(&self) -> KindId {
        KIND
    }

    fn has_process(&self) -> bool {
        false
    }

    fn config_file(&self) -> Option<&'static str> {
        Some("config.json")
    }

    fn recognise(&self, names: &Listing) -> Likeness {
        package::recognise(names)
    }

    fn inspect(&self, package: &dyn PackageReader, expected: Option<&str>) -> Inspection {
        package::inspect(package, expected)
    }

    async fn plan(&self, change: &Change) -> Result<Plan, KindError> {
        Err(Problem::new(codes::ACTION_UNSUPPORTED).about(&change.plugin))
    }

    async fn run(&self, _step: &StepSpec, _cx: &StepCx) -> Result<StepOutput, StepError> {
        Ok(Json::Null)
    }

    async fn undo(&self, _step: &StepSpec, _cx: &StepCx) -> Result<(), StepError> {
        Ok(())
    }

    async fn resume(&self, _all: &[Installation]) {}

    async fn shut_down(&self) {}

    async fn probe(&self, _installation: &Installation) -> Health {
        Health::new(HealthState::Stopped)
    }

    fn watch(&self) -> BoxStream<'static, HealthEvent> {
        stream::pending().boxed()
    }

    async fn details(&self, _installation: &Installation) -> Json {
        json!({})
    }

    fn logs(
        &self,
        _plugin: &PluginName,
        _tail: usize,
    ) -> (Vec<LogLine>, BoxStream<'static, LogLine>) {
        (Vec::new(), stream::pending().boxed())
    }
}

//! What a client believes an installation to be when it asks for a change.

use std::fmt;

use plugyard_model::{InstallationId, PluginName, Problem};
use plugyard_store::Transaction;

use crate::versions::{installation_id, installation_of};

/// A condition on an installation, checked in the transaction that claims it: what a client saw last is
/// what is changed, or nothing is.
pub struct Expected(Box<Check>);

/// Id and revision of the installation, `None` when there is none.
type Check = dyn Fn(Option<(InstallationId, u64)>) -> Result<(), Problem> + Send + Sync;

impl Expected {
    /// A condition on id and revision of the installation, as
    /// [`InstallationView`](crate::InstallationView) has them; `None` when there is none.
    pub fn new(
        check: impl Fn(Option<(InstallationId, u64)>) -> Result<(), Problem> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(check))
    }

    pub(crate) async fn check(
        &self,
        transaction: &Transaction,
        plugin: &PluginName,
    ) -> Result<(), Problem> {
        let row = installation_of(&**transaction, plugin).await?;
        (self.0)(row.map(|row| (installation_id(&row), row.revision.unsigned_abs())))
    }
}

impl fmt::Debug for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Expected(..)")
    }
}

//! The secrets of installations, and the master key to them.
//!
//! A server without its master key runs: plugins that need no secret work, a secret is shown as set and
//! unreadable, and setting one is refused. As soon as the key is back where it should be, all is well
//! again; no restart is needed.

use plugyard_http::Principal;
use plugyard_model::{Problem, codes};
use plugyard_store::secrets::{KeySource, Rotation, Secrets};
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};

use crate::{Platform, Settings};

/// The secrets, as soon as there is a key to them.
pub(crate) struct Vault {
    from: KeySource,
    open: Mutex<Opened>,
}

/// Asking for the key may take a while, and everybody asks.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Default)]
enum Opened {
    #[default]
    Never,
    Failed(Instant, Problem),
    Open(Secrets),
}

impl Vault {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            from: settings.master_key.clone(),
            open: Mutex::default(),
        }
    }
}

impl Platform {
    /// Says at the start what is wrong with the master key.
    pub(crate) async fn vault_open(&self) {
        if let Err(problem) = self.secrets().await {
            tracing::error!("Secrets can be neither read nor set: {problem}");
        }
    }

    /// The secrets, opened at the first use that succeeds.
    ///
    /// # Errors
    /// `secret_store_unavailable`, which says what is wrong with the master key; `store_unavailable`.
    pub async fn secrets(&self) -> Result<Secrets, Problem> {
        let mut open = self.0.vault.open.lock().await;
        match &*open {
            Opened::Open(secrets) => return Ok(secrets.clone()),
            Opened::Failed(at, problem) if at.elapsed() < PAUSE => return Err(problem.clone()),
            Opened::Failed(..) | Opened::Never => {}
        }
        let from = self.0.vault.from.clone();
        match Secrets::open(self.database().clone(), from).await {
            Ok(secrets) => {
                *open = Opened::Open(secrets.clone());
                Ok(secrets)
            }
            Err(error) => {
                let problem = unavailable(error.into());
                *open = Opened::Failed(Instant::now(), problem.clone());
                Err(problem)
            }
        }
    }

    /// Puts another master key in force, and encrypts all data keys with it.
    ///
    /// # Errors
    /// `secret_store_unavailable`, also when a new key is not in front of the old one where the server
    /// cannot make it itself: the old key stays in force. `store_unavailable`.
    pub async fn secrets_rotate(&self, who: &Principal) -> Result<Rotation, Problem> {
        let rotated = self.secrets().await?.rotate().await;
        let rotation = rotated.map_err(|error| unavailable(error.into()))?;
        tracing::info!(
            user.name = who.name,
            key = %rotation.key,
            "The master key was rotated: {} data keys", rotation.data_keys
        );
        Ok(rotation)
    }
}

/// Whatever is wrong with the key: nothing was changed, and others work on.
fn unavailable(problem: Problem) -> Problem {
    if problem.code == codes::STORE_UNAVAILABLE {
        return problem;
    }
    Problem::new(codes::SECRET_STORE_UNAVAILABLE).with("reason", problem)
}

//! Asking a market: which documents to load in which order. How bytes travel is the caller's, see
//! [`Transport`].

use async_trait::async_trait;
use jiff::Timestamp;

use crate::document::{PLUGIN_LIMIT, ROOT_LIMIT, TIMESTAMP_LIMIT};
use crate::error::Refusal;
use crate::keys::PublicKey;
use crate::release::Offer;
use crate::trust::{Catalogue, ROOTS_MAX, Trust};

/// How documents of a market are loaded.
#[async_trait]
pub trait Transport: Send + Sync {
    /// The bytes at a path relative to the market's address, at most `limit` of them; `None` when there is
    /// nothing.
    ///
    /// # Errors
    /// [`Refusal::Unreachable`], [`Refusal::Refused`], and [`Refusal::Malformed`] for more than `limit`.
    async fn load(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Refusal>;
}

/// Begins to trust a market by keys of its root: by the newest root, or by the first one when the keys are
/// no longer in use.
///
/// # Errors
/// `E_SIGNATURE_INVALID` when the market has no root that all the keys signed, and what the way there may
/// bring.
pub async fn trust_by_keys(
    transport: &dyn Transport,
    keys: &[PublicKey],
) -> Result<Trust, Refusal> {
    let newest = must(transport, "metadata/root.json", ROOT_LIMIT).await?;
    let refused = match Trust::from_keys(&newest, keys) {
        Ok(trust) => return Ok(trust),
        Err(refused) => refused,
    };
    match transport.load("metadata/1.root.json", ROOT_LIMIT).await? {
        Some(first) => Trust::from_keys(&first, keys).map_err(|_| refused),
        None => Err(refused),
    }
}

/// Looks at a market: its newest root, timestamp, snapshot and targets. Store `trust` afterwards whatever
/// came out, for it holds the highest versions seen.
///
/// # Errors
/// The first thing that is wrong. What is installed is not concerned.
pub async fn refresh(
    trust: &mut Trust,
    transport: &dyn Transport,
    now: Timestamp,
) -> Result<Catalogue, Refusal> {
    let mut followed = 0;
    while let Some(bytes) = transport.load(&trust.next_root_path(), ROOT_LIMIT).await? {
        if followed == ROOTS_MAX {
            return Err(Refusal::TooManyRoots { followed });
        }
        trust.next_root(&bytes)?;
        followed += 1;
    }
    trust.check_root(now)?;
    let bytes = must(transport, "metadata/timestamp.json", TIMESTAMP_LIMIT).await?;
    let wanted = trust.timestamp(&bytes, now)?;
    let bytes = must(transport, &wanted.path, wanted.limit).await?;
    let (snapshot, wanted) = trust.snapshot(&bytes, now)?;
    let bytes = must(transport, &wanted.path, wanted.limit).await?;
    trust.targets(snapshot, &bytes, now)
}

/// The packages of a plugin; `None` when the market does not have it.
///
/// # Errors
/// The first thing that is wrong.
pub async fn offers(
    catalogue: &Catalogue,
    transport: &dyn Transport,
    plugin: &str,
    now: Timestamp,
) -> Result<Option<Vec<Offer>>, Refusal> {
    let Some(wanted) = catalogue.wanted(plugin)? else {
        return Ok(None);
    };
    let bytes = must(transport, &wanted.path, wanted.limit.min(PLUGIN_LIMIT)).await?;
    catalogue.plugin(plugin, &bytes, now).map(Some)
}

async fn must(transport: &dyn Transport, path: &str, limit: u64) -> Result<Vec<u8>, Refusal> {
    let found = transport.load(path, limit).await?;
    found.ok_or_else(|| Refusal::Malformed {
        document: path.to_owned(),
        reason: "the market does not have it".to_owned(),
    })
}

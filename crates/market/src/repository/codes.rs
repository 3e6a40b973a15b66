//! Who may load packages that are not for everybody: upgrade codes, and tickets for single downloads.
//!
//! Of a code only its hash is kept. A ticket goes into an address, where a code must not: it is good for one
//! path and a quarter of an hour.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::{Repository, RepositoryError, files};
use crate::document::is_plugin_name;
use crate::hex::{self, Sha256};
use crate::keys::KeyError;

/// Seconds that a ticket is good for.
const TICKET_SECONDS: i64 = 15 * 60;

/// Codes of one plugin that are good, at most.
const CODES_MAX: usize = 100_000;

/// Makes and checks tickets.
#[derive(Debug, Clone)]
pub struct Ticket(hmac::Key);

impl Ticket {
    /// A ticket for a path.
    #[must_use]
    pub fn issue(&self, path: &str, now: Timestamp) -> String {
        let until = now.as_second().saturating_add(TICKET_SECONDS);
        let tag = hmac::sign(&self.0, format!("{until} {path}").as_bytes());
        format!("{until}.{}", hex::encode(tag.as_ref()))
    }

    /// Whether a ticket is good for a path.
    #[must_use]
    pub fn admits(&self, path: &str, ticket: &str, now: Timestamp) -> bool {
        let Some((until, tag)) = ticket.split_once('.') else {
            return false;
        };
        let Some(tag) = hex::decode(tag) else {
            return false;
        };
        until.parse().is_ok_and(|end: i64| end > now.as_second())
            && hmac::verify(&self.0, format!("{until} {path}").as_bytes(), &tag).is_ok()
    }
}

impl Repository {
    /// A new upgrade code for a plugin, shown this once: 24 letters and digits.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn code_issue(&self, fskey: &str) -> Result<String, RepositoryError> {
        // No letters and digits that are taken for each other.
        const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
        if !is_plugin_name(fskey) {
            return Err(RepositoryError::Unfit(fskey.to_owned()));
        }
        let code: String = random::<24>()?
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
            .collect();
        let _lock = self.lock()?;
        let mut codes = self.codes()?;
        let of_plugin = codes.entry(fskey.to_owned()).or_default();
        if of_plugin.len() >= CODES_MAX {
            return Err(RepositoryError::Unfit(fskey.to_owned()));
        }
        of_plugin.push(Sha256::of(code.as_bytes()));
        let text = serde_json::to_vec_pretty(&codes).map_err(|error| self.json(error))?;
        files::write(&self.directory.join("codes.json"), &text, 0o600)?;
        Ok(code)
    }

    /// Takes a code back. Gives whether it was good.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn code_revoke(&self, fskey: &str, code: &str) -> Result<bool, RepositoryError> {
        let _lock = self.lock()?;
        let mut codes = self.codes()?;
        let hash = Sha256::of(code.as_bytes());
        let of_plugin = codes.entry(fskey.to_owned()).or_default();
        let before = of_plugin.len();
        of_plugin.retain(|known| *known != hash);
        let revoked = of_plugin.len() < before;
        let text = serde_json::to_vec_pretty(&codes).map_err(|error| self.json(error))?;
        files::write(&self.directory.join("codes.json"), &text, 0o600)?;
        Ok(revoked)
    }

    /// Whether a code entitles to a plugin's packages.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn code_is_good(&self, fskey: &str, code: &str) -> Result<bool, RepositoryError> {
        // What is compared is a hash, so the time it takes tells nothing of the codes.
        let hash = Sha256::of(code.as_bytes());
        Ok(self
            .codes()?
            .get(fskey)
            .is_some_and(|known| known.contains(&hash)))
    }

    /// What makes tickets for this market.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn tickets(&self) -> Result<Ticket, RepositoryError> {
        let path = self.directory.join("keys/tickets");
        let text = files::read(&path)?.unwrap_or_default();
        let key = std::str::from_utf8(&text).ok().and_then(hex::decode);
        match key.filter(|key| key.len() == 32) {
            Some(key) => Ok(Ticket(hmac::Key::new(hmac::HMAC_SHA256, &key))),
            None => Err(RepositoryError::Damaged {
                path,
                reason: "it is no key".to_owned(),
            }),
        }
    }

    pub(super) fn make_ticket_key(&self) -> Result<(), RepositoryError> {
        let text = hex::encode(&random::<32>()?);
        files::write(&self.directory.join("keys/tickets"), text.as_bytes(), 0o600)
    }

    fn codes(&self) -> Result<BTreeMap<String, Vec<Sha256>>, RepositoryError> {
        let path = self.directory.join("codes.json");
        let Some(bytes) = files::read(&path)? else {
            return Ok(BTreeMap::new());
        };
        serde_json::from_slice(&bytes).map_err(|error| RepositoryError::Damaged {
            path,
            reason: error.to_string(),
        })
    }
}

fn random<const N: usize>() -> Result<[u8; N], RepositoryError> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| RepositoryError::Key(KeyError::Random))?;
    Ok(bytes)
}

//! Who may load packages that are not for everybody: upgrade codes, and tickets for single downloads.
//!
//! Of a code only its hash is kept. A ticket goes into an address, where a code must not: it is good for one
//! path and a quarter of an hour.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::{Repository, RepositoryError};
use crate::document::is_plugin_name;
use crate::hex::{self, Sha256};
use crate::keys::KeyError;
use crate::place::{Put, State, read_file, write_file};

/// The file of the codes' hashes.
pub(crate) const CODES: &str = "codes.json";

/// The file with what makes tickets, beside the private keys.
pub(super) const TICKETS: &str = "tickets";

type Codes = BTreeMap<String, Vec<Sha256>>;

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
        self.issue_until(path, now).0
    }

    /// The same, and until when it is good.
    #[must_use]
    pub fn issue_until(&self, path: &str, now: Timestamp) -> (String, Timestamp) {
        let until = now.as_second().saturating_add(TICKET_SECONDS);
        let tag = hmac::sign(&self.0, format!("{until} {path}").as_bytes());
        let ticket = format!("{until}.{}", hex::encode(tag.as_ref()));
        (ticket, Timestamp::from_second(until).unwrap_or(now))
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
    pub fn code_issue(&mut self, fskey: &str) -> Result<String, RepositoryError> {
        // No letters and digits that are taken for each other.
        const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
        if !is_plugin_name(fskey) {
            return Err(RepositoryError::Unfit(fskey.to_owned()));
        }
        let code: String = random::<24>()?
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
            .collect();
        let hash = Sha256::of(code.as_bytes());
        self.change_codes(|codes| {
            let of_plugin = codes.entry(fskey.to_owned()).or_default();
            if of_plugin.len() >= CODES_MAX {
                return Err(RepositoryError::Unfit(fskey.to_owned()));
            }
            of_plugin.push(hash);
            Ok(())
        })?;
        Ok(code)
    }

    /// Takes a code back. Gives whether it was good.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn code_revoke(&mut self, fskey: &str, code: &str) -> Result<bool, RepositoryError> {
        let hash = Sha256::of(code.as_bytes());
        self.change_codes(|codes| {
            let of_plugin = codes.entry(fskey.to_owned()).or_default();
            let before = of_plugin.len();
            of_plugin.retain(|known| *known != hash);
            Ok(of_plugin.len() < before)
        })
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
            .0
            .get(fskey)
            .is_some_and(|known| known.contains(&hash)))
    }

    /// What makes tickets for this market.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn tickets(&self) -> Result<Ticket, RepositoryError> {
        let path = self.keys.file(TICKETS);
        let text = read_file(&path)?.unwrap_or_default();
        let key = std::str::from_utf8(&text).ok().and_then(hex::decode);
        match key.filter(|key| key.len() == 32) {
            Some(key) => Ok(Ticket(hmac::Key::new(hmac::HMAC_SHA256, &key))),
            None => Err(RepositoryError::Damaged {
                what: path.display().to_string(),
                reason: "it is no key".to_owned(),
            }),
        }
    }

    pub(super) fn make_ticket_key(&self) -> Result<(), RepositoryError> {
        let text = hex::encode(&random::<32>()?);
        write_file(&self.keys.file(TICKETS), text.as_bytes(), 0o600)
    }

    fn change_codes<T>(
        &mut self,
        change: impl Fn(&mut Codes) -> Result<T, RepositoryError>,
    ) -> Result<T, RepositoryError> {
        let _lock = self.place.lock()?;
        self.again(|market| {
            let (mut codes, state) = market.codes()?;
            let done = change(&mut codes)?;
            let text = serde_json::to_vec_pretty(&codes).map_err(|error| market.json(error))?;
            if market.place.put(CODES, &text, Put::Over(&state))? {
                Ok(done)
            } else {
                Err(RepositoryError::Overtaken)
            }
        })
    }

    fn codes(&self) -> Result<(Codes, State), RepositoryError> {
        let Some(found) = self.place.read(CODES)? else {
            return Ok((Codes::new(), State::Absent));
        };
        let codes =
            serde_json::from_slice(&found.bytes).map_err(|error| RepositoryError::Damaged {
                what: format!("{}/{CODES}", self.place),
                reason: error.to_string(),
            })?;
        Ok((codes, found.state))
    }
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], RepositoryError> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| RepositoryError::Key(KeyError::Random))?;
    Ok(bytes)
}

//! What sinks send, encrypted: `encryption` of an action, in the form of eKuiper's mode `gcm`.
//!
//! A message becomes a nonce by chance (12 bytes), its AES-GCM ciphertext and the tag (16 bytes). The key is one of
//! the server's and comes from outside; nothing here shows it.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};

/// The key that messages of sinks are encrypted with.
#[derive(Clone)]
pub struct SinkKey(Arc<LessSafeKey>);

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SinkKeyError {
    /// It is no base64.
    #[error("it is not in base64")]
    Base64,
    /// It has another length.
    #[error("it has {0} bytes; 16 or 32 are needed")]
    Length(usize),
}

impl SinkKey {
    /// Reads a key as eKuiper's `aesKey` has it: 16 or 32 bytes in base64.
    ///
    /// # Errors
    /// [`SinkKeyError`]; it says nothing of the key but its length.
    pub fn from_base64(text: &str) -> Result<Self, SinkKeyError> {
        let bytes = STANDARD
            .decode(text.trim())
            .map_err(|_| SinkKeyError::Base64)?;
        let length = || SinkKeyError::Length(bytes.len());
        let algorithm = match bytes.len() {
            16 => &AES_128_GCM,
            32 => &AES_256_GCM,
            _ => return Err(length()),
        };
        let key = UnboundKey::new(algorithm, &bytes).map_err(|_| length())?;
        Ok(Self(Arc::new(LessSafeKey::new(key))))
    }

    /// Encrypts one message.
    ///
    /// # Errors
    /// In words, when the system gives no random bytes, or the message is beyond 64 GiB.
    pub(crate) fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| "no random bytes for encryption")?;
        let mut out = Vec::with_capacity(NONCE_LEN + plain.len() + self.0.algorithm().tag_len());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::empty(), &mut out[NONCE_LEN..])
            .map_err(|_| "the message is too long to be encrypted")?;
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    #[cfg(test)]
    pub(crate) fn open(&self, sealed: &[u8]) -> Vec<u8> {
        let (nonce, rest) = sealed.split_at(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
        let mut rest = rest.to_vec();
        let plain = self.0.open_in_place(nonce, Aad::empty(), &mut rest);
        plain.unwrap().to_vec()
    }
}

impl fmt::Debug for SinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SinkKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_sealed_anew_and_opens_to_itself() {
        for length in [16, 32] {
            let key = SinkKey::from_base64(&STANDARD.encode(vec![7; length])).unwrap();
            for plain in [&b""[..], b"x", &[0; 10_000]] {
                let (one, two) = (key.seal(plain).unwrap(), key.seal(plain).unwrap());
                assert_ne!(one, two);
                assert_eq!(one.len(), plain.len() + 28);
                assert_eq!(key.open(&one), plain);
                assert_eq!(key.open(&two), plain);
            }
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        assert_eq!(
            SinkKey::from_base64("not base64").unwrap_err(),
            SinkKeyError::Base64
        );
        let short = SinkKey::from_base64(&STANDARD.encode("0123456789abcdef01234567"));
        assert_eq!(
            short.unwrap_err().to_string(),
            "it has 24 bytes; 16 or 32 are needed"
        );
        let key = SinkKey::from_base64(&STANDARD.encode("0123456789abcdef")).unwrap();
        assert_eq!(format!("{key:?}"), "SinkKey(…)");
    }
}

//! Encrypting: XChaCha20-Poly1305 with random nonces, which at 192 bits never meet.
//!
//! Both what a data key seals and a data key that a master key wraps look like this:
//! one byte of version (1), 24 of nonce, then the ciphertext with its tag. The version and what the
//! bytes belong to are authenticated.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use secrecy::zeroize::Zeroize as _;
use secrecy::{ExposeSecret as _, SecretBox};

use super::master::MasterKey;
use super::{SecretError, SecretOwner, SecretText};

/// Bytes of every key.
pub(super) const KEY: usize = 32;
const NONCE: usize = 24;
const VERSION: u8 = 1;

/// Encrypts the secrets of one owner. Wiped from memory when dropped.
pub(super) struct DataKey(SecretBox<[u8; KEY]>);

impl DataKey {
    pub(super) fn generate() -> Self {
        Self(random_key())
    }

    pub(super) fn seal(
        &self,
        owner: SecretOwner,
        name: &str,
        text: &SecretText,
    ) -> Result<Vec<u8>, SecretError> {
        seal(&self.0, &of_secret(owner, name), text.expose().as_bytes())
    }

    pub(super) fn open(
        &self,
        owner: SecretOwner,
        name: &str,
        sealed: &[u8],
    ) -> Result<SecretText, SecretError> {
        open(&self.0, &of_secret(owner, name), sealed)
            .and_then(|text| String::from_utf8(text).ok())
            .map(SecretText::new)
            .ok_or_else(|| SecretError::damaged(owner, name))
    }

    /// This key, encrypted for being kept.
    pub(super) fn wrap(
        &self,
        master: &MasterKey,
        owner: SecretOwner,
    ) -> Result<Vec<u8>, SecretError> {
        seal(
            master.bytes(),
            &of_data_key(owner, master),
            self.0.expose_secret(),
        )
    }
}

impl MasterKey {
    /// A data key that was wrapped with this key for this owner.
    pub(super) fn unwrap(
        &self,
        owner: SecretOwner,
        wrapped: &[u8],
    ) -> Result<DataKey, SecretError> {
        let mut bytes = open(self.bytes(), &of_data_key(owner, self), wrapped)
            .filter(|bytes| bytes.len() == KEY)
            .ok_or_else(|| SecretError::damaged(owner, ""))?;
        let key = SecretBox::init_with_mut(|key: &mut [u8; KEY]| key.copy_from_slice(&bytes));
        bytes.zeroize();
        Ok(DataKey(key))
    }
}

pub(super) fn random_key() -> SecretBox<[u8; KEY]> {
    SecretBox::init_with_mut(|key: &mut [u8; KEY]| fill(key))
}

fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the system gives random numbers");
}

/// The name comes last, so no two pairs of owner and name give the same bytes.
fn of_secret(owner: SecretOwner, name: &str) -> Vec<u8> {
    [
        b"plugyard secret\0",
        &owner.0.as_bytes()[..],
        name.as_bytes(),
    ]
    .concat()
}

fn of_data_key(owner: SecretOwner, master: &MasterKey) -> Vec<u8> {
    let id = master.id().to_string();
    [
        b"plugyard data key\0",
        &owner.0.as_bytes()[..],
        id.as_bytes(),
    ]
    .concat()
}

fn seal(key: &SecretBox<[u8; KEY]>, about: &[u8], plain: &[u8]) -> Result<Vec<u8>, SecretError> {
    let mut nonce = [0; NONCE];
    fill(&mut nonce);
    let payload = Payload {
        msg: plain,
        aad: &[&[VERSION], about].concat(),
    };
    let sealed = XChaCha20Poly1305::new(key.expose_secret().into())
        .encrypt(&XNonce::from(nonce), payload)
        .map_err(|_| SecretError::Unstorable {
            reason: "it is too long to be encrypted".to_owned(),
        })?;
    Ok([&[VERSION], &nonce[..], &sealed].concat())
}

fn open(key: &SecretBox<[u8; KEY]>, about: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (&VERSION, rest) = sealed.split_first()? else {
        return None;
    };
    let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
    let payload = Payload {
        msg: sealed,
        aad: &[&[VERSION], about].concat(),
    };
    XChaCha20Poly1305::new(key.expose_secret().into())
        .decrypt(&XNonce::from(*nonce), payload)
        .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn owner() -> impl Strategy<Value = SecretOwner> {
        any::<u128>().prop_map(|bits| SecretOwner(Uuid::from_u128(bits)))
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_in_its_place_and_is_never_alike(
            owner in owner(), name in ".*", text in ".*"
        ) {
            let (key, secret) = (DataKey::generate(), SecretText::new(text.clone()));
            let sealed = key.seal(owner, &name, &secret).unwrap();
            let opened = key.open(owner, &name, &sealed).unwrap();
            prop_assert_eq!(opened.expose(), &text);
            prop_assert_ne!(&key.seal(owner, &name, &secret).unwrap(), &sealed);
            if text.len() > 3 {
                prop_assert!(!sealed.windows(text.len()).any(|part| part == text.as_bytes()));
            }
        }

        #[test]
        fn it_opens_in_no_other_place_and_with_no_other_key(
            here in owner(), there in owner(), name in "[ab]{0,3}", other in "[ab]{0,3}"
        ) {
            let (key, secret) = (DataKey::generate(), SecretText::new("hush"));
            let sealed = key.seal(here, &name, &secret).unwrap();
            prop_assert_eq!(key.open(here, &other, &sealed).is_ok(), name == other);
            prop_assert_eq!(key.open(there, &name, &sealed).is_ok(), here == there);
            prop_assert!(DataKey::generate().open(here, &name, &sealed).is_err());
        }

        #[test]
        fn no_byte_may_change_and_none_may_be_missing(
            owner in owner(), text in ".{0,20}", at in any::<prop::sample::Index>(), change in 1..=255_u8
        ) {
            let key = DataKey::generate();
            let sealed = key.seal(owner, "name", &SecretText::new(text)).unwrap();
            let at = at.index(sealed.len());
            let mut altered = sealed.clone();
            altered[at] ^= change;
            prop_assert!(key.open(owner, "name", &altered).is_err());
            prop_assert!(key.open(owner, "name", &sealed[..at]).is_err());
        }

        #[test]
        fn foreign_bytes_are_refused(bytes in any::<Vec<u8>>(), owner in owner()) {
            prop_assert!(DataKey::generate().open(owner, "name", &bytes).is_err());
            prop_assert!(MasterKey::generate().unwrap(owner, &bytes).is_err());
        }

        #[test]
        fn a_data_key_unwraps_for_its_owner_with_its_master_key(here in owner(), there in owner()) {
            let (master, key) = (MasterKey::generate(), DataKey::generate());
            let sealed = key.seal(here, "name", &SecretText::new("hush")).unwrap();
            let wrapped = key.wrap(&master, here).unwrap();
            let again = master.unwrap(here, &wrapped).ok().unwrap();
            let opened = again.open(here, "name", &sealed).unwrap();
            prop_assert_eq!(opened.expose(), "hush");
            prop_assert_eq!(master.unwrap(there, &wrapped).is_ok(), here == there);
            prop_assert!(MasterKey::generate().unwrap(here, &wrapped).is_err());
        }
    }
}

//! Signatures of posts, by the conventions of Standard Webhooks: HMAC-SHA-256 over `{id}.{seconds}.{body}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use plugyard_store::SecretText;
use sha2::Sha256;

/// What secrets begin with.
const PREFIX: &str = "whsec_";

/// A fresh secret of 32 bytes.
///
/// # Errors
/// When the machine gives no randomness.
pub(crate) fn fresh() -> Result<SecretText, getrandom::Error> {
    let mut key = [0_u8; 32];
    getrandom::fill(&mut key)?;
    Ok(SecretText::new(format!("{PREFIX}{}", STANDARD.encode(key))))
}

/// The value of `webhook-signature`.
pub(crate) fn sign(secret: &SecretText, id: &str, seconds: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key(secret)).expect("any length is a key");
    mac.update(id.as_bytes());
    mac.update(b".");
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// The bytes that a secret stands for.
fn key(secret: &SecretText) -> Vec<u8> {
    let text = secret.expose();
    let encoded = text.strip_prefix(PREFIX).unwrap_or(text);
    STANDARD
        .decode(encoded)
        .unwrap_or_else(|_| text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification.
    #[test]
    fn the_published_example_is_reproduced() {
        let secret = SecretText::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = sign(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_differ_and_have_32_bytes() {
        let (one, other) = (fresh().unwrap(), fresh().unwrap());
        assert_ne!(one.expose(), other.expose());
        assert_eq!(key(&one).len(), 32);
    }
}

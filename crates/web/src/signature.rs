//! Signed requests of clients, as pages of plugins receive them.
//!
//! The signature covers the identifying headers and a time; the secret belongs to an application
//! key. Two generations are in use: MD5 (2.x) and SHA-256 (3.x). MD5 is accepted for the clients that
//! have nothing else; nothing new is signed with it.

use std::fmt::Write as _;

use md5::Md5;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How far a request's time may be from ours, in milliseconds.
pub const TOLERANCE_MS: i64 = 600_000;

/// The headers that a signature covers, without their prefix `X-Fresns-`, in the order they are signed in.
const SIGNED: [&str; 8] = [
    "Aid",
    "Aid-Token",
    "App-Id",
    "Client-Platform-Id",
    "Client-Version",
    "Signature-Timestamp",
    "Uid",
    "Uid-Token",
];

/// Generation of the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generation {
    /// 2.x.
    Md5,
    /// 3.x.
    Sha256,
}

/// Why a signed request is refused; the number is the one clients know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, thiserror::Error)]
pub enum Refused {
    /// The time is too far from ours, or none.
    #[error("the time of the signature is not within ten minutes")]
    Timestamp = 31303,
    /// The signature is not that of these headers.
    #[error("the signature does not fit")]
    Signature = 31302,
}

/// Checks a request: first its time against `now` (milliseconds since 1970), then its signature, in constant
/// time. `header` gives a header's value by its name without `X-Fresns-`.
///
/// # Errors
///
/// With the first that does not fit.
pub fn verify<'h>(
    header: impl Fn(&str) -> Option<&'h str>,
    secret: &SecretString,
    now: i64,
) -> Result<Generation, Refused> {
    let time = header("Signature-Timestamp")
        .and_then(milliseconds)
        .ok_or(Refused::Timestamp)?;
    if now.abs_diff(time) > TOLERANCE_MS.unsigned_abs() {
        return Err(Refused::Timestamp);
    }
    let given = header("Signature").unwrap_or_default();
    for generation in [Generation::Sha256, Generation::Md5] {
        let expected = sign(&header, secret, generation);
        if bool::from(expected.as_bytes().ct_eq(given.as_bytes())) {
            return Ok(generation);
        }
    }
    Err(Refused::Signature)
}

/// The signature of a request's headers, in lower-case hexadecimal.
pub fn sign<'h>(
    header: impl Fn(&str) -> Option<&'h str>,
    secret: &SecretString,
    generation: Generation,
) -> String {
    let mut text = String::new();
    for name in SIGNED {
        if let Some(value) = header(name).filter(|value| !value.is_empty()) {
            text.push_str("X-Fresns-");
            text.push_str(name);
            text.push('=');
            text.extend(form_urlencoded::byte_serialize(value.as_bytes()));
            text.push('&');
        }
    }
    let secret = secret.expose_secret();
    match generation {
        Generation::Md5 => hex(&Md5::digest(format!("{text}AppSecret={secret}"))),
        Generation::Sha256 => hex(&Sha256::digest(format!("{text}AppKey={secret}"))),
    }
}

/// Ten digits are seconds, anything else milliseconds.
fn milliseconds(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    if text.len() == 10 {
        number.checked_mul(1000)
    } else {
        Some(number)
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

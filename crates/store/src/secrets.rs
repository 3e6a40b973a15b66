//! Texts that must not be seen.

mod text;
pub use text::SecretText;

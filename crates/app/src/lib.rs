//! The kind `app`: directories with a `config.json`, whose code the application loads itself.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

//! Configuration of plugins: what a `config.json` defines, and what becomes of its values.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

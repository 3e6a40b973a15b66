//! Laravel rule strings: read once into a checked set, evaluated many times.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

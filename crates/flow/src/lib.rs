//! Streams and rules: SQL to running pipelines over symbols

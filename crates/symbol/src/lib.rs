//! Typed rows, and the source, sink and function traits between plugin kinds and flows

//! The plugyard binary
fn main() {}

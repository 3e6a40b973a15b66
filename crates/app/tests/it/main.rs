//! What a user of this crate sees, with a real platform on every sort of database.

#[cfg(test)]
mod crash;

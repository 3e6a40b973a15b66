//! What happens to plugins, with a real platform on every sort of database.

#[cfg(test)]
mod crash;
#[cfg(test)]
mod events;

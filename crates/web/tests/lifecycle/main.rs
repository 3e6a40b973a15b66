//! What happens to plugins, with a real platform on every sort of database.

mod crash;
mod events;

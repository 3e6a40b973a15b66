//! Definitions and values as authors and administrators meet them.

mod definitions;
mod guide;
mod hostile;
mod plans;
mod properties;
mod schema;
mod support;
mod values;
mod views;

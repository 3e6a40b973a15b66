//! The whole product: the started binary, its command line, and real plugins.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary, and chores"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests say what they skip and saw"
)]

mod administration;
mod app;
mod author;
mod commands;
mod configuration;
mod databases;
mod demo;
mod facts;
mod flows;
mod formats;
mod home;
mod hostile;
mod hostile_packages;
mod http_page;
mod mistakes;
mod own;
mod portable;
mod processes;
mod readme;
mod rehearsal;
mod rules_and_plugins;
mod secrets;
mod shared_tmp;
mod stores;
mod support;
mod surroundings;
mod transfer;
mod walk;
mod web;
mod web_application;
mod web_import;
mod web_market;
mod web_pages;
mod web_usages;
mod webhooks;
mod windows;

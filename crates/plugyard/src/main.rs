//! The one binary of Plugyard: the server (`plugyard serve`) and the command line that talks to it.
//!
//! The command line knows the server only through its HTTP interface, so whatever it does anybody else
//! can do. Where to look:
//!
//! * `cli`: every command and option.
//! * `commands`: what the commands do, one file per noun.
//! * `client`: how the server is reached; `contexts`: which one; `output`: how results are printed; `failure`: how a command ends badly.
//! * `help`: commands and options in Chinese.
//! * `serve`: the wiring of the whole server.
#![forbid(unsafe_code)]

mod cli;
mod client;
mod commands;
mod completions;
mod contexts;
#[cfg(test)]
mod documented;
mod environment;
mod failure;
mod help;
mod kinds;
mod output;
mod reference;
mod serve;
mod settings;
mod words;

use std::process::ExitCode;

use crate::cli::Cli;
use crate::commands::Context;

fn main() -> ExitCode {
    // The same binary is also the process between the server and each plugin, which must not have a
    // second thread and must not read the command line as ours.
    plugyard_sandbox::shim::run_if_asked();

    let arguments: Vec<_> = std::env::args_os().collect();
    let lang = help::language(&arguments);
    let mut command = help::command(lang);
    let matches = match command.try_get_matches_from_mut(arguments) {
        Ok(matches) => matches,
        Err(error) => return help::end(&error, lang),
    };
    let cli = match Cli::read(&matches) {
        Ok(cli) => cli,
        Err(error) => return help::end(&error.format(&mut command), lang),
    };
    let context = Context::new(&cli.global);
    match commands::run(cli.command, &context) {
        Ok(code) => ExitCode::from(code as u8),
        Err(failure) => {
            failure.print(context.terminal);
            ExitCode::from(failure.exit() as u8)
        }
    }
}

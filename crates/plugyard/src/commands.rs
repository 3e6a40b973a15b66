//! What the commands do: one module per noun.

mod audit;
mod backup;
mod change;
mod check;
mod config;
mod context;
mod dev;
mod doctor;
mod flow;
mod market;
mod new;
mod node;
mod operation;
mod pack;
mod plugin;
mod rescan;
mod secrets;
mod token;
mod user;
mod validate;
mod web;
mod webhook;

use std::future::Future;
use std::io::{BufRead as _, IsTerminal as _, Write as _};

use plugyard_model::{ExitCode, Lang, Problem, codes};

use crate::cli::{Cli, Command, Format, Global, Sure};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Printer, Terminal};
use crate::reference;
use crate::words::word;

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) lang: Lang,
    pub(crate) printer: Printer,
    pub(crate) terminal: Terminal,
}

impl Context {
    pub(crate) fn new(global: &Global) -> Self {
        let lang = language(global.lang.as_deref());
        Self {
            global: global.clone(),
            lang,
            printer: Printer {
                format: global.output,
                lang,
            },
            terminal: Terminal::detect(),
        }
    }

    fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.global, self.lang)
    }

    /// A problem met on this side, in the language asked for.
    pub(crate) fn problem(&self, problem: &Problem) -> Failure {
        Failure::local(problem, self.lang)
    }

    /// Asks before something is destroyed; without a terminal only `--yes` will do.
    fn confirm(&self, what: &str, sure: Sure) -> Result<(), Failure> {
        if sure.yes {
            return Ok(());
        }
        let refused = || self.problem(&Problem::new(codes::CONFIRMATION_NEEDED).with("what", what));
        if !std::io::stdin().is_terminal() {
            return Err(refused());
        }
        let question = codes::CONFIRMATION_NEEDED
            .text(self.lang, &[("what".to_owned(), what.to_owned())].into());
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "{question}. {} [y/N] ", word(self.lang, "continue?"));
        let _ = err.flush();
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes" | "是") {
            Ok(())
        } else {
            Err(refused())
        }
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: Command, context: &Context) -> Result<ExitCode, Failure> {
    if context.global.output == Format::Sarif && !matches!(command, Command::Check(_)) {
        Cli::tree()
            .error(
                clap::error::ErrorKind::InvalidValue,
                "`sarif` is a format of `plugyard check` only",
            )
            .exit();
    }
    match command {
        Command::Check(arguments) => check::run(&arguments, context),
        Command::Pack(arguments) => pack::run(&arguments, context),
        Command::New(arguments) => new::run(&arguments, context),
        Command::Dev(arguments) => asynchronously(dev::run(&arguments, context)),
        Command::Completions { shell } => {
            crate::output::line(crate::completions::script(shell).trim_end());
            Ok(ExitCode::Done)
        }
        Command::Reference { page } => reference::print(page).map(|()| ExitCode::Done),
        Command::Doctor => doctor::run(context),
        Command::Validate(arguments) => validate::run(&arguments, context),
        Command::Serve(arguments) => crate::serve::run(&arguments, context),
        Command::Login(arguments) => asynchronously(context::login(&arguments, context)),
        Command::Logout { name } => asynchronously(context::logout(name.as_ref(), context)),
        Command::Context(command) => context::run(&command, context),
        Command::Backup(arguments) => backup::backup(&arguments, context),
        Command::Restore(arguments) => backup::restore(&arguments, context),
        Command::Secrets(command) => secrets::run(&command, context),
        Command::Market(command) => market::run(&command, context),
        remote => asynchronously(async {
            let client = context.client()?;
            match remote {
                Command::Install(arguments) => change::install(&arguments, &client, context).await,
                Command::Upgrade(arguments) => change::upgrade(&arguments, &client, context).await,
                Command::Rollback(arguments) => {
                    change::rollback(&arguments, &client, context).await
                }
                Command::Uninstall(arguments) => {
                    change::uninstall(&arguments, &client, context).await
                }
                Command::Enable(arguments) => {
                    change::each("enable", &arguments, &client, context).await
                }
                Command::Disable(arguments) => {
                    change::each("disable", &arguments, &client, context).await
                }
                Command::Restart(arguments) => {
                    change::each("restart", &arguments, &client, context).await
                }
                Command::Set(arguments) => change::set(&arguments, &client, context).await,
                Command::List(arguments) => plugin::list(&arguments, &client, context).await,
                Command::Show(arguments) => plugin::show(&arguments, &client, context).await,
                Command::Logs(arguments) => plugin::logs(&arguments, &client, context).await,
                Command::Rescan(arguments) => rescan::run(&arguments, &client, context).await,
                Command::Web(command) => web::run(&command, &client, context).await,
                Command::Url(arguments) => web::address(&arguments, &client, context).await,
                Command::Config(command) => config::run(&command, &client, context).await,
                Command::Operation(command) => operation::run(&command, &client, context).await,
                Command::Stream(command) => flow::stream(&command, &client, context).await,
                Command::Rule(command) => flow::rule(&command, &client, context).await,
                Command::User(command) => user::run(&command, &client, context).await,
                Command::Token(command) => token::run(&command, &client, context).await,
                Command::Webhook(command) => webhook::run(&command, &client, context).await,
                Command::Audit(arguments) => audit::run(&arguments, &client, context).await,
                Command::Node(command) => node::run(&command, &client, context).await,
                Command::Check(_)
                | Command::Pack(_)
                | Command::New(_)
                | Command::Dev(_)
                | Command::Completions { .. }
                | Command::Reference { .. }
                | Command::Doctor
                | Command::Validate(_)
                | Command::Login(_)
                | Command::Logout { .. }
                | Command::Context(_)
                | Command::Backup(_)
                | Command::Restore(_)
                | Command::Secrets(_)
                | Command::Market(_)
                | Command::Serve(_) => unreachable!("handled above"),
            }
        }),
    }
}

fn asynchronously<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the kernel gives a process its event queue")
        .block_on(work)
}

/// The option, else the locale.
pub(crate) fn language(option: Option<&str>) -> Lang {
    if let Some(lang) = option {
        return Lang::negotiate(lang);
    }
    ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .map_or(Lang::En, |locale| Lang::negotiate(&locale))
}

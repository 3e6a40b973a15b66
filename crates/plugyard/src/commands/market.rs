//! `market …`: running a market, and the markets that a server asks.

mod own;
mod place;
mod remote;

use plugyard_model::ExitCode;

use crate::cli::Market;
use crate::commands::{Context, asynchronously};
use crate::failure::Failure;

pub(super) use remote::{check, install, upgrade};

pub(super) fn run(command: &Market, context: &Context) -> Result<ExitCode, Failure> {
    match command {
        Market::Init(arguments) => own::init(arguments, context),
        Market::Publish(arguments) => own::publish(arguments, context),
        Market::Yank {
            place,
            fskey,
            version,
            undo,
        } => own::yank(place, fskey, version, !undo, context),
        Market::Rotate { place, role } => own::rotate(place, *role, context),
        Market::Code {
            place,
            fskey,
            revoke,
        } => own::code(place, fskey, *revoke, context),
        Market::Serve(arguments) => own::serve(arguments, context),
        Market::List
        | Market::Add(_)
        | Market::Remove { .. }
        | Market::Entitle { .. }
        | Market::Check => asynchronously(async {
            let client = context.client()?;
            match command {
                Market::Add(arguments) => remote::add(arguments, &client, context).await,
                Market::Remove { name, sure } => {
                    remote::remove(name, *sure, &client, context).await
                }
                Market::Entitle {
                    name,
                    fskey,
                    forget,
                } => remote::entitle(name, fskey, *forget, &client, context).await,
                Market::Check => remote::check(&client, context).await,
                _ => remote::list(&client, context).await,
            }
        }),
    }
}

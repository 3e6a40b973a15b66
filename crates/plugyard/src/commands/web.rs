//! `web …`.

mod import;
mod plugins;
mod url;
mod usage;

use plugyard_model::ExitCode;

use crate::cli::Web;
use crate::client::Client;
use crate::commands::{Context, market};
use crate::failure::Failure;

pub(super) async fn run(
    command: &Web,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    match command {
        Web::List(arguments) => plugins::list(arguments, client, context).await,
        Web::Show {
            fskey,
            with_trashed,
        } => plugins::show(fskey, *with_trashed, client, context).await,
        Web::Activate { fskeys } => {
            plugins::switch("activate", fskeys, false, client, context).await
        }
        Web::Deactivate { fskeys, cascade } => {
            plugins::switch("deactivate", fskeys, *cascade, client, context).await
        }
        Web::Uninstall {
            fskey,
            cleardata,
            sure,
        } => plugins::uninstall(fskey, cleardata, *sure, client, context).await,
        Web::Doctor => plugins::doctor(client, context).await,
        Web::Verify { fskeys } => plugins::verify(fskeys, client, context).await,
        Web::Settings { values } => plugins::settings(values, client, context).await,
        Web::SyncStatus { from_file } => plugins::sync_status(*from_file, client, context).await,
        Web::Purge { fskey, sure } => plugins::purge(fskey, *sure, client, context).await,
        Web::Import(arguments) => import::run(arguments, client, context).await,
        Web::Check => market::check(client, context).await,
        Web::Install(arguments) => market::install(arguments, client, context).await,
        Web::Upgrade(arguments) => market::upgrade(arguments, client, context).await,
        Web::Url(arguments) => url::run(arguments, client, context).await,
        Web::Usage(command) => usage::run(command, client, context).await,
    }
}

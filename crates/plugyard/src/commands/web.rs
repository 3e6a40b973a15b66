//! `web …`.

mod import;
mod plugins;
mod record;
mod tasks;
mod url;
mod usage;

use plugyard_model::ExitCode;

use crate::cli::{Url, Web};
use crate::client::Client;
use crate::commands::{Context, change, market};
use crate::failure::Failure;

/// `url …`, which is `web url …`.
pub(super) async fn address(
    arguments: &Url,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    url::run(arguments, client, context).await
}

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
        } => {
            let fskey = tasks::one(fskey.as_deref(), context)?;
            plugins::show(&fskey, *with_trashed, client, context).await
        }
        Web::Add(arguments) => record::add(arguments, client, context).await,
        Web::Set(arguments) => record::set(arguments, client, context).await,
        Web::Activate { fskeys } => tasks::switch("activate", fskeys, false, client, context).await,
        Web::Deactivate { fskeys, cascade } => {
            tasks::switch("deactivate", fskeys, *cascade, client, context).await
        }
        Web::Uninstall {
            fskey,
            cleardata,
            sure,
        } => {
            let fskey = tasks::one(fskey.as_deref(), context)?;
            plugins::uninstall(&fskey, cleardata, *sure, client, context).await
        }
        Web::Publish(single) => tasks::each("publish", single, client, context).await,
        Web::Unpublish(single) => tasks::each("unpublish", single, client, context).await,
        Web::Migrate(single) => tasks::each("migrate", single, client, context).await,
        Web::Seed(single) => tasks::each("seed", single, client, context).await,
        Web::MigrateRollback(revert) => {
            tasks::revert("migrate-rollback", revert, client, context).await
        }
        Web::MigrateRefresh(revert) => {
            tasks::revert("migrate-refresh", revert, client, context).await
        }
        Web::MigrateReset(revert) => tasks::revert("migrate-reset", revert, client, context).await,
        Web::ComposerUpdate { fskeys, change } => {
            tasks::composer_update(fskeys, change, client, context).await
        }
        Web::Doctor => plugins::doctor(client, context).await,
        Web::Verify { fskeys } => {
            let fskeys = tasks::named_or_packaged(fskeys, client).await?;
            plugins::verify(&fskeys, client, context).await
        }
        Web::Settings { values } => plugins::settings(values, client, context).await,
        Web::SyncStatus { from_file } => plugins::sync_status(*from_file, client, context).await,
        Web::Purge { fskey, sure } => plugins::purge(fskey, *sure, client, context).await,
        Web::Import(arguments) => import::run(arguments, client, context).await,
        Web::Check => market::check(client, context).await,
        Web::Install(arguments) => market::install(arguments, client, context).await,
        Web::Unzip {
            package,
            change: follow,
        } => change::unzip(package, follow, client, context).await,
        Web::Upgrade(arguments) => market::upgrade(arguments, client, context).await,
        Web::Url(arguments) => url::run(arguments, client, context).await,
        Web::Usage(command) => usage::run(command, client, context).await,
    }
}

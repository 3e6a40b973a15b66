//! `node …`.

use plugyard_model::ExitCode;

use crate::cli::Node;
use crate::client::Client;
use crate::commands::{Context, user};
use crate::failure::Failure;
use crate::output::{text_at, time_at};
use crate::words::word;

pub(super) async fn run(
    command: &Node,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    match command {
        Node::List => {
            let (body, items) = client.list("/v1/nodes").await?;
            context.printer.list(
                &body,
                &items,
                |item| text_at(item, "/name"),
                &["NAME", "VERSION", "ROLES", "STATE", "STARTED", "KERNEL"],
                |item| {
                    let ready = item["ready"] == true;
                    let state = if ready { "ready" } else { "starting" };
                    vec![
                        text_at(item, "/name"),
                        text_at(item, "/version"),
                        user::words_at(item, "roles"),
                        word(context.lang, state).to_owned(),
                        time_at(item, "/started_at"),
                        text_at(item, "/host/kernel"),
                    ]
                },
            );
        }
    }
    Ok(ExitCode::Done)
}

//! `/v1/session`: who am I, and where?

use axum::extract::State;
use axum::http::Method;
use plugyard_http::{Caller, Json};
use plugyard_model::rights::{Right, Role};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::app::App;
use crate::settings::Auth;

pub(super) const RIGHTS: &[Entry] = &[
    // For everybody who is signed in, whatever they may: the handler asks for the caller.
    (Method::GET, "/v1/session", Right::Public),
];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(session))
}

/// The caller, as this server sees them.
#[derive(Debug, Serialize, ToSchema)]
struct Session {
    /// The account's name; `local` over the local socket, `anonymous` where nobody signs in.
    name: String,
    /// What they are here.
    #[schema(value_type = Vec<String>)]
    roles: Vec<Role>,
    /// What they may.
    #[schema(value_type = Vec<String>)]
    rights: Vec<Right>,
    /// `tokens`, or `none` where nobody has to sign in.
    auth: &'static str,
    /// The server.
    server: About,
}

/// The server that answers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Server)]
struct About {
    /// The program's version.
    version: String,
    /// Another one after each start.
    instance: String,
}

/// Who am I?
#[utoipa::path(
    get, path = "/v1/session", tag = "session", operation_id = "session_show",
    responses((status = 200, description = "The caller and the server", body = Session)),
)]
async fn session(State(app): State<App>, Caller(who): Caller) -> Json<Session> {
    let rights = Right::ALL.iter().copied().filter(|&right| who.may(right));
    Json(Session {
        rights: rights.collect(),
        name: who.name,
        roles: who.roles,
        auth: match app.settings.auth {
            Auth::Tokens => "tokens",
            Auth::None => "none",
        },
        server: About {
            version: app.settings.version.clone(),
            instance: app.instance.to_string(),
        },
    })
}

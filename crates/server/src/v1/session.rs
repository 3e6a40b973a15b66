//! `/v1/session`: who am I, and where?

use axum::Extension;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use plugyard_http::{ApiResult, Caller, Json, Principal};
use plugyard_model::rights::{Right, Role};
use plugyard_model::{Problem, codes};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::app::App;
use crate::settings::Auth;
use crate::sign_in::Shown;

pub(super) const RIGHTS: &[Entry] = &[
    // For everybody who is signed in, whatever they may: the handler asks for the caller.
    (Method::GET, "/v1/session", Right::Public),
    (Method::DELETE, "/v1/session", Right::Public),
];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(session, sign_out))
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
async fn session(State(app): State<App>, Caller(who): Caller) -> ApiResult<Json<Session>> {
    no_plugin(&who)?;
    let rights = Right::ALL.iter().copied().filter(|&right| who.may(right));
    Ok(Json(Session {
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
    }))
}

/// Sign out
///
/// Revokes the token that the request came with, at once and for good: what is still open with it ends.
#[utoipa::path(
    delete, path = "/v1/session", tag = "session", operation_id = "session_end",
    responses((status = 204, description = "The token is worth nothing any more; or there was none, as over the local socket")),
)]
async fn sign_out(
    State(app): State<App>,
    Caller(who): Caller,
    shown: Option<Extension<Shown>>,
) -> ApiResult<StatusCode> {
    no_plugin(&who)?;
    if let Some(Extension(Shown(token))) = shown {
        app.platform.token_revoke(token).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// A plugin's own process has `/v1/self`, and nothing to sign out of.
fn no_plugin(who: &Principal) -> Result<(), Problem> {
    if who.plugin().is_none() {
        return Ok(());
    }
    Err(Problem::new(codes::NOT_PERMITTED)
        .with("right", "session")
        .with("who", &who.name))
}

//! `/v1/tokens`: what clients sign in with.

use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plugyard_http::{ApiResult, Caller, Json, Path, Query};
use plugyard_model::rights::{Right, Role};
use plugyard_model::{AccountId, PluginName, TokenId};
use plugyard_platform::PluginToken;
use plugyard_platform::tokens::{Token, TokenRequest};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::app::App;

pub(super) const RIGHTS: &[Entry] = &[
    (Method::GET, "/v1/tokens", Right::TokenManage),
    (Method::POST, "/v1/tokens", Right::TokenManage),
    (Method::DELETE, "/v1/tokens/{id}", Right::TokenManage),
];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(revoke))
}

/// What is known of a token; never its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
struct TokenDocument {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: TokenId,
    /// For people.
    name: String,
    /// The account it speaks for.
    #[schema(value_type = String, format = Uuid)]
    account: AccountId,
    /// That account's name.
    account_name: String,
    /// What its bearer is.
    #[schema(value_type = Vec<String>)]
    roles: Vec<Role>,
    /// Milliseconds since 1970 (UTC).
    created_at: i64,
    /// From when on it is worth nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    /// When it was last used, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<i64>,
}

impl From<Token> for TokenDocument {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            name: token.name,
            account: token.account,
            account_name: token.account_name,
            roles: token.roles,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        }
    }
}

/// The tokens that are worth something.
#[derive(Debug, Serialize, ToSchema)]
struct Tokens {
    /// Oldest first.
    items: Vec<TokenDocument>,
    /// Those of plugins' processes, when they were asked for; oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugins: Option<Vec<PluginTokenDocument>>,
}

/// The token of a plugin's process; it ends with the process.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PluginToken)]
struct PluginTokenDocument {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: TokenId,
    /// Whose, `kind:key`.
    #[schema(value_type = String)]
    plugin: PluginName,
    /// Milliseconds since 1970 (UTC).
    created_at: i64,
}

impl From<PluginToken> for PluginTokenDocument {
    fn from(token: PluginToken) -> Self {
        Self {
            id: token.id,
            plugin: token.plugin,
            created_at: token.created_at,
        }
    }
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// For people, 1 to 200 characters.
    name: String,
    /// What its bearer shall be: `owner`, `operator`, `author`, `viewer`.
    #[schema(value_type = Vec<String>, min_items = 1)]
    roles: Vec<Role>,
    /// Milliseconds since 1970 (UTC) from which it is worth nothing; never unless said.
    expires_at: Option<i64>,
    /// The name of the account it speaks for; the caller's own unless said.
    account: Option<String>,
}

/// Whose tokens are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only those of the account of this name.
    account: Option<String>,
    /// Also those of plugins' running processes.
    #[serde(default)]
    plugins: bool,
}

/// A token that was just made.
#[derive(Serialize, ToSchema)]
struct TokenMade {
    #[serde(flatten)]
    token: TokenDocument,
    /// The bearer's text. It cannot be had again.
    secret: String,
}

/// The tokens
#[utoipa::path(
    get, path = "/v1/tokens", tag = "tokens", operation_id = "token_list",
    params(Filter),
    responses((status = 200, description = "The tokens, without their secrets", body = Tokens)),
)]
async fn list(State(app): State<App>, Query(filter): Query<Filter>) -> ApiResult<Json<Tokens>> {
    let tokens = app.platform.token_list(filter.account.as_deref()).await?;
    let access = &app.platform.settings().plugin_access;
    let plugins = filter
        .plugins
        .then(|| access.list().into_iter().map(Into::into).collect());
    Ok(Json(Tokens {
        plugins,
        items: tokens.into_iter().map(Into::into).collect(),
    }))
}

/// Make a token, for one's own account or another
#[utoipa::path(
    post, path = "/v1/tokens", tag = "tokens", operation_id = "token_create",
    request_body = NewToken,
    responses((status = 201, description = "The token with its secret, this once", body = TokenMade)),
)]
async fn create(
    State(app): State<App>,
    Caller(who): Caller,
    Json(request): Json<NewToken>,
) -> ApiResult<Response> {
    let request = TokenRequest {
        name: request.name,
        roles: request.roles,
        expires_at: request.expires_at,
        account: request.account,
    };
    let made = app.platform.token_create(&who, request).await?;
    let location = HeaderValue::try_from(format!("/v1/tokens/{}", made.token.id));
    let body = TokenMade {
        token: made.token.into(),
        secret: made.secret.expose_secret().to_owned(),
    };
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    let headers = response.headers_mut();
    if let Ok(location) = location {
        headers.insert(header::LOCATION, location);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Revoke a token, at once and for good
#[utoipa::path(
    delete, path = "/v1/tokens/{id}", tag = "tokens", operation_id = "token_revoke",
    params(("id" = String, Path, description = "The token's id")),
    responses((status = 204, description = "It is worth nothing any more")),
)]
async fn revoke(State(app): State<App>, Path(id): Path<TokenId>) -> ApiResult<StatusCode> {
    app.platform.token_revoke(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

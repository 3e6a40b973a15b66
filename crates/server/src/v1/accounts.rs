//! `/v1/accounts`: who can sign in, and what they may.

use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plugyard_http::{ApiResult, Json, Path};
use plugyard_model::AccountId;
use plugyard_model::rights::{Right, Role};
use plugyard_platform::accounts::{Account, AccountChange};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::app::App;

pub(super) const RIGHTS: &[Entry] = &[
    (Method::GET, "/v1/accounts", Right::AccountManage),
    (Method::POST, "/v1/accounts", Right::AccountManage),
    (Method::GET, "/v1/accounts/{name}", Right::AccountManage),
    (Method::PATCH, "/v1/accounts/{name}", Right::AccountManage),
    (Method::DELETE, "/v1/accounts/{name}", Right::AccountManage),
];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, change, remove))
}

/// Somebody who can sign in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account)]
struct AccountDocument {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: AccountId,
    /// Its name.
    name: String,
    /// What it is here.
    #[schema(value_type = Vec<String>)]
    roles: Vec<Role>,
    /// Whether its tokens are worth nothing for now.
    disabled: bool,
    /// Milliseconds since 1970 (UTC).
    created_at: i64,
    /// Since when it is disabled, in milliseconds since 1970 (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<i64>,
}

impl From<Account> for AccountDocument {
    fn from(account: Account) -> Self {
        Self {
            id: account.id,
            name: account.name,
            roles: account.roles,
            disabled: account.disabled_at.is_some(),
            created_at: account.created_at,
            disabled_at: account.disabled_at,
        }
    }
}

/// Everybody who can sign in.
#[derive(Debug, Serialize, ToSchema)]
struct Accounts {
    /// By name.
    items: Vec<AccountDocument>,
}

/// An account to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    /// 1 to 64 lower-case letters, digits and any of `._-@`; begins with a letter or digit.
    name: String,
    /// What it shall be: `owner`, `operator`, `author`, `viewer`.
    #[schema(value_type = Vec<String>, min_items = 1)]
    roles: Vec<Role>,
}

/// What shall be different about an account; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeAccount {
    /// What it shall be: `owner`, `operator`, `author`, `viewer`.
    #[schema(value_type = Option<Vec<String>>, min_items = 1)]
    roles: Option<Vec<Role>>,
    /// Whether its tokens shall be worth nothing until it is enabled again.
    disabled: Option<bool>,
}

/// The accounts
#[utoipa::path(
    get, path = "/v1/accounts", tag = "accounts", operation_id = "account_list",
    responses((status = 200, description = "All accounts", body = Accounts)),
)]
async fn list(State(app): State<App>) -> ApiResult<Json<Accounts>> {
    let accounts = app.platform.accounts().await?;
    Ok(Json(Accounts {
        items: accounts.into_iter().map(Into::into).collect(),
    }))
}

/// Make an account
///
/// It can sign in once it has a token: `POST /v1/tokens` with its name.
#[utoipa::path(
    post, path = "/v1/accounts", tag = "accounts", operation_id = "account_create",
    request_body = NewAccount,
    responses((status = 201, description = "The account", body = AccountDocument)),
)]
async fn create(State(app): State<App>, Json(request): Json<NewAccount>) -> ApiResult<Response> {
    let made = app
        .platform
        .account_create(&request.name, &request.roles)
        .await?;
    let location = HeaderValue::try_from(format!("/v1/accounts/{}", made.name));
    let mut response = (StatusCode::CREATED, Json(AccountDocument::from(made))).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// One account
#[utoipa::path(
    get, path = "/v1/accounts/{name}", tag = "accounts", operation_id = "account_show",
    params(("name" = String, Path, description = "The account's name")),
    responses((status = 200, description = "The account", body = AccountDocument)),
)]
async fn show(
    State(app): State<App>,
    Path(name): Path<String>,
) -> ApiResult<Json<AccountDocument>> {
    Ok(Json(app.platform.account(&name).await?.into()))
}

/// Change what an account is, or whether it may sign in
///
/// Its tokens follow at once. The last enabled owner stays one.
#[utoipa::path(
    patch, path = "/v1/accounts/{name}", tag = "accounts", operation_id = "account_change",
    params(("name" = String, Path, description = "The account's name")),
    request_body = ChangeAccount,
    responses((status = 200, description = "The account as it is now", body = AccountDocument)),
)]
async fn change(
    State(app): State<App>,
    Path(name): Path<String>,
    Json(request): Json<ChangeAccount>,
) -> ApiResult<Json<AccountDocument>> {
    let change = AccountChange {
        roles: request.roles,
        disabled: request.disabled,
    };
    Ok(Json(
        app.platform.account_change(&name, &change).await?.into(),
    ))
}

/// Delete an account and its tokens
#[utoipa::path(
    delete, path = "/v1/accounts/{name}", tag = "accounts", operation_id = "account_delete",
    params(("name" = String, Path, description = "The account's name")),
    responses((status = 204, description = "It is gone")),
)]
async fn remove(State(app): State<App>, Path(name): Path<String>) -> ApiResult<StatusCode> {
    app.platform.account_delete(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

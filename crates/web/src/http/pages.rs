//! Who opens pages and signs requests (`/v1/web/keys`, `logins`, `tickets`, `verify`), command words, and how
//! pages are opened.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plugyard_http::{ApiResult, Caller, Json, Language, Path, Principal, Query, Unhurried};
use plugyard_model::rights::Right;
use plugyard_model::{Problem, codes};
use plugyard_store::StoreError;
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, Set};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::entity::usage;
use crate::host::{Web, now};
use crate::pages::identity::{self, APPLICATION, Claims, Purpose};
use crate::pages::keys::{self, NewKey};
use crate::pages::logins::{self, NewLogin};
use crate::pages::tickets::{self, NewTicket};
use crate::pages::{Failed, Reply, frames, items, words};
use crate::records;
use crate::webhooks::endpoints::{SECRET, invalid};
use crate::webhooks::sign;

pub(super) const RIGHTS: &[Entry] = &[
    (Method::GET, "/v1/web/keys", Right::TokenManage),
    (Method::POST, "/v1/web/keys", Right::TokenManage),
    (Method::PATCH, "/v1/web/keys/{app_id}", Right::TokenManage),
    (Method::DELETE, "/v1/web/keys/{app_id}", Right::TokenManage),
    (Method::POST, "/v1/web/logins", Right::PluginOperate),
    (Method::DELETE, "/v1/web/logins/{aid}", Right::PluginOperate),
    (Method::POST, "/v1/web/tickets", Right::PluginOperate),
    // Checks who asks itself: a signature is no sign-in.
    (Method::POST, "/v1/web/tickets/exchange", Right::Public),
    (Method::POST, "/v1/web/verify/sign", Right::PluginOperate),
    (
        Method::POST,
        "/v1/web/verify/url-authorization",
        Right::PluginOperate,
    ),
    (Method::POST, "/v1/web/command-words", Right::PluginOperate),
    (Method::POST, "/v1/web/activities", Right::PluginOperate),
    (Method::GET, "/v1/web/items", Right::PluginRead),
    (
        Method::POST,
        "/v1/web/application/secret",
        Right::TokenManage,
    ),
    (
        Method::GET,
        "/v1/web/plugins/{fskey}/frame",
        Right::PluginRead,
    ),
    // A settings page opens for operators only.
    (
        Method::GET,
        "/v1/web/plugins/{fskey}/settings-frame",
        Right::PluginConfigure,
    ),
];

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(key_list, key_create))
        .routes(routes!(key_change, key_delete))
        .routes(routes!(login_create))
        .routes(routes!(login_delete))
        .routes(routes!(ticket_create))
        .routes(routes!(ticket_exchange))
        .routes(routes!(verify_sign))
        .routes(routes!(verify_url))
        .routes(routes!(call_word))
        .routes(routes!(happened))
        .routes(routes!(item_list))
        .routes(routes!(application_secret))
        .routes(routes!(frame))
        .routes(routes!(settings_frame))
}

/// Who asks on a route that takes signed requests too.
pub(super) enum Asker {
    /// Signed in with the right.
    Application,
    /// Signed with the key of a plugin.
    Plugin(String),
    /// Signed with the key of a client.
    Client,
}

/// Finds out who asks.
pub(super) async fn asker(
    web: &Web,
    principal: Option<&Principal>,
    headers: &HeaderMap,
    right: Right,
) -> Result<Asker, Failed> {
    let claims = Claims::of_headers(headers);
    let signed = claims.text("App-Id").is_some();
    if !signed && principal.is_some_and(|it| it.may(right)) {
        return Ok(Asker::Application);
    }
    let verified = identity::verify(&web.host, &claims, Purpose::default(), now()).await?;
    Ok(match verified.plugin() {
        Some(fskey) => Asker::Plugin(fskey.to_owned()),
        None => Asker::Client,
    })
}

/// The application keys
#[utoipa::path(
    get, path = "/v1/web/keys", tag = "web", operation_id = "web_key_list",
    responses((status = 200, description = "The keys, without their secrets", body = serde_json::Value)),
)]
async fn key_list(State(web): State<Web>) -> ApiResult<Json<Value>> {
    let rows = keys::all(web.connection()?).await.map_err(Problem::from)?;
    let items: Vec<Value> = rows.iter().map(keys::document).collect();
    Ok(Json(json!({ "items": items })))
}

/// Make an application key
///
/// Its secret is in this answer and in no other.
#[utoipa::path(
    post, path = "/v1/web/keys", tag = "web", operation_id = "web_key_create",
    request_body = NewKey,
    responses(
        (status = 201, description = "The key with its `secret`", body = serde_json::Value),
        (status = 409, description = "There is one with that id", body = plugyard_http::ProblemBody),
        (status = 422, description = "A field cannot be used", body = plugyard_http::ProblemBody),
    ),
)]
async fn key_create(
    State(web): State<Web>,
    Caller(who): Caller,
    Json(new): Json<NewKey>,
) -> ApiResult<Response> {
    let secrets = web.platform.secrets().await?;
    let transaction = web.database()?.begin().await.map_err(Problem::from)?;
    let (row, secret) = keys::add(&transaction, &secrets, new, &who.name, now()).await?;
    transaction.commit().await.map_err(Problem::from)?;
    let mut document = keys::document(&row);
    document["secret"] = secret.expose().into();
    Ok(created(document))
}

/// What of a key is to be changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeyChange {
    /// Whether requests signed with it are accepted.
    is_enabled: bool,
}

/// Enable or disable an application key
#[utoipa::path(
    patch, path = "/v1/web/keys/{app_id}", tag = "web", operation_id = "web_key_change",
    params(("app_id" = String, Path, description = "The key")),
    request_body = KeyChange,
    responses(
        (status = 200, description = "The key", body = serde_json::Value),
        (status = 404, description = "No such key", body = plugyard_http::ProblemBody),
    ),
)]
async fn key_change(
    State(web): State<Web>,
    Path(app_id): Path<String>,
    Json(change): Json<KeyChange>,
) -> ApiResult<Json<Value>> {
    let connection = web.connection()?;
    let mut row = keys::known(connection, &app_id).await?.into_active_model();
    row.is_enabled = Set(change.is_enabled);
    let row = row.update(connection).await.map_err(store)?;
    Ok(Json(keys::document(&row)))
}

/// Remove an application key
#[utoipa::path(
    delete, path = "/v1/web/keys/{app_id}", tag = "web", operation_id = "web_key_delete",
    params(("app_id" = String, Path, description = "The key")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "No such key", body = plugyard_http::ProblemBody),
    ),
)]
async fn key_delete(State(web): State<Web>, Path(app_id): Path<String>) -> ApiResult<StatusCode> {
    let transaction = web.database()?.begin().await.map_err(Problem::from)?;
    let row = keys::known(&*transaction, &app_id).await?;
    keys::remove(&transaction, &row)
        .await
        .map_err(Problem::from)?;
    transaction.commit().await.map_err(Problem::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take down the tokens of an account and its user
///
/// There is no user directory here: the application tells which tokens it gave, and they are compared with those
/// of signed requests. Only hashes are kept. Where the setting `identity_url` is set, the application is
/// asked instead.
#[utoipa::path(
    post, path = "/v1/web/logins", tag = "web", operation_id = "web_login_create",
    request_body = NewLogin,
    responses(
        (status = 204, description = "They are good from now on"),
        (status = 422, description = "A field cannot be used", body = plugyard_http::ProblemBody),
    ),
)]
async fn login_create(State(web): State<Web>, Json(new): Json<NewLogin>) -> ApiResult<StatusCode> {
    let transaction = web.database()?.begin().await.map_err(Problem::from)?;
    logins::add(&*transaction, &new, now()).await?;
    transaction.commit().await.map_err(Problem::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whose tokens.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LoginQuery {
    /// Only those of this user.
    uid: Option<String>,
}

/// Take back the tokens of an account, or of one of its users
#[utoipa::path(
    delete, path = "/v1/web/logins/{aid}", tag = "web", operation_id = "web_login_delete",
    params(("aid" = String, Path, description = "The account"), LoginQuery),
    responses((status = 200, description = "How many there were", body = serde_json::Value)),
)]
async fn login_delete(
    State(web): State<Web>,
    Path(aid): Path<String>,
    Query(query): Query<LoginQuery>,
) -> ApiResult<Json<Value>> {
    let connection = web.connection()?;
    let removed = logins::remove(connection, &aid, query.uid.as_deref()).await;
    Ok(Json(json!({ "removed": removed.map_err(Problem::from)? })))
}

/// Make a launch ticket
///
/// For the variable `{authorization}` or `{accessToken}` of a page's address: the page's own server exchanges it,
/// once, within two minutes, for what `identity` says.
#[utoipa::path(
    post, path = "/v1/web/tickets", tag = "web", operation_id = "web_ticket_create",
    request_body = NewTicket,
    responses(
        (status = 201, description = "The ticket", body = serde_json::Value),
        (status = 404, description = "No such plugin", body = plugyard_http::ProblemBody),
        (status = 422, description = "A field cannot be used", body = plugyard_http::ProblemBody),
    ),
)]
async fn ticket_create(State(web): State<Web>, Json(new): Json<NewTicket>) -> ApiResult<Response> {
    let ticket = tickets::make(&web.host, new).await?;
    Ok(created(tickets::document(&ticket)))
}

/// A ticket to be exchanged.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Exchange {
    /// The ticket.
    ticket: String,
    /// The plugin that got it.
    fskey: String,
    /// The origin at which the page was opened.
    origin: String,
}

/// Exchange a launch ticket for who opened the page
///
/// For a plugin's server with a request that the plugin's own key signed, and for the application with a token.
#[utoipa::path(
    post, path = "/v1/web/tickets/exchange", tag = "web", operation_id = "web_ticket_exchange",
    request_body = Exchange,
    responses(
        (status = 200, description = "`identity`, as it was put in", body = serde_json::Value),
        (status = 401, description = "The signature is refused", body = plugyard_http::ProblemBody),
        (status = 403, description = "The ticket is not good for this", body = plugyard_http::ProblemBody),
    ),
)]
async fn ticket_exchange(
    State(web): State<Web>,
    principal: Option<Extension<Principal>>,
    headers: HeaderMap,
    Json(body): Json<Exchange>,
) -> ApiResult<Response> {
    let principal = principal.map(|Extension(it)| it);
    let who = asker(&web, principal.as_ref(), &headers, Right::PluginOperate).await;
    match who.map_err(|failed| failed.problem())? {
        Asker::Application => {}
        Asker::Plugin(own) if own == body.fskey => {}
        Asker::Plugin(_) | Asker::Client => return Err(Failed::from(31304).problem().into()),
    }
    let identity = tickets::exchange(&web.host, &body.ticket, &body.fskey, &body.origin).await?;
    let identity = identity.ok_or_else(|| Problem::new(codes::TICKET_REFUSED))?;
    let document = json!({ "fskey": body.fskey, "origin": body.origin, "identity": identity });
    Ok(no_store(Json(document)))
}

/// A signed request to be checked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VerifySign {
    /// Its headers, by their names (`X-Fresns-App-Id`).
    #[schema(value_type = Object)]
    headers: Map<String, Value>,
    /// The plugin that it concerns.
    fskey: Option<String>,
    /// 1: it needs a platform's key, 3: a plugin's. Without it, and without `fskey`, a platform's.
    verify_type: Option<u8>,
    /// When it came, in milliseconds since 1970, for one that was kept for a while; now, when left out.
    received_at: Option<i64>,
}

/// Check a signed request
///
/// In this order: key 31301, kind and plugin of the key 31304, platform 31102, time 31303, signature 31302, account
/// 31502 to 31505, user 31602 and 31603.
#[utoipa::path(
    post, path = "/v1/web/verify/sign", tag = "web", operation_id = "web_verify_sign",
    request_body = VerifySign,
    responses((status = 200, description = "`code` 0 when it is good", body = Reply)),
)]
async fn verify_sign(
    State(web): State<Web>,
    Language(lang): Language,
    Json(body): Json<VerifySign>,
) -> Reply {
    let at = body.received_at.unwrap_or_else(now);
    let mut members = Map::new();
    members.insert("headers".to_owned(), Value::Object(body.headers));
    if let Some(fskey) = body.fskey {
        members.insert("fskey".to_owned(), fskey.into());
    }
    if let Some(kind) = body.verify_type {
        members.insert("verifyType".to_owned(), kind.into());
    }
    Reply::of(identity::verify_sign(&web.host, &members, at).await, lang)
}

/// A page's credential to be checked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VerifyUrl {
    /// The value of `{authorization}`: a launch ticket, or the headers as Base64 of JSON.
    url_authorization: String,
    /// Whether an account must be signed in.
    #[serde(default)]
    account_login: bool,
    /// Whether a user must be chosen.
    #[serde(default)]
    user_login: bool,
    /// The plugin whose page it is; needed for a ticket.
    fskey: Option<String>,
    /// The origin at which the page was opened; needed for a ticket.
    origin: Option<String>,
    /// When it came, in milliseconds since 1970; now, when left out.
    received_at: Option<i64>,
}

/// Check the credential of a page
#[utoipa::path(
    post, path = "/v1/web/verify/url-authorization", tag = "web", operation_id = "web_verify_url",
    request_body = VerifyUrl,
    responses((status = 200, description = "What the credential says", body = Reply)),
)]
async fn verify_url(
    State(web): State<Web>,
    Language(lang): Language,
    Json(body): Json<VerifyUrl>,
) -> Reply {
    let at = body.received_at.unwrap_or_else(now);
    let members = json!({
        "urlAuthorization": body.url_authorization,
        "accountLogin": body.account_login,
        "userLogin": body.user_login,
        "fskey": body.fskey,
        "origin": body.origin,
    });
    let members = members.as_object().cloned().unwrap_or_default();
    Reply::of(
        identity::verify_url_authorization(&web.host, &members, at).await,
        lang,
    )
}

/// A word to be called.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CallBody {
    /// Whose: a plugin, `Fresns` for the main program, or `MarketManager`.
    fskey: String,
    /// The word.
    word: String,
    /// Its parameters.
    #[serde(default)]
    #[schema(value_type = Object)]
    body: Value,
}

/// Call a command word
///
/// The answer is always 200. `code`: 21000 not configured, 21001 no such plugin, 21002 no such word, 21003 unknown,
/// 21004 no answer, 21005 wrong parameters, 21006 not executable, 21007 not the form of an answer, 21008 wrong
/// data, 21009 failed, 21010 disabled, 21011 misconfigured; other numbers are the word's own.
#[utoipa::path(
    post, path = "/v1/web/command-words", tag = "web", operation_id = "web_word_call",
    request_body = CallBody,
    responses((status = 200, description = "What it answered", body = Reply)),
)]
async fn call_word(
    _: Unhurried,
    State(web): State<Web>,
    Language(lang): Language,
    Json(call): Json<CallBody>,
) -> Reply {
    Reply::of(
        words::call(&web.host, &call.fskey, &call.word, &call.body).await,
        lang,
    )
}

/// Something that happened in the application.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Happened {
    /// 1 a table changed, 2 a user was active, 3 somebody signed in, 4 content was viewed.
    r#type: i16,
    /// The table, for type 1.
    sub_table_name: Option<String>,
    /// What the words of the plugins get.
    #[serde(default)]
    #[schema(value_type = Object)]
    data: Value,
}

/// Tell plugins that something happened in the application
///
/// The words that they added by `addSubscribeItem` are called, each until it is answered.
#[utoipa::path(
    post, path = "/v1/web/activities", tag = "web", operation_id = "web_activity",
    request_body = Happened,
    responses((status = 202, description = "How many words are called", body = serde_json::Value)),
)]
async fn happened(State(web): State<Web>, Json(body): Json<Happened>) -> ApiResult<Response> {
    let subject = match (body.r#type, &body.sub_table_name) {
        (1, Some(table)) => table.as_str(),
        (1, None) => return Err(invalid("subTableName", "a change of a table needs it").into()),
        (2..=4, None) => "",
        (2..=4, Some(_)) => return Err(invalid("subTableName", "only type 1 has it").into()),
        _ => return Err(invalid("type", "it is 1 to 4").into()),
    };
    if !(body.data.is_object() || body.data.is_null()) {
        return Err(invalid("data", "it is an object").into());
    }
    let called = items::happened(&web.host, body.r#type, subject, &body.data).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "called": called }))).into_response())
}

/// What plugins that work have scheduled and subscribed to
#[utoipa::path(
    get, path = "/v1/web/items", tag = "web", operation_id = "web_item_list",
    responses((status = 200, description = "`schedules` and `subscriptions`", body = serde_json::Value)),
)]
async fn item_list(State(web): State<Web>) -> ApiResult<Json<Value>> {
    Ok(Json(items::list(&web.host).await.map_err(Problem::from)?))
}

/// Make a new secret for posts to the application
///
/// Posts to `command_words_url` and `identity_url` are signed with it. It is in this answer and in no other; the
/// former one ends at once.
#[utoipa::path(
    post, path = "/v1/web/application/secret", tag = "web", operation_id = "web_application_secret",
    responses((status = 201, description = "The `secret`", body = serde_json::Value)),
)]
async fn application_secret(State(web): State<Web>) -> ApiResult<Response> {
    let secrets = web.platform.secrets().await?;
    let secret = sign::fresh().map_err(|error| {
        tracing::error!(%error, "The machine gives no randomness");
        Problem::new(codes::INTERNAL)
    })?;
    let transaction = web.database()?.begin().await.map_err(Problem::from)?;
    secrets
        .put(&transaction, APPLICATION, SECRET, &secret)
        .await
        .map_err(Problem::from)?;
    transaction.commit().await.map_err(Problem::from)?;
    Ok(created(json!({ "secret": secret.expose() })))
}

/// Who opens which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FrameQuery {
    /// The usage by which it is opened.
    usage: Option<i64>,
    /// The origin of the client that opens it.
    client: Option<String>,
}

/// How to open a plugin's page in a frame
#[utoipa::path(
    get, path = "/v1/web/plugins/{fskey}/frame", tag = "web", operation_id = "web_frame",
    params(("fskey" = String, Path, description = "The plugin"), FrameQuery),
    responses(
        (status = 200, description = "Address, attributes of the frame, headers for the page", body = serde_json::Value),
        (status = 404, description = "No such plugin or usage", body = plugyard_http::ProblemBody),
        (status = 422, description = "The plugin has no page", body = plugyard_http::ProblemBody),
    ),
)]
async fn frame(
    State(web): State<Web>,
    Path(fskey): Path<String>,
    Query(query): Query<FrameQuery>,
) -> ApiResult<Json<Value>> {
    let connection = web.connection()?;
    let row = records::live(connection, &fskey).await?;
    let site = web.site().await?;
    let addresses = site.addresses(&row);
    let url = match query.usage {
        None => crate::url::access_url(&addresses),
        Some(id) => {
            let usage = usage::Entity::find_by_id(id)
                .one(connection)
                .await
                .map_err(store)?;
            let usage = usage
                .filter(|it| it.plugin_fskey == fskey && it.deleted_at.is_none())
                .ok_or_else(|| invalid("usage", "the plugin has no such usage"))?;
            let parameter = crate::url::Parameter {
                value: usage.parameter.as_deref(),
                encoding: site.parameter_encoding(),
            };
            crate::url::usage_url(&addresses, parameter)
        }
    };
    let url = url.map_err(|_| invalid("fskey", "the plugin has no page"))?;
    Ok(Json(frames::document(&site, &url, query.client.as_deref())))
}

/// Who opens a settings page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SettingsQuery {
    /// The origin of the client that opens it.
    client: Option<String>,
}

/// How to open a plugin's settings page in a frame
#[utoipa::path(
    get, path = "/v1/web/plugins/{fskey}/settings-frame", tag = "web", operation_id = "web_settings_frame",
    params(("fskey" = String, Path, description = "The plugin"), SettingsQuery),
    responses(
        (status = 200, description = "Address, attributes of the frame, headers for the page", body = serde_json::Value),
        (status = 404, description = "No such plugin", body = plugyard_http::ProblemBody),
        (status = 422, description = "The plugin has no settings page", body = plugyard_http::ProblemBody),
    ),
)]
async fn settings_frame(
    State(web): State<Web>,
    Path(fskey): Path<String>,
    Query(query): Query<SettingsQuery>,
) -> ApiResult<Json<Value>> {
    let row = records::live(web.connection()?, &fskey).await?;
    let site = web.site().await?;
    let addresses = site.addresses(&row);
    let url = crate::url::settings_url(&addresses)
        .map_err(|_| invalid("fskey", "the plugin has no settings page"))?;
    let mut frame = frames::document(&site, &url, query.client.as_deref());
    if addresses.own_form {
        frames::trust(&mut frame);
    }
    Ok(Json(frame))
}

fn store(error: sea_orm::DbErr) -> Problem {
    StoreError::from(error).into()
}

fn created(document: Value) -> Response {
    (StatusCode::CREATED, no_store(Json(document))).into_response()
}

/// What nobody in between may keep.
fn no_store(body: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], body).into_response()
}

//! Who signed a request: its key, its signature, and whether account and user are who they say.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use plugyard_model::Problem;
use plugyard_store::StoreError;
use plugyard_store::secrets::SecretOwner;
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::keys::{self, KeyKind};
use super::settings::IDENTITY_URL;
use super::{Failed, logins, settings, tickets};
use crate::entity::app_key;
use crate::host::{WebHost, now};
use crate::records;
use crate::signature::{self, Generation, Refused};
use crate::webhooks::endpoints::SECRET;
use crate::webhooks::post::{Post, post};

/// Longest value of a header, in bytes.
const MAX_VALUE: usize = 4096;
/// Longest credential of a page, in bytes.
const MAX_CREDENTIAL: usize = 16 << 10;

/// The headers without their prefix, and what they are called in bodies.
const NAMES: [(&str, &str); 13] = [
    ("App-Id", "appId"),
    ("Client-Platform-Id", "platformId"),
    ("Client-Version", "version"),
    ("Client-Device-Info", "deviceInfo"),
    ("Client-Timezone", "timezone"),
    ("Client-Lang-Tag", "langTag"),
    ("Client-Content-Format", "contentFormat"),
    ("Aid", "aid"),
    ("Aid-Token", "aidToken"),
    ("Uid", "uid"),
    ("Uid-Token", "uidToken"),
    ("Signature", "signature"),
    ("Signature-Timestamp", "timestamp"),
];

/// What everybody calls the headers.
const PREFIX: &str = "x-fresns-";

/// Whose secret signs posts to addresses of the application that are no webhooks.
pub(crate) const APPLICATION: SecretOwner =
    SecretOwner(Uuid::from_u128(0x706c_7567_7961_7264_7765_6261_7070_0001));

/// The headers of a signed request.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Claims(BTreeMap<&'static str, String>);

impl Claims {
    /// From the headers of a request.
    pub(crate) fn of_headers(headers: &axum::http::HeaderMap) -> Self {
        let found = NAMES.iter().filter_map(|(name, _)| {
            let value = headers.get(format!("{PREFIX}{name}"))?.to_str().ok()?;
            (value.len() <= MAX_VALUE).then(|| (*name, value.to_owned()))
        });
        Self(found.collect())
    }

    /// From a JSON object whose keys are the headers (`X-Fresns-App-Id`) or their short names (`appId`).
    pub(crate) fn of_object(object: &Map<String, Json>) -> Self {
        let found = object.iter().filter_map(|(key, value)| {
            let lower = key.to_ascii_lowercase();
            let bare = lower.strip_prefix(PREFIX);
            let (name, _) = NAMES.iter().find(|(name, short)| {
                bare.map_or(
                    *short == key || (key == "sign" && *short == "signature"),
                    |bare| name.eq_ignore_ascii_case(bare),
                )
            })?;
            let text = match value {
                Json::String(text) => text.clone(),
                Json::Number(number) => number.to_string(),
                _ => return None,
            };
            (text.len() <= MAX_VALUE).then_some((*name, text))
        });
        Self(found.collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A value that says something.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|text| !text.is_empty())
    }

    /// As plugins get them: every name, numbers as numbers. Tokens and signature only when they were found to
    /// be good.
    pub(crate) fn document(&self, verified: bool) -> Json {
        let members = NAMES.iter().map(|(name, short)| {
            let secret = matches!(*name, "Aid-Token" | "Uid-Token" | "Signature");
            let value = match self.text(name) {
                Some(_) if secret && !verified => Json::Null,
                Some(text) => match (*short, text.parse::<i64>()) {
                    ("platformId" | "uid" | "timestamp", Ok(number)) => number.into(),
                    _ => text.into(),
                },
                None => Json::Null,
            };
            ((*short).to_owned(), value)
        });
        Json::Object(members.collect())
    }
}

impl std::fmt::Debug for Claims {
    /// Without tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.document(false))
    }
}

/// What a signed request is for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Purpose<'a> {
    /// The kind of key it needs; either, when left out.
    pub(crate) kind: Option<KeyKind>,
    /// The plugin that it concerns: another plugin's key is none for it.
    pub(crate) fskey: Option<&'a str>,
}

/// A request that was found to be good.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) key: app_key::Model,
    pub(crate) generation: Generation,
}

impl Verified {
    /// The plugin whose key signed it.
    pub(crate) fn plugin(&self) -> Option<&str> {
        self.key.plugin_fskey.as_deref()
    }
}

/// Checks a signed request as it came at `at` (milliseconds since 1970): key 31301, its kind and plugin 31304,
/// platform 31102, time 31303, signature 31302, account 31502 to 31505, user 31602 and 31603, in this order.
pub(crate) async fn verify(
    host: &WebHost,
    claims: &Claims,
    purpose: Purpose<'_>,
    at: i64,
) -> Result<Verified, Failed> {
    let connection = host.database().map_err(broken)?.conn();
    let app_id = claims.text("App-Id").ok_or(31301_u32)?;
    let key = keys::find(connection, app_id).await.map_err(broken)?;
    let key = key.filter(|key| key.is_enabled).ok_or(31301_u32)?;
    if let Some(fskey) = &key.plugin_fskey {
        let owner = records::find_live(connection, fskey)
            .await
            .map_err(broken)?;
        if !owner.is_some_and(|row| records::is_offered(&row)) {
            return Err(31301.into());
        }
    }
    let wrong_kind = purpose.kind.is_some_and(|kind| kind.as_str() != key.kind);
    let wrong_plugin = match (purpose.fskey, &key.plugin_fskey) {
        (Some(wanted), Some(own)) => wanted != own,
        _ => false,
    };
    if wrong_kind || wrong_plugin {
        return Err(31304.into());
    }
    let platform = claims
        .get("Client-Platform-Id")
        .and_then(|it| it.parse::<i32>().ok());
    if key.platform_id.is_some() && key.platform_id != platform {
        return Err(31102.into());
    }
    let secrets = host.secrets().await.map_err(unavailable)?;
    let secret = secrets
        .get(connection, SecretOwner(key.id), SECRET)
        .await
        .map_err(|error| unavailable(error.into()))?
        .ok_or(31301_u32)?;
    let generation = signature::verify(|name| claims.get(name), &secret.expose().into(), at)
        .map_err(|refused| match refused {
            Refused::Timestamp => 31303_u32,
            Refused::Signature => 31302,
        })?;
    if claims.text("Aid").is_some() {
        who(host, claims, platform, at).await?;
    }
    Ok(Verified { key, generation })
}

/// Whether account and user are who they say: the application answers, or told us their tokens.
async fn who(
    host: &WebHost,
    claims: &Claims,
    platform: Option<i32>,
    at: i64,
) -> Result<(), Failed> {
    let site = host.site().await.map_err(broken)?;
    match site.text(IDENTITY_URL) {
        Some(url) => ask(host, url, claims).await,
        None => logins::check(host, claims, platform, at).await,
    }
}

/// Asks the application. What it says with a number for accounts or users is passed on.
async fn ask(host: &WebHost, url: &str, claims: &Claims) -> Result<(), Failed> {
    let mut data = claims.document(true);
    if let Some(data) = data.as_object_mut() {
        data.remove("signature");
    }
    let body = json!({ "type": "identity.verify", "data": data }).to_string();
    let answer = send(host, url, body.as_bytes()).await;
    let answer = answer.map_err(|reason| {
        tracing::warn!("The application cannot be asked about an account: {reason}");
        Failed::from(31503)
    })?;
    let code = answer.get("code").and_then(Json::as_u64);
    match code.and_then(|code| u32::try_from(code).ok()) {
        Some(0) => Ok(()),
        Some(code @ (31502..=31505 | 31602..=31603)) => Err(code.into()),
        _ => Err(31503.into()),
    }
}

/// Posts to an address of the application and reads the object it answers.
async fn send(host: &WebHost, url: &str, body: &[u8]) -> Result<Json, String> {
    let answer = application(host, url, body).await?;
    let answer = answer.map_err(|error| error.to_string())?;
    match answer.json() {
        Some(body @ Json::Object(_)) if answer.is_success() => Ok(body),
        _ => Err(format!("it answered {} without an object", answer.status)),
    }
}

/// Posts to an address of the application, signed with the application's secret.
pub(crate) async fn application(
    host: &WebHost,
    url: &str,
    body: &[u8],
) -> Result<Result<crate::webhooks::post::Answer, crate::webhooks::post::PostError>, String> {
    let secrets = host
        .secrets()
        .await
        .map_err(|problem| problem.to_string())?;
    let connection = host.database().map_err(|error| error.to_string())?.conn();
    let secret = secrets
        .get(connection, APPLICATION, SECRET)
        .await
        .map_err(|error| error.to_string())?
        .ok_or_else(|| "the application has no secret yet".to_owned())?;
    let settings = &host.settings().webhooks;
    Ok(post(&Post {
        url,
        allow_private: settings.allow_private,
        secret: &secret,
        id: &format!("msg_{}", Uuid::now_v7().simple()),
        body,
        limit: settings.timeout,
        now: now(),
    })
    .await)
}

/// The command word `verifySign`: the headers, in `headers` or beside each other.
pub(crate) async fn verify_sign(
    host: &WebHost,
    body: &Map<String, Json>,
    at: i64,
) -> Result<Json, Failed> {
    let claims = match body.get("headers") {
        Some(Json::Object(headers)) => Claims::of_object(headers),
        Some(_) => return Err(30002.into()),
        None => Claims::of_object(body),
    };
    let fskey = body.get("fskey").or_else(|| body.get("verifyFskey"));
    let fskey = fskey.and_then(Json::as_str);
    let kind = match body.get("verifyType").and_then(Json::as_u64) {
        Some(3) => Some(KeyKind::Plugin),
        // A plugin asks about requests to itself, which its own key or a client's may sign.
        None if fskey.is_some() => None,
        None | Some(1 | 2) => Some(KeyKind::Platform),
        Some(_) => return Err(30002.into()),
    };
    let verified = verify(host, &claims, Purpose { kind, fskey }, at).await?;
    Ok(json!({
        "appId": verified.key.app_id,
        "kind": verified.key.kind,
        "pluginFskey": verified.key.plugin_fskey,
        "algorithm": match verified.generation {
            Generation::Md5 => "md5",
            Generation::Sha256 => "sha256",
        },
        "aid": claims.text("Aid"),
        "uid": claims.text("Uid"),
    }))
}

/// The command word `verifyUrlAuthorization`: a launch ticket, or the headers themselves where they are still
/// accepted.
pub(crate) async fn verify_url_authorization(
    host: &WebHost,
    body: &Map<String, Json>,
    at: i64,
) -> Result<Json, Failed> {
    let text = |key: &str| body.get(key).and_then(Json::as_str);
    let demands = |key: &str| match body.get(key) {
        Some(Json::Bool(demanded)) => *demanded,
        Some(Json::Number(number)) => number.as_i64() == Some(1),
        _ => false,
    };
    let credential = text("urlAuthorization").unwrap_or_default();
    if credential.is_empty() || credential.len() > MAX_CREDENTIAL {
        return Err(30002.into());
    }
    let (data, aid, uid) = if tickets::is_ticket(credential) {
        let (Some(fskey), Some(origin)) = (text("fskey"), text("origin")) else {
            return Err(30001.into());
        };
        let identity = tickets::exchange(host, credential, fskey, origin)
            .await
            .map_err(unavailable)?
            .ok_or(31000_u32)?;
        let has = |key: &str| {
            identity
                .get(key)
                .is_some_and(|it| !it.is_null() && it != "")
        };
        let (aid, uid) = (has("aid"), has("uid"));
        (identity, aid, uid)
    } else {
        let site = host.site().await.map_err(broken)?;
        if !settings::legacy_credentials(&site) {
            return Err(31000.into());
        }
        let claims = decode(credential).ok_or(30002_u32)?;
        let purpose = Purpose {
            kind: None,
            fskey: text("fskey"),
        };
        if let Err(failed) = verify(host, &claims, purpose, at).await {
            return Err(failed.with(claims.document(false)));
        }
        let (aid, uid) = (claims.text("Aid").is_some(), claims.text("Uid").is_some());
        (claims.document(true), aid, uid)
    };
    if demands("accountLogin") && !aid {
        return Err(Failed::from(31501).with(data));
    }
    if demands("userLogin") && !uid {
        return Err(Failed::from(31601).with(data));
    }
    Ok(data)
}

/// The headers as compact JSON, then Base64, then encoded for an address. What already was decoded once by a
/// web framework is read too.
fn decode(credential: &str) -> Option<Claims> {
    let decoded = percent_decode(credential);
    // In an address a plus sign that nobody encoded arrives as a blank.
    let text = decoded.replace(' ', "+");
    let bytes = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]
        .into_iter()
        .find_map(|engine| engine.decode(&text).ok())?;
    match serde_json::from_slice(&bytes).ok()? {
        Json::Object(object) if !object.is_empty() => Some(Claims::of_object(&object)),
        _ => None,
    }
}

fn percent_decode(text: &str) -> String {
    // As a value of a form with nothing else in it; `+` is protected, it is a digit of Base64.
    let form = format!("v={}", text.replace('+', "%2B"));
    form_urlencoded::parse(form.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn broken(error: StoreError) -> Failed {
    unavailable(error.into())
}

fn unavailable(problem: Problem) -> Failed {
    tracing::warn!(%problem, "A signed request could not be checked");
    Failed::because(31000, problem.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_known_by_both_names() {
        let object = json!({
            "X-Fresns-App-Id": "a", "x-fresns-client-platform-id": "2", "aid": "b", "uid": 5, "sign": "c",
            "other": "d", "X-Fresns-Other": "e", "uidToken": true,
        });
        let claims = Claims::of_object(object.as_object().unwrap());
        assert_eq!(claims.get("App-Id"), Some("a"));
        assert_eq!(claims.get("Client-Platform-Id"), Some("2"));
        assert_eq!(claims.get("Aid"), Some("b"));
        assert_eq!(claims.get("Uid"), Some("5"));
        assert_eq!(claims.get("Signature"), Some("c"));
        assert_eq!(claims.0.len(), 5);
        let shown = claims.document(false);
        assert_eq!(shown["uid"], 5);
        assert_eq!(shown["signature"], Json::Null);
        assert_eq!(claims.document(true)["signature"], "c");
    }

    #[test]
    fn a_credential_is_read_in_the_forms_it_arrives_in() {
        let headers =
            json!({ "X-Fresns-App-Id": "yh1OJ7WL", "X-Fresns-Client-Lang-Tag": "中文>>>???" });
        let base64 = STANDARD.encode(headers.to_string());
        assert!(base64.contains('+') || base64.contains('/'), "{base64}");
        let encoded: String = form_urlencoded::byte_serialize(base64.as_bytes()).collect();
        for form in [base64.clone(), encoded, base64.replace('+', " ")] {
            let claims = decode(&form).unwrap();
            assert_eq!(claims.get("App-Id"), Some("yh1OJ7WL"), "{form}");
        }
        for bad in ["%%%", "eyJ", "bnVsbA==", "W10=", "e30="] {
            assert!(decode(bad).is_none(), "{bad}");
        }
    }
}

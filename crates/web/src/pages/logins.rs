//! Tokens of accounts and users, as the application told them: rows of `web_logins`, hashed.

use plugyard_model::{Digest, Problem};
use plugyard_store::{SecretText, StoreError};
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use uuid::Uuid;

use super::Failed;
use super::identity::Claims;
use crate::entity::login::{ActiveModel, Column, Entity, Model};
use crate::host::WebHost;
use crate::webhooks::endpoints::invalid;

/// The tokens of an account and, where one is chosen, of its user.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewLogin {
    /// The account.
    pub(crate) aid: String,
    /// Its token, 1 to 256 characters.
    #[schema(value_type = String)]
    pub(crate) aid_token: SecretText,
    /// The user of the account.
    pub(crate) uid: Option<String>,
    /// The user's token.
    #[schema(value_type = Option<String>)]
    pub(crate) uid_token: Option<SecretText>,
    /// The platform they are for; any, when left out.
    pub(crate) platform_id: Option<i32>,
    /// When they end, in milliseconds since 1970; when they are taken back, when left out.
    pub(crate) expires_at: Option<i64>,
}

/// Takes them down. Former tokens stay good.
///
/// # Errors
/// `web_field_invalid`.
pub(crate) async fn add(
    connection: &impl ConnectionTrait,
    new: &NewLogin,
    now: i64,
) -> Result<(), Problem> {
    let name = |field: &str, text: &str| {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_graphic());
        fits.then_some(())
            .ok_or_else(|| invalid(field, "it has 1 to 64 printable characters"))
    };
    let token = |field: &str, text: &SecretText| {
        (1..=256)
            .contains(&text.expose().len())
            .then_some(())
            .ok_or_else(|| invalid(field, "it has 1 to 256 characters"))
    };
    name("aid", &new.aid)?;
    token("aidToken", &new.aid_token)?;
    let user = match (&new.uid, &new.uid_token) {
        (Some(uid), Some(of_user)) => {
            name("uid", uid)?;
            token("uidToken", of_user)?;
            Some((uid.as_str(), of_user))
        }
        (None, None) => None,
        _ => return Err(invalid("uidToken", "`uid` and `uidToken` come together")),
    };
    for (uid, token) in [("", &new.aid_token)].into_iter().chain(user) {
        let hash = hashed(token.expose());
        let same = Entity::delete_many()
            .filter(Column::Aid.eq(&new.aid))
            .filter(Column::Uid.eq(uid))
            .filter(Column::TokenHash.eq(&hash));
        same.exec(connection).await.map_err(StoreError::from)?;
        let row = ActiveModel {
            id: Set(Uuid::now_v7()),
            aid: Set(new.aid.clone()),
            uid: Set(uid.to_owned()),
            token_hash: Set(hash),
            platform_id: Set(new.platform_id),
            expires_at: Set(new.expires_at),
            created_at: Set(now),
        };
        row.insert(connection).await.map_err(StoreError::from)?;
    }
    Ok(())
}

/// Takes back all tokens of an account, or of one of its users. Says how many.
pub(crate) async fn remove(
    connection: &impl ConnectionTrait,
    aid: &str,
    uid: Option<&str>,
) -> Result<u64, StoreError> {
    let mut rows = Entity::delete_many().filter(Column::Aid.eq(aid));
    if let Some(uid) = uid {
        rows = rows.filter(Column::Uid.eq(uid));
    }
    Ok(rows.exec(connection).await?.rows_affected)
}

/// Whether the tokens of a request are those of its account and user at `at`.
pub(crate) async fn check(
    host: &WebHost,
    claims: &Claims,
    platform: Option<i32>,
    at: i64,
) -> Result<(), Failed> {
    let broken = |error: StoreError| Failed::because(31000, Problem::from(error).to_string());
    let connection = host.database().map_err(broken)?.conn();
    let aid = claims.text("Aid").unwrap_or_default();
    let rows = async |uid: &str| -> Result<Vec<Model>, Failed> {
        let rows = Entity::find()
            .filter(Column::Aid.eq(aid))
            .filter(Column::Uid.eq(uid))
            .all(connection);
        rows.await.map_err(|error| broken(error.into()))
    };
    let account = rows("").await?;
    match judge(&account, claims.text("Aid-Token"), platform, at) {
        Found::Good => {}
        Found::None => return Err(31502.into()),
        Found::Wrong => return Err(31504.into()),
        Found::Over => return Err(31505.into()),
    }
    let Some(uid) = claims.text("Uid") else {
        return Ok(());
    };
    let user = rows(uid).await?;
    match judge(&user, claims.text("Uid-Token"), platform, at) {
        Found::Good => Ok(()),
        Found::None => Err(31602.into()),
        Found::Wrong | Found::Over => Err(31603.into()),
    }
}

enum Found {
    Good,
    None,
    Wrong,
    Over,
}

/// Compares with all rows, in constant time.
fn judge(rows: &[Model], token: Option<&str>, platform: Option<i32>, at: i64) -> Found {
    if rows.is_empty() {
        return Found::None;
    }
    let given = hashed(token.unwrap_or_default());
    let (mut good, mut over) = (Choice::from(0), Choice::from(0));
    for row in rows {
        let same = row.token_hash.as_bytes().ct_eq(given.as_bytes())
            & Choice::from(u8::from(
                row.platform_id.is_none_or(|own| Some(own) == platform),
            ));
        let alive = Choice::from(u8::from(row.expires_at.is_none_or(|end| at < end)));
        good |= same & alive;
        over |= same & !alive;
    }
    if good.into() {
        Found::Good
    } else if over.into() {
        Found::Over
    } else {
        Found::Wrong
    }
}

fn hashed(token: &str) -> String {
    Digest::from_bytes(Sha256::digest(token).into()).to_string()
}

//! Paging by cursors: a page names where the next one begins.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plugyard_model::{Problem, codes};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Where the next page begins: opaque to clients, base64url of whatever the route needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// Longest cursor that is read, in characters.
    pub const MAX_LEN: usize = 1024;

    /// A cursor at a position, typically the sort key of the page's last row.
    pub fn at(position: &impl Serialize) -> Self {
        let json = serde_json::to_vec(position).expect("a position is plain data");
        Self(URL_SAFE_NO_PAD.encode(json))
    }

    /// The position.
    ///
    /// # Errors
    /// `request_invalid` for anything this server did not make.
    pub fn position<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        (self.0.len() <= Self::MAX_LEN)
            .then(|| URL_SAFE_NO_PAD.decode(&self.0).ok())
            .flatten()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or_else(|| {
                Problem::new(codes::REQUEST_INVALID)
                    .with("reason", "`cursor` is none that this route gave out")
            })
    }
}

/// The query of a route with pages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Where to go on: `next` of the page before.
    #[param(value_type = Option<String>)]
    pub cursor: Option<Cursor>,
    /// How many at most, 1 to 500; 50 unless said otherwise.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
}

impl PageQuery {
    /// Most rows of a page.
    pub const MAX_LIMIT: u32 = 500;
    /// Rows of a page when the client does not say.
    pub const DEFAULT_LIMIT: u32 = 50;

    /// How many rows, within bounds.
    ///
    /// # Errors
    /// `request_invalid` for 0 and for more than [`PageQuery::MAX_LIMIT`].
    pub fn limit(&self) -> Result<u32, Problem> {
        let limit = self.limit.unwrap_or(Self::DEFAULT_LIMIT);
        if (1..=Self::MAX_LIMIT).contains(&limit) {
            return Ok(limit);
        }
        Err(Problem::new(codes::REQUEST_INVALID).with(
            "reason",
            format!("`limit` must be 1 to {}", Self::MAX_LIMIT),
        ))
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// The cursor of the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub next: Option<Cursor>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_a_made_up_one_is_refused() {
        let cursor = Cursor::at(&(17_u64, "portable:demo"));
        let back: (u64, String) = cursor.position().unwrap();
        assert_eq!(back, (17, "portable:demo".to_owned()));
        assert!(
            cursor
                .0
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        );
        for bad in ["", "%%%", "AAAA", &"A".repeat(2000)] {
            assert!(Cursor(bad.to_owned()).position::<u64>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_limit_stays_within_its_bounds() {
        let of = |limit| {
            PageQuery {
                cursor: None,
                limit,
            }
            .limit()
        };
        assert_eq!(of(None).unwrap(), 50);
        assert_eq!(of(Some(500)).unwrap(), 500);
        assert!(of(Some(0)).is_err() && of(Some(501)).is_err());
    }
}

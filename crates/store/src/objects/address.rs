//! Which store, and how to get into it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, RetryConfig};
use serde::{Deserialize, Serialize};

use super::ObjectError;
use crate::SecretText;

/// Somebody waits for the answer: a store that is away is said soon.
const RETRIES: usize = 4;
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the objects are: a directory, or `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectsUrl(Address);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Directory(PathBuf),
    S3 { bucket: String, prefix: String },
}

/// An address that is neither a directory nor `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an address of objects is a directory or `s3://bucket/prefix`")]
pub struct ParseObjectsUrlError;

impl ObjectsUrl {
    /// Objects in a directory.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self(Address::Directory(path.into()))
    }

    /// The part of a bucket that it names, for whoever keeps other things than objects there; `None` for a
    /// directory. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// [`ObjectError::Options`].
    pub fn bucket(&self, options: &S3Options) -> Result<Option<Arc<dyn ObjectStore>>, ObjectError> {
        let Address::S3 { bucket, prefix } = &self.0 else {
            return Ok(None);
        };
        let store = options.open(bucket, prefix);
        store.map(Some).map_err(|source| self.unusable(source))
    }

    pub(super) fn unusable(&self, source: object_store::Error) -> ObjectError {
        ObjectError::Options {
            address: self.to_string(),
            source,
        }
    }

    /// The directory, when it is one.
    pub fn as_directory(&self) -> Option<&std::path::Path> {
        match &self.0 {
            Address::Directory(path) => Some(path),
            Address::S3 { .. } => None,
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.0
    }
}

impl FromStr for ObjectsUrl {
    type Err = ParseObjectsUrlError;

    /// `s3://bucket/prefix`, `file:path`, or a plain path. Another scheme is a mistake, not a path.
    fn from_str(text: &str) -> Result<Self, ParseObjectsUrlError> {
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            if bucket.is_empty() || !bucket.chars().all(named) {
                return Err(ParseObjectsUrlError);
            }
            return Ok(Self(Address::S3 {
                bucket: bucket.to_owned(),
                prefix: prefix.trim_matches('/').to_owned(),
            }));
        }
        let path = text
            .strip_prefix("file://")
            .or_else(|| text.strip_prefix("file:"))
            .unwrap_or(text);
        if path.is_empty() || path.contains("://") {
            return Err(ParseObjectsUrlError);
        }
        Ok(Self::directory(path))
    }
}

impl fmt::Display for ObjectsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Address::Directory(path) => write!(f, "{}", path.display()),
            Address::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Address::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// How to get into an S3-compatible store. What is left out comes from the environment variables that
/// every S3 client knows (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`,
/// `AWS_REGION`, `AWS_ENDPOINT_URL`, …), and on Amazon's machines from the role of the machine.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Options {
    /// Address of a store that is not Amazon's, e.g. `https://minio.example:9000`. The bucket is then
    /// part of the path, not of the host name.
    pub endpoint: Option<String>,
    /// Region; stores that have none take any.
    pub region: Option<String>,
    /// Name of the key.
    pub access_key: Option<String>,
    /// The key itself.
    pub secret_key: Option<SecretText>,
    /// What goes with a key that was lent for a time.
    pub session_token: Option<SecretText>,
    /// Whether an `http://` endpoint is accepted: keys are not sent over it, but packages are readable.
    pub allow_http: bool,
}

impl S3Options {
    /// The part of the bucket below `prefix`.
    pub(super) fn open(
        &self,
        bucket: &str,
        prefix: &str,
    ) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        // The HTTP client has no cryptography of its own. An error means that the process has chosen
        // already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_retry(RetryConfig {
                max_retries: RETRIES,
                retry_timeout: PATIENCE,
                ..RetryConfig::default()
            });
        if let Some(endpoint) = &self.endpoint {
            builder = builder
                .with_endpoint(endpoint)
                .with_virtual_hosted_style_request(false);
        }
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        }
        if let Some(key) = &self.access_key {
            builder = builder.with_access_key_id(key);
        }
        if let Some(key) = &self.secret_key {
            builder = builder.with_secret_access_key(key.expose());
        }
        if let Some(token) = &self.session_token {
            builder = builder.with_token(token.expose());
        }
        if self.allow_http {
            builder = builder.with_allow_http(true);
        }
        let store = builder.build()?;
        Ok(if prefix.is_empty() {
            Arc::new(store)
        } else {
            Arc::new(PrefixStore::new(store, Key::from(prefix)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for (text, shown) in [
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("s3://my.bucket-1/a/b/", "s3://my.bucket-1/a/b"),
            ("file:///srv/objects", "/srv/objects"),
            ("/srv/objects", "/srv/objects"),
            ("objects", "objects"),
        ] {
            let url: ObjectsUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
        }
        for bad in [
            "",
            "s3://",
            "s3:///prefix",
            "s3://me:pw@host/x",
            "gs://bucket",
            "file:",
        ] {
            assert_eq!(
                bad.parse::<ObjectsUrl>(),
                Err(ParseObjectsUrlError),
                "{bad}"
            );
        }
    }

    #[test]
    fn keys_are_not_shown() {
        let options = S3Options {
            access_key: Some("AKIA1".to_owned()),
            secret_key: Some(SecretText::new("hush-key")),
            session_token: Some(SecretText::new("hush-token")),
            ..S3Options::default()
        };
        let shown = format!("{options:?} {}", serde_json::to_string(&options).unwrap());
        assert!(!shown.contains("hush"), "{shown}");
        assert!(shown.contains("AKIA1"), "{shown}");
        // Nor by the store that was made of them, which whoever holds it may print.
        let url: ObjectsUrl = "s3://bucket/prefix".parse().unwrap();
        let home = tempfile::tempdir().unwrap();
        let objects = crate::Objects::open(&url, &options, home.path()).unwrap();
        assert!(!format!("{objects:?}").contains("hush"));
    }

    #[test]
    fn an_option_that_is_not_known_is_said() {
        let error = serde_json::from_str::<S3Options>(r#"{"allow_htp": true}"#).unwrap_err();
        assert!(error.to_string().contains("allow_htp"), "{error}");
    }
}

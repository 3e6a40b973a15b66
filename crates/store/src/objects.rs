//! Immutable bytes known by their SHA-256, in a directory or in an S3-compatible store.
//!
//! Callers see files in both cases: what lies in S3 is fetched once, verified and kept below the home.
//! Nothing here is ever overwritten, so a copy cannot be out of date, only missing.

mod address;
mod files;
mod remote;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use plugyard_model::{Digest, Problem, codes};

pub use address::{ObjectsUrl, ParseObjectsUrlError, S3Options};
use remote::Remote;

/// The object store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// The directory of objects cannot be made or opened.
    #[error("cannot use `{}` as object store", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The options for a store do not fit together.
    #[error("cannot use the object store {address}")]
    Options {
        /// The address.
        address: String,
        /// The cause.
        #[source]
        source: object_store::Error,
    },
    /// A store does not answer, or refuses.
    #[error("the object store {address} does not answer as it should")]
    Reach {
        /// The address.
        address: String,
        /// The cause.
        #[source]
        source: object_store::Error,
    },
    /// An object cannot be written.
    #[error("cannot store the object {digest}")]
    Put {
        /// Which.
        digest: Digest,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The bytes are not those of the digest: the file changed after it was hashed, or the store
    /// or its disk altered the object. They are not used.
    #[error("expected the object {expected}, but the bytes are those of {found}")]
    Mismatch {
        /// What was asked for.
        expected: Digest,
        /// What the bytes are.
        found: Digest,
    },
    /// The local copy of an object cannot be written.
    #[error("cannot keep a local copy of the object {digest}")]
    Copy {
        /// Which.
        digest: Digest,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// There is no such object.
    #[error("there is no object {digest}")]
    NotFound {
        /// Which.
        digest: Digest,
    },
    /// The store is another installation's: two that delete in one place would take each other's objects.
    #[error("the object store {address} belongs to another Plugyard ({owner})")]
    Foreign {
        /// The address.
        address: String,
        /// What the store says whose it is.
        owner: String,
    },
    /// The objects cannot be listed.
    #[error("cannot list the objects")]
    List {
        /// The cause.
        #[source]
        source: object_store::Error,
    },
    /// The store failed.
    #[error("the object store failed on {digest}")]
    Store {
        /// Which object it was about.
        digest: Digest,
        /// The cause.
        #[source]
        source: object_store::Error,
    },
}

impl From<ObjectError> for Problem {
    fn from(error: ObjectError) -> Self {
        if let ObjectError::Foreign { address, owner } = error {
            return Self::new(codes::OBJECTS_FOREIGN)
                .with("address", address)
                .with("owner", owner);
        }
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "Object store failed"
        );
        Problem::new(codes::OBJECTS_UNAVAILABLE)
    }
}

/// The object store: `packages/{sha256}` below a directory or the prefix of a bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    address: Arc<str>,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// The objects are files themselves.
    Directory(PathBuf),
    Remote(Remote),
}

impl Objects {
    /// A store in a directory, which is made when it is not there.
    ///
    /// # Errors
    /// [`ObjectError::Open`].
    pub fn local(root: impl Into<PathBuf>) -> Result<Self, ObjectError> {
        let root = root.into();
        std::fs::create_dir_all(root.join(PACKAGES)).map_err(|source| ObjectError::Open {
            path: root.clone(),
            source: source.into(),
        })?;
        let store =
            LocalFileSystem::new_with_prefix(&root).map_err(|source| ObjectError::Open {
                path: root.clone(),
                source: source.into(),
            })?;
        Ok(Self {
            store: Arc::new(store),
            address: root.display().to_string().into(),
            place: Place::Directory(root),
        })
    }

    /// The store that `url` names. For one in S3, `cache` is a directory of this process alone for
    /// verified copies; it may be emptied while nothing runs. Nothing is asked of the store yet:
    /// that is [`ping`](Self::ping).
    ///
    /// # Errors
    /// [`ObjectError::Open`] for the directory or the cache, [`ObjectError::Options`].
    pub fn open(
        url: &ObjectsUrl,
        options: &S3Options,
        cache: impl Into<PathBuf>,
    ) -> Result<Self, ObjectError> {
        let store = match url.address() {
            address::Address::Directory(path) => return Self::local(path),
            address::Address::S3 { bucket, prefix } => options.open(bucket, prefix),
        }
        .map_err(|source| url.unusable(source))?;
        Ok(Self {
            place: Place::Remote(Remote::new(store.clone(), cache.into())?),
            store,
            address: url.to_string().into(),
        })
    }

    /// Whether the store answers and lets us list: says early that a bucket is missing or a key is wrong.
    ///
    /// # Errors
    /// [`ObjectError::Reach`].
    pub async fn ping(&self) -> Result<(), ObjectError> {
        self.store
            .list(Some(&Key::from(PACKAGES)))
            .try_next()
            .await
            .map(drop)
            .map_err(|source| ObjectError::Reach {
                address: self.address.to_string(),
                source,
            })
    }

    /// Marks the store as `owner`'s, or makes sure that it is already. A bucket can be shared, each with a
    /// prefix of its own; one prefix cannot.
    ///
    /// # Errors
    /// [`ObjectError::Foreign`]: nothing was written then. [`ObjectError::Reach`].
    pub async fn claim(&self, owner: &str) -> Result<(), ObjectError> {
        let unreachable = |source| ObjectError::Reach {
            address: self.address.to_string(),
            source,
        };
        if self.marked().await.map_err(unreachable)?.is_none() {
            let (mark, text) = (Key::from(MARK), format!("{owner}\n"));
            let created = PutOptions::from(PutMode::Create);
            match self
                .store
                .put_opts(&mark, text.clone().into(), created)
                .await
            {
                Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
                // A store that cannot put on a condition: the look below still finds who was last.
                Err(object_store::Error::NotImplemented { .. }) => {
                    let put = self.store.put(&mark, text.into()).await;
                    put.map(drop).map_err(unreachable)?;
                }
                Err(source) => return Err(unreachable(source)),
            }
        }
        match self.marked().await.map_err(unreachable)? {
            Some(found) if found != owner => Err(ObjectError::Foreign {
                address: self.address.to_string(),
                owner: found,
            }),
            _ => Ok(()),
        }
    }

    async fn marked(&self) -> Result<Option<String>, object_store::Error> {
        match self.store.get(&Key::from(MARK)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
            Ok(found) => {
                let mut text = Vec::new();
                let mut stream = found.into_stream();
                while let Some(chunk) = stream.try_next().await? {
                    text.extend_from_slice(&chunk);
                    if text.len() > MARK_LIMIT {
                        text.truncate(MARK_LIMIT);
                        break;
                    }
                }
                Ok(Some(String::from_utf8_lossy(&text).trim().to_owned()))
            }
        }
    }

    /// Takes over a file with exactly the bytes of `digest`. The file is gone from its old place
    /// afterwards. An object that is there already stays as it is.
    ///
    /// It lasts before this returns: a row that names the object may be written next.
    ///
    /// # Errors
    /// [`ObjectError::Mismatch`] when the file has other bytes: then it stays where it is and nothing
    /// is stored. [`ObjectError::Put`], [`ObjectError::Store`].
    pub async fn put_file(&self, file: &Path, digest: &Digest) -> Result<(), ObjectError> {
        match &self.place {
            Place::Directory(root) => {
                let (from, to, digest) = (file.to_owned(), path(root, digest), *digest);
                let found = blocking(move || files::verify_and_move(&from, &to, &digest))
                    .await
                    .map_err(|source| ObjectError::Put { digest, source })?;
                matching(digest, found)
            }
            Place::Remote(remote) => {
                if self.exists(digest).await? {
                    remote.adopt(file, digest).await
                } else {
                    remote.put(file, &key(digest), digest).await
                }
            }
        }
    }

    /// A local file with the object's bytes. Nobody may write to it. From S3 it is fetched when there
    /// is no copy yet, and only bytes of that digest become one.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`], [`ObjectError::Store`]; from S3 also [`ObjectError::Mismatch`] and
    /// [`ObjectError::Copy`].
    pub async fn local_file(&self, digest: &Digest) -> Result<PathBuf, ObjectError> {
        match &self.place {
            Place::Directory(root) => {
                if self.exists(digest).await? {
                    Ok(path(root, digest))
                } else {
                    Err(ObjectError::NotFound { digest: *digest })
                }
            }
            Place::Remote(remote) => remote.local_file(&key(digest), digest).await,
        }
    }

    /// Whether the object is there.
    ///
    /// # Errors
    /// [`ObjectError::Store`].
    pub async fn exists(&self, digest: &Digest) -> Result<bool, ObjectError> {
        match self.store.head(&key(digest)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(ObjectError::Store {
                digest: *digest,
                source,
            }),
        }
    }

    /// All objects there are, in no order. What is no digest is not ours and left out.
    ///
    /// # Errors
    /// [`ObjectError::List`].
    pub async fn list(&self) -> Result<Vec<Digest>, ObjectError> {
        let listed: Vec<_> = self
            .store
            .list(Some(&Key::from(PACKAGES)))
            .try_collect()
            .await
            .map_err(|source| ObjectError::List { source })?;
        Ok(listed
            .iter()
            .filter_map(|object| object.location.filename()?.parse().ok())
            .collect())
    }

    /// Takes the object away, and the copy of it here; one that is not there is no error.
    ///
    /// # Errors
    /// [`ObjectError::Store`], [`ObjectError::Copy`].
    pub async fn delete(&self, digest: &Digest) -> Result<(), ObjectError> {
        if let Place::Remote(remote) = &self.place {
            remote.forget(digest).await?;
        }
        match self.store.delete(&key(digest)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(ObjectError::Store {
                digest: *digest,
                source,
            }),
        }
    }
}

const PACKAGES: &str = "packages";
/// The object that says whose the store is.
const MARK: &str = "plugyard-instance";
/// More than a mark needs; what is longer is none of ours.
const MARK_LIMIT: usize = 200;

fn key(digest: &Digest) -> Key {
    Key::from(format!("{PACKAGES}/{digest}"))
}

fn path(root: &Path, digest: &Digest) -> PathBuf {
    root.join(PACKAGES).join(digest.to_string())
}

fn matching(expected: Digest, found: Digest) -> Result<(), ObjectError> {
    if expected == found {
        Ok(())
    } else {
        Err(ObjectError::Mismatch { expected, found })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other)?
}

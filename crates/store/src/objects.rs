//! Immutable bytes known by their SHA-256.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use plugyard_model::{Digest, Problem, codes};

/// The object store cannot be used.
#[derive(Debug, thiserror::Error)]
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
    /// An object cannot be written.
    #[error("cannot store the object {digest}")]
    Put {
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
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "Object store failed"
        );
        Problem::new(codes::OBJECTS_UNAVAILABLE)
    }
}

/// The object store: `packages/{sha256}` below a directory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    root: PathBuf,
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
            root,
        })
    }

    /// Takes over a file with exactly the bytes of `digest` (the caller has hashed them). The file is
    /// gone from its old place afterwards. An object that is there already stays as it is.
    ///
    /// On disk before this returns: a row that names the object may be written next.
    ///
    /// # Errors
    /// [`ObjectError::Put`].
    pub async fn put_file(&self, file: &Path, digest: &Digest) -> Result<(), ObjectError> {
        let (from, to, digest) = (file.to_owned(), self.path(digest), *digest);
        blocking(move || move_durably(&from, &to))
            .await
            .map_err(|source| ObjectError::Put { digest, source })
    }

    /// A local file with the object's bytes. Nobody may write to it.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`], [`ObjectError::Store`].
    pub async fn local_file(&self, digest: &Digest) -> Result<PathBuf, ObjectError> {
        if self.exists(digest).await? {
            Ok(self.path(digest))
        } else {
            Err(ObjectError::NotFound { digest: *digest })
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

    /// Takes the object away; one that is not there is no error.
    ///
    /// # Errors
    /// [`ObjectError::Store`].
    pub async fn delete(&self, digest: &Digest) -> Result<(), ObjectError> {
        match self.store.delete(&key(digest)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(ObjectError::Store {
                digest: *digest,
                source,
            }),
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join(PACKAGES).join(digest.to_string())
    }
}

const PACKAGES: &str = "packages";

fn key(digest: &Digest) -> Key {
    Key::from(format!("{PACKAGES}/{digest}"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other)?
}

/// A rename, not a copy: packages are large, and staging is on the same file system as a rule.
fn move_durably(from: &Path, to: &Path) -> std::io::Result<()> {
    let directory = to.parent().unwrap_or(Path::new("/"));
    if to.exists() {
        return std::fs::remove_file(from);
    }
    std::fs::File::open(from)?.sync_all()?;
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
            // The name beside the final one is taken by nobody else: digests have no dot.
            let near = to.with_extension("part");
            std::fs::copy(from, &near)?;
            std::fs::File::open(&near)?.sync_all()?;
            std::fs::rename(&near, to)?;
            std::fs::remove_file(from)?;
        }
        other => other?,
    }
    std::fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_object_is_found_by_its_digest_until_it_is_deleted() {
        let home = tempfile::tempdir().unwrap();
        let objects = Objects::local(home.path().join("objects")).unwrap();
        let file = home.path().join("a");
        std::fs::write(&file, b"bytes").unwrap();
        let digest = Digest::from_bytes([7; 32]);
        assert!(!objects.exists(&digest).await.unwrap());
        assert!(matches!(
            objects.local_file(&digest).await,
            Err(ObjectError::NotFound { .. })
        ));

        objects.put_file(&file, &digest).await.unwrap();
        assert!(!file.exists());
        let stored = objects.local_file(&digest).await.unwrap();
        assert_eq!(std::fs::read(stored).unwrap(), b"bytes");
        assert_eq!(objects.list().await.unwrap(), [digest]);

        std::fs::write(&file, b"bytes").unwrap();
        objects.put_file(&file, &digest).await.unwrap();
        objects.delete(&digest).await.unwrap();
        objects.delete(&digest).await.unwrap();
        assert!(!objects.exists(&digest).await.unwrap());
    }
}

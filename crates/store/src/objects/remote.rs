//! Objects that lie elsewhere, with verified copies here.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _};
use plugyard_model::Digest;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::io::AsyncReadExt as _;

use super::files::{move_durably, verify_and_move};
use super::{ObjectError, PACKAGES, blocking, matching, path};

/// Bytes per part. S3 wants at least 5 MiB, and at most 10 000 parts: enough for 78 GiB.
const PART: usize = 8 << 20;
/// What unfinished copies are called; none of them outlives a start.
const PARTIAL: &str = ".partial-";

/// A store, and the directory with copies from it.
#[derive(Clone)]
pub(super) struct Remote {
    store: Arc<dyn ObjectStore>,
    cache: PathBuf,
}

impl fmt::Debug for Remote {
    /// Without the store, which is shown elsewhere.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl Remote {
    pub(super) fn new(store: Arc<dyn ObjectStore>, cache: PathBuf) -> Result<Self, ObjectError> {
        prepare(&cache.join(PACKAGES)).map_err(|source| ObjectError::Open {
            path: cache.clone(),
            source: source.into(),
        })?;
        Ok(Self { store, cache })
    }

    /// Sends a file and keeps it as the copy. It is hashed while it is sent, and the store shows the
    /// object only after the last part, so what it shows has been verified.
    pub(super) async fn put(
        &self,
        file: &Path,
        key: &Key,
        digest: &Digest,
    ) -> Result<(), ObjectError> {
        let unreadable = |source| ObjectError::Put {
            digest: *digest,
            source,
        };
        let failed = |source| ObjectError::Store {
            digest: *digest,
            source,
        };
        let mut input = tokio::fs::File::open(file).await.map_err(unreadable)?;
        let mut hash = Sha256::new();
        let first = part(&mut input, &mut hash).await.map_err(unreadable)?;
        if first.len() < PART {
            matching(*digest, finish(hash))?;
            self.store.put(key, first.into()).await.map_err(failed)?;
        } else {
            let mut upload = self.store.put_multipart(key).await.map_err(failed)?;
            let sent = async {
                let mut bytes = first;
                while !bytes.is_empty() {
                    upload.put_part(bytes.into()).await.map_err(failed)?;
                    bytes = part(&mut input, &mut hash).await.map_err(unreadable)?;
                }
                matching(*digest, finish(hash))?;
                upload.complete().await.map(drop).map_err(failed)
            }
            .await;
            if let Err(error) = sent {
                give_up(upload, digest).await;
                return Err(error);
            }
        }
        self.adopt(file, digest).await
    }

    /// Makes a file the copy of an object that the store has already.
    pub(super) async fn adopt(&self, file: &Path, digest: &Digest) -> Result<(), ObjectError> {
        let (from, to, digest) = (file.to_owned(), self.path(digest), *digest);
        let found = blocking(move || verify_and_move(&from, &to, &digest))
            .await
            .map_err(|source| ObjectError::Copy { digest, source })?;
        matching(digest, found)
    }

    pub(super) async fn local_file(
        &self,
        key: &Key,
        digest: &Digest,
    ) -> Result<PathBuf, ObjectError> {
        let target = self.path(digest);
        let uncopied = |source| ObjectError::Copy {
            digest: *digest,
            source,
        };
        if tokio::fs::try_exists(&target).await.map_err(uncopied)? {
            return Ok(target);
        }
        let failed = |source| match source {
            object_store::Error::NotFound { .. } => ObjectError::NotFound { digest: *digest },
            source => ObjectError::Store {
                digest: *digest,
                source,
            },
        };
        let mut bytes = self.store.get(key).await.map_err(failed)?.into_stream();
        let directory = self.cache.join(PACKAGES);
        // Each download has its own file, so that two at once do not meet in one.
        let mut copy = blocking(move || {
            tempfile::Builder::new()
                .prefix(PARTIAL)
                .tempfile_in(directory)
        })
        .await
        .map_err(uncopied)?;
        let mut hash = Sha256::new();
        while let Some(chunk) = bytes.try_next().await.map_err(failed)? {
            hash.update(&chunk);
            copy = blocking(move || copy.write_all(&chunk).map(|()| copy))
                .await
                .map_err(uncopied)?;
        }
        matching(*digest, finish(hash))?;
        let to = target.clone();
        blocking(move || keep(copy, &to)).await.map_err(uncopied)?;
        Ok(target)
    }

    /// Removes the copy.
    pub(super) async fn forget(&self, digest: &Digest) -> Result<(), ObjectError> {
        match tokio::fs::remove_file(self.path(digest)).await {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(ObjectError::Copy {
                    digest: *digest,
                    source,
                })
            }
            _ => Ok(()),
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        path(&self.cache, digest)
    }
}

/// Makes the directory and removes what an earlier process had begun.
fn prepare(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn keep(copy: NamedTempFile, to: &Path) -> std::io::Result<()> {
    let from = copy.into_temp_path();
    move_durably(&from, to)?;
    // It has another name now, or was removed because another download was first.
    from.keep().map(drop).map_err(std::io::Error::from)
}

/// The next part; a shorter one is the last, an empty one the end.
async fn part(input: &mut tokio::fs::File, hash: &mut Sha256) -> std::io::Result<Bytes> {
    let mut bytes = Vec::new();
    input.take(PART as u64).read_to_end(&mut bytes).await?;
    hash.update(&bytes);
    Ok(bytes.into())
}

fn finish(hash: Sha256) -> Digest {
    Digest::from_bytes(hash.finalize().into())
}

/// Parts that nobody will put together cost money until they are taken back.
async fn give_up(mut upload: Box<dyn MultipartUpload>, digest: &Digest) {
    if let Err(error) = upload.abort().await {
        tracing::warn!(
            object.digest = %digest,
            error = &error as &dyn std::error::Error,
            "An unfinished upload of the object {digest} stays in the store"
        );
    }
}

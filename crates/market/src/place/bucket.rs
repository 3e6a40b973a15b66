//! A place in an object store.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path as Key;
use object_store::{
    Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    UpdateVersion, WriteMultipart,
};
use tokio::runtime::Handle;

use super::{Found, Put, State, changed, pass};
use crate::hex::Sha256;
use crate::repository::RepositoryError;

/// What is smaller goes in one request. S3 wants at least 5 MiB of each part.
const PART: usize = 8 << 20;

/// The largest document that is read, in bytes: more than any may have.
const DOCUMENT_LIMIT: u64 = 64 << 20;

#[derive(Clone)]
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    address: Arc<str>,
    runtime: Handle,
}

impl Bucket {
    pub(super) fn new(store: Arc<dyn ObjectStore>, address: String, runtime: Handle) -> Self {
        Self {
            store,
            address: address.into(),
            runtime,
        }
    }

    pub(super) fn read(&self, path: &str) -> Result<Option<Found>, RepositoryError> {
        let found = self.runtime.block_on(async {
            let got = self.store.get(&Key::from(path)).await?;
            if got.meta.size > DOCUMENT_LIMIT {
                return Err(Error::Generic {
                    store: "market",
                    source: format!("it has {} bytes", got.meta.size).into(),
                });
            }
            let state = State::Version(UpdateVersion {
                e_tag: got.meta.e_tag.clone(),
                version: got.meta.version.clone(),
            });
            let bytes = got.bytes().await?.to_vec();
            Ok(Found { bytes, state })
        });
        match found {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.at(path)(error)),
        }
    }

    pub(super) fn put(
        &self,
        path: &str,
        bytes: &[u8],
        how: Put<'_>,
    ) -> Result<bool, RepositoryError> {
        let mode = match how {
            Put::Any | Put::Over(State::Locked) => PutMode::Overwrite,
            Put::New | Put::Over(State::Absent) => PutMode::Create,
            Put::Over(State::Version(version)) => PutMode::Update(version.clone()),
        };
        match self.send(path, bytes, mode) {
            Ok(()) => Ok(true),
            // Ours all the same, when only the answer to a first attempt was lost.
            Err(
                Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotFound { .. },
            ) => Ok(self.read(path)?.is_some_and(|found| found.bytes == bytes)),
            // A store that knows no conditions: as near as one gets to it.
            Err(Error::NotImplemented { .. }) => {
                let there = self.read(path)?;
                let free = match (how, &there) {
                    (Put::Over(State::Version(read)), Some(found)) => {
                        matches!(&found.state, State::Version(now) if now == read)
                    }
                    (_, Some(found)) => return Ok(found.bytes == bytes),
                    (_, None) => true,
                };
                if free {
                    self.send(path, bytes, PutMode::Overwrite)
                        .map_err(self.at(path))?;
                }
                Ok(free)
            }
            Err(error) => Err(self.at(path)(error)),
        }
    }

    fn send(&self, path: &str, bytes: &[u8], mode: PutMode) -> Result<(), Error> {
        let (key, bytes) = (Key::from(path), Bytes::copy_from_slice(bytes));
        let sent = self
            .store
            .put_opts(&key, bytes.into(), PutOptions::from(mode));
        self.runtime.block_on(sent).map(drop)
    }

    pub(super) fn take_in(
        &self,
        from: &Path,
        path: &str,
        expected: (Sha256, u64),
    ) -> Result<(), RepositoryError> {
        let key = Key::from(path);
        match self.runtime.block_on(self.store.head(&key)) {
            Ok(there) if there.size == expected.1 => return Ok(()),
            Ok(_) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(self.at(path)(error)),
        }
        if expected.1 < PART as u64 {
            let mut bytes = Vec::new();
            let read = pass(from, |part| {
                bytes.extend_from_slice(part);
                Ok(())
            })?;
            if read != expected {
                return Err(changed(from));
            }
            return self
                .send(path, &bytes, PutMode::Overwrite)
                .map_err(self.at(path));
        }
        let upload = self.runtime.block_on(self.store.put_multipart(&key));
        let upload = upload.map_err(self.at(path))?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART);
        let read = pass(from, |part| {
            // So that a slow store is not outrun by a fast disk.
            self.runtime
                .block_on(writer.wait_for_capacity(4))
                .map_err(self.at(path))?;
            let _entered = self.runtime.enter();
            writer.write(part);
            Ok(())
        });
        match read {
            Ok(read) if read == expected => self
                .runtime
                .block_on(writer.finish())
                .map(drop)
                .map_err(self.at(path)),
            other => {
                // Parts that nobody puts together cost money until they are taken back.
                if let Err(error) = self.runtime.block_on(writer.abort()) {
                    tracing::warn!(%error, "An unfinished upload stays in the store");
                }
                other.and_then(|_| Err(changed(from)))
            }
        }
    }

    pub(super) fn names(&self, path: &str) -> Result<Vec<String>, RepositoryError> {
        let prefix = Key::from(path);
        let listed = self
            .store
            .list(Some(&prefix))
            .try_filter_map(
                |object| async move { Ok(object.location.filename().map(str::to_owned)) },
            )
            .try_collect();
        self.runtime.block_on(listed).map_err(self.at(path))
    }

    pub(super) fn remove(&self, path: &str) {
        let removed = self.runtime.block_on(self.store.delete(&Key::from(path)));
        if let Err(error) = removed {
            tracing::debug!(%error, path, "An old document stays");
        }
    }

    pub(super) async fn stream(
        &self,
        path: &str,
        begin: u64,
    ) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
        let options = GetOptions {
            range: (begin > 0).then_some(GetRange::Offset(begin)),
            ..GetOptions::default()
        };
        let got = self.store.get_opts(&Key::from(path), options).await;
        let got = got.map_err(io::Error::other)?;
        Ok(got.into_stream().map_err(io::Error::other).boxed())
    }

    fn at(&self, path: &str) -> impl Fn(Error) -> RepositoryError {
        let path = format!("{}/{path}", self.address);
        move |source| RepositoryError::Store {
            path: path.clone(),
            source,
        }
    }
}

impl fmt::Debug for Bucket {
    /// Without the store, which knows its keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

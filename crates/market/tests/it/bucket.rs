//! A market whose documents and packages lie in a bucket.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult,
};
use plugyard_market::client::{offers, refresh};
use plugyard_market::{
    MarketSettings, Place, Refusal, Release, Repository, RepositoryError, Role, Transport, Trust,
};
use tokio::runtime::Runtime;

use crate::support::now;

/// A store in memory that may lack conditions, and that can be told to fail.
#[derive(Debug)]
struct Store {
    inner: InMemory,
    conditions: bool,
    /// Writes that still succeed.
    writes: AtomicUsize,
}

impl Store {
    fn new(conditions: bool) -> Arc<Self> {
        Arc::new(Self {
            inner: InMemory::new(),
            conditions,
            writes: AtomicUsize::new(usize::MAX),
        })
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

#[async_trait]
impl ObjectStore for Store {
    async fn put_opts(
        &self,
        location: &Key,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        if !self.conditions && !matches!(options.mode, PutMode::Overwrite) {
            return Err(Error::NotImplemented {
                operation: "put on a condition".to_owned(),
                implementer: "memory".to_owned(),
            });
        }
        let left = self
            .writes
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |it| it.checked_sub(1));
        if left.is_err() {
            return Err(Error::Generic {
                store: "memory",
                source: "it went away".into(),
            });
        }
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Key,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(
        &self,
        location: &Key,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Key>>,
    ) -> BoxStream<'static, object_store::Result<Key>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Key,
        to: &Key,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

struct Bucket {
    store: Arc<Store>,
    runtime: Runtime,
    home: tempfile::TempDir,
}

impl Bucket {
    fn new(conditions: bool) -> Self {
        let bucket = Self {
            store: Store::new(conditions),
            runtime: Runtime::new().unwrap(),
            home: tempfile::tempdir().unwrap(),
        };
        Repository::init_at(
            bucket.place(),
            &bucket.keys(),
            MarketSettings::default(),
            now(),
        )
        .unwrap();
        bucket
    }

    fn place(&self) -> Place {
        Place::bucket(
            Arc::clone(&self.store) as Arc<dyn ObjectStore>,
            "s3://bucket/prefix",
            self.runtime.handle().clone(),
        )
    }

    fn keys(&self) -> PathBuf {
        self.home.path().join("keys")
    }

    fn open(&self) -> Repository {
        Repository::open_at(self.place(), &self.keys(), &[]).unwrap()
    }

    fn publish(&self, fskey: &str, version: &str, bytes: &[u8]) -> Result<bool, RepositoryError> {
        publish(&mut self.open(), self.home.path(), fskey, version, bytes)
    }

    /// The versions that a client finds, from the oldest to the newest.
    fn found(&self, trust: &mut Trust, fskey: &str) -> Result<Vec<String>, Refusal> {
        self.runtime.block_on(async {
            let catalogue = refresh(trust, self, now()).await?;
            let found = offers(&catalogue, self, fskey, now()).await?;
            let mut versions: Vec<_> = found
                .unwrap_or_default()
                .into_iter()
                .map(|it| it.version)
                .collect();
            versions.sort();
            Ok(versions.iter().map(ToString::to_string).collect())
        })
    }

    fn trust(&self) -> Trust {
        Trust::from_root(&self.open().root().unwrap()).unwrap()
    }

    fn names(&self, prefix: &str) -> Vec<String> {
        use futures::TryStreamExt as _;
        let listed = self.store.list(Some(&Key::from(prefix)));
        let all: Vec<ObjectMeta> = self.runtime.block_on(listed.try_collect()).unwrap();
        all.iter().map(|it| it.location.to_string()).collect()
    }
}

fn publish(
    market: &mut Repository,
    home: &Path,
    fskey: &str,
    version: &str,
    bytes: &[u8],
) -> Result<bool, RepositoryError> {
    let file = home.join(format!("{fskey}-{version}.zip"));
    std::fs::write(&file, bytes).unwrap();
    let release = Release {
        fskey: fskey.to_owned(),
        version: version.to_owned(),
        ..Release::default()
    };
    market.publish(&file, release, now()).map(|it| it.new)
}

#[async_trait]
impl Transport for Bucket {
    async fn load(&self, path: &str, _: u64) -> Result<Option<Vec<u8>>, Refusal> {
        match self.store.get(&Key::from(path)).await {
            Ok(found) => Ok(Some(found.bytes().await.unwrap().to_vec())),
            Err(_) => Ok(None),
        }
    }
}

#[test]
fn a_market_in_a_bucket_is_a_market_and_holds_no_private_key() {
    for conditions in [true, false] {
        let bucket = Bucket::new(conditions);
        let large = vec![7; 20 << 20];
        assert!(bucket.publish("A", "1.0.0", b"one").unwrap());
        assert!(!bucket.publish("A", "1.0.0", b"one").unwrap());
        assert!(bucket.publish("A", "1.1.0", &large).unwrap());
        let taken = bucket.publish("A", "1.1.0", b"other").unwrap_err();
        assert!(matches!(taken, RepositoryError::VersionTaken { .. }));
        let mut trust = bucket.trust();
        assert_eq!(bucket.found(&mut trust, "A").unwrap(), ["1.0.0", "1.1.0"]);
        let mut market = bucket.open();
        market.rotate(Role::Root, now()).unwrap();
        market.rotate(Role::Targets, now()).unwrap();
        market.yank("A", "1.0.0", true, now()).unwrap();
        let code = market.code_issue("A").unwrap();
        assert!(market.code_is_good("A", &code).unwrap());
        assert_eq!(bucket.found(&mut trust, "A").unwrap(), ["1.0.0", "1.1.0"]);
        assert_eq!(trust.seen().root, 3);
        let packages = bucket.names("packages");
        assert_eq!(packages.len(), 2, "{packages:?}");

        // What anybody may read who may read the bucket.
        let keys = std::fs::read_dir(bucket.keys()).unwrap();
        let secrets: Vec<String> = keys
            .map(|it| it.unwrap().path())
            .filter(|it| it.is_file())
            .map(|it| std::fs::read_to_string(it).unwrap())
            .collect();
        assert!(secrets.len() > 4);
        for name in bucket.names("") {
            let got = bucket.runtime.block_on(async {
                bucket
                    .store
                    .get(&Key::from(name.as_str()))
                    .await?
                    .bytes()
                    .await
            });
            let text = String::from_utf8_lossy(&got.unwrap()).into_owned();
            assert!(secrets.iter().all(|it| !text.contains(it.trim())), "{name}");
            assert!(!text.contains(&code), "{name}");
        }
    }
}

#[test]
fn publishers_at_the_same_time_do_not_lose_one_another() {
    let bucket = Bucket::new(true);
    let mut trust = bucket.trust();
    std::thread::scope(|scope| {
        for publisher in 0..4 {
            let bucket = &bucket;
            scope.spawn(move || {
                let home = tempfile::tempdir().unwrap();
                let mut market = bucket.open();
                for number in 0..3 {
                    // Half of them in one plugin's document, half in documents of their own.
                    let own = format!("P{publisher}");
                    let fskey = if publisher % 2 == 0 { "Shared" } else { &own };
                    let version = format!("{publisher}.{number}.0");
                    publish(
                        &mut market,
                        home.path(),
                        fskey,
                        &version,
                        version.as_bytes(),
                    )
                    .unwrap();
                }
            });
        }
        let bucket = &bucket;
        scope.spawn(move || {
            for _ in 0..2 {
                bucket.open().rotate(Role::Timestamp, now()).unwrap();
                bucket.open().code_issue("Shared").unwrap();
            }
        });
    });
    let shared = ["0.0.0", "0.1.0", "0.2.0", "2.0.0", "2.1.0", "2.2.0"];
    assert_eq!(bucket.found(&mut trust, "Shared").unwrap(), shared);
    for publisher in [1, 3] {
        let found = bucket.found(&mut trust, &format!("P{publisher}")).unwrap();
        assert_eq!(found.len(), 3, "{found:?}");
    }
    assert_eq!(trust.seen().root, 3);
}

#[test]
fn a_change_that_breaks_off_at_any_write_changes_nothing_or_all() {
    for role in [None, Some(Role::Root), Some(Role::Targets)] {
        for left in 0..12 {
            let bucket = Bucket::new(true);
            bucket.publish("A", "1.0.0", b"one").unwrap();
            let mut trust = bucket.trust();
            bucket.found(&mut trust, "A").unwrap();
            bucket.store.writes.store(left, Ordering::SeqCst);
            let ended = match role {
                None => bucket.publish("A", "1.1.0", b"two").map(drop),
                Some(role) => bucket.open().rotate(role, now()).map(drop),
            };
            bucket.store.writes.store(usize::MAX, Ordering::SeqCst);
            // Who looks in between; between a new root and what its keys sign, it may be told to wait.
            let between = bucket.found(&mut trust, "A");
            if role.is_none() {
                let expected: &[&str] = match ended {
                    Ok(()) => &["1.0.0", "1.1.0"],
                    Err(_) => &["1.0.0"],
                };
                assert_eq!(between.unwrap(), expected, "after {left} writes");
            }
            // Whoever changes something next, or serves it, puts it in order.
            bucket.open().refresh(now()).unwrap();
            bucket.publish("A", "1.2.0", b"three").unwrap();
            let found = bucket.found(&mut trust, "A").unwrap();
            assert!(
                found.starts_with(&["1.0.0".to_owned()]) && found.ends_with(&["1.2.0".to_owned()]),
                "{role:?} after {left} writes: {found:?}"
            );
            let fresh = bucket.found(&mut bucket.trust(), "A").unwrap();
            assert_eq!(fresh, found, "{role:?} after {left} writes");
        }
    }
}

#[test]
fn a_bucket_that_is_none_or_somebody_elses_is_refused() {
    let bucket = Bucket::new(true);
    let elsewhere = bucket.home.path().join("other");
    let again = Repository::init_at(bucket.place(), &elsewhere, MarketSettings::default(), now());
    assert!(matches!(again, Err(RepositoryError::Exists(_))));
    // Keys that sign another market are not mixed with new ones.
    let empty = Place::bucket(
        Store::new(true),
        "s3://empty",
        bucket.runtime.handle().clone(),
    );
    let mixed = Repository::init_at(
        empty.clone(),
        &bucket.keys(),
        MarketSettings::default(),
        now(),
    );
    assert!(matches!(mixed, Err(RepositoryError::Exists(_))));
    let none = Repository::open_at(empty, &bucket.keys(), &[]);
    assert!(matches!(none, Err(RepositoryError::NotThere(at)) if at == "s3://empty"));
    bucket.store.writes.store(0, Ordering::SeqCst);
    let away = bucket.publish("A", "1.0.0", b"one").unwrap_err();
    assert!(matches!(away, RepositoryError::Store { .. }), "{away}");
}

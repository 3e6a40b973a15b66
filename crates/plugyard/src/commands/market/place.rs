//! Where a market of one's own is: a directory with everything, or a bucket and a directory with its keys.

use std::path::{Path, PathBuf};

use plugyard_market::{MarketSettings, Place, Repository, RepositoryError};
use plugyard_model::{Problem, codes};
use plugyard_platform::Home;
use plugyard_store::ObjectsUrl;
use tokio::runtime::Runtime;

use super::own::failed;
use crate::cli::{self, Auth, Serve};
use crate::commands::Context;
use crate::failure::Failure;
use crate::settings;

/// Where the keys of a market in a bucket are, unless somebody says.
const KEYS: &str = "market-keys";

/// A place that was opened, with what waits for a bucket.
pub(super) struct Opened {
    place: Place,
    keys: PathBuf,
    more: Vec<PathBuf>,
    /// Lives as long as somebody asks the bucket.
    _runtime: Option<Runtime>,
}

impl Opened {
    pub(super) fn new(named: &cli::Place, context: &Context) -> Result<Self, Failure> {
        if let Some(directory) = named.place.as_directory() {
            return Ok(Self {
                place: Place::directory(directory),
                keys: directory.join("keys"),
                more: named.keys.clone(),
                _runtime: None,
            });
        }
        let mut keys = named.keys.clone().into_iter();
        let unusable = |reason: String| {
            context.problem(&Problem::new(codes::E_MARKET_UNUSABLE).with("reason", reason))
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        let place = bucket(&named.place, &runtime, context)?;
        Ok(Self {
            place,
            keys: keys.next().unwrap_or_else(|| KEYS.into()),
            more: keys.collect(),
            _runtime: Some(runtime),
        })
    }

    pub(super) fn keys(&self) -> &Path {
        &self.keys
    }

    pub(super) fn init(&self, settings: MarketSettings) -> Result<Repository, RepositoryError> {
        let now = jiff::Timestamp::now();
        Repository::init_at(self.place.clone(), &self.keys, settings, now)
    }

    pub(super) fn market(&self, context: &Context) -> Result<Repository, Failure> {
        Repository::open_at(self.place.clone(), &self.keys, &self.more)
            .map_err(|error| failed(&error, context))
    }
}

/// The bucket, entered as the server enters the one of its packages: by the section `objects` of the
/// configuration, and the variables that every client of S3 knows.
fn bucket(url: &ObjectsUrl, runtime: &Runtime, context: &Context) -> Result<Place, Failure> {
    let home = Home::new(&context.global.home);
    let serve = Serve {
        listen: None,
        auth: Some(Auth::Token),
        safe_mode: false,
    };
    let options = settings::load(&home, &serve)
        .and_then(|settings| settings.objects.store(&home))
        .map_err(|problem| context.problem(&problem))?;
    let store = url.bucket(&options.1).map_err(|error| {
        let cause =
            std::error::Error::source(&error).map_or_else(String::new, |it| format!(": {it}"));
        let reason = format!("{error}{cause}");
        context.problem(&Problem::new(codes::E_MARKET_UNUSABLE).with("reason", reason))
    })?;
    Ok(match store {
        Some(store) => Place::bucket(store, url.to_string(), runtime.handle().clone()),
        None => Place::directory(url.to_string()),
    })
}

//! Putting a server together and running it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::middleware::from_fn_with_state;
use futures::future::BoxFuture;
use plugyard_http::idempotency::{AnswerStore, replay};
use plugyard_http::{Rights, RouteRight, authorize, present};
use plugyard_platform::{Platform, Registration, StoredAnswers};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::app::{App, layered, limited};
use crate::audit_log::record;
use crate::document::{complete, merge};
use crate::error::{StartError, WiringError};
use crate::listen::{Socket, bind_tcp, bind_unix, serve_tcp, serve_unix};
use crate::settings::ServerSettings;
use crate::{batch, pages, system, v1};

/// Routes of another crate with their rights.
pub struct Routes {
    /// The routes, each with its operation in the document.
    pub router: OpenApiRouter,
    /// The right of each.
    pub rights: Vec<RouteRight>,
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Routes")
            .field("rights", &self.rights)
            .finish_non_exhaustive()
    }
}

impl From<Registration> for Routes {
    fn from(registration: Registration) -> Self {
        Self {
            router: registration.router,
            rights: registration.rights,
        }
    }
}

/// The HTTP server, put together but not listening.
pub struct Server {
    app: App,
    routes: Router,
    /// Held for as long as the server lives; a batch asks them.
    inner: Arc<Router>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("settings", &self.app.settings)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Merges the native routes with those of kinds and flow.
    ///
    /// # Errors
    /// When an operation has no right, a right no operation, or two operations or schemas one name.
    pub fn new(
        settings: ServerSettings,
        platform: Platform,
        others: Vec<Routes>,
    ) -> Result<Self, WiringError> {
        let (own, mut document, mut rights) = own_routes()?;
        let mut foreign = Router::new();
        for other in others {
            let (router, described) = other.router.split_for_parts();
            merge(&mut document, described)?;
            foreign = foreign.merge(router);
            rights.extend(other.rights);
        }
        let rights = Arc::new(Rights::new(rights)?);
        let document = complete(document, &rights, &settings.version)?;
        let answers: Arc<dyn AnswerStore> = Arc::new(StoredAnswers::new(platform.clone()));
        let app = App::new(platform, settings, rights.clone());
        let routes = own
            .with_state(app.clone())
            .merge(foreign)
            .merge(pages::router(&document))
            .route_layer((
                from_fn_with_state(app.clone(), record),
                from_fn_with_state(rights, authorize),
                from_fn_with_state(answers, replay),
            ));
        let routes = limited(routes, &app);
        // A problem in a batch is worded like any other.
        let inner = routes
            .clone()
            .layer(from_fn_with_state(app.rights.clone(), present));
        let inner = Arc::new(inner);
        app.set_inner_routes(&inner);
        let routes = layered(routes, &app);
        Ok(Self { app, routes, inner })
    }

    /// Takes the addresses. Nothing is answered before [`Bound::run`].
    ///
    /// # Errors
    /// When an address is taken, or open to others although nobody has to sign in.
    pub async fn bind(self) -> Result<Bound, StartError> {
        let settings = &self.app.settings;
        let mut tcp = Vec::new();
        for &address in &settings.listen {
            tcp.push(bind_tcp(address, settings.auth).await?);
        }
        let socket = match &settings.socket {
            Some(path) => Some(bind_unix(path).await?),
            None => None,
        };
        // Plugins start after this, and are told where to find the server.
        if let Some(address) = tcp.first().and_then(|it| it.local_addr().ok()) {
            self.app.platform.settings().plugin_access.serve_at(address);
        }
        Ok(Bound {
            app: self.app,
            routes: self.routes,
            inner: self.inner,
            tcp,
            socket,
            after_recovery: Box::pin(std::future::ready(())),
        })
    }
}

/// A server that has its addresses.
pub struct Bound {
    app: App,
    routes: Router,
    inner: Arc<Router>,
    tcp: Vec<TcpListener>,
    socket: Option<Socket>,
    after_recovery: BoxFuture<'static, ()>,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound")
            .field("addresses", &self.addresses())
            .finish_non_exhaustive()
    }
}

impl Bound {
    /// The TCP addresses, with the ports that were taken.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }

    /// Stops the server as `POST /stop` does.
    pub fn stopper(&self) -> CancellationToken {
        self.app.closing.clone()
    }

    /// What else has to be recovered once the platform is, and before the server is ready: rules, which
    /// need the symbols of plugins.
    #[must_use]
    pub fn after_recovery(mut self, next: impl Future<Output = ()> + Send + 'static) -> Self {
        self.after_recovery = Box::pin(next);
        self
    }

    /// Answers until `shutdown` resolves or somebody posts `/stop`; then lets requests end within
    /// the grace and returns.
    ///
    /// Begins with [`Platform::recover`], during which only probes are answered. The platform itself
    /// is left running: its owner shuts it down.
    ///
    /// # Errors
    /// When recovery fails.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), StartError> {
        let app = self.app;
        let _inner = self.inner;
        let listeners =
            self.tcp
                .into_iter()
                .map(|listener| tokio::spawn(serve_tcp(listener, self.routes.clone(), app.clone())))
                .chain(self.socket.map(|socket| {
                    tokio::spawn(serve_unix(socket, self.routes.clone(), app.clone()))
                }))
                .collect::<Vec<_>>();
        let asked_to_end = async {
            tokio::select! {
                () = shutdown => {}
                () = app.closing.cancelled() => {}
            }
        };
        let work = async {
            app.platform.recover().await.map_err(StartError::Recover)?;
            self.after_recovery.await;
            app.recovered.store(true, Ordering::Release);
            tracing::info!("Ready");
            std::future::pending().await
        };
        let ended = tokio::select! {
            () = asked_to_end => Ok(()),
            failed = work => failed,
        };
        app.closing.cancel();
        for listener in listeners {
            if let Err(error) = listener.await {
                tracing::error!(%error, "A listener ended with a panic");
            }
        }
        ended
    }
}

/// The OpenAPI document of a server, without starting one. `others` are the documents and rights of
/// kinds and flow.
///
/// # Errors
/// As [`Server::new`].
pub fn openapi(
    version: &str,
    others: impl IntoIterator<Item = (OpenApi, Vec<RouteRight>)>,
) -> Result<OpenApi, WiringError> {
    let (_, mut document, mut rights) = own_routes()?;
    for (described, their_rights) in others {
        merge(&mut document, described)?;
        rights.extend(their_rights);
    }
    complete(document, &Rights::new(rights)?, version)
}

/// The routes of this crate, their document and their rights.
fn own_routes() -> Result<(Router<App>, OpenApi, Vec<RouteRight>), WiringError> {
    let mut merged = Router::new();
    let mut document = OpenApi::default();
    for router in [vec![system::router(), batch::router()], v1::routers()].concat() {
        let (router, described) = router.split_for_parts();
        merge(&mut document, described)?;
        merged = merged.merge(router);
    }
    let rights = [
        system::rights(),
        batch::rights(),
        pages::rights(),
        v1::rights(),
    ]
    .concat();
    Ok((merged, document, rights))
}

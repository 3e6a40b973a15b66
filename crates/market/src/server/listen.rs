//! Connections: so many at once, and none for long without a word.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::http::StatusCode;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::ServiceBuilder;

use super::ServerSettings;

/// How long a client may take for the head of a request.
const HEAD: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const HEAD_LIMIT: usize = 16 << 10;
/// How long requests may go on when the end was asked for.
const GRACE: Duration = Duration::from_secs(5);

/// Answers on a listener until `end` resolves; then requests under way have a moment.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: &ServerSettings,
    end: impl Future<Output = ()>,
) {
    let limited = router.layer(
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(|_| async {
                StatusCode::SERVICE_UNAVAILABLE
            }))
            .timeout(settings.request_timeout),
    );
    let places = Arc::new(Semaphore::new(settings.connections));
    let graceful = hyper_util::server::graceful::GracefulShutdown::new();
    let mut end = std::pin::pin!(end);
    loop {
        // A place first: what cannot be answered waits in the system's queue.
        let place = tokio::select! {
            () = &mut end => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = &mut end => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, _) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, mostly: trying again at once would only burn time.
                tracing::warn!(%error, "A connection cannot be taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(limited.clone());
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_LIMIT)
            .serve_connection(TokioIo::new(stream), service);
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            let _place = place;
            // A client that goes away is no event.
            let _ = watched.await;
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

//! The listener for operators: `/metrics`, `/livez`, `/readyz`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::{Metrics, Readiness};

/// Finds out whether the node is ready, and brings metrics up to date that are counted elsewhere.
/// Asked for every request, so nothing needs to run while nobody asks.
pub type Probe = Arc<dyn Fn(Metrics) -> BoxFuture + Send + Sync>;
/// What a [`Probe`] gives.
pub type BoxFuture = Pin<Box<dyn Future<Output = Readiness> + Send>>;

#[derive(Clone)]
struct Shared {
    metrics: Metrics,
    probe: Probe,
}

/// The routes:
/// - `/metrics`: OpenMetrics if the `Accept` header asks for it, else the Prometheus text format;
/// - `/livez`: 200 while the process answers;
/// - `/readyz`: 200 or 503; with `?verbose` what the node waits for, a line each; as JSON if the
///   `Accept` header asks for it.
pub fn router(metrics: Metrics, probe: Probe) -> Router {
    Router::new()
        .route("/metrics", get(serve_metrics))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(serve_readiness))
        .with_state(Shared { metrics, probe })
}

/// Serves the router until `stop` is done.
///
/// # Errors
/// What the socket reports.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await
}

fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains(kind))
}

async fn serve_metrics(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let readiness = (shared.probe)(shared.metrics.clone()).await;
    shared.metrics.set_ready(readiness.ready);
    let (kind, body) = if accepts(&headers, "application/openmetrics-text") {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        (kind, shared.metrics.open_metrics())
    } else {
        (
            "text/plain; version=0.0.4; charset=utf-8",
            shared.metrics.prometheus(),
        )
    };
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

async fn serve_readiness(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let readiness = (shared.probe)(shared.metrics.clone()).await;
    let status =
        StatusCode::from_u16(readiness.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if accepts(&headers, "application/json") {
        return (status, axum::Json(readiness)).into_response();
    }
    let verbose = query.is_some_and(|query| {
        query
            .split('&')
            .any(|part| part == "verbose" || part.starts_with("verbose="))
    });
    (status, readiness.text(verbose)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn start(readiness: Readiness) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let probe: Probe = Arc::new(move |metrics: Metrics| {
            metrics.set_peers(2, 3);
            let readiness = readiness.clone();
            Box::pin(async move { readiness })
        });
        let router = router(Metrics::new(), probe);
        tokio::spawn(serve(listener, router, std::future::pending()));
        format!("http://{address}")
    }

    async fn get(url: String, accept: &str) -> (u16, String) {
        let request = reqwest::Client::new().get(url).header("accept", accept);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    #[tokio::test]
    async fn a_waiting_node_is_alive_not_ready_and_says_why() {
        let reasons = vec!["chain 7: 2 of 4 validators are connected".to_owned()];
        let base = start(Readiness::waiting(reasons)).await;
        assert_eq!(
            get(format!("{base}/livez"), "*/*").await,
            (200, "alive\n".into())
        );
        assert_eq!(
            get(format!("{base}/readyz"), "*/*").await,
            (503, "not ready\n".into())
        );
        let verbose = get(format!("{base}/readyz?verbose"), "*/*").await.1;
        assert_eq!(
            verbose,
            "not ready\n- chain 7: 2 of 4 validators are connected\n"
        );
        let json = get(format!("{base}/readyz"), "application/json").await.1;
        assert!(json.starts_with("{\"ready\":false,\"reasons\":["), "{json}");
        assert_eq!(get(format!("{base}/other"), "*/*").await.0, 404);
    }

    #[tokio::test]
    async fn metrics_come_in_the_form_that_the_scraper_asks_for() {
        let base = start(Readiness::ready()).await;
        let (status, text) = get(format!("{base}/metrics"), "text/plain").await;
        assert_eq!(status, 200);
        assert!(text.contains("hawser_peers_connected 2\n") && !text.contains("# EOF"));
        assert!(text.contains("hawser_ready 1\n"));
        let open = get(format!("{base}/metrics"), "application/openmetrics-text")
            .await
            .1;
        assert!(open.ends_with("# EOF\n"));
        assert_eq!(
            get(format!("{base}/readyz?verbose=1"), "*/*").await,
            (200, "ready\n".into())
        );
    }
}

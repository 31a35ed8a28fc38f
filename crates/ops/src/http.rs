//! The listener for operators: `/metrics`, `/livez`, `/readyz`.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

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

/// Bounds on who asks. Monitoring needs little; whoever else reaches the port gets no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections; further ones are closed at once. Default 64.
    pub connections_max: usize,
    /// How long the head of a request may take, and how long a connection may be idle. Default 10 s.
    pub read: Duration,
    /// How long a connection is kept; a request on its way is answered first. Default 60 s.
    pub life: Duration,
    /// How long that answer may take to be read. Default 10 s.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 64,
            read: Duration::from_secs(10),
            life: Duration::from_secs(60),
            grace: Duration::from_secs(10),
        }
    }
}

/// Serves the router within the limits until `stop` is done. A failure to accept, such as no file
/// descriptors, passes.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    /// After a failure to accept, so that it does not spin.
    const PAUSE: Duration = Duration::from_millis(100);
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.as_mut() => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            connection(stream, router, limits).await;
            drop(place);
        });
    }
}

/// One client, until it goes, falls silent or has been there long enough. Errors are the client's.
async fn connection(stream: TcpStream, router: Router, limits: Limits) {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.read);
    let serving = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut serving = pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => {}
        () = tokio::time::sleep(limits.life) => {
            serving.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(limits.grace, serving).await;
        }
    }
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
    let asks = |wanted: &dyn Fn(&str) -> bool| {
        let mut parts = query.iter().flat_map(|query| query.split('&'));
        parts.any(wanted)
    };
    let verbose = asks(&|part| part == "verbose" || part.starts_with("verbose="));
    let chinese = asks(&|part| part.starts_with("lang=zh"));
    (status, readiness.text(verbose, chinese)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn start(readiness: Readiness) -> String {
        start_within(readiness, Limits::default()).await
    }

    async fn start_within(readiness: Readiness, limits: Limits) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let probe: Probe = Arc::new(move |metrics: Metrics| {
            metrics.set_peers(2, 3);
            let readiness = readiness.clone();
            Box::pin(async move { readiness })
        });
        let router = router(Metrics::new(), probe);
        tokio::spawn(serve(listener, router, limits, std::future::pending()));
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

    /// Reads until the other side closes; fails when it does not.
    async fn closed(stream: &mut TcpStream) -> String {
        use tokio::io::AsyncReadExt;
        let mut text = String::new();
        let read = stream.read_to_string(&mut text);
        let ended = tokio::time::timeout(Duration::from_secs(20), read).await;
        let _ = ended.expect("it stays open");
        text
    }

    #[tokio::test]
    async fn both_sides_of_the_connections_and_of_the_time_for_them() {
        use tokio::io::AsyncWriteExt;
        let limits = Limits {
            connections_max: 2,
            // Longer than a busy machine stands still between a connection and its request.
            read: Duration::from_secs(3),
            ..Limits::default()
        };
        let base = start_within(Readiness::ready(), limits).await;
        let address = base.strip_prefix("http://").unwrap().to_owned();
        let connect = || TcpStream::connect(address.clone());
        let (mut silent, mut slow) = (connect().await.unwrap(), connect().await.unwrap());
        slow.write_all(b"GET /livez HTTP/1.1\r\nx:").await.unwrap();
        let mut third = connect().await.unwrap();
        assert_eq!(closed(&mut third).await, "", "no place");
        closed(&mut silent).await;
        closed(&mut slow).await;
        // Both places are free again, and a connection that is used stays.
        let mut good = connect().await.unwrap();
        let request = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        good.write_all(request).await.unwrap();
        assert!(closed(&mut good).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn a_client_that_never_reads_its_answer_is_gone_after_a_while() {
        use tokio::io::AsyncWriteExt;
        let limits = Limits {
            connections_max: 1,
            life: Duration::from_millis(300),
            grace: Duration::from_millis(300),
            ..Limits::default()
        };
        let base = start_within(Readiness::ready(), limits).await;
        let address = base.strip_prefix("http://").unwrap().to_owned();
        let mut greedy = TcpStream::connect(address.clone()).await.unwrap();
        // More answers than any buffer holds, none of them read.
        let request = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(50);
        let writing = async { while greedy.write_all(&request).await.is_ok() {} };
        let ended = tokio::time::timeout(Duration::from_secs(20), writing).await;
        ended.expect("it may ask for ever");
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while reqwest::get(format!("{base}/livez")).await.is_err() {
            assert!(
                std::time::Instant::now() < end,
                "its place is not given back"
            );
        }
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

//! The listener: connections, HTTP, WebSocket.

mod accept;
mod budget;
mod http;
mod link;
mod origin;
mod pages;
mod places;
mod raw;
mod reply;
mod session;
mod ws;

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, routing::any};
use hawser_network::ListenerTls;
use hyper::service::{Service, service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use pages::{Page, Pages};
pub(crate) use reply::Reply;
pub(crate) use session::{Connection, Session};

use crate::{Chains, Refusal, RpcConfig, RpcError, methods::Shared};
use accept::Failures;
use budget::Budget;
use link::{Link, Pace, Paced};
use origin::Origins;
use places::{Place, Places};

/// Connections that are open at the end get this long to finish their answers.
const GRACE: Duration = Duration::from_secs(5);

/// What the routes share.
pub(crate) struct App {
    tls: Option<ListenerTls>,
    pages: Option<Pages>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) origins: Origins,
    pub(crate) websockets: Arc<Semaphore>,
    /// Bytes held for all clients.
    pub(crate) memory: Budget,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// The running interface.
pub struct RpcServer {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl RpcServer {
    /// Where it listens; tells the port when the configuration left it open.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops: no new connections, open ones get a few seconds to finish.
    pub async fn stop(self) {
        self.stop.cancel();
        self.stopped().await;
    }

    /// Waits until it has stopped.
    pub async fn stopped(self) {
        self.stop.cancelled().await;
        self.tasks.close();
        if tokio::time::timeout(GRACE, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::debug!("connections were still open at the end");
        }
    }
}

/// Listens and serves until `shutdown` ends.
///
/// # Errors
/// [`RpcError`] when the address is taken or the configuration makes no sense.
pub async fn serve(
    config: RpcConfig,
    chains: Chains,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<RpcServer, RpcError> {
    config.limits.check()?;
    let origins = Origins::new(&config)?;
    let listen = |source| RpcError::Listen {
        address: config.listen,
        source,
    };
    let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let app = Arc::new(App {
        tls: config.tls.clone(),
        shared: Arc::new(Shared::new(&config, chains)?),
        origins,
        pages: config.pages.clone(),
        websockets: Arc::new(Semaphore::new(config.limits.websockets_max)),
        memory: Budget::new(config.limits.memory_bytes_max),
        tasks: tasks.clone(),
        stop: stop.clone(),
    });
    tokio::spawn({
        let stop = stop.clone();
        async move {
            tokio::select! {
                () = shutdown => stop.cancel(),
                () = stop.cancelled() => {}
            }
        }
    });
    if let Some(tls) = config.tls.clone() {
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = tls.watch() => {}
                () = stop.cancelled() => {}
            }
        });
    }
    tasks.spawn(accept(listener, app));
    Ok(RpcServer {
        address,
        stop,
        tasks,
    })
}

fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/", any(http::root))
        .route("/chain/{id}", any(http::chain))
        .route("/raw", any(raw::root))
        .route("/chain/{id}/raw", any(raw::chain))
        .fallback(http::not_found)
        .layer(app.origins.layer())
        .with_state(Arc::clone(app))
}

async fn accept(listener: TcpListener, app: Arc<App>) {
    let router = router(&app);
    let limits = &app.shared.limits;
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let addresses = Places::new(limits.connections_per_address_max);
    let mut failures = Failures::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = app.stop.cancelled() => return,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                app.shared.observer.refused(Refusal::Accept);
                if let Some(times) = failures.failed(Instant::now()) {
                    tracing::warn!(%error, times, "cannot accept: {}", accept::advice(&error));
                }
                tokio::select! {
                    () = tokio::time::sleep(failures.pause()) => continue,
                    () = app.stop.cancelled() => return,
                }
            }
        };
        let failed = failures.succeeded();
        if failed > 0 {
            tracing::info!(failed, "connections are accepted again");
        }
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            app.shared.observer.refused(Refusal::Connections);
            if app.tls.is_none() {
                refuse(
                    &stream,
                    "too many connections to this node; retry shortly.\n",
                );
            }
            continue;
        };
        let Some(address) = addresses.take(from.ip()) else {
            app.shared.observer.refused(Refusal::Address);
            if app.tls.is_none() {
                refuse(
                    &stream,
                    "too many connections from your address; close some.\n",
                );
            }
            continue;
        };
        let (router, app_) = (router.clone(), Arc::clone(&app));
        app.tasks.spawn(async move {
            welcome(stream, from.ip(), address, router, &app_).await;
            drop(place);
        });
    }
}

/// Tells a client that there is no room, without waiting for anything it does.
fn refuse(stream: &TcpStream, why: &str) {
    let length = why.len();
    let text = format!(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
         content-type: text/plain\r\ncontent-length: {length}\r\n\r\n{why}"
    );
    // Whether it arrives does not matter.
    let _ = stream.try_write(text.as_bytes());
}

/// Shakes hands where TLS is on, then serves.
async fn welcome(stream: TcpStream, from: IpAddr, place: Place, router: Router, app: &App) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let budget = app.memory.part(app.shared.limits.connection_bytes_max);
    let Some(tls) = &app.tls else {
        let link = Link::new(Some(from), None, budget, Some(place));
        return connection(stream, link, router, app).await;
    };
    let handshake_max = Duration::from_millis(app.shared.limits.tls_ms_max);
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(handshake_max, tls.accept(stream)) => shaken,
        () = app.stop.cancelled() => return,
    };
    match shaken {
        Ok(Ok((stream, client))) => {
            let link = Link::new(Some(from), client.map(Arc::new), budget, Some(place));
            connection(stream, link, router, app).await;
        }
        Ok(Err(error)) => tracing::debug!(error, "TLS with a client"),
        Err(_) => tracing::debug!("a client's TLS handshake took too long"),
    }
}

async fn connection<S>(stream: S, link: Arc<Link>, router: Router, app: &App)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = Paced::new(stream, Arc::clone(&link), Pace::of(&app.shared.limits));
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Arc::clone(&link));
        router.call(request)
    });
    let read = Duration::from_millis(app.shared.limits.read_ms_max);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(read);
    let serving = builder
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = app.stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            match tokio::time::timeout(GRACE, serving).await {
                Ok(result) => result,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = result {
        tracing::trace!(%error, "connection");
        if link::is_too_slow(&error) {
            app.shared.observer.refused(Refusal::SlowClient);
        }
    }
}

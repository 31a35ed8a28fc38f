//! WebSockets through the proxy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::WebSocketUpgrade;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{self, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message as Up};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::server::{BODY_BYTES_MAX, Server};
use super::upstream::{Token, Trouble};

/// Largest message passed on from the node, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Time for one message to be taken by either side.
const SEND_TIME: Duration = Duration::from_secs(30);
/// Time to reach the node.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Pause before another try to renew a token that could not be renewed.
const RETRY: Duration = Duration::from_secs(5);

/// What carries the messages to the node.
trait Carrier: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Carrier for S {}

type Node = WebSocketStream<Box<dyn Carrier>>;

/// Opens a WebSocket to the node, then the one that was asked for.
pub(super) async fn open(
    upgrade: WebSocketUpgrade,
    server: Arc<Server>,
    path: String,
    place: OwnedSemaphorePermit,
) -> Response {
    match connect(&server, &path).await {
        Ok((node, token)) => upgrade
            .max_message_size(BODY_BYTES_MAX)
            .max_frame_size(BODY_BYTES_MAX)
            .on_upgrade(move |client| async move {
                pass(client, node, token, &server, &path).await;
                drop(place);
            }),
        Err(trouble) => {
            let body = super::server::failure(b"", &trouble, server.lang);
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (StatusCode::BAD_GATEWAY, kind, body).into_response()
        }
    }
}

async fn connect(server: &Server, path: &str) -> Result<(Node, Token), Trouble> {
    let token = server.upstream.token(path).await?;
    let url = server.upstream.socket_url(path);
    let away = |why: String| Trouble::Away {
        url: url.clone(),
        why,
    };
    let mut request = url
        .as_str()
        .into_client_request()
        .map_err(|error| away(error.to_string()))?;
    let bearer = HeaderValue::from_str(&format!("Bearer {}", token.text))
        .map_err(|error| away(error.to_string()))?;
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    let config = WebSocketConfig::default()
        .max_message_size(Some(ANSWER_BYTES_MAX))
        .max_frame_size(Some(ANSWER_BYTES_MAX));
    let connecting = async {
        let stream = carrier(server, path).await?;
        client_async_with_config(request, stream, Some(config)).await
    };
    match tokio::time::timeout(CONNECT_TIME, connecting).await {
        Ok(Ok((node, _))) => Ok((node, token)),
        Ok(Err(tungstenite::Error::Http(response))) => Err(Trouble::Refused {
            message: response.body().as_deref().map_or_else(
                || response.status().to_string(),
                |body| String::from_utf8_lossy(body).into_owned(),
            ),
        }),
        Ok(Err(error)) => Err(server
            .upstream
            .tls_trouble(&server.upstream.url(path), &error)
            .unwrap_or_else(|| away(error.to_string()))),
        Err(_) => Err(away("it took too long".to_owned())),
    }
}

/// A connection to the node, with TLS where its address says so.
async fn carrier(server: &Server, path: &str) -> std::io::Result<Box<dyn Carrier>> {
    let url = server.upstream.url(path);
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let tcp = TcpStream::connect(format!("{host}:{port}")).await?;
    tcp.set_nodelay(true)?;
    Ok(match &server.upstream.tls {
        Some(tls) => Box::new(tls.connect(tcp, host).await?),
        None => Box::new(tcp),
    })
}

/// Passes messages both ways, and renews the token on the way.
async fn pass(client: WebSocket, node: Node, token: Token, server: &Server, path: &str) {
    let (mut to_client, mut from_client) = client.split();
    let (mut to_node, mut from_node) = node.split();
    // Not to be taken for an id of the client's.
    let own_id = format!(
        "hawser-proxy-{}",
        hex::encode(token.text.get(..12).unwrap_or_default())
    );
    let own_answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":\"{own_id}\"");
    let mut renew_at = token.renew_at;
    let end = loop {
        tokio::select! {
            message = from_client.next() => {
                let Some(Ok(message)) = message else { break None };
                let up = match message {
                    Message::Text(text) => Up::text(text.as_str()),
                    Message::Binary(bytes) => Up::Binary(bytes),
                    // Each side keeps its own link alive.
                    Message::Ping(_) | Message::Pong(_) => continue,
                    Message::Close(_) => break None,
                };
                if !matches!(tokio::time::timeout(SEND_TIME, to_node.send(up)).await, Ok(Ok(()))) {
                    break Some(gone("the node does not take messages"));
                }
            }
            message = from_node.next() => {
                let down = match message {
                    Some(Ok(Up::Text(text))) if text.starts_with(&own_answer) => {
                        if text.contains("\"error\"") {
                            break Some(gone("the node did not renew the login"));
                        }
                        continue;
                    }
                    Some(Ok(Up::Text(text))) => Message::Text(text.as_str().into()),
                    Some(Ok(Up::Binary(bytes))) => Message::Binary(bytes),
                    Some(Ok(Up::Close(frame))) => break frame.map(close),
                    Some(Ok(_)) => continue,
                    Some(Err(_)) | None => break Some(gone("the node closed the connection")),
                };
                let sent = tokio::time::timeout(SEND_TIME, to_client.send(down)).await;
                if !matches!(sent, Ok(Ok(()))) {
                    break None;
                }
            }
            () = tokio::time::sleep_until(renew_at.into()) => {
                match server.upstream.token(path).await {
                    Ok(fresh) => {
                        renew_at = fresh.renew_at;
                        let request = json!({ "jsonrpc": "2.0", "id": own_id,
                            "method": "hawser_authenticate", "params": [fresh.text] });
                        let up = Up::text(request.to_string());
                        if to_node.send(up).await.is_err() {
                            break Some(gone("the node does not take messages"));
                        }
                    }
                    // The old token is good for a while yet.
                    Err(_) => renew_at = Instant::now() + RETRY,
                }
            }
        }
    };
    // Whoever has left does not need to be told.
    let _ = tokio::time::timeout(Duration::from_secs(1), to_client.send(Message::Close(end))).await;
    let _ = tokio::time::timeout(Duration::from_secs(1), to_node.close()).await;
}

fn gone(why: &'static str) -> CloseFrame {
    CloseFrame {
        code: axum::extract::ws::close_code::AWAY,
        reason: why.into(),
    }
}

fn close(frame: protocol::CloseFrame) -> CloseFrame {
    CloseFrame {
        code: frame.code.into(),
        reason: frame.reason.as_str().into(),
    }
}

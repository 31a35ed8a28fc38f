use std::{sync::Arc, time::Duration};

use axum::{
    extract::{
        WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code},
    },
    response::Response,
};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, timeout},
};

use super::{App, Connection, Session, http};
use crate::{Refusal, methods::Context};

/// How often a silent client is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A client that says nothing, not even to a ping, for this long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(60);

pub(super) fn upgrade(
    upgrade: WebSocketUpgrade,
    app: Arc<App>,
    cx: Context,
    place: OwnedSemaphorePermit,
) -> Response {
    let max = app.shared.limits.ws_message_bytes_max;
    upgrade
        .max_message_size(max)
        .max_frame_size(max)
        .on_upgrade(move |socket| {
            let tracked = app.tasks.clone();
            tracked.track_future(async move {
                let max = app.shared.limits.websockets_max;
                let open = || max.saturating_sub(app.websockets.available_permits());
                app.shared.observer.websockets(open());
                run(socket, &app, cx).await;
                drop(place);
                app.shared.observer.websockets(open());
            })
        })
}

async fn run(socket: WebSocket, app: &App, cx: Context) {
    let limits = &app.shared.limits;
    let (sink, stream) = socket.split();
    let (connection, messages) = Connection::new(limits, app.stop.child_token());
    let write_limit = Duration::from_millis(limits.ws_write_ms_max);
    let writer = tokio::spawn(write(sink, messages, Arc::clone(&connection), write_limit));
    read(stream, app, &cx, &connection).await;
    connection.clear();
    connection.gone.cancel();
    if connection.slow.is_cancelled() {
        app.shared.observer.refused(Refusal::SlowClient);
    }
    // The writer says goodbye, within its own limit.
    if let Err(error) = writer.await {
        tracing::debug!(%error, "WebSocket writer");
    }
}

async fn read(
    mut stream: SplitStream<WebSocket>,
    app: &App,
    cx: &Context,
    connection: &Arc<Connection>,
) {
    let places = Arc::new(Semaphore::new(app.shared.limits.concurrency_max));
    loop {
        let next = tokio::select! {
            next = timeout(SILENCE_MAX, stream.next()) => next,
            () = connection.gone.cancelled() => return,
        };
        let bytes = match next {
            Ok(Some(Ok(Message::Text(text)))) => axum::body::Bytes::from(text),
            Ok(Some(Ok(Message::Binary(bytes)))) => bytes,
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
            Ok(Some(Err(error))) => {
                // A message over the limit ends here as well.
                tracing::debug!(%error, "WebSocket");
                app.shared.observer.refused(Refusal::Body);
                return;
            }
            Ok(None | Some(Ok(Message::Close(_)))) | Err(_) => return,
        };
        // Without a free place nothing is read, and TCP holds the client back.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = connection.gone.cancelled() => return,
        };
        let Ok(place) = place else { return };
        let (cx, shared) = (cx.clone(), Arc::clone(&app.shared));
        let (connection, gone) = (Arc::clone(connection), connection.gone.clone());
        tokio::spawn(async move {
            let session = Session::new(&connection);
            let answering = http::message(&cx, &shared, &bytes, Some(&session));
            let answer = tokio::select! {
                answer = answering => answer,
                () = gone.cancelled() => return,
            };
            if let Some(text) = answer {
                connection.respond(text).await;
            }
            session.answered();
            drop(place);
        });
    }
}

async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut messages: mpsc::Receiver<String>,
    connection: Arc<Connection>,
    limit: Duration,
) {
    let mut ping = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        let (message, bytes) = tokio::select! {
            biased;
            () = connection.gone.cancelled() => break,
            message = messages.recv() => match message {
                Some(text) => {
                    let bytes = text.len();
                    (Message::Text(text.into()), bytes)
                }
                None => break,
            },
            _ = ping.tick() => (Message::Ping(axum::body::Bytes::new()), 0),
        };
        let sent = tokio::select! {
            sent = timeout(limit, sink.send(message)) => sent,
            () = connection.gone.cancelled() => break,
        };
        connection.sent(bytes);
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                connection.gone.cancel();
                return;
            }
            Err(_) => {
                connection.slow.cancel();
                connection.gone.cancel();
                return;
            }
        }
    }
    let (code, reason) = if connection.slow.is_cancelled() {
        (close_code::POLICY, "messages were not read in time")
    } else {
        (close_code::AWAY, "closing")
    };
    let goodbye = Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }));
    // A client that does not read does not get this either.
    let _ = timeout(Duration::from_secs(1), sink.send(goodbye)).await;
}

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

use super::{App, Connection, Session, http, link::Link, session::Queued};
use crate::{
    Refusal,
    auth::{Caller, Reads},
    methods::Context,
};

/// Bytes that one permit of the messages in flight stands for.
const UNIT: usize = 1_024;

pub(super) fn upgrade(
    upgrade: WebSocketUpgrade,
    app: Arc<App>,
    cx: Context,
    link: Arc<Link>,
    caller: Arc<Caller>,
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
                run(socket, &app, cx, &link, &caller).await;
                drop(place);
                app.shared.observer.websockets(open());
            })
        })
}

async fn run(socket: WebSocket, app: &App, cx: Context, link: &Link, caller: &Arc<Caller>) {
    let limits = &app.shared.limits;
    link.count_arrivals();
    let (sink, stream) = socket.split();
    let (connection, messages) = Connection::new(limits, &link.budget, app.stop.child_token());
    let write_limit = Duration::from_millis(limits.ws_write_ms_max);
    let ping_every = Duration::from_millis((limits.ws_silence_ms_max / 3).max(1));
    let writing = write(
        sink,
        messages,
        Arc::clone(&connection),
        write_limit,
        ping_every,
    );
    let writer = tokio::spawn(writing);
    read(stream, app, &cx, link, caller, &connection).await;
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
    link: &Link,
    caller: &Arc<Caller>,
    connection: &Arc<Connection>,
) {
    let limits = &app.shared.limits;
    let places = Arc::new(Semaphore::new(limits.concurrency_max));
    let units = (limits.ws_inflight_bytes_max / UNIT).clamp(1, u32::MAX as usize);
    let room = Arc::new(Semaphore::new(units));
    let silence_max = Duration::from_millis(limits.ws_silence_ms_max);
    let signed = cx.access().reads == Reads::Signed;
    let login_until = Instant::now() + Duration::from_millis(limits.read_ms_max);
    loop {
        let stranger = signed && caller.reader().is_err();
        let next = tokio::select! {
            next = timeout(silence_max, stream.next()) => next,
            () = tokio::time::sleep_until(login_until), if stranger => {
                connection.refuse("nobody logged in on this connection in time".to_owned());
                return;
            }
            () = connection.gone.cancelled() => return,
        };
        let bytes = match next {
            Ok(Some(Ok(Message::Text(text)))) => axum::body::Bytes::from(text),
            Ok(Some(Ok(Message::Binary(bytes)))) => bytes,
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "WebSocket");
                app.shared.observer.refused(Refusal::Body);
                if let Some(fault) = fault(error, limits.ws_message_bytes_max) {
                    link.linger();
                    *connection.fault.lock() = Some(fault);
                }
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
        let held = link.message();
        let weight = bytes.len().div_ceil(UNIT).clamp(1, units);
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        let share = tokio::select! {
            share = Arc::clone(&room).acquire_many_owned(weight) => share,
            () = connection.gone.cancelled() => return,
        };
        let Ok(share) = share else { return };
        let (cx, shared) = (cx.clone(), Arc::clone(&app.shared));
        let (connection, gone) = (Arc::clone(connection), connection.gone.clone());
        let (budget, caller) = (link.budget.clone(), Arc::clone(caller));
        tokio::spawn(async move {
            let session = Session::new(&connection);
            let target = http::Target::Full(cx);
            let answering =
                http::message(&target, &shared, &caller, &bytes, Some(&session), &budget);
            let answer = tokio::select! {
                answer = answering => answer,
                () = gone.cancelled() => return,
            };
            if let Some(reply) = answer {
                connection.respond(reply).await;
            }
            session.answered();
            drop((place, share, held));
        });
    }
}

async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut messages: mpsc::Receiver<Queued>,
    connection: Arc<Connection>,
    limit: Duration,
    ping_every: Duration,
) {
    let mut ping = tokio::time::interval_at(Instant::now() + ping_every, ping_every);
    loop {
        // Room and memory are given back once the message is written.
        let (message, _held) = tokio::select! {
            biased;
            () = connection.gone.cancelled() => break,
            message = messages.recv() => match message {
                Some(Queued { reply, room }) => {
                    (Message::Text(reply.text.into()), Some((reply.held, room)))
                }
                None => break,
            },
            _ = ping.tick() => (Message::Ping(axum::body::Bytes::new()), None),
        };
        let sent = tokio::select! {
            sent = timeout(limit, sink.send(message)) => sent,
            () = connection.gone.cancelled() => break,
        };
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
    let refused = connection.refused.lock().take();
    if let Some(reason) = refused {
        goodbye(&mut sink, close_code::POLICY, &reason).await;
        return;
    }
    let fault = connection.fault.lock().take();
    let (code, reason) = if connection.slow.is_cancelled() {
        let reason = "messages were not read in time".to_owned();
        (close_code::POLICY, reason)
    } else {
        fault.unwrap_or_else(|| (close_code::AWAY, "closing".to_owned()))
    };
    goodbye(&mut sink, code, &reason).await;
}

async fn goodbye(sink: &mut SplitSink<WebSocket, Message>, code: u16, reason: &str) {
    /// A control frame has 125 bytes, two of them the code (RFC 6455, section 5.5).
    const REASON_BYTES_MAX: usize = 120;
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let goodbye = Message::Close(Some(CloseFrame {
        code,
        reason: reason.get(..end).unwrap_or_default().into(),
    }));
    // A client that does not read does not get this either.
    let _ = timeout(Duration::from_secs(1), sink.send(goodbye)).await;
}

/// With which code a connection ends whose client broke the protocol or a limit, and why (RFC 6455, section 7.4.1);
/// `None` where the link itself ended.
fn fault(error: axum::Error, message_bytes_max: usize) -> Option<(u16, String)> {
    use tungstenite::{Error, error::ProtocolError};
    let inner = error.into_inner();
    match inner.downcast_ref::<Error>()? {
        Error::Capacity(_) => {
            let max = message_bytes_max;
            let text = format!("a message exceeded the limit of {max} bytes; send it in parts");
            Some((close_code::SIZE, text))
        }
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(error) => Some((close_code::PROTOCOL, error.to_string())),
        Error::Utf8(_) => Some((close_code::INVALID, "a text is not UTF-8".to_owned())),
        _ => None,
    }
}

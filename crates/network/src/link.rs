//! Reading and writing on an agreed link.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::frame::{Bye, Control, HEADER_BYTES, Parsed, parse, put_header};
use crate::handshake::Established;
use crate::peer::{Batch, Link, Peer};
use crate::service::Inner;
use crate::tls::Stream;
use crate::{DownReason, NetworkEvent};

/// Room made for each read.
const READ_BYTES: usize = 64 * 1024;
/// Bytes of frames taken from the queue at once. A consensus frame waits for one batch at most.
const BATCH_BYTES: usize = 64 * 1024;
/// Payloads up to this length are copied together into one write.
const COALESCE_BYTES_MAX: usize = 16 * 1024;
/// Longest time spent on finishing a write and saying goodbye.
const CLOSE_WAIT: Duration = Duration::from_millis(300);
/// How long a consumer that does not listen can delay a shutdown.
const LAST_EVENT_WAIT: Duration = Duration::from_millis(200);

/// Runs a link from `Up` to `Down`.
pub(crate) async fn run(inner: &Arc<Inner>, peer: &Arc<Peer>, established: Established) {
    let Established {
        link,
        stream,
        places,
    } = established;
    link.set_facts(inner.tls.facts(&stream));
    let (reader, writer) = tokio::io::split(stream);
    // The writer starts before the consumer hears of the link, so that a slow consumer does not
    // make this node look dead.
    let (pinged, pings) = mpsc::channel(1);
    let mut writing = tokio::spawn(write(
        Arc::clone(inner),
        Arc::clone(peer),
        Arc::clone(&link),
        writer,
        pinged,
    ));

    let turn = tokio::select! {
        biased;
        _ = ended(inner, peer, &link) => None,
        turn = announce(inner, peer) => turn,
    };
    let reason = match &turn {
        None => link.closed_now().unwrap_or(DownReason::Shutdown),
        Some(_) => tokio::select! {
            biased;
            reason = ended(inner, peer, &link) => reason,
            reason = read(inner, peer, &link, reader, pings) => reason,
        },
    };
    let dropped = link.close(reason);
    inner.counters.dropped_link_down.add(dropped);
    peer.vacate(&link);
    if timeout(CLOSE_WAIT, &mut writing).await.is_err() {
        writing.abort();
    }
    drop(places);
    if let Some(turn) = turn {
        depart(inner, peer, &link).await;
        drop(turn);
    }
}

/// Waits for the previous link's `Down`, then tells the consumer. `None` if nobody listens.
async fn announce<'p>(
    inner: &Arc<Inner>,
    peer: &'p Peer,
) -> Option<tokio::sync::MutexGuard<'p, ()>> {
    let turn = peer.turn.lock().await;
    if inner.gate.deliver(NetworkEvent::Up(peer.id)).await.is_err() {
        inner.stop();
        return None;
    }
    inner.counters.links_up.add(1);
    tracing::info!(peer = %peer.id, "link up");
    Some(turn)
}

async fn depart(inner: &Arc<Inner>, peer: &Peer, link: &Link) {
    let reason = link.closed_now().unwrap_or(DownReason::Shutdown);
    let counters = &inner.counters;
    counters.links_down.add(1);
    match &reason {
        DownReason::Oversize { .. } => counters.oversize.add(1),
        DownReason::Malformed(_) => counters.malformed.add(1),
        DownReason::Silent { .. } => counters.silent.add(1),
        DownReason::ClosedByPeer(Some(why)) if *why == Bye::Superseded.text() => peer.note_cut(),
        _ => {}
    }
    let words = reason.to_string();
    peer.note_error(&words);
    tracing::info!(peer = %peer.id, reason = words, "link down");
    tokio::select! {
        delivered = inner.gate.deliver(NetworkEvent::Down(peer.id, reason)) => {
            if delivered.is_err() {
                inner.stop();
            }
        }
        () = async { inner.stopped().await; sleep(LAST_EVENT_WAIT).await } => {}
    }
}

/// Resolves when something other than the peer ends the link.
async fn ended(inner: &Inner, peer: &Peer, link: &Link) -> DownReason {
    let mut removed = peer.removed.subscribe();
    tokio::select! {
        reason = link.closed() => reason,
        () = inner.stopped() => DownReason::Shutdown,
        _ = removed.wait_for(|removed| *removed) => DownReason::Removed,
        why = distrusted(inner, link) => DownReason::Untrusted(why),
    }
}

/// Resolves when the peer's certificates are no longer believed; never for raw keys.
async fn distrusted(inner: &Inner, link: &Link) -> String {
    match (inner.tls.chains(), link.facts()) {
        (Some(chains), Some(facts)) => chains.distrusted(&facts.chain).await,
        _ => std::future::pending().await,
    }
}

/// The last ping written: its number and when.
type Pinged = (u64, Instant);

async fn read(
    inner: &Inner,
    peer: &Peer,
    link: &Link,
    mut reader: ReadHalf<Stream>,
    mut pings: mpsc::Receiver<Pinged>,
) -> DownReason {
    let limits = &inner.limits;
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let mut last_ping: Option<Pinged> = None;
    loop {
        loop {
            match parse(&mut buffer, limits.frame_bytes_max) {
                Parsed::Incomplete => break,
                Parsed::Frame(chain, bytes) => {
                    link.count_heard();
                    inner.counters.frames_in.add(1);
                    let event = NetworkEvent::Message {
                        from: peer.id,
                        chain,
                        bytes,
                    };
                    if inner.gate.deliver(event).await.is_err() {
                        inner.stop();
                        return DownReason::Shutdown;
                    }
                }
                Parsed::Control(control) => {
                    link.count_heard();
                    match control {
                        Control::Ping(number) => link.answer_ping(number),
                        Control::Pong(number) => {
                            last_ping = pings.try_recv().ok().or(last_ping);
                            if let Some((_, at)) = last_ping.filter(|ping| ping.0 == number) {
                                peer.set_round_trip(at.elapsed());
                            }
                        }
                        Control::Bye(why) => return DownReason::ClosedByPeer(Some(why.text())),
                        Control::Hello(_) | Control::Accept(_) => {
                            return DownReason::Malformed("opening frame on an open link");
                        }
                    }
                }
                Parsed::Oversize(len) => return DownReason::Oversize { len },
                Parsed::Malformed(what) => return DownReason::Malformed(what),
            }
        }
        buffer.reserve(READ_BYTES);
        // Only time spent waiting for the peer counts against it, not time spent on the consumer.
        match timeout(limits.peer_timeout, reader.read_buf(&mut buffer)).await {
            Err(_) => {
                let silent_ms = u64::try_from(limits.peer_timeout.as_millis()).unwrap_or(u64::MAX);
                return DownReason::Silent { silent_ms };
            }
            Ok(Ok(0)) => return DownReason::ClosedByPeer(None),
            Ok(Ok(len)) => {
                peer.bytes_in.add(len);
                inner.counters.bytes_in.add(len);
            }
            Ok(Err(error)) => return failed(&error),
        }
    }
}

fn failed(error: &std::io::Error) -> DownReason {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => {
            DownReason::ClosedByPeer(None)
        }
        _ => DownReason::Failed(error.to_string()),
    }
}

async fn write(
    inner: Arc<Inner>,
    peer: Arc<Peer>,
    link: Arc<Link>,
    mut writer: WriteHalf<Stream>,
    pinged: mpsc::Sender<Pinged>,
) {
    let mut out = BytesMut::with_capacity(2 * BATCH_BYTES);
    let mut batch = Batch::default();
    let mut ping_number = 0u64;
    let mut ping_at = Instant::now() + inner.limits.ping_interval;
    let error = loop {
        if let Some(reason) = link.closed_now() {
            // Between frames, so that the other side can read it.
            if let Some(bye) = farewell(&reason) {
                let _ = writer.write_all(&Control::Bye(bye).frame()).await;
            }
            let _ = writer.shutdown().await;
            return;
        }
        link.take(BATCH_BYTES, &mut batch);
        if Instant::now() >= ping_at {
            batch.ping = true;
        }
        if batch.pong.is_none() && !batch.ping && batch.frames.is_empty() {
            tokio::select! {
                () = link.wake.notified() => {}
                () = sleep_until(ping_at) => {}
            }
            continue;
        }
        if let Some(number) = batch.pong {
            out.put_slice(&Control::Pong(number).frame());
        }
        if batch.ping {
            ping_number = ping_number.wrapping_add(1);
            out.put_slice(&Control::Ping(ping_number).frame());
            // Full while an earlier ping is unread: that measurement is lost, and nothing else.
            let _ = pinged.try_send((ping_number, Instant::now()));
        }
        if let Err(error) = write_batch(&inner, &peer, &mut writer, &mut out, &mut batch).await {
            break error;
        }
        ping_at = Instant::now() + inner.limits.ping_interval;
    };
    let dropped = link.close(failed(&error));
    inner.counters.dropped_link_down.add(dropped);
}

async fn write_batch(
    inner: &Inner,
    peer: &Peer,
    writer: &mut WriteHalf<Stream>,
    out: &mut BytesMut,
    batch: &mut Batch,
) -> std::io::Result<()> {
    let frames = batch.frames.len();
    let mut bytes = out.len();
    for frame in batch.frames.drain(..) {
        bytes += HEADER_BYTES + frame.bytes.len();
        put_header(out, frame.bytes.len(), frame.chain);
        if frame.bytes.len() <= COALESCE_BYTES_MAX {
            out.put_slice(&frame.bytes);
        } else {
            writer.write_all(out).await?;
            out.clear();
            writer.write_all(&frame.bytes).await?;
        }
    }
    writer.write_all(out).await?;
    out.clear();
    writer.flush().await?;
    peer.bytes_out.add(bytes);
    inner.counters.bytes_out.add(bytes);
    inner.counters.frames_out.add(frames);
    Ok(())
}

/// What to tell the other side, which needs nothing where it closed or died itself.
fn farewell(reason: &DownReason) -> Option<Bye> {
    match reason {
        DownReason::Shutdown => Some(Bye::Shutdown),
        DownReason::Superseded => Some(Bye::Superseded),
        DownReason::Removed => Some(Bye::Removed),
        DownReason::Untrusted(_) => Some(Bye::Untrusted),
        DownReason::Oversize { .. } | DownReason::Malformed(_) => Some(Bye::Refused),
        DownReason::ClosedByPeer(_) | DownReason::Silent { .. } | DownReason::Failed(_) => None,
    }
}

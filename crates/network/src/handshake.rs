//! From a TCP connection to an agreed link.
//!
//! After TLS the accepting side sends `Hello`, the dialling side answers with its own, and the
//! side with the smaller id sends `Accept`, or `Bye` with the reason. The accepting side speaks
//! first because in TLS 1.3 the dialling side believes the handshake done before its key is
//! checked: if it wrote at once, a refusal could be lost in a reset connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::frame::{Bye, CONTROL_BYTES_MAX, CONTROL_CHAIN, Control, HEADER_BYTES, Instance};
use crate::peer::{Link, Peer};
use crate::service::Inner;
use crate::tls::{Refusal, Stream};
use crate::{Direction, RefusalReason};

/// Longest wait for the other side's decision: its wait for a tie, its probe, and some travel.
const DECISION_WAIT: Duration = Duration::from_secs(3);
/// Longest time spent on saying goodbye.
const BYE_WAIT: Duration = Duration::from_millis(300);

/// A link in place, and the connection that carries it.
pub(crate) struct Established {
    pub(crate) link: Arc<Link>,
    pub(crate) stream: Stream,
    pub(crate) places: Places,
}

/// One authenticated connection in the counts that bound them.
pub(crate) struct Places {
    inner: Arc<Inner>,
    peer: Arc<Peer>,
}

impl Places {
    fn enter(inner: &Arc<Inner>, peer: &Arc<Peer>) -> Option<Self> {
        if !count_up(&peer.connections, inner.limits.connections_per_peer_max) {
            return None;
        }
        if !count_up(&inner.connections, inner.limits.connections_max) {
            peer.connections.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self {
            inner: Arc::clone(inner),
            peer: Arc::clone(peer),
        })
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.peer.connections.fetch_sub(1, Ordering::Relaxed);
        self.inner.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn count_up(count: &AtomicUsize, max: usize) -> bool {
    let up = |n| if n < max { Some(n + 1) } else { None };
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, up)
        .is_ok()
}

/// Agrees with the peer on whether this authenticated connection is the link.
pub(crate) async fn establish(
    inner: &Arc<Inner>,
    peer: &Arc<Peer>,
    direction: Direction,
    mut stream: Stream,
) -> Result<Established, Refusal> {
    let Some(places) = Places::enter(inner, peer) else {
        say_bye(&mut stream, Bye::TooMany).await;
        return Err(Refusal::because(RefusalReason::TooMany));
    };
    let hello = exchange_hello(&mut stream, direction, inner.decisions.run);
    let instance = timeout(inner.limits.handshake_timeout, hello)
        .await
        .map_err(|_| too_slow())??;
    let link = if peer.decides {
        match peer
            .decide(direction, instance, &inner.decisions, &inner.limits)
            .await
        {
            Ok(link) => {
                if let Err(refusal) = send(&mut stream, Control::Accept(link.number)).await {
                    link.close(crate::DownReason::Failed(refusal.detail.clone()));
                    peer.vacate(&link);
                    return Err(refusal);
                }
                link
            }
            Err(_) => {
                say_bye(&mut stream, Bye::Duplicate).await;
                return Err(Refusal::because(RefusalReason::Duplicate));
            }
        }
    } else {
        let decision = timeout(DECISION_WAIT, receive(&mut stream))
            .await
            .map_err(|_| too_slow())??;
        let followed = match decision {
            Control::Accept(number) => peer.follow(direction, instance, number, &inner.limits),
            other => return Err(unexpected(other)),
        };
        followed.map_err(|_| Refusal::because(RefusalReason::Duplicate))?
    };
    if let Ok(from) = stream.get_ref().0.peer_addr() {
        peer.note_run(instance, from);
    }
    Ok(Established {
        link,
        stream,
        places,
    })
}

async fn exchange_hello(
    stream: &mut Stream,
    direction: Direction,
    own: Instance,
) -> Result<Instance, Refusal> {
    if direction == Direction::Inbound {
        send(stream, Control::Hello(own)).await?;
    }
    let instance = match receive(stream).await? {
        Control::Hello(instance) => instance,
        other => return Err(unexpected(other)),
    };
    if direction == Direction::Outbound {
        send(stream, Control::Hello(own)).await?;
    }
    Ok(instance)
}

fn too_slow() -> Refusal {
    Refusal::because(RefusalReason::Timeout)
}

fn unexpected(control: Control) -> Refusal {
    match control {
        Control::Bye(Bye::Duplicate) => Refusal::because(RefusalReason::Duplicate),
        Control::Bye(Bye::TooMany) => Refusal::because(RefusalReason::TooMany),
        Control::Bye(bye) => Refusal {
            reason: RefusalReason::Closed,
            detail: bye.text().to_owned(),
        },
        _ => Refusal::because(RefusalReason::Opening),
    }
}

async fn send(stream: &mut Stream, control: Control) -> Result<(), Refusal> {
    let write = async {
        stream.write_all(&control.frame()).await?;
        stream.flush().await
    };
    match timeout(DECISION_WAIT, write).await {
        Ok(done) => done.map_err(|error| Refusal::of(&error)),
        Err(_) => Err(too_slow()),
    }
}

async fn receive(stream: &mut Stream) -> Result<Control, Refusal> {
    let mut header = [0; HEADER_BYTES];
    stream
        .read_exact(&mut header)
        .await
        .map_err(|error| Refusal::of(&error))?;
    let malformed = || Refusal::because(RefusalReason::Opening);
    let (len, chain) = header.split_first_chunk::<4>().ok_or_else(malformed)?;
    let len = u32::from_be_bytes(*len) as usize;
    if chain != CONTROL_CHAIN.0.to_be_bytes() {
        return Err(malformed());
    }
    let mut payload = [0; CONTROL_BYTES_MAX];
    let payload = payload.get_mut(..len).ok_or_else(malformed)?;
    stream
        .read_exact(payload)
        .await
        .map_err(|error| Refusal::of(&error))?;
    Control::decode(payload).ok_or_else(malformed)
}

/// Tells the other side why, as far as it listens.
async fn say_bye(stream: &mut Stream, bye: Bye) {
    let farewell = async {
        stream.write_all(&Control::Bye(bye).frame()).await?;
        stream.shutdown().await
    };
    // The connection is dropped next, whether this was heard or not.
    let _ = timeout(BYE_WAIT, farewell).await;
}

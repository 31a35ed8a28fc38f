//! One connection: what it holds, and a socket that does not wait for a client forever.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{Instant, Sleep},
};

use super::{
    budget::{Budget, Held},
    places::Place,
};
use crate::{ClientIdentity, RpcLimits};

/// What handlers know of the connection that a request came over.
pub(crate) struct Link {
    /// Where the client is; `None` for a transport without addresses.
    pub(crate) from: Option<IpAddr>,
    /// Who the client's certificate says it is.
    pub(crate) identity: Option<ClientIdentity>,
    /// What that certificate says.
    pub(crate) certified: Option<Arc<hawser_pki::ClientIdentity>>,
    /// Bytes held for this connection.
    pub(crate) budget: Budget,
    /// Bytes of a WebSocket message that is not complete; `None` before the upgrade, when bodies
    /// are counted by those who read them.
    partial: Mutex<Option<Held>>,
    /// Whether the client may still be sending what nobody will read.
    linger: AtomicBool,
    /// Its place among the connections of its address, until everything of it is gone.
    _place: Option<Place>,
}

impl Link {
    pub(crate) fn new(
        from: Option<IpAddr>,
        certified: Option<Arc<hawser_pki::ClientIdentity>>,
        budget: Budget,
        place: Option<Place>,
    ) -> Arc<Self> {
        Arc::new(Self {
            from,
            identity: certified.as_deref().map(ClientIdentity::from),
            certified,
            budget,
            partial: Mutex::new(None),
            linger: AtomicBool::new(false),
            _place: place,
        })
    }

    /// From now on, whatever arrives counts until [`Self::message`] takes it.
    pub(crate) fn count_arrivals(&self) {
        *self.partial.lock() = Some(self.budget.nothing());
    }

    /// A message is complete: gives what arrived for it.
    pub(crate) fn message(&self) -> Held {
        let mut partial = self.partial.lock();
        match partial.as_mut() {
            Some(held) => held.take(),
            None => self.budget.nothing(),
        }
    }

    /// Reads on for a moment after the end, so that a client in the middle of sending sees the
    /// answer instead of a reset connection.
    pub(crate) fn linger(&self) {
        self.linger.store(true, Ordering::Relaxed);
    }

    fn arrived(&self, bytes: usize) -> io::Result<()> {
        let fits = match self.partial.lock().as_mut() {
            Some(held) => held.grow(bytes),
            None => true,
        };
        if fits {
            return Ok(());
        }
        Err(io::Error::other(
            "no memory is left for this client's message",
        ))
    }
}

/// How slowly a client may read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Time that any backlog may take.
    pub(crate) grace: Duration,
    /// Bytes per second that extend this time.
    pub(crate) rate_min: u64,
}

impl Pace {
    pub(crate) const fn of(limits: &RpcLimits) -> Self {
        Self {
            grace: Duration::from_millis(limits.write_ms_max),
            rate_min: limits.write_rate_min,
        }
    }

    /// Time from the first delay until so many bytes have to be read.
    fn allowance(&self, bytes: u64) -> Duration {
        let ms = bytes.saturating_mul(1_000) / self.rate_min.max(1);
        self.grace.saturating_add(Duration::from_millis(ms))
    }
}

/// Whether a connection ended because its client did not read.
pub(crate) fn is_too_slow(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A delay of the client: since when, and what it has read since.
struct Delay {
    since: Instant,
    bytes: u64,
    timer: Pin<Box<Sleep>>,
}

/// A socket whose writes end with an error when the client does not keep pace.
pub(crate) struct Paced<S: Lingering> {
    stream: Option<S>,
    link: Arc<Link>,
    pace: Pace,
    delay: Option<Delay>,
}

/// A socket that can outlive its connection for a moment.
pub(crate) trait Lingering: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Lingering for S {}

impl<S: Lingering> Paced<S> {
    pub(crate) const fn new(stream: S, link: Arc<Link>, pace: Pace) -> Self {
        Self {
            stream: Some(stream),
            link,
            pace,
            delay: None,
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        let stream = self.stream.as_mut().map(Pin::new);
        stream.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Notes how a write went.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(bytes)) => {
                if let Some(delay) = &mut self.delay {
                    delay.bytes = delay.bytes.saturating_add(bytes as u64);
                }
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.waited(cx).map(Err),
        }
    }

    /// Ends the wait for a client that is too slow.
    fn waited(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let delay = self.delay.get_or_insert_with(|| {
            let since = Instant::now();
            Delay {
                since,
                bytes: 0,
                timer: Box::pin(tokio::time::sleep_until(since)),
            }
        });
        let end = delay.since + self.pace.allowance(delay.bytes);
        if delay.timer.deadline() != end {
            delay.timer.as_mut().reset(end);
        }
        ready!(delay.timer.as_mut().poll(cx));
        Poll::Ready(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client did not read in time",
        ))
    }
}

impl<S: Lingering> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.stream()?.poll_read(cx, buf))?;
        let bytes = buf.filled().len().saturating_sub(before);
        Poll::Ready(self.link.arrived(bytes))
    }
}

impl<S: Lingering> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = self.stream()?.poll_write(cx, buf);
        self.written(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = self.stream()?.poll_write_vectored(cx, bufs);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A stream that encrypts takes writes first and gives them on here.
        match self.stream()?.poll_flush(cx) {
            Poll::Ready(result) => result?,
            Poll::Pending => return self.waited(cx).map(Err),
        }
        // Everything was taken: the client is back on pace.
        self.delay = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

impl<S: Lingering> Drop for Paced<S> {
    fn drop(&mut self) {
        /// Longest that a connection lingers.
        const LINGER: Duration = Duration::from_secs(2);
        if !self.link.linger.load(Ordering::Relaxed) {
            return;
        }
        let (Some(mut stream), Ok(runtime)) =
            (self.stream.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        runtime.spawn(tokio::time::timeout(LINGER, async move {
            let mut nowhere = [0u8; 8_192];
            if stream.shutdown().await.is_ok() {
                while matches!(stream.read(&mut nowhere).await, Ok(bytes) if bytes > 0) {}
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(
        grace_ms: u64,
        rate_min: u64,
    ) -> (Paced<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (own, client) = tokio::io::duplex(1_000);
        let link = Link::new(None, None, Budget::new(10_000), None);
        let pace = Pace {
            grace: Duration::from_millis(grace_ms),
            rate_min,
        };
        (Paced::new(own, link, pace), client)
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_ends_the_write_after_the_grace() {
        let (mut own, _client) = paced(100, 1_000_000);
        own.write_all(&[0; 1_000]).await.unwrap();
        let before = Instant::now();
        let error = own.write_all(&[0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let waited = before.elapsed();
        assert!(waited >= Duration::from_millis(100), "{waited:?}");
    }

    /// Takes every write at once and never gets it through, as a stream that encrypts may.
    struct Stuck(tokio::io::DuplexStream);

    impl AsyncRead for Stuck {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Stuck {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_stream_that_only_flushes_slowly_ends_as_well() {
        let (stream, _client) = tokio::io::duplex(10);
        let link = Link::new(None, None, Budget::new(10_000), None);
        let pace = Pace {
            grace: Duration::from_millis(100),
            rate_min: 1_000_000,
        };
        let mut own = Paced::new(Stuck(stream), link, pace);
        own.write_all(&[0; 1_000]).await.unwrap();
        let error = own.flush().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn both_sides_of_the_pace_that_a_client_must_keep() {
        for (every_ms, fits) in [(20, true), (200, false)] {
            // 100 bytes each time, against 1,000 bytes per second. A reader that was held up by the machine does not
            // keep the pace either, and says nothing.
            let undisturbed = async || {
                let (mut own, mut client) = paced(300, 1_000);
                let reader = tokio::spawn(async move {
                    let (mut buf, mut last) = ([0u8; 100], Instant::now());
                    let mut longest = Duration::ZERO;
                    while client.read_exact(&mut buf).await.is_ok() {
                        longest = longest.max(last.elapsed());
                        last = Instant::now();
                        tokio::time::sleep(Duration::from_millis(every_ms)).await;
                    }
                    longest.max(last.elapsed())
                });
                let written = own.write_all(&[0; 3_000]).await;
                drop(own);
                let longest = reader.await.unwrap();
                let held_up = longest > Duration::from_millis(every_ms + 80);
                (!fits || !held_up).then_some(written.is_ok())
            };
            assert_eq!(until_some(undisturbed).await, fits, "{every_ms} ms");
        }
    }

    /// Tries until the machine did not stand still meanwhile.
    async fn until_some<T>(round: impl AsyncFn() -> Option<T>) -> T {
        for _ in 0..100 {
            if let Some(found) = round().await {
                return found;
            }
        }
        panic!("the machine stands still again and again");
    }

    #[tokio::test]
    async fn a_client_that_caught_up_is_not_held_to_an_earlier_delay() {
        let undisturbed = async || {
            let (mut own, mut client) = paced(500, 1_000_000);
            for _ in 0..2 {
                own.write_all(&[0; 1_000]).await.unwrap();
                let mut buf = [0u8; 1_001];
                let began = Instant::now();
                let late = async {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    client.read_exact(&mut buf[..1_000]).await.unwrap();
                };
                let (written, ()) = tokio::join!(own.write_all(&[0; 1]), late);
                if began.elapsed() > Duration::from_millis(250) {
                    return None;
                }
                written.unwrap();
                client.read_exact(&mut buf[1_000..]).await.unwrap();
                own.flush().await.unwrap();
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
            Some(())
        };
        until_some(undisturbed).await;
    }

    #[tokio::test]
    async fn both_sides_of_the_memory_for_a_message_that_is_not_complete() {
        let (mut own, mut client) = paced(500, 1_000);
        let mut buf = [0u8; 500];
        let link = Arc::clone(&own.link);
        // Before the upgrade nothing counts here.
        client.write_all(&[0; 500]).await.unwrap();
        own.read_exact(&mut buf).await.unwrap();
        assert_eq!(link.budget.used(), 0);
        link.count_arrivals();
        for _ in 0..20 {
            client.write_all(&[0; 500]).await.unwrap();
            own.read_exact(&mut buf).await.unwrap();
        }
        let message = link.message();
        assert_eq!(link.budget.used(), 10_000);
        client.write_all(&[0; 1]).await.unwrap();
        assert!(own.read_exact(&mut buf[..1]).await.is_err());
        drop(message);
        assert_eq!(link.budget.used(), 0);
    }
}

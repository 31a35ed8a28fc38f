use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    RpcLimits,
    methods::Answer,
    wire::{ErrorObject, json},
};

/// The sending side of a WebSocket connection: a bounded queue, in messages and in bytes.
pub(crate) struct Connection {
    queue: mpsc::Sender<String>,
    bytes: AtomicUsize,
    limits: RpcLimits,
    subscriptions: Mutex<BTreeMap<String, AbortHandle>>,
    /// Ends the connection.
    pub(crate) gone: CancellationToken,
    /// Whether it ended for not reading.
    pub(crate) slow: CancellationToken,
}

impl Connection {
    pub(crate) fn new(
        limits: &RpcLimits,
        gone: CancellationToken,
    ) -> (Arc<Self>, mpsc::Receiver<String>) {
        let (queue, messages) = mpsc::channel(limits.ws_queue_max);
        let connection = Self {
            queue,
            bytes: AtomicUsize::new(0),
            limits: limits.clone(),
            subscriptions: Mutex::default(),
            gone,
            slow: CancellationToken::new(),
        };
        (Arc::new(connection), messages)
    }

    fn drop_slow(&self) {
        self.slow.cancel();
        self.gone.cancel();
    }

    fn count(&self, bytes: usize) -> bool {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        before.saturating_add(bytes) <= self.limits.ws_queue_bytes_max || before == 0
    }

    /// The writer has taken a message.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Queues a subscription's message; a client whose queue is full is dropped, for what it
    /// missed could not be told it. False once the connection is gone.
    pub(crate) fn notify(&self, text: String) -> bool {
        if self.gone.is_cancelled() {
            return false;
        }
        if !self.count(text.len()) || self.queue.try_send(text).is_err() {
            self.drop_slow();
            return false;
        }
        true
    }

    /// Queues a response. The client may take its time to make room, within the limit for a
    /// write; that slows down its own requests only.
    pub(crate) async fn respond(&self, text: String) {
        if !self.count(text.len()) {
            self.drop_slow();
            return;
        }
        let limit = Duration::from_millis(self.limits.ws_write_ms_max);
        if self.queue.send_timeout(text, limit).await.is_err() {
            self.drop_slow();
        }
    }

    /// Ends a subscription; whether there was one.
    pub(crate) fn unsubscribe(&self, name: &str) -> bool {
        let task = self.subscriptions.lock().remove(name);
        if let Some(task) = &task {
            task.abort();
        }
        task.is_some()
    }

    /// Ends all subscriptions.
    pub(crate) fn clear(&self) {
        for (_, task) in std::mem::take(&mut *self.subscriptions.lock()) {
            task.abort();
        }
    }
}

/// One message's view of its connection. Subscriptions that it opens begin to send once its
/// answer is queued, so that a client knows a subscription's name before it hears from it.
pub(crate) struct Session {
    connection: Arc<Connection>,
    waiting: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Session {
    pub(crate) fn new(connection: &Arc<Connection>) -> Self {
        Self {
            connection: Arc::clone(connection),
            waiting: Mutex::default(),
        }
    }

    pub(crate) fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection)
    }

    /// Opens a subscription carried out by `work`.
    pub(crate) fn start(
        &self,
        name: String,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Answer {
        let (go, begin) = oneshot::channel();
        let mut subscriptions = self.connection.subscriptions.lock();
        let max = self.connection.limits.subscriptions_max;
        // Those that ended by themselves, such as of a stopped chain, make room.
        subscriptions.retain(|_, task| !task.is_finished());
        if subscriptions.len() >= max {
            return Err(ErrorObject::limit(format!(
                "{max} subscriptions are open on this connection; close some with eth_unsubscribe"
            )));
        }
        let task = tokio::spawn(async move {
            if begin.await.is_ok() {
                work.await;
            }
        });
        subscriptions.insert(name.clone(), task.abort_handle());
        self.waiting.lock().push(go);
        json(&name)
    }

    /// The answer is queued.
    pub(crate) fn answered(self) {
        for go in self.waiting.into_inner() {
            // The subscription may have been closed again within the same batch.
            let _ = go.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_does_not_read_is_dropped_at_the_queue_limit() {
        let limits = RpcLimits {
            ws_queue_max: 2,
            ..RpcLimits::default()
        };
        let (connection, _messages) = Connection::new(&limits, CancellationToken::new());
        assert!(connection.notify("1".to_owned()));
        assert!(connection.notify("2".to_owned()));
        assert!(!connection.gone.is_cancelled());
        assert!(!connection.notify("3".to_owned()));
        assert!(connection.gone.is_cancelled() && connection.slow.is_cancelled());
    }

    #[tokio::test]
    async fn both_sides_of_the_byte_limit_of_the_queue() {
        let limits = RpcLimits {
            ws_queue_bytes_max: 10,
            ..RpcLimits::default()
        };
        let (connection, mut messages) = Connection::new(&limits, CancellationToken::new());
        assert!(connection.notify("12345".to_owned()));
        assert!(connection.notify("67890".to_owned()));
        connection.sent(messages.recv().await.unwrap().len());
        assert!(connection.notify("12345".to_owned()));
        assert!(!connection.notify("x".to_owned()));
    }

    #[tokio::test]
    async fn both_sides_of_the_subscription_limit() {
        let limits = RpcLimits {
            subscriptions_max: 1,
            ..RpcLimits::default()
        };
        let (connection, _messages) = Connection::new(&limits, CancellationToken::new());
        let session = Session::new(&connection);
        assert!(
            session
                .start("a".to_owned(), std::future::pending())
                .is_ok()
        );
        let error = session
            .start("b".to_owned(), std::future::pending())
            .unwrap_err();
        assert!(
            error.message.contains("1 subscriptions"),
            "{}",
            error.message
        );
        assert!(connection.unsubscribe("a"));
        assert!(!connection.unsubscribe("a"));
        assert!(
            session
                .start("b".to_owned(), std::future::pending())
                .is_ok()
        );
    }

    #[tokio::test]
    async fn a_response_waits_for_room_and_then_gives_up() {
        let limits = RpcLimits {
            ws_queue_max: 1,
            ws_write_ms_max: 300,
            ..RpcLimits::default()
        };
        let (connection, mut messages) = Connection::new(&limits, CancellationToken::new());
        connection.respond("1".to_owned()).await;
        let second = tokio::spawn({
            let connection = Arc::clone(&connection);
            async move { connection.respond("2".to_owned()).await }
        });
        assert_eq!(messages.recv().await.unwrap(), "1");
        second.await.unwrap();
        assert!(!connection.gone.is_cancelled());
        connection.respond("3".to_owned()).await;
        assert!(connection.slow.is_cancelled());
    }
}

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::AbortHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    RpcLimits,
    methods::Answer,
    server::{Reply, budget::Budget},
    wire::{ErrorObject, json},
};

/// A message in the queue, with its share of the queue's room until it is written.
pub(crate) struct Queued {
    pub(crate) reply: Reply,
    pub(crate) room: OwnedSemaphorePermit,
}

/// The sending side of a WebSocket connection: a bounded queue, in messages and in bytes.
pub(crate) struct Connection {
    queue: mpsc::Sender<Queued>,
    /// Bytes that the queue has room for; given to those who wait in order.
    room: Arc<Semaphore>,
    room_max: u32,
    budget: Budget,
    limits: RpcLimits,
    subscriptions: Mutex<BTreeMap<String, AbortHandle>>,
    /// Ends the connection.
    pub(crate) gone: CancellationToken,
    /// Whether it ended for not reading.
    pub(crate) slow: CancellationToken,
    /// Why it ended, where its client may no longer read.
    pub(crate) refused: Mutex<Option<String>>,
    /// How it ended, where its client broke the protocol or a limit: code and reason.
    pub(crate) fault: Mutex<Option<(u16, String)>>,
}

impl Connection {
    pub(crate) fn new(
        limits: &RpcLimits,
        budget: &Budget,
        gone: CancellationToken,
    ) -> (Arc<Self>, mpsc::Receiver<Queued>) {
        let (queue, messages) = mpsc::channel(limits.ws_queue_max);
        let room_max = u32::try_from(limits.ws_queue_bytes_max)
            .unwrap_or(u32::MAX)
            .max(1);
        let connection = Self {
            queue,
            room: Arc::new(Semaphore::new(room_max as usize)),
            room_max,
            budget: budget.clone(),
            limits: limits.clone(),
            subscriptions: Mutex::default(),
            gone,
            slow: CancellationToken::new(),
            refused: Mutex::default(),
            fault: Mutex::default(),
        };
        (Arc::new(connection), messages)
    }

    /// Ends the connection of a client that may no longer read.
    pub(crate) fn refuse(&self, reason: String) {
        self.refused.lock().get_or_insert(reason);
        self.gone.cancel();
    }

    fn drop_slow(&self) {
        self.slow.cancel();
        self.gone.cancel();
    }

    /// Queues a subscription's message. The client may take its time to make room, within the limit
    /// for a write; that slows down this subscription only. A client that does not is dropped, for
    /// what it missed could not be told it. False once the connection is gone.
    pub(crate) async fn notify(&self, text: String) -> bool {
        let queued = self.in_time(async {
            let mut room = self.room(text.len()).await?;
            let held = match self.budget.hold_answer(text.len()) {
                Some(held) => held,
                None => {
                    // A client that has read everything is not dropped for what others leave
                    // unread.
                    let bytes = room.num_permits();
                    drop(room);
                    let mut all = self.room(usize::MAX).await?;
                    room = all.split(bytes)?;
                    self.budget.hold_anyway(text.len())
                }
            };
            let reply = Reply {
                text,
                held,
                code: None,
            };
            self.queue.send(Queued { reply, room }).await.ok()
        });
        queued.await
    }

    /// Queues a response. The client may take its time to make room, within the limit for a
    /// write; that slows down its own requests only.
    pub(crate) async fn respond(&self, reply: Reply) {
        let queued = self.in_time(async {
            let room = self.room(reply.text.len()).await?;
            self.queue.send(Queued { reply, room }).await.ok()
        });
        queued.await;
    }

    /// Room for a message of so many bytes; a longer one than the queue holds gets all of it.
    async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.room_max);
        let room = Arc::clone(&self.room);
        room.acquire_many_owned(bytes).await.ok()
    }

    /// Carries on within the limit for a write and while the connection is there; whether it was
    /// done. A client that makes no room in time is dropped.
    async fn in_time(&self, work: impl Future<Output = Option<()>>) -> bool {
        let limit = Duration::from_millis(self.limits.ws_write_ms_max);
        let done = tokio::select! {
            biased;
            () = self.gone.cancelled() => return false,
            done = timeout(limit, work) => done,
        };
        let done = matches!(done, Ok(Some(())));
        if !done {
            self.drop_slow();
        }
        done
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

    fn budget() -> Budget {
        Budget::new(1 << 20)
    }

    fn reply(text: &str) -> Reply {
        Reply {
            text: text.to_owned(),
            held: budget().nothing(),
            code: None,
        }
    }

    fn impatient() -> RpcLimits {
        RpcLimits {
            ws_write_ms_max: 100,
            ..RpcLimits::default()
        }
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_dropped_at_the_queue_limit() {
        let limits = RpcLimits {
            ws_queue_max: 2,
            ..impatient()
        };
        let (connection, _messages) = Connection::new(&limits, &budget(), CancellationToken::new());
        assert!(connection.notify("1".to_owned()).await);
        assert!(connection.notify("2".to_owned()).await);
        assert!(!connection.gone.is_cancelled());
        assert!(!connection.notify("3".to_owned()).await);
        assert!(connection.gone.is_cancelled() && connection.slow.is_cancelled());
    }

    #[tokio::test]
    async fn clients_that_read_get_more_than_the_queue_or_the_node_holds() {
        for (ws_queue_max, ws_queue_bytes_max, node_bytes_max) in [
            (2, 1 << 20, 1 << 20),
            (1_000, 2_000, 1 << 20),
            (1_000, 1 << 20, 2_000),
        ] {
            let limits = RpcLimits {
                ws_queue_max,
                ws_queue_bytes_max,
                ..RpcLimits::default()
            };
            let node = Budget::new(node_bytes_max);
            let (connection, mut messages) =
                Connection::new(&limits, &node, CancellationToken::new());
            for _ in 0..3 {
                let connection = Arc::clone(&connection);
                tokio::spawn(async move { while connection.notify("x".repeat(1_400)).await {} });
            }
            for _ in 0..300 {
                assert_eq!(messages.recv().await.unwrap().reply.text.len(), 1_400);
            }
            assert!(!connection.gone.is_cancelled());
        }
    }

    #[tokio::test]
    async fn both_sides_of_the_byte_limit_of_the_queue() {
        let limits = RpcLimits {
            ws_queue_bytes_max: 10,
            ..impatient()
        };
        let (connection, mut messages) =
            Connection::new(&limits, &budget(), CancellationToken::new());
        assert!(connection.notify("12345".to_owned()).await);
        assert!(connection.notify("67890".to_owned()).await);
        drop(messages.recv().await.unwrap());
        assert!(connection.notify("12345".to_owned()).await);
        assert!(!connection.notify("x".to_owned()).await);
    }

    #[tokio::test]
    async fn both_sides_of_the_subscription_limit() {
        let limits = RpcLimits {
            subscriptions_max: 1,
            ..RpcLimits::default()
        };
        let (connection, _messages) = Connection::new(&limits, &budget(), CancellationToken::new());
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
        let (connection, mut messages) =
            Connection::new(&limits, &budget(), CancellationToken::new());
        connection.respond(reply("1")).await;
        let second = tokio::spawn({
            let connection = Arc::clone(&connection);
            async move { connection.respond(reply("2")).await }
        });
        assert_eq!(messages.recv().await.unwrap().reply.text, "1");
        second.await.unwrap();
        assert!(!connection.gone.is_cancelled());
        connection.respond(reply("3")).await;
        assert!(connection.slow.is_cancelled());
    }

    #[tokio::test]
    async fn when_memory_is_short_only_clients_that_leave_something_unread_are_dropped() {
        let node = Budget::new(5_000);
        let limits = impatient();
        let (idle, _a) = Connection::new(&limits, &node, CancellationToken::new());
        let (behind, _b) = Connection::new(&limits, &node, CancellationToken::new());
        assert!(behind.notify("x".repeat(4_000)).await);
        assert!(idle.notify("x".repeat(2_000)).await);
        assert!(!behind.notify("x".repeat(2_000)).await);
        assert!(behind.slow.is_cancelled() && !idle.slow.is_cancelled());
    }
}

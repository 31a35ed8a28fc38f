//! The way of events to the consumer, bounded in number and in payload bytes.

use std::collections::VecDeque;

use tokio::sync::{Mutex, mpsc};

use crate::NetworkEvent;

/// The consumer dropped its receiver, or the network stopped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// All events pass here, one at a time and in the order of arrival, so that no peer can starve
/// another. Because nobody else sends, the channel's free capacity tells which events the consumer
/// has taken, and with the remembered sizes, how many bytes still wait.
#[derive(Debug)]
pub(crate) struct Gate {
    inner: Mutex<Inner>,
    bytes_max: usize,
}

#[derive(Debug)]
struct Inner {
    sender: Option<mpsc::Sender<NetworkEvent>>,
    sizes: VecDeque<usize>,
    bytes: usize,
}

impl Gate {
    pub(crate) fn new(sender: mpsc::Sender<NetworkEvent>, bytes_max: usize) -> Self {
        let inner = Inner {
            sender: Some(sender),
            sizes: VecDeque::new(),
            bytes: 0,
        };
        Self {
            inner: Mutex::new(inner),
            bytes_max,
        }
    }

    /// Waits until there is room, then hands the event over. Cancelling loses the event and
    /// nothing else.
    pub(crate) async fn deliver(&self, event: NetworkEvent) -> Result<(), Closed> {
        let mut inner = self.inner.lock().await;
        let Inner {
            sender,
            sizes,
            bytes,
        } = &mut *inner;
        let Some(sender) = sender else {
            return Err(Closed);
        };
        let len = match &event {
            NetworkEvent::Message { bytes, .. } => bytes.len(),
            NetworkEvent::Up(_) | NetworkEvent::Down(..) => 0,
        };
        loop {
            let free = sender.capacity();
            let waiting = sender.max_capacity() - free;
            while sizes.len() > waiting {
                *bytes -= sizes.pop_front().unwrap_or(0);
            }
            if waiting == 0 || bytes.saturating_add(len) <= self.bytes_max {
                break;
            }
            // Completes when the consumer has taken one more event. The permits go back at once.
            sender.reserve_many(free + 1).await.map_err(|_| Closed)?;
        }
        let permit = sender.reserve().await.map_err(|_| Closed)?;
        sizes.push_back(len);
        *bytes += len;
        permit.send(event);
        Ok(())
    }

    /// Ends the consumer's channel once it has taken what waits.
    pub(crate) async fn close(&self) {
        self.inner.lock().await.sender = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use hawser_primitives::ChainId;

    use super::*;
    use crate::PeerId;

    fn message(len: usize) -> NetworkEvent {
        NetworkEvent::Message {
            from: PeerId([1; 32]),
            chain: ChainId(1),
            bytes: Bytes::from(vec![0; len]),
        }
    }

    /// Lets every ready task run; the test runtime has one thread.
    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn bytes_that_wait_stay_under_the_limit_and_flow_on_when_taken() {
        let (sender, mut receiver) = mpsc::channel(64);
        let gate = Arc::new(Gate::new(sender, 100));
        let writer = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move {
                for _ in 0..10 {
                    gate.deliver(message(40)).await.unwrap();
                }
            }
        });
        for taken in 0..10 {
            settle().await;
            assert_eq!(receiver.len(), 2.min(10 - taken));
            assert!(receiver.recv().await.is_some());
        }
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn one_event_over_the_limit_passes_alone() {
        let (sender, mut receiver) = mpsc::channel(64);
        let gate = Arc::new(Gate::new(sender, 10));
        gate.deliver(message(1_000)).await.unwrap();
        let second = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.deliver(message(1)).await }
        });
        settle().await;
        assert_eq!(receiver.len(), 1);
        receiver.recv().await.unwrap();
        assert_eq!(second.await.unwrap(), Ok(()));
        assert_eq!(receiver.len(), 1);
    }

    #[tokio::test]
    async fn a_dropped_receiver_and_a_closed_gate_are_reported() {
        let (sender, receiver) = mpsc::channel(1);
        let gate = Gate::new(sender, 10);
        drop(receiver);
        assert_eq!(gate.deliver(message(1)).await, Err(Closed));
        let (sender, mut receiver) = mpsc::channel(1);
        let gate = Gate::new(sender, 10);
        gate.close().await;
        assert_eq!(gate.deliver(message(1)).await, Err(Closed));
        assert!(receiver.recv().await.is_none());
    }
}

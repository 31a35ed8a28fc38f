//! Bounded threads for what may take long: a lane has so many places and so long a queue, and what
//! does not fit is refused at once, so that load shows as errors instead of as memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hawser_execution::Stop;
use tokio::sync::Semaphore;

use crate::{RpcLimits, wire::ErrorObject};

/// One lane of work on blocking threads.
#[derive(Debug)]
pub(crate) struct Lane {
    name: &'static str,
    places: Arc<Semaphore>,
    queue_max: usize,
    waiting: AtomicUsize,
    budget: Duration,
}

/// Says that nobody waits any more, when the request is answered or given up.
struct Raise(Stop);

impl Drop for Raise {
    fn drop(&mut self) {
        self.0.raise();
    }
}

/// Counts a waiting request for as long as it waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lane {
    pub(crate) fn new(name: &'static str, places: usize, queue_max: usize, budget_ms: u64) -> Self {
        Self {
            name,
            places: Arc::new(Semaphore::new(places)),
            queue_max,
            waiting: AtomicUsize::new(0),
            budget: Duration::from_millis(budget_ms),
        }
    }

    /// Runs `work` on a thread of the lane. When the time is over the client gets an error, and
    /// the thread stays counted until it really ends: gas and range limits bound that, and work
    /// that looks at its [`Stop`] ends at once.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ErrorObject> + Send + 'static,
    ) -> Result<T, ErrorObject> {
        self.run_within(None, |_| work()).await
    }

    /// As [`Self::run`], in at most this time, where it is less than the lane's.
    pub(crate) async fn run_within<T: Send + 'static>(
        &self,
        wanted: Option<Duration>,
        work: impl FnOnce(&Stop) -> Result<T, ErrorObject> + Send + 'static,
    ) -> Result<T, ErrorObject> {
        let budget = wanted.map_or(self.budget, |wanted| wanted.min(self.budget));
        // Raised when the time is over, and when the client goes away and this future is dropped.
        let raise = Raise(Stop::default());
        let stop = raise.0.clone();
        let timed = async {
            let place = match Arc::clone(&self.places).try_acquire_owned() {
                Ok(place) => place,
                Err(_) => {
                    let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
                    let _waiting = Waiting(&self.waiting);
                    if waiting >= self.queue_max {
                        return Err(ErrorObject::busy(format!(
                            "the node is busy: {waiting} {} requests wait; retry in a second",
                            self.name
                        )));
                    }
                    let place = Arc::clone(&self.places).acquire_owned().await;
                    place.map_err(|_| ErrorObject::stopping())?
                }
            };
            let job = tokio::task::spawn_blocking(move || {
                let result = stop.check().map_err(ErrorObject::from);
                let result = result.and_then(|()| work(&stop));
                drop(place);
                result
            });
            job.await
                .map_err(|error| ErrorObject::internal(format!("request failed: {error}")))?
        };
        match tokio::time::timeout(budget, timed).await {
            Ok(result) => result,
            Err(_) if budget < self.budget => Err(ErrorObject::limit(format!(
                "not done within the {} ms that the request allows; its timeout may be up to {} ms",
                budget.as_millis(),
                self.budget.as_millis()
            ))),
            Err(_) => Err(ErrorObject::busy(format!(
                "request took longer than {} ms; ask for less at once, or retry in a second",
                budget.as_millis()
            ))),
        }
    }
}

/// The lanes of a node.
#[derive(Debug)]
pub(crate) struct Work {
    /// Reads of blocks and state.
    pub(crate) reads: Lane,
    /// Execution and scans.
    pub(crate) heavy: Lane,
}

impl Work {
    pub(crate) fn new(limits: &RpcLimits) -> Self {
        Self {
            reads: Lane::new(
                "read",
                limits.reads_max,
                limits.reads_queue_max,
                limits.request_ms_max,
            ),
            heavy: Lane::new(
                "call",
                limits.heavy_max,
                limits.heavy_queue_max,
                limits.heavy_ms_max,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::wire::code;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_lane_queues_up_to_its_limit_and_refuses_beyond() {
        let lane = Arc::new(Lane::new("call", 1, 1, 60_000));
        let (release, gate) = mpsc::channel::<()>();
        let spawn = |work: Box<dyn FnOnce() -> Result<u8, ErrorObject> + Send>| {
            let lane = Arc::clone(&lane);
            tokio::spawn(async move { lane.run(work).await })
        };
        let running = spawn(Box::new(move || {
            gate.recv().unwrap();
            Ok(1)
        }));
        while lane.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let queued = spawn(Box::new(|| Ok(2)));
        while lane.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let refused = lane.run(|| Ok(3)).await.unwrap_err();
        assert_eq!(refused.code, code::LIMIT_EXCEEDED);
        assert!(refused.message.contains("retry"), "{}", refused.message);
        release.send(()).unwrap();
        assert_eq!(running.await.unwrap().unwrap(), 1);
        assert_eq!(queued.await.unwrap().unwrap(), 2);
        assert_eq!(lane.run(|| Ok(4)).await.unwrap(), 4);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_takes_too_long_is_answered_and_stays_counted() {
        let lane = Lane::new("call", 1, 1, 20);
        let (release, gate) = mpsc::channel::<()>();
        let late = lane
            .run(move || {
                gate.recv().ok();
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(late.code, code::LIMIT_EXCEEDED);
        assert_eq!(lane.places.available_permits(), 0);
        release.send(()).unwrap();
    }

    /// The thread must be free again soon after: the client's error alone would leave it at work.
    #[tokio::test(flavor = "multi_thread")]
    async fn work_ends_when_its_time_is_over_or_its_client_is_gone() {
        let lane = Lane::new("call", 1, 1, 60_000);
        let (ended, ends) = mpsc::channel::<()>();
        let endless = |ended: mpsc::Sender<()>| {
            move |stop: &Stop| -> Result<(), ErrorObject> {
                while !stop.is_raised() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                ended.send(()).ok();
                Ok(())
            }
        };
        let wait = Duration::from_secs(20);
        let wanted = Some(Duration::from_millis(20));
        let late = lane.run_within(wanted, endless(ended.clone())).await;
        assert_eq!(late.unwrap_err().code, code::LIMIT_EXCEEDED);
        ends.recv_timeout(wait).unwrap();
        // Dropped, as with a connection that closes.
        let gone = lane.run_within(None, endless(ended));
        assert!(
            tokio::time::timeout(Duration::from_millis(50), gone)
                .await
                .is_err()
        );
        ends.recv_timeout(wait).unwrap();
        assert_eq!(lane.run(|| Ok(5)).await.unwrap(), 5, "the place is free");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_panic_in_a_handler_is_an_answer() {
        let lane = Lane::new("call", 1, 1, 60_000);
        let failed = lane
            .run(|| -> Result<(), _> { panic!("boom") })
            .await
            .unwrap_err();
        assert_eq!(failed.code, code::INTERNAL);
        assert!(lane.run(|| Ok(())).await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_may_shorten_its_time_and_not_lengthen_it() {
        let lane = Lane::new("call", 4, 4, 100);
        // At work until its time is over, however late that is noticed.
        let slow = |stop: &Stop| {
            while !stop.is_raised() {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        };
        for (wanted, said) in [
            (20, "the 20 ms that the request allows"),
            (5_000, "longer than 100 ms"),
        ] {
            let wanted = Some(Duration::from_millis(wanted));
            let error = lane.run_within(wanted, slow).await.unwrap_err();
            assert!(error.message.contains(said), "{}", error.message);
        }
        let lane = Lane::new("call", 4, 4, 60_000);
        let quick = lane
            .run_within(Some(Duration::from_secs(30)), |_| Ok(7))
            .await;
        assert_eq!(quick.unwrap(), 7);
    }
}

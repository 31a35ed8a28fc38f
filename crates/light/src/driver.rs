//! The thread that follows the chain: answers in, questions and headers out.

use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use hawser_node::light::LightAsk;
use tokio::sync::{mpsc, watch};

use crate::{
    Action, Event, Follower, LightNodeError, StoreError,
    handle::{LightHandle, RECENT},
};

/// How often time is told to the follower.
const TICK: Duration = Duration::from_millis(100);
/// How often peers that were broken with are thought of again.
const FORGIVE: Duration = Duration::from_secs(5);
/// Headers after which progress is in the log.
const PROGRESS: u64 = 10_000;

pub(crate) fn spawn(
    handle: LightHandle,
    follower: Follower,
    mut events: mpsc::Receiver<Event>,
    mut stopped: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, LightNodeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let name = format!("light-{}", handle.genesis().chain_id);
    let mut driver = Driver {
        handle,
        follower,
        started: Instant::now(),
    };
    // Before anybody can ask: what is on the disk counts from the first moment.
    driver.show();
    let run = async move {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut forgiven = Instant::now();
        loop {
            let event = tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => return,
                event = events.recv() => match event {
                    Some(event) => event,
                    None => return,
                },
                _ = tick.tick() => Event::Tick,
            };
            if let Err(error) = driver.handle(event) {
                tracing::error!(%error, "headers cannot be kept; the light node follows no further");
                driver.handle.0.view.write().failed = Some(error.to_string());
                return;
            }
            if forgiven.elapsed() > FORGIVE {
                forgiven = Instant::now();
                driver.handle.0.admitter.forgive();
            }
        }
    };
    Ok(thread::Builder::new()
        .name(name)
        .spawn(move || runtime.block_on(run))?)
}

struct Driver {
    handle: LightHandle,
    follower: Follower,
    started: Instant,
}

impl Driver {
    fn handle(&mut self, event: Event) -> Result<(), StoreError> {
        let quiet = matches!(event, Event::Tick);
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let before = self.follower.forked();
        let actions = self.follower.handle(now, event);
        if let Some(height) = self.follower.forked().filter(|_| before.is_none()) {
            tracing::error!(%height, "two final headers for one height: a third of the validators \
                is faulty; stop relying on this chain and compare the validators");
        }
        if quiet && actions.is_empty() {
            return Ok(());
        }
        for action in actions {
            self.act(action)?;
        }
        self.show();
        Ok(())
    }

    fn act(&self, action: Action) -> Result<(), StoreError> {
        let shared = &self.handle.0;
        match action {
            Action::Ask {
                to,
                id,
                from,
                count,
            } => {
                // Without a link the wait for an answer ends, and another peer is asked.
                shared.asker.send(to, id, LightAsk::Headers { from, count });
            }
            Action::Store(headers) => {
                shared.store.append(&headers)?;
                let mut view = shared.view.write();
                for one in headers {
                    let height = one.certified.header.height;
                    if let Some(next) = &one.next {
                        tracing::info!(%height, validators = next.validators().len(),
                            "the committee changes after this block");
                    }
                    if height.0.is_multiple_of(PROGRESS) {
                        tracing::info!(%height, "headers verified");
                    }
                    view.recent.insert(height, one.certified);
                }
                while view.recent.len() as u64 > RECENT {
                    view.recent.pop_first();
                }
            }
            Action::Drop { peer, reason } => self.handle.drop_peer(peer, &reason),
        }
        Ok(())
    }

    /// Shows where the follower is.
    fn show(&self) {
        let shared = &self.handle.0;
        let tip = self.follower.tip().cloned();
        let height = tip.as_ref().map(|tip| tip.header.height);
        {
            let mut view = shared.view.write();
            view.tip = tip;
            view.validators = self.follower.client().committee().validators().len();
            view.peers = self.follower.peers().collect();
            view.forked = self.follower.forked();
        }
        if let Some(height) = height {
            shared.height.send_if_modified(|shown| {
                let news = *shown != height;
                *shown = height;
                news
            });
        }
    }
}

//! Subscriptions over WebSocket.

use std::{sync::Arc, time::Duration};

use hawser_ledger::{Log, VerifiedTransaction};
use hawser_node::store::ExecutedBlock;
use hawser_primitives::Height;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{filters::fresh_name, logs::LogFilter};
use crate::{
    auth::{self, Caller, Resource},
    methods::{Answer, Context, syncing},
    server::{Connection, Session},
    view,
    wire::{ErrorObject, Json, Params, json, notification},
};

/// How often `syncing` is looked at.
const SYNCING_EVERY: Duration = Duration::from_millis(500);

/// A subscriber, and what lets it read.
struct Subscriber {
    name: String,
    connection: Arc<Connection>,
    cx: Context,
    caller: Arc<Caller>,
    resource: Resource,
}

impl Subscriber {
    /// Sends one thing, once there is room for it; false once the connection is gone.
    async fn push(&self, result: &Json) -> bool {
        // A reader that was let in may have been shut out since.
        if let Err(reason) = auth::still_allowed(&self.cx, &self.caller, &self.resource) {
            self.connection.refuse(reason);
            return false;
        }
        let text = notification("eth_subscription", &self.name, result);
        self.connection.notify(text).await
    }
}

/// `eth_subscribe`
pub(crate) fn subscribe(
    cx: &Context,
    caller: &Arc<Caller>,
    session: &Session,
    mut params: Params,
) -> Answer {
    let resource = Resource::of_values("eth_subscribe", &params.rest());
    let kind: String = params.required("subscription")?;
    let name = fresh_name()?;
    let to = Subscriber {
        name: name.clone(),
        connection: session.connection(),
        cx: cx.clone(),
        caller: Arc::clone(caller),
        resource,
    };
    // Receivers are opened here, so that nothing is missed between answer and start.
    match kind.as_str() {
        "newHeads" => {
            params.end()?;
            session.start(name, new_heads(Blocks::follow(cx), to))
        }
        "logs" => {
            let filter = LogFilter::read(&mut params, cx.limits(), false)?;
            params.end()?;
            session.start(name, logs(Blocks::follow(cx), filter, to))
        }
        "newPendingTransactions" => {
            let full = params.optional("full transactions")?.unwrap_or(false);
            params.end()?;
            session.start(name, pending(cx.handle().subscribe_pending(), full, to))
        }
        "syncing" => {
            params.end()?;
            session.start(name, sync_state(to))
        }
        other => Err(ErrorObject::invalid_params(format!(
            "no {:?} subscription; use newHeads, logs, newPendingTransactions or syncing",
            other.chars().take(64).collect::<String>()
        ))),
    }
}

/// `eth_unsubscribe`
pub(crate) fn unsubscribe(session: &Session, mut params: Params) -> Answer {
    let name: String = params.required("subscription id")?;
    params.end()?;
    if session.connection().unsubscribe(&name) {
        json(&true)
    } else {
        Err(ErrorObject::server("subscription not found"))
    }
}

/// The blocks from the next one on, in order and without gaps: what the channel dropped is read
/// from the store.
struct Blocks {
    cx: Context,
    receiver: Receiver<Arc<ExecutedBlock>>,
    next: Height,
    /// Newest height known of, and that block if it is at hand.
    to: Height,
    newest: Option<Arc<ExecutedBlock>>,
}

impl Blocks {
    fn follow(cx: &Context) -> Self {
        // First the receiver, then the head: a block in between is seen twice and shown once.
        let receiver = cx.handle().subscribe_blocks();
        let to = cx.store().head().id().height;
        Self {
            cx: cx.clone(),
            receiver,
            next: to.next(),
            to,
            newest: None,
        }
    }

    /// The next block; `None` when the chain is stopped.
    async fn next(&mut self) -> Result<Option<Arc<ExecutedBlock>>, ErrorObject> {
        loop {
            if self.next <= self.to
                && let Some(block) = self.at_hand_or_stored().await?
            {
                self.next = self.next.next();
                return Ok(Some(block));
            }
            self.newest = match self.receiver.recv().await {
                Ok(block) => Some(block),
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return Ok(None),
            };
            self.to = match &self.newest {
                Some(block) => block.id().height,
                None => self.cx.store().head().id().height,
            };
        }
    }

    async fn at_hand_or_stored(&self) -> Result<Option<Arc<ExecutedBlock>>, ErrorObject> {
        let height = self.next;
        match &self.newest {
            Some(block) if block.id().height == height => Ok(Some(Arc::clone(block))),
            _ => self.cx.read(move |store| Ok(store.block(height)?)).await,
        }
    }
}

async fn new_heads(mut blocks: Blocks, to: Subscriber) {
    let genesis = Arc::clone(to.cx.store().genesis());
    let ended = async {
        while let Some(block) = blocks.next().await? {
            if !to.push(&json(&view::header(&genesis, &block))?).await {
                break;
            }
        }
        Ok(())
    };
    report(ended.await);
}

async fn logs(mut blocks: Blocks, filter: LogFilter, to: Subscriber) {
    let matches = |log: &Log| filter.matches(log);
    let ended = async {
        while let Some(block) = blocks.next().await? {
            if !filter.may_match(&block.bloom()) {
                continue;
            }
            for log in view::block_logs(&block, &matches) {
                if !to.push(&json(&log)?).await {
                    return Ok(());
                }
            }
        }
        Ok(())
    };
    report(ended.await);
}

async fn pending(mut transactions: Receiver<Arc<VerifiedTransaction>>, full: bool, to: Subscriber) {
    loop {
        let transaction = match transactions.recv().await {
            Ok(transaction) => transaction,
            // A hint of what is coming, not a record: what was missed is missed.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        let result = if full {
            view::transaction(&transaction, None).and_then(|view| json(&view))
        } else {
            json(&transaction.hash())
        };
        match result {
            Ok(result) if to.push(&result).await => {}
            _ => return,
        }
    }
}

async fn sync_state(to: Subscriber) {
    let mut last: Option<bool> = None;
    let mut ticks = tokio::time::interval(SYNCING_EVERY);
    loop {
        ticks.tick().await;
        let Ok(state) = syncing(&to.cx).await else {
            return;
        };
        let now = state.get() != "false";
        if last.replace(now) != Some(now) && !to.push(&state).await {
            return;
        }
    }
}

fn report(ended: Result<(), ErrorObject>) {
    if let Err(error) = ended {
        tracing::warn!(code = error.code, error = %error.message, "subscription ended");
    }
}

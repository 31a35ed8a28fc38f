//! Subscriptions over WebSocket.

use std::{sync::Arc, time::Duration};

use hawser_ledger::VerifiedTransaction;
use hawser_node::store::ExecutedBlock;
use hawser_primitives::Height;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{filters::fresh_name, logs::LogFilter};
use crate::{
    auth::{self, Caller, Resource},
    methods::{Answer, Context, syncing},
    server::Session,
    view,
    wire::{ErrorObject, Json, Params, json, notification},
};

/// How often `syncing` is looked at.
const SYNCING_EVERY: Duration = Duration::from_millis(500);

/// Sends one thing to a subscriber; false once the connection is gone.
type Push = Box<dyn Fn(&Json) -> bool + Send + Sync>;

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
    let push: Push = {
        let (connection, name) = (session.connection(), name.clone());
        let (cx, caller) = (cx.clone(), Arc::clone(caller));
        Box::new(move |result| {
            // A reader that was let in may have been shut out since.
            if let Err(reason) = auth::still_allowed(&cx, &caller, &resource) {
                connection.refuse(reason);
                return false;
            }
            connection.notify(notification("eth_subscription", &name, result))
        })
    };
    // Receivers are opened here, so that nothing is missed between answer and start.
    let context = cx.clone();
    match kind.as_str() {
        "newHeads" => {
            params.end()?;
            let (blocks, next) = follow(cx);
            session.start(name, new_heads(context, blocks, next, push))
        }
        "logs" => {
            let filter = LogFilter::read(&mut params, cx.limits(), false)?;
            params.end()?;
            let (blocks, next) = follow(cx);
            session.start(name, logs(context, filter, blocks, next, push))
        }
        "newPendingTransactions" => {
            let full = params.optional("full transactions")?.unwrap_or(false);
            params.end()?;
            session.start(name, pending(cx.handle().subscribe_pending(), full, push))
        }
        "syncing" => {
            params.end()?;
            session.start(name, sync_state(context, push))
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

fn follow(cx: &Context) -> (Receiver<Arc<ExecutedBlock>>, Height) {
    // First the receiver, then the head: a block in between is seen twice and shown once.
    let blocks = cx.handle().subscribe_blocks();
    (blocks, cx.store().head().id().height.next())
}

/// Calls `each` for every block from `next` on, in order and without gaps: what the channel
/// dropped is read from the store.
async fn each_block(
    cx: &Context,
    mut blocks: Receiver<Arc<ExecutedBlock>>,
    mut next: Height,
    mut each: impl FnMut(&ExecutedBlock) -> Result<bool, ErrorObject> + Send,
) -> Result<(), ErrorObject> {
    loop {
        let newest = match blocks.recv().await {
            Ok(block) => Some(block),
            Err(RecvError::Lagged(_)) => None,
            Err(RecvError::Closed) => return Ok(()),
        };
        let to = newest
            .as_ref()
            .map_or_else(|| cx.store().head().id().height, |b| b.id().height);
        while next <= to {
            let block = match &newest {
                Some(block) if block.id().height == next => Some(Arc::clone(block)),
                _ => {
                    let height = next;
                    cx.read(move |store| Ok(store.block(height)?)).await?
                }
            };
            let Some(block) = block else { break };
            if !each(&block)? {
                return Ok(());
            }
            next = next.next();
        }
    }
}

async fn new_heads(cx: Context, blocks: Receiver<Arc<ExecutedBlock>>, next: Height, push: Push) {
    let genesis = Arc::clone(cx.store().genesis());
    let each = |block: &ExecutedBlock| Ok(push(&json(&view::header(&genesis, block))?));
    report(each_block(&cx, blocks, next, each).await);
}

async fn logs(
    cx: Context,
    filter: LogFilter,
    blocks: Receiver<Arc<ExecutedBlock>>,
    next: Height,
    push: Push,
) {
    let each = |block: &ExecutedBlock| {
        if filter.may_match(&block.bloom()) {
            for log in view::block_logs(block, &|log| filter.matches(log)) {
                if !push(&json(&log)?) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    };
    report(each_block(&cx, blocks, next, each).await);
}

async fn pending(mut transactions: Receiver<Arc<VerifiedTransaction>>, full: bool, push: Push) {
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
            Ok(result) if push(&result) => {}
            _ => return,
        }
    }
}

async fn sync_state(cx: Context, push: Push) {
    let mut last: Option<bool> = None;
    let mut ticks = tokio::time::interval(SYNCING_EVERY);
    loop {
        ticks.tick().await;
        let Ok(state) = syncing(&cx).await else {
            return;
        };
        let now = state.get() != "false";
        if last.replace(now) != Some(now) && !push(&state) {
            return;
        }
    }
}

fn report(ended: Result<(), ErrorObject>) {
    if let Err(error) = ended {
        tracing::warn!(code = error.code, error = %error.message, "subscription ended");
    }
}

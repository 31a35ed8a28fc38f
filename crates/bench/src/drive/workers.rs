//! The connections: as many as it takes for requests to leave on time, up to a limit.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::JoinSet, time::sleep};

use super::{
    Drive, Submit,
    board::{Board, Id},
    http::{Connection, NoAnswer, host_of},
    submit::Fate,
};
use crate::{
    error::{BenchError, Result},
    work::Lanes,
};

/// Connections to a node at first, and at most.
const CONNECTIONS_MIN: usize = 2;
const CONNECTIONS_MAX: usize = 64;
/// Between two tries to reach a node that is gone.
const AGAIN: Duration = Duration::from_millis(250);

/// A request to be.
struct Job {
    ids: Vec<Id>,
    due_us: u64,
}

struct Node {
    index: u16,
    host: String,
    jobs: Mutex<VecDeque<Job>>,
    ready: Semaphore,
    connections: AtomicUsize,
    idle: AtomicUsize,
    down: AtomicBool,
}

struct Shared {
    lanes: Arc<Lanes>,
    board: Mutex<Board>,
    start: Instant,
    submit: Submit,
    answer: Duration,
    nodes: Vec<Node>,
    /// Transactions in requests that are queued or on their way.
    busy: AtomicUsize,
    behind_ms: Mutex<Vec<f64>>,
    body_bytes: AtomicU64,
}

/// All connections of a run; they end when it is dropped.
pub(super) struct Crew {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
    batch: usize,
}

/// A lock that a panic elsewhere does not take away.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crew {
    pub(super) fn new(
        drive: &Drive,
        lanes: Arc<Lanes>,
        board: Board,
        start: Instant,
    ) -> Result<Self> {
        let node = |(url, index): (&String, u16)| {
            Ok(Node {
                index,
                host: host_of(url).map_err(BenchError::Target)?,
                jobs: Mutex::default(),
                ready: Semaphore::new(0),
                connections: AtomicUsize::new(0),
                idle: AtomicUsize::new(0),
                down: AtomicBool::new(false),
            })
        };
        let nodes: Result<Vec<_>> = drive.urls.iter().zip(0..).map(node).collect();
        let shared = Shared {
            lanes,
            board: Mutex::new(board),
            start,
            submit: drive.submit,
            answer: drive.answer,
            nodes: nodes?,
            busy: AtomicUsize::new(0),
            behind_ms: Mutex::default(),
            body_bytes: AtomicU64::new(0),
        };
        let crew = Self {
            shared: Arc::new(shared),
            tasks: Mutex::new(JoinSet::new()),
            batch: drive.submit.batch(drive.batch).max(1),
        };
        for node in 0..crew.shared.nodes.len() {
            for _ in 0..CONNECTIONS_MIN {
                crew.hire(node);
            }
        }
        Ok(crew)
    }

    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.shared.board)
    }

    /// Whether nothing is queued or unanswered.
    pub(super) fn idle(&self) -> bool {
        self.shared.busy.load(Ordering::Acquire) == 0
    }

    pub(super) fn behind_ms(&self) -> Vec<f64> {
        lock(&self.shared.behind_ms).clone()
    }

    pub(super) fn body_bytes(&self) -> u64 {
        self.shared.body_bytes.load(Ordering::Relaxed)
    }

    fn hire(&self, node: usize) {
        if let Some(at) = self.shared.nodes.get(node) {
            at.connections.fetch_add(1, Ordering::Relaxed);
            let shared = Arc::clone(&self.shared);
            lock(&self.tasks).spawn(async move { work(&shared, node).await });
        }
    }

    /// Queues transactions for their nodes.
    pub(super) fn send(&self, taken: Vec<(Id, u16)>, due_us: u64) {
        let mut per_node: Vec<Vec<Id>> = vec![Vec::new(); self.shared.nodes.len()];
        for (id, node) in taken {
            if let Some(list) = per_node.get_mut(usize::from(node)) {
                list.push(id);
            }
        }
        for (index, ids) in per_node.into_iter().enumerate() {
            let Some(node) = self.shared.nodes.get(index) else {
                continue;
            };
            for ids in ids.chunks(self.batch) {
                self.shared.busy.fetch_add(ids.len(), Ordering::AcqRel);
                let ids = ids.to_vec();
                lock(&node.jobs).push_back(Job { ids, due_us });
                node.ready.add_permits(1);
            }
            let waiting = lock(&node.jobs).len();
            // Nobody is free to take it: another connection, so that it leaves when it is due.
            if waiting > node.idle.load(Ordering::Relaxed)
                && node.connections.load(Ordering::Relaxed) < CONNECTIONS_MAX
            {
                self.hire(index);
            }
        }
    }
}

async fn work(shared: &Shared, index: usize) {
    let Some(node) = shared.nodes.get(index) else {
        return;
    };
    let mut connection = Connection::new(&node.host, shared.answer);
    loop {
        node.idle.fetch_add(1, Ordering::Relaxed);
        let ready = node.ready.acquire().await;
        node.idle.fetch_sub(1, Ordering::Relaxed);
        let Ok(permit) = ready else { return };
        permit.forget();
        let Some(job) = lock(&node.jobs).pop_front() else {
            continue;
        };
        let count = job.ids.len();
        carry(shared, node, &mut connection, job).await;
        shared.busy.fetch_sub(count, Ordering::AcqRel);
    }
}

async fn carry(shared: &Shared, node: &Node, connection: &mut Connection, job: Job) {
    let places: Vec<_> = {
        let board = lock(&shared.board);
        job.ids.iter().map(|id| board.place(*id)).collect()
    };
    let found = places
        .iter()
        .filter_map(|(lane, index)| shared.lanes.lanes.get(*lane)?.get(*index));
    let body = shared.submit.body(found);
    let late_us = super::micros(shared.start.elapsed()).saturating_sub(job.due_us);
    lock(&shared.behind_ms).push(late_us as f64 / 1_000.0);
    shared
        .body_bytes
        .fetch_add(body.len() as u64, Ordering::Relaxed);
    let (path, kind) = shared.submit.place();
    match connection.post(path, kind, &body).await {
        Ok(answer) => {
            node.down.store(false, Ordering::Relaxed);
            let fates = shared.submit.fates(&answer, job.ids.len());
            let busy = fates
                .iter()
                .flatten()
                .any(|fate| matches!(fate, Fate::Busy { .. }));
            {
                let mut board = lock(&shared.board);
                board.up(node.index);
                match fates {
                    Some(fates) => board.answered(node.index, &job.ids, &fates),
                    None => board.unanswered(&job.ids, true),
                }
            }
            // A refusal costs the node less than the next one would.
            if busy {
                sleep(Duration::from_millis(20)).await;
            }
        }
        Err(error) => {
            *connection = Connection::new(&node.host, shared.answer);
            let first = !node.down.swap(true, Ordering::Relaxed);
            {
                let mut board = lock(&shared.board);
                board.unanswered(&job.ids, error == NoAnswer::Unknown);
                board.down(node.index);
                for job in lock(&node.jobs).drain(..) {
                    board.unanswered(&job.ids, false);
                    shared.busy.fetch_sub(job.ids.len(), Ordering::AcqRel);
                }
            }
            // One of the connections looks when the node is back; the others wait for work.
            if first {
                back(shared, node).await;
            }
        }
    }
}

/// Waits until a node answers again.
async fn back(shared: &Shared, node: &Node) {
    const ASK: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#;
    loop {
        sleep(AGAIN).await;
        let mut connection = Connection::new(&node.host, AGAIN * 2);
        let asked = connection.post("/", "application/json", ASK).await;
        if asked.is_ok_and(|answer| answer.status == 200) {
            node.down.store(false, Ordering::Relaxed);
            lock(&shared.board).up(node.index);
            return;
        }
    }
}

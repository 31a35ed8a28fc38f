//! Questions about the chain, answered with what is verified.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use alloy_primitives::keccak256;
use hawser_ledger::{
    CertifiedHeader, Genesis, Header, Roots, SettingsSchedule,
    state::{StateKey, StateProof},
};
use hawser_network::PeerId;
use hawser_node::{
    light::{LightAsk, LightRefusal, LightReply},
    store::ExecutedBlock,
};
use hawser_primitives::{B256, Bytes, Height};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::{HeaderStore, LightStatus, PeerAdmitter, ReadError, Tip, ask::Asker, status};

/// Peers asked one after another before a question is given up.
const TRIES: usize = 5;
/// Wait for the header that commits to what a peer has shown.
const CATCH_UP: Duration = Duration::from_secs(3);
/// Pause before peers that were a moment behind are asked again.
const BEHIND: Duration = Duration::from_millis(100);
/// Blocks kept after they were fetched and verified.
const BLOCKS_KEPT: usize = 16;
/// Newest headers that are kept with their certificates.
pub(crate) const RECENT: u64 = 64;
/// Newest headers whose hashes are looked through before peers are asked.
const HASHES_SEARCHED: u64 = 128;

/// What the thread that follows the chain shows of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) tip: Option<Tip>,
    pub(crate) validators: usize,
    pub(crate) peers: Vec<(PeerId, Height)>,
    pub(crate) forked: Option<Height>,
    /// Why nothing more is followed; `None` while all is well.
    pub(crate) failed: Option<String>,
    /// The newest headers with their certificates.
    pub(crate) recent: BTreeMap<Height, CertifiedHeader>,
}

pub(crate) struct Shared {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) genesis_hash: B256,
    /// Header of the genesis block, where it was worked out because no later one told it.
    pub(crate) first: Option<Header>,
    pub(crate) store: HeaderStore,
    pub(crate) asker: Asker,
    pub(crate) admitter: PeerAdmitter,
    pub(crate) view: RwLock<View>,
    pub(crate) height: watch::Sender<Height>,
    pub(crate) schedule: Mutex<Option<(Height, Arc<SettingsSchedule>)>>,
    pub(crate) blocks: Mutex<BTreeMap<Height, Arc<ExecutedBlock>>>,
    pub(crate) turn: AtomicUsize,
}

/// Values of the state after a block, each with its proof.
#[derive(Clone, Debug)]
pub struct Proved {
    /// The block.
    pub height: Height,
    /// Root of its state, as a final header has it.
    pub root: B256,
    /// In the order of the keys; `None` where absence is proved.
    pub values: Vec<Option<Bytes>>,
    /// The proofs, verified against `root`.
    pub proofs: Vec<StateProof>,
}

/// What a peer's reply is worth.
pub(crate) enum Verdict<T> {
    /// It proves the answer.
    Good(T),
    /// It may be honest and does not help.
    Useless(String),
    /// No correct peer sends it.
    Wrong(String),
}

/// A running light node, as interfaces see it. Cheap to clone.
#[derive(Clone)]
pub struct LightHandle(pub(crate) Arc<Shared>);

impl LightHandle {
    /// The chain's genesis.
    #[must_use]
    pub fn genesis(&self) -> &Arc<Genesis> {
        &self.0.genesis
    }

    /// Its hash.
    #[must_use]
    pub fn genesis_hash(&self) -> B256 {
        self.0.genesis_hash
    }

    /// The last verified header.
    #[must_use]
    pub fn tip(&self) -> Option<Tip> {
        self.0.view.read().tip.clone()
    }

    /// The newest block whose results a verified header commits to.
    #[must_use]
    pub fn settled(&self) -> Height {
        let view = self.0.view.read();
        view.tip
            .as_ref()
            .map_or(Height::GENESIS, |tip| tip.header.executed.height)
    }

    /// How the node is doing.
    #[must_use]
    pub fn status(&self) -> LightStatus {
        status::of(&self.0)
    }

    /// Changes whom the node asks.
    #[must_use]
    pub fn admitter(&self) -> &PeerAdmitter {
        &self.0.admitter
    }

    /// A verified header; `None` where none is kept for the height. That of genesis is made from
    /// the document and the root that the first header has.
    ///
    /// # Errors
    /// [`ReadError::Store`] where the disk fails.
    pub fn header(&self, height: Height) -> Result<Option<Header>, ReadError> {
        if height > Height::GENESIS {
            return Ok(self.0.store.header(height)?);
        }
        if let Some(header) = &self.0.first {
            return Ok(Some(header.clone()));
        }
        let Some(first) = self.0.store.header(Height(1))? else {
            return Ok(None);
        };
        let block = self.0.genesis.block(first.executed.state);
        let block = block.map_err(|error| ReadError::Store(error.to_string()))?;
        // Block 1 names its parent by the hash of this header.
        let fits = block.hash(self.0.genesis.suite) == first.parent;
        Ok(fits.then_some(block.header))
    }

    /// A header with its certificate, as long as it is among the newest.
    #[must_use]
    pub fn certified(&self, height: Height) -> Option<CertifiedHeader> {
        self.0.view.read().recent.get(&height).cloned()
    }

    /// A header that must be there.
    pub(crate) fn known(&self, height: Height) -> Result<Header, ReadError> {
        self.header(height)?.ok_or_else(|| {
            let first = self.0.store.first();
            match (first, self.0.store.last()) {
                (Some(first), Some(last)) => ReadError::NoHeader {
                    wanted: height,
                    first,
                    last,
                },
                _ => ReadError::Empty,
            }
        })
    }

    /// The roots after a block, from the verified header that commits to them.
    ///
    /// # Errors
    /// [`ReadError::NotCertified`] for the newest blocks, [`ReadError::NoHeader`] for what is not
    /// kept.
    pub fn roots(&self, height: Height) -> Result<Roots, ReadError> {
        let Some(tip) = self.tip() else {
            // Nothing but the genesis, which needs no certificate.
            let first = self.0.first.as_ref().ok_or(ReadError::Empty)?;
            return match height {
                Height::GENESIS => Ok(first.executed),
                _ => Err(ReadError::NotCertified(height)),
            };
        };
        if tip.header.executed.height < height {
            return Err(ReadError::NotCertified(height));
        }
        let lag = self.0.genesis.parameters.root_lag;
        let certifier = Height(height.0.saturating_add(lag)).min(tip.header.height);
        let roots = self.known(certifier)?.executed;
        if roots.height == height {
            Ok(roots)
        } else {
            Err(ReadError::NotCertified(height))
        }
    }

    /// Waits until the roots after a block are verified, for a moment.
    async fn await_roots(&self, height: Height) -> Result<Roots, ReadError> {
        let lag = self.0.genesis.parameters.root_lag;
        let needed = match height {
            Height::GENESIS => Height::GENESIS,
            _ => Height(height.0.saturating_add(lag)),
        };
        let mut at = self.0.height.subscribe();
        let reached = at.wait_for(|at| *at >= needed);
        match tokio::time::timeout(CATCH_UP, reached).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Err(ReadError::Stopped),
            Err(_) => return Err(ReadError::NotCertified(height)),
        }
        self.roots(height)
    }

    /// Asks one peer after another until one proves an answer. One that sends something wrong is
    /// dropped.
    pub(crate) async fn asked<T, F>(
        &self,
        ask: LightAsk,
        mut check: impl FnMut(LightReply) -> F,
    ) -> Result<T, ReadError>
    where
        F: Future<Output = Verdict<T>>,
    {
        let peers = self.0.admitter.connected();
        if peers.is_empty() {
            return Err(ReadError::NoPeers);
        }
        let first = self.0.turn.fetch_add(1, Ordering::Relaxed) % peers.len();
        let order = peers.iter().cycle().skip(first).take(peers.len());
        let mut last = ReadError::Unanswered("nothing".to_owned());
        for peer in order.take(TRIES) {
            let Some(reply) = self.0.asker.ask(*peer, ask.clone()).await? else {
                last = ReadError::Unanswered(format!("{peer} nothing in time"));
                continue;
            };
            if let LightReply::Refused { why, text } = reply {
                last = refusal(why, text);
                if matches!(last, ReadError::Transaction(_)) {
                    return Err(last);
                }
                continue;
            }
            match check(reply).await {
                Verdict::Good(value) => return Ok(value),
                Verdict::Useless(text) => last = ReadError::Unanswered(text),
                Verdict::Wrong(reason) => {
                    self.drop_peer(*peer, &reason);
                    last = ReadError::Unanswered(format!("{peer} something wrong: {reason}"));
                }
            }
        }
        Err(last)
    }

    pub(crate) fn drop_peer(&self, peer: PeerId, reason: &str) {
        if self.0.admitter.drop_peer(peer, reason) {
            let name = self.0.admitter.name(&peer).unwrap_or_default();
            tracing::warn!(%peer, name, reason, "dropped a peer that sent something wrong");
        }
    }

    /// Values of the state after a block, by default the newest one that can be proved: never one
    /// older than [`Self::settled`] was when the question came.
    ///
    /// # Errors
    /// [`ReadError`] where no peer proves them, or the block's roots are not verified.
    pub async fn state(&self, at: Option<Height>, keys: &[StateKey]) -> Result<Proved, ReadError> {
        if let Some(height) = at {
            self.roots(height)?;
        }
        let oldest = at.unwrap_or_else(|| self.settled());
        let end = Instant::now() + CATCH_UP;
        loop {
            // Peers are not equally far; a moment later they are.
            let behind = AtomicBool::new(false);
            match self.state_once(at, oldest, keys, &behind).await {
                Err(_) if behind.load(Ordering::Relaxed) && Instant::now() < end => {
                    tokio::time::sleep(BEHIND).await;
                }
                done => return done,
            }
        }
    }

    async fn state_once(
        &self,
        at: Option<Height>,
        oldest: Height,
        keys: &[StateKey],
        behind: &AtomicBool,
    ) -> Result<Proved, ReadError> {
        let ask = LightAsk::State {
            at,
            keys: keys.iter().map(|key| key.encode().into()).collect(),
        };
        self.asked(ask, |reply| async move {
            let LightReply::State { height, proofs } = reply else {
                return Verdict::Wrong(
                    "answered a request for state with another thing".to_owned(),
                );
            };
            if at.is_some_and(|at| at != height) || proofs.len() != keys.len() {
                return Verdict::Wrong("proved another thing than was asked for".to_owned());
            }
            if height < oldest {
                behind.store(true, Ordering::Relaxed);
                return Verdict::Useless(format!("it is at block {height} yet"));
            }
            let roots = match self.await_roots(height).await {
                Ok(roots) => roots,
                Err(error) => return Verdict::Useless(error.to_string()),
            };
            let suite = self.0.genesis.suite;
            let mut values = Vec::with_capacity(keys.len());
            for (key, proof) in keys.iter().zip(&proofs) {
                match proof.verify(suite, &roots.state, key) {
                    Ok(value) => values.push(value),
                    Err(error) => {
                        return Verdict::Wrong(format!("state after block {height}: {error}"));
                    }
                }
            }
            Verdict::Good(Proved {
                height,
                root: roots.state,
                values,
                proofs,
            })
        })
        .await
    }

    /// Content that a hash names, where `hash_of` says how.
    pub(crate) async fn content(
        &self,
        hash: B256,
        hash_of: impl Fn(&[u8]) -> B256,
    ) -> Result<Bytes, ReadError> {
        let hash_of = &hash_of;
        self.asked(LightAsk::Content { hash }, |reply| async move {
            match reply {
                LightReply::Content(content) if hash_of(&content) == hash => Verdict::Good(content),
                _ => Verdict::Wrong("sent other content than its hash names".to_owned()),
            }
        })
        .await
    }

    /// Code by its hash, as an account names it (Keccak-256).
    ///
    /// # Errors
    /// [`ReadError`] where no peer has it.
    pub async fn code(&self, hash: B256) -> Result<Bytes, ReadError> {
        self.content(hash, |bytes| keccak256(bytes)).await
    }

    /// Height of a block by its hash; `None` where no peer shows one.
    ///
    /// # Errors
    /// [`ReadError`] where no peer can be asked.
    pub async fn height_of(&self, hash: B256) -> Result<Option<Height>, ReadError> {
        let Some(tip) = self.tip() else {
            return Ok(None);
        };
        if tip.hash == hash {
            return Ok(Some(tip.header.height));
        }
        let suite = self.0.genesis.suite;
        let is = |height| -> Result<bool, ReadError> {
            let header = self.header(height)?;
            Ok(header.is_some_and(|header| header.hash(suite) == hash))
        };
        // A header names its parent's hash: one look for two.
        let from = tip.header.height.back(HASHES_SEARCHED);
        for height in (from.0..=tip.header.height.0).rev() {
            let header = self.0.store.header(Height(height))?;
            if header.is_some_and(|header| header.parent == hash) {
                return Ok(Some(Height(height).back(1)));
            }
        }
        let found = self.found(LightAsk::FindBlock { hash }).await?;
        match found {
            Some(height) if is(height)? => Ok(Some(height)),
            _ => Ok(None),
        }
    }

    /// The height that peers name. A claim: who uses it checks what is there. Absence cannot be
    /// proved, so several peers are asked before it is believed.
    pub(crate) async fn found(&self, ask: LightAsk) -> Result<Option<Height>, ReadError> {
        let mut nowhere = false;
        let found = self
            .asked(ask, |reply| {
                let verdict = match reply {
                    LightReply::Found(Some(height)) => Verdict::Good(height),
                    LightReply::Found(None) => {
                        nowhere = true;
                        Verdict::Useless("it has none".to_owned())
                    }
                    _ => Verdict::Wrong("answered a search with another thing".to_owned()),
                };
                std::future::ready(verdict)
            })
            .await;
        match found {
            Ok(height) => Ok(Some(height)),
            Err(_) if nowhere => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands a transaction to a peer, which puts it into its pool; gives its hash.
    ///
    /// # Errors
    /// [`ReadError::Transaction`] with the peer's words where it is not taken.
    pub async fn submit(&self, raw: Bytes) -> Result<B256, ReadError> {
        let expected = hawser_ledger::Transaction::hash_of(self.0.genesis.suite, &raw);
        self.asked(LightAsk::Submit { raw }, |reply| {
            std::future::ready(match reply {
                LightReply::Submitted(hash) if hash == expected => Verdict::Good(hash),
                LightReply::Submitted(_) => {
                    Verdict::Wrong("took another transaction than was sent".to_owned())
                }
                _ => Verdict::Wrong("answered a transaction with another thing".to_owned()),
            })
        })
        .await
    }
}

fn refusal(why: LightRefusal, text: String) -> ReadError {
    match why {
        LightRefusal::Transaction => ReadError::Transaction(text),
        LightRefusal::SignedReads | LightRefusal::NotHere | LightRefusal::TooLarge => {
            ReadError::Refused(text)
        }
        LightRefusal::WrongChain
        | LightRefusal::Malformed
        | LightRefusal::Busy
        | LightRefusal::Failed => ReadError::Unanswered(text),
    }
}

impl Shared {
    /// Keeps a verified block for the next who asks.
    pub(crate) fn keep(&self, block: &Arc<ExecutedBlock>) {
        let mut blocks = self.blocks.lock();
        blocks.insert(block.id().height, Arc::clone(block));
        while blocks.len() > BLOCKS_KEPT {
            // The oldest block goes: clients mostly ask for new ones.
            blocks.pop_first();
        }
    }
}

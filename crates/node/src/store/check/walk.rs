use hawser_crypto::Suite;
use hawser_ledger::{Certificate, Genesis, Header, ValidatorSet};
use hawser_primitives::{B256, Height};
use hawser_storage::Kv;

use super::index;

/// Most sentences about what could not be told.
const UNCLEAR_MAX: usize = 20;

/// The chain of headers, followed from the genesis or from a later block on.
#[derive(Clone)]
pub(super) struct Walk<'a> {
    genesis: &'a Genesis,
    kv: Option<&'a dyn Kv>,
    suite: Suite,
    /// Height and hash that the next header must name.
    parent: Option<(Height, B256)>,
    /// Who signs the next header; `None` where that is not known.
    committee: Option<ValidatorSet>,
    /// Whether every header since genesis was verified.
    whole: bool,
    unclear: Vec<String>,
}

impl<'a> Walk<'a> {
    /// From the genesis.
    pub(super) fn new(genesis: &'a Genesis, kv: Option<&'a dyn Kv>) -> Self {
        Self {
            genesis,
            kv,
            suite: genesis.suite,
            parent: None,
            committee: genesis.validator_set().ok(),
            whole: true,
            unclear: Vec::new(),
        }
    }

    /// From a later block, whose committee is taken from the index.
    pub(super) fn from(genesis: &'a Genesis, kv: Option<&'a dyn Kv>, first: Height) -> Self {
        let mut walk = Self::new(genesis, kv);
        walk.whole = false;
        walk.committee = None;
        walk.say(format!(
            "headers before block {first} are not here, so its committee is taken from the node's \
             own index and not from the genesis"
        ));
        walk
    }

    /// Goes on at a later block: those between are not here to be followed.
    pub(super) fn jump(&mut self) {
        self.whole = false;
        (self.parent, self.committee) = (None, None);
    }

    pub(super) const fn is_whole(&self) -> bool {
        self.whole
    }

    pub(super) fn into_unclear(self) -> Vec<String> {
        self.unclear
    }

    fn say(&mut self, text: String) {
        if self.unclear.len() < UNCLEAR_MAX {
            self.unclear.push(text);
        }
    }

    fn committee_at(&self, height: Height) -> Option<ValidatorSet> {
        let entry = self.kv.map(|kv| index::settings_at(kv, height))?.ok()?;
        match entry {
            Some(entry) => entry.settings.validator_set().ok(),
            None => self.genesis.validator_set().ok(),
        }
    }

    /// The committee with a hash, if the index says that it decides the height, or if a snapshot
    /// brought it.
    fn named(&self, hash: &B256, height: Height) -> Option<ValidatorSet> {
        let brought = self.kv.map(index::changes).and_then(Result::ok);
        let brought = brought.into_iter().flatten().map(|change| change.next);
        let mut all = self.committee_at(height).into_iter().chain(brought);
        all.find(|set| set.hash(self.suite) == *hash)
    }

    /// Verifies that a header follows the last one and that a quorum signed it.
    pub(super) fn follow(
        &mut self,
        height: Height,
        header: &Header,
        certificate: &Certificate,
    ) -> Result<(), String> {
        if header.height != height {
            return Err(format!("it is block {}", header.height));
        }
        if header.chain_id != self.genesis.chain_id {
            return Err(format!("it is of chain {}", header.chain_id));
        }
        let hash = header.hash(self.suite);
        if certificate.height != height || certificate.block_hash != hash {
            return Err("its certificate is for another block".to_owned());
        }
        if height == Height(1) {
            let genesis = self.genesis.block(header.executed.state);
            let genesis = genesis.map_err(|error| error.to_string())?;
            self.parent = Some((Height::GENESIS, genesis.hash(self.suite)));
        }
        if let Some((last, parent)) = self.parent
            && (last.next() != height || parent != header.parent)
        {
            return Err(format!("it does not follow block {last}"));
        }
        if self.committee.is_none() {
            self.committee = self.named(&header.validators, height);
        }
        match &self.committee {
            Some(set) if set.hash(self.suite) == header.validators => certificate
                .verify(self.genesis.chain_id, set)
                .map_err(|error| format!("its certificate: {error}"))?,
            Some(_) => return Err("it names another committee than the one before".to_owned()),
            None => {
                self.whole = false;
                self.say(format!("the committee of block {height} is not known"));
            }
        }
        if header.next_validators != header.validators || self.committee.is_none() {
            self.committee = self.named(&header.next_validators, height.next());
        }
        self.parent = Some((height, hash));
        Ok(())
    }
}

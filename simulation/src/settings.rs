//! Changes of chain settings during a run: a contract that writes the schedule on anyone's word,
//! in the place of governance, and the model that the oracle compares nodes with.

use std::{collections::BTreeMap, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::{PublicKey, Suite};
use hawser_execution::{CallEnv, NativeContract, NativeResult, NativeState, revert_text};
use hawser_ledger::{
    Call, ChainParameters, ChainSettings, Envelope, Genesis, GenesisValidator, Outcome,
    SETTINGS_ACCOUNT, SETTINGS_DELAY, SETTINGS_SLOT, SettingsSchedule, ValidatorSet,
};
use hawser_node::store::ExecutedBlock;
use hawser_primitives::{Address, B256, Bytes, Domain, Height, decode_exact, encode};
use rand::{Rng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

const PATCH_BYTES_MAX: usize = 64 * 1024;

/// A part of the settings to replace.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub(crate) enum Patch {
    Validators(Vec<GenesisValidator>),
    Parameters(ChainParameters),
    /// The next protocol version.
    Protocol,
}

impl Patch {
    fn apply(self, settings: &mut ChainSettings) {
        match self {
            Self::Validators(validators) => settings.validators = validators,
            Self::Parameters(parameters) => settings.parameters = parameters,
            Self::Protocol => {
                settings.protocol_version = settings.protocol_version.saturating_add(1);
            }
        }
    }

    /// A random committee out of all candidates, or random parameters within reason.
    pub(crate) fn draw(
        rng: &mut ChaCha8Rng,
        candidates: &[PublicKey],
        current: &ChainSettings,
    ) -> Self {
        if rng.random_bool(0.3) {
            return Self::Parameters(parameters(rng, &current.parameters));
        }
        let member = |key: &PublicKey, weight| GenesisValidator {
            name: key.address().to_string(),
            public_key: key.clone(),
            weight,
        };
        let mut validators = current.validators.clone();
        let outside: Vec<_> = candidates
            .iter()
            .filter(|key| validators.iter().all(|v| v.public_key != **key))
            .collect();
        match (rng.random_range(0..5), outside.first()) {
            // One more, one less, one for another, one's weight.
            (0, Some(key)) => validators.push(member(key, 1)),
            (1, _) if validators.len() > 1 => {
                validators.remove(rng.random_range(0..validators.len()));
            }
            (2, Some(key)) => {
                let at = rng.random_range(0..validators.len());
                validators.splice(at..=at, [member(key, 1)]);
            }
            (3, _) => {
                let at = rng.random_range(0..validators.len());
                if let Some(one) = validators.get_mut(at) {
                    one.weight = rng.random_range(1..=4);
                }
            }
            // Everybody anew.
            _ => {
                let mut all: Vec<_> = candidates.iter().collect();
                all.shuffle(rng);
                all.truncate(rng.random_range(1..=candidates.len().max(1)));
                validators = all
                    .into_iter()
                    .map(|key| member(key, rng.random_range(1..=3)))
                    .collect();
            }
        }
        Self::Validators(validators)
    }

    pub(crate) fn encode(&self) -> Bytes {
        encode(self).into()
    }
}

/// Clients ask for 500,000 gas each; that must stay possible.
fn parameters(rng: &mut ChaCha8Rng, current: &ChainParameters) -> ChainParameters {
    let transaction_gas_max = rng.random_range(1..=4) * 500_000;
    let account_block_gas_max = transaction_gas_max * rng.random_range(1..=3);
    ChainParameters {
        transaction_gas_max,
        account_block_gas_max,
        block_gas_max: account_block_gas_max.max(1_000_000) * rng.random_range(1..=3),
        block_bytes_max: 524_288 * rng.random_range(1..=8),
        heartbeat_ms: if rng.random_bool(0.3) { 2_000 } else { 0 },
        block_interval_ms_min: rng.random_range(0..50),
        clock_drift_ms_max: rng.random_range(1_000..4_000),
        ..current.clone()
    }
}

/// Stands where governance stands, and obeys everyone.
pub(crate) struct Changer {
    pub(crate) genesis: Arc<Genesis>,
}

impl NativeContract for Changer {
    fn address(&self) -> Address {
        SETTINGS_ACCOUNT
    }

    fn name(&self) -> &'static str {
        "simulated governance"
    }

    fn call(&self, env: &CallEnv, state: &mut dyn NativeState) -> NativeResult {
        let words = |error: &dyn std::fmt::Display| revert_text(&error.to_string());
        let patch: Patch =
            decode_exact(&env.input, PATCH_BYTES_MAX).map_err(|error| words(&error))?;
        let hash = state.load(&SETTINGS_SLOT)?;
        let mut schedule = if hash.is_zero() {
            SettingsSchedule::of_genesis(&self.genesis)
        } else {
            let bytes = state
                .blob(&hash)?
                .ok_or_else(|| revert_text("no schedule"))?;
            SettingsSchedule::from_bytes(env.suite, &bytes).map_err(|error| words(&error))?
        };
        let mut settings = schedule.latest().settings.clone();
        patch.apply(&mut settings);
        schedule
            .change(env.suite, env.height, settings)
            .map_err(|error| words(&error))?;
        let hash = state.put_blob(Domain::Settings, schedule.to_bytes())?;
        state.store(&SETTINGS_SLOT, hash)?;
        Ok(Bytes::new())
    }
}

/// What the settings of every height must be, from the transactions that were executed.
#[derive(Debug)]
pub(crate) struct Model {
    suite: Suite,
    eras: BTreeMap<Height, (ChainSettings, ValidatorSet, B256)>,
}

impl Model {
    pub(crate) fn new(genesis: &Genesis) -> Result<Self, String> {
        let mut model = Self {
            suite: genesis.suite,
            eras: BTreeMap::new(),
        };
        model.add(Height::GENESIS, ChainSettings::of_genesis(genesis))?;
        Ok(model)
    }

    fn add(&mut self, from: Height, settings: ChainSettings) -> Result<(), String> {
        let set = settings
            .validator_set()
            .map_err(|error| format!("settings from {from}: {error}"))?;
        let hash = set.hash(self.suite);
        self.eras.insert(from, (settings, set, hash));
        Ok(())
    }

    fn era(&self, height: Height) -> &(ChainSettings, ValidatorSet, B256) {
        match self.eras.range(..=height).next_back() {
            Some((_, era)) => era,
            None => unreachable!("the model begins with genesis"),
        }
    }

    pub(crate) fn at(&self, height: Height) -> &ChainSettings {
        &self.era(height).0
    }

    pub(crate) fn set(&self, height: Height) -> &ValidatorSet {
        &self.era(height).1
    }

    pub(crate) fn set_hash(&self, height: Height) -> B256 {
        self.era(height).2
    }

    pub(crate) fn latest(&self) -> &ChainSettings {
        self.at(Height(u64::MAX))
    }

    /// First height of the newest settings.
    pub(crate) fn last_change(&self) -> Height {
        self.eras
            .keys()
            .next_back()
            .copied()
            .unwrap_or(Height::GENESIS)
    }

    /// Number of changes.
    pub(crate) fn changes(&self) -> usize {
        self.eras.len().saturating_sub(1)
    }

    /// Takes over what a block that is executed for the first time changes.
    pub(crate) fn executed(&mut self, block: &ExecutedBlock) -> Result<(), String> {
        let from = Height(block.id().height.0.saturating_add(SETTINGS_DELAY));
        let all = block.transactions.iter().zip(&block.result.receipts);
        for (transaction, receipt) in all {
            let Envelope::Native(native) = transaction.transaction().envelope() else {
                continue;
            };
            for call in &native.body.calls {
                if let Call::Call { to, input, .. } = call
                    && *to == SETTINGS_ACCOUNT
                    && receipt.outcome == Outcome::Success
                {
                    let patch: Patch = decode_exact(input, PATCH_BYTES_MAX)
                        .map_err(|error| format!("a patch that does not decode: {error}"))?;
                    let mut settings = self.latest().clone();
                    patch.apply(&mut settings);
                    self.add(from, settings)?;
                }
            }
        }
        Ok(())
    }
}

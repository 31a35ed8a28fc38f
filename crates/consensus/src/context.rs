//! Hawser's types in the terms of malachite's `Context`.

use std::{cmp::Ordering, fmt, sync::Arc, time::Duration};

use hawser_crypto as crypto;
use hawser_ledger as ledger;
use hawser_primitives as primitives;
use malachitebft_core_types::{
    self as core, NilOrVal, Round, SignedExtension, Timeout, VoteType, VotingPower,
};

use crate::proposer_index;

#[derive(Clone, Debug)]
pub(crate) struct Ctx;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Height(pub(crate) u64);

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::Height for Height {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address(pub(crate) primitives::Address);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::Address for Address {}

/// The value agreed on is the block hash; bodies travel beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BlockHash(pub(crate) primitives::B256);

impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::Value for BlockHash {
    type Id = Self;

    fn id(&self) -> Self {
        *self
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VoteSignature(pub(crate) crypto::Signature);

impl PartialOrd for VoteSignature {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for VoteSignature {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.as_bytes().cmp(other.0.as_bytes())
    }
}

/// Votes are signed and verified by the caller's effects; the library's own codec is never asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signing;

impl core::SigningScheme for Signing {
    type DecodingError = String;
    type Signature = VoteSignature;
    type PublicKey = crypto::PublicKey;
    type PrivateKey = ();

    fn decode_signature(_: &[u8]) -> Result<Self::Signature, String> {
        Err("signatures are decoded with their message".to_owned())
    }

    fn encode_signature(signature: &Self::Signature) -> Vec<u8> {
        signature.0.as_bytes().to_vec()
    }

    fn decode_public_key(_: &[u8]) -> Result<Self::PublicKey, String> {
        Err("keys are decoded with their validator set".to_owned())
    }

    fn encode_public_key(key: &Self::PublicKey) -> Vec<u8> {
        key.as_bytes().to_vec()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Validator {
    pub(crate) address: Address,
    pub(crate) key: crypto::PublicKey,
    pub(crate) weight: u64,
}

impl core::Validator<Ctx> for Validator {
    fn address(&self) -> &Address {
        &self.address
    }

    fn public_key(&self) -> &crypto::PublicKey {
        &self.key
    }

    fn voting_power(&self) -> VotingPower {
        self.weight
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ValidatorSet {
    pub(crate) set: Arc<ledger::ValidatorSet>,
    members: Arc<Vec<Validator>>,
}

impl ValidatorSet {
    pub(crate) fn new(set: Arc<ledger::ValidatorSet>) -> Self {
        let member = |v: &ledger::Validator| Validator {
            address: Address(v.address()),
            key: v.public_key.clone(),
            weight: v.weight,
        };
        let members = Arc::new(set.validators().iter().map(member).collect());
        Self { set, members }
    }
}

impl core::ValidatorSet<Ctx> for ValidatorSet {
    fn count(&self) -> usize {
        self.members.len()
    }

    fn total_voting_power(&self) -> VotingPower {
        self.set.total_weight()
    }

    fn get_by_address(&self, address: &Address) -> Option<&Validator> {
        self.members.get(self.set.index_of(&address.0)?)
    }

    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.members.get(index)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) kind: VoteType,
    pub(crate) height: Height,
    pub(crate) round: Round,
    pub(crate) value: NilOrVal<BlockHash>,
    pub(crate) validator: Address,
}

impl core::Vote<Ctx> for Vote {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<BlockHash> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<BlockHash> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Address {
        &self.validator
    }

    fn extension(&self) -> Option<&SignedExtension<Ctx>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<Ctx>> {
        None
    }

    fn extend(self, _: SignedExtension<Ctx>) -> Self {
        self
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proposal {
    pub(crate) height: Height,
    pub(crate) round: Round,
    pub(crate) value: BlockHash,
    pub(crate) pol_round: Round,
    pub(crate) proposer: Address,
}

impl core::Proposal<Ctx> for Proposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &BlockHash {
        &self.value
    }

    fn take_value(self) -> BlockHash {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Address {
        &self.proposer
    }
}

/// Bodies travel outside the library, so it never sees a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoPart;

impl core::ProposalPart<Ctx> for NoPart {
    fn is_first(&self) -> bool {
        true
    }

    fn is_last(&self) -> bool {
        true
    }
}

/// Durations are the caller's: the library only names timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NoTimeouts;

impl core::Timeouts<Ctx> for NoTimeouts {
    fn duration_for(&self, _: Timeout) -> Duration {
        Duration::ZERO
    }
}

impl core::Context for Ctx {
    type Address = Address;
    type Height = Height;
    type ProposalPart = NoPart;
    type Proposal = Proposal;
    type Validator = Validator;
    type ValidatorSet = ValidatorSet;
    type Timeouts = NoTimeouts;
    type Value = BlockHash;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = Signing;

    fn select_proposer<'a>(
        &self,
        validator_set: &'a ValidatorSet,
        height: Height,
        round: Round,
    ) -> &'a Validator {
        let round = primitives::Round(round.as_u32().unwrap_or(0));
        let index = proposer_index(&validator_set.set, primitives::Height(height.0), round);
        match validator_set.members.get(index) {
            Some(validator) => validator,
            None => unreachable!("proposer_index names a member of a set that is never empty"),
        }
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: BlockHash,
        pol_round: Round,
        proposer: Address,
    ) -> Proposal {
        Proposal {
            height,
            round,
            value,
            pol_round,
            proposer,
        }
    }

    fn new_prevote(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<BlockHash>,
        validator: Address,
    ) -> Vote {
        Vote {
            kind: VoteType::Prevote,
            height,
            round,
            value,
            validator,
        }
    }

    fn new_precommit(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<BlockHash>,
        validator: Address,
    ) -> Vote {
        Vote {
            kind: VoteType::Precommit,
            height,
            round,
            value,
            validator,
        }
    }
}

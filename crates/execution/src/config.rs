use hawser_crypto::Suite;
use hawser_ledger::{ChainParameters, Genesis, Header, state::StateError};
use hawser_primitives::{Address, B256, ChainId, Height, Time, U256};
use revm::{
    context::{BlockEnv, CfgEnv},
    context_interface::block::BlobExcessGasAndPrice,
    primitives::hardfork::SpecId,
};

/// The fork whose rules the EVM follows: Osaka (mainnet since December 2025), the newest one that
/// the engine treats as activated.
pub const SPEC: SpecId = SpecId::OSAKA;

/// What execution needs to know of a chain.
#[derive(Clone, Debug)]
pub struct ExecutionConfig {
    /// Hashes of the chain.
    pub suite: Suite,
    /// EIP-155 chain id.
    pub chain_id: ChainId,
    /// Gas limits and quotas.
    pub parameters: ChainParameters,
}

impl From<&Genesis> for ExecutionConfig {
    fn from(genesis: &Genesis) -> Self {
        Self {
            suite: genesis.suite,
            chain_id: genesis.chain_id,
            parameters: genesis.parameters.clone(),
        }
    }
}

/// The block that transactions run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockContext {
    /// `NUMBER`.
    pub height: Height,
    /// Header time; `TIMESTAMP` is its whole seconds.
    pub time: Time,
    /// `COINBASE`.
    pub proposer: Address,
    /// Hash of the parent's header.
    pub parent_hash: B256,
    /// `GASLIMIT`, the gas that all transactions together may use.
    pub gas_limit: u64,
}

impl BlockContext {
    /// The context of the block with this header.
    #[must_use]
    pub const fn of(header: &Header, parameters: &ChainParameters) -> Self {
        Self {
            height: header.height,
            time: header.time,
            proposer: header.proposer,
            parent_hash: header.parent,
            gas_limit: parameters.block_gas_max,
        }
    }

    /// `PREVRANDAO`: the suite's hash of parent hash and height (8 bytes, big endian). Everyone can
    /// compute it in advance; it is there for contracts that read the opcode, not as randomness.
    #[must_use]
    pub fn prevrandao(&self, suite: Suite) -> B256 {
        suite.hash_parts(&[self.parent_hash.as_slice(), &self.height.0.to_be_bytes()])
    }
}

/// Hashes of earlier blocks, for `BLOCKHASH`.
pub trait BlockHashes: Send + Sync {
    /// Hash of the header at a height below the current one; asked for the last 256 only. `None`
    /// where there is no such block.
    fn block_hash(&self, height: Height) -> Result<Option<B256>, StateError>;
}

/// No earlier blocks: `BLOCKHASH` gives zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHashes;

impl BlockHashes for NoHashes {
    fn block_hash(&self, _: Height) -> Result<Option<B256>, StateError> {
        Ok(None)
    }
}

impl ExecutionConfig {
    /// Engine configuration for transactions in blocks.
    pub(crate) fn cfg_env(&self) -> CfgEnv {
        let mut cfg = CfgEnv::new_with_spec(SPEC).with_chain_id(self.chain_id.0);
        // EIP-7825's cap is the chain parameter; block gas and quotas are checked before the engine.
        cfg.tx_gas_limit_cap = Some(self.parameters.transaction_gas_max);
        cfg.disable_block_gas_limit = true;
        cfg.disable_base_fee = true;
        cfg
    }

    /// Engine configuration for calls: no nonce, any sender.
    pub(crate) fn call_cfg_env(&self, gas_cap: u64) -> CfgEnv {
        let mut cfg = self.cfg_env();
        cfg.tx_gas_limit_cap = Some(gas_cap);
        cfg.disable_nonce_check = true;
        cfg.disable_eip3607 = true;
        cfg
    }

    pub(crate) fn block_env(&self, context: &BlockContext) -> BlockEnv {
        BlockEnv {
            number: U256::from(context.height.0),
            beneficiary: context.proposer,
            timestamp: U256::from(context.time.as_secs()),
            gas_limit: context.gas_limit,
            basefee: 0,
            difficulty: U256::ZERO,
            prevrandao: Some(context.prevrandao(self.suite)),
            // No blob space: the price stays at EIP-4844's minimum of 1 wei.
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice {
                excess_blob_gas: 0,
                blob_gasprice: 1,
            }),
            slot_num: 0,
        }
    }
}

use std::{fmt, sync::Arc};

use hawser_ledger::{ChainParameters, state::StateRead};
use parking_lot::Mutex;
use revm::{
    Context, Database, Journal,
    context::{BlockEnv, CfgEnv, Evm, TxEnv},
    handler::{EthFrame, instructions::EthInstructions},
    interpreter::interpreter::EthInterpreter,
};

use crate::{
    BlockContext, BlockHashes, ExecutionConfig, NativeRegistry, Threads,
    database::{CodeCache, StateDb},
    error::DbError,
    host::{ChainPrecompiles, NativeBlock},
    parallel::Patience,
};

pub(crate) type ChainContext<DB> = Context<BlockEnv, TxEnv, CfgEnv, DB, Journal<DB>, ()>;

/// The engine over a database and an inspector.
pub(crate) type ChainEvm<'a, DB, INSP> = Evm<
    ChainContext<DB>,
    INSP,
    EthInstructions<EthInterpreter, ChainContext<DB>>,
    ChainPrecompiles<'a>,
    EthFrame<EthInterpreter>,
>;

/// Executes transactions and calls of one chain. Holds no state but a cache of analysed code, so
/// one instance serves block execution and queries at once.
#[derive(Clone)]
pub struct Executor {
    config: ExecutionConfig,
    natives: NativeRegistry,
    code: CodeCache,
    pub(crate) threads: Threads,
    /// Whether sharing blocks has been worth it lately; of no account for what they give.
    pub(crate) patience: Arc<Mutex<Patience>>,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("config", &self.config)
            .field("natives", &self.natives)
            .finish_non_exhaustive()
    }
}

impl Executor {
    /// An executor for a chain with these native contracts.
    #[must_use]
    pub fn new(config: ExecutionConfig, natives: NativeRegistry) -> Self {
        Self {
            config,
            natives,
            code: CodeCache::default(),
            threads: Threads::default(),
            patience: Arc::default(),
        }
    }

    /// The same executor under other parameters; the two share their cache of code.
    #[must_use]
    pub fn with_parameters(&self, parameters: ChainParameters) -> Self {
        Self {
            config: ExecutionConfig {
                parameters,
                ..self.config.clone()
            },
            natives: self.natives.clone(),
            code: self.code.clone(),
            threads: self.threads.clone(),
            patience: Arc::clone(&self.patience),
        }
    }

    /// What the chain is like.
    #[must_use]
    pub const fn config(&self) -> &ExecutionConfig {
        &self.config
    }

    /// The native contracts.
    #[must_use]
    pub const fn natives(&self) -> &NativeRegistry {
        &self.natives
    }

    pub(crate) fn database<'a>(
        &'a self,
        state: &'a dyn StateRead,
        hashes: &'a dyn BlockHashes,
    ) -> StateDb<'a> {
        StateDb {
            state,
            hashes,
            code: &self.code,
        }
    }

    pub(crate) fn native_block(&self, context: &BlockContext) -> NativeBlock {
        NativeBlock {
            suite: self.config.suite,
            chain_id: self.config.chain_id,
            height: context.height,
            time: context.time,
        }
    }

    /// An engine in `context`, with the rules of `cfg`.
    pub(crate) fn evm<'a, DB, INSP>(
        &'a self,
        state: &'a dyn StateRead,
        db: DB,
        cfg: CfgEnv,
        context: &BlockContext,
        inspector: INSP,
    ) -> ChainEvm<'a, DB, INSP>
    where
        DB: Database<Error = DbError>,
    {
        let spec = *cfg.spec();
        let mut inner = Context::new(db, spec);
        inner.cfg = cfg;
        inner.block = self.config.block_env(context);
        let natives = ChainPrecompiles::new(&self.natives, state, self.native_block(context), spec);
        let instructions = EthInstructions::new_mainnet_with_spec(spec);
        Evm::new_with_inspector(inner, inspector, instructions, natives)
    }
}

//! The methods and how they are found.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hawser_execution::Stop;
use hawser_network::NetworkHandle;
use hawser_node::{chain::ChainHandle, store::ChainStore};
use hawser_pki::ClientIdentity;
use hawser_primitives::Bytes;
use serde_json::json as object;
use tokio::time::timeout;

use crate::{
    CallOutcome, Chains, RpcConfig, RpcError, RpcLimits, RpcObserver,
    auth::{self, Access, Authenticator, Caller, Realm},
    chains::Entry,
    eth, hawser,
    server::Session,
    wire::{Call, ErrorObject, Json, Params, code, json, response},
    work::Work,
};

/// What a method gives.
pub(crate) type Answer = Result<Json, ErrorObject>;

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) limits: RpcLimits,
    pub(crate) work: Work,
    pub(crate) chains: Chains,
    pub(crate) client_version: String,
    pub(crate) observer: Arc<dyn RpcObserver>,
    pub(crate) links: Option<NetworkHandle>,
    pub(crate) authenticator: Authenticator,
}

impl Shared {
    pub(crate) fn new(config: &RpcConfig, chains: Chains) -> Result<Self, RpcError> {
        let random = |error: getrandom::Error| RpcError::Randomness(error.to_string());
        let node = match &config.node {
            Some(name) => name.clone(),
            None => {
                let mut name = [0u8; 16];
                getrandom::fill(&mut name).map_err(random)?;
                hex::encode(name)
            }
        };
        let token_ms = config.limits.token_ms_max;
        Ok(Self {
            authenticator: Authenticator::new(node, token_ms).map_err(random)?,
            work: Work::new(&config.limits),
            limits: config.limits.clone(),
            chains,
            client_version: config.client_version.clone(),
            observer: Arc::clone(&config.observer),
            links: config.links.clone(),
        })
    }
}

/// What a method may use: the node's and one chain's. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    client: Option<Arc<ClientIdentity>>,
}

impl Context {
    pub(crate) const fn new(
        shared: Arc<Shared>,
        entry: Arc<Entry>,
        client: Option<Arc<ClientIdentity>>,
    ) -> Self {
        Self {
            shared,
            entry,
            client,
        }
    }

    /// Whom the client's certificate names; `None` without TLS or without a certificate.
    pub(crate) fn client(&self) -> Option<&ClientIdentity> {
        self.client.as_deref()
    }

    /// The node's links.
    pub(crate) fn links(&self) -> Option<&NetworkHandle> {
        self.shared.links.as_ref()
    }

    pub(crate) fn limits(&self) -> &RpcLimits {
        &self.shared.limits
    }

    pub(crate) fn chains(&self) -> &Chains {
        &self.shared.chains
    }

    pub(crate) fn client_version(&self) -> &str {
        &self.shared.client_version
    }

    pub(crate) const fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    pub(crate) fn handle(&self) -> &ChainHandle {
        &self.entry.handle
    }

    pub(crate) fn store(&self) -> &ChainStore {
        self.entry.handle.store()
    }

    pub(crate) fn access(&self) -> &Access {
        &self.entry.access
    }

    pub(crate) fn authenticator(&self) -> &Authenticator {
        &self.shared.authenticator
    }

    /// What credentials for this chain are bound to.
    pub(crate) fn realm(&self) -> Realm {
        let (store, genesis) = (self.store(), self.store().genesis());
        let hash = store.genesis_hash();
        self.shared
            .authenticator
            .realm(genesis.chain_id, genesis.suite, &hash)
    }

    pub(crate) fn observer(&self) -> &dyn RpcObserver {
        self.shared.observer.as_ref()
    }

    /// Reads blocks or state on a thread of its own.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&ChainStore) -> Result<T, ErrorObject> + Send + 'static,
    ) -> Result<T, ErrorObject> {
        let store = Arc::clone(self.entry.handle.store());
        self.shared.work.reads.run(move || ask(&store)).await
    }

    /// Executes or scans, within the bounds for heavy work.
    pub(crate) async fn heavy<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&ChainStore) -> Result<T, ErrorObject> + Send + 'static,
    ) -> Result<T, ErrorObject> {
        self.heavy_within(None, move |store, _| ask(store)).await
    }

    /// As [`Self::heavy`], in at most the time that the client named; the work can see whether the
    /// answer is still wanted.
    pub(crate) async fn heavy_within<T: Send + 'static>(
        &self,
        wanted: Option<Duration>,
        ask: impl FnOnce(&ChainStore, &Stop) -> Result<T, ErrorObject> + Send + 'static,
    ) -> Result<T, ErrorObject> {
        let store = Arc::clone(self.entry.handle.store());
        let heavy = &self.shared.work.heavy;
        heavy
            .run_within(wanted, move |stop| ask(&store, stop))
            .await
    }
}

/// All methods, sorted.
pub const METHODS: &[&str] = &[
    "admin_nodeInfo",
    "admin_peers",
    "debug_getRawBlock",
    "debug_getRawHeader",
    "debug_getRawReceipts",
    "debug_getRawTransaction",
    "debug_traceBlockByHash",
    "debug_traceBlockByNumber",
    "debug_traceCall",
    "debug_traceTransaction",
    "eth_accounts",
    "eth_blobBaseFee",
    "eth_blockNumber",
    "eth_call",
    "eth_chainId",
    "eth_coinbase",
    "eth_createAccessList",
    "eth_estimateGas",
    "eth_feeHistory",
    "eth_fillTransaction",
    "eth_gasPrice",
    "eth_getBalance",
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getBlockReceipts",
    "eth_getBlockTransactionCountByHash",
    "eth_getBlockTransactionCountByNumber",
    "eth_getCode",
    "eth_getFilterChanges",
    "eth_getFilterLogs",
    "eth_getLogs",
    "eth_getProof",
    "eth_getRawTransactionByHash",
    "eth_getStorageAt",
    "eth_getTransactionByBlockHashAndIndex",
    "eth_getTransactionByBlockNumberAndIndex",
    "eth_getTransactionByHash",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_getUncleCountByBlockHash",
    "eth_getUncleCountByBlockNumber",
    "eth_maxPriorityFeePerGas",
    "eth_newBlockFilter",
    "eth_newFilter",
    "eth_newPendingTransactionFilter",
    "eth_sendRawTransaction",
    "eth_sendRawTransactionSync",
    "eth_simulateV1",
    "eth_subscribe",
    "eth_syncing",
    "eth_uninstallFilter",
    "eth_unsubscribe",
    "hawser_audit",
    "hawser_authenticate",
    "hawser_chains",
    "hawser_challenge",
    "hawser_dryRun",
    "hawser_findEvidence",
    "hawser_findEvidenceDigest",
    "hawser_freezes",
    "hawser_getAccountProof",
    "hawser_getCertificate",
    "hawser_getCommitteeChanges",
    "hawser_getEvidence",
    "hawser_getEvidenceProof",
    "hawser_getEvidenceSet",
    "hawser_getEvidenceSetProof",
    "hawser_getGenesis",
    "hawser_getHeader",
    "hawser_getReceiptProof",
    "hawser_getSettings",
    "hawser_getStateProof",
    "hawser_getStorageProof",
    "hawser_getValidators",
    "hawser_governance",
    "hawser_links",
    "hawser_login",
    "hawser_logout",
    "hawser_member",
    "hawser_members",
    "hawser_nodeStatus",
    "hawser_organisations",
    "hawser_proposal",
    "hawser_proposals",
    "hawser_risk",
    "hawser_sendRawTransaction",
    "hawser_status",
    "hawser_supervisionRule",
    "hawser_version",
    "hawser_whoami",
    "hawser_why",
    "net_listening",
    "net_peerCount",
    "net_version",
    "rpc_modules",
    "txpool_content",
    "txpool_contentFrom",
    "txpool_inspect",
    "txpool_status",
    "web3_clientVersion",
    "web3_sha3",
];

/// The method's name as metrics know it.
pub(crate) fn known(method: &str) -> Option<&'static str> {
    METHODS
        .binary_search(&method)
        .ok()
        .and_then(|at| METHODS.get(at))
        .copied()
}

/// A response with the code of the error that it is, if it is one.
pub(crate) struct Answered {
    pub(crate) text: String,
    pub(crate) code: Option<i32>,
}

/// Answers a call; `None` for a notification, which is carried out all the same. `session` is the
/// WebSocket connection that subscriptions go to.
pub(crate) async fn answer(
    cx: &Context,
    caller: &Arc<Caller>,
    call: Call,
    session: Option<&Session>,
) -> Option<Answered> {
    let started = Instant::now();
    let name = known(&call.method);
    let allowed = auth::check(cx, caller, &call.method, call.params.as_deref()).await;
    let result = match (
        name,
        allowed.and_then(|()| Params::new(call.params.as_deref())),
    ) {
        (_, Err(error)) => Err(error),
        (None, _) => Err(ErrorObject::method_not_found(&call.method)),
        (Some(name), Ok(params)) => {
            let limit = Duration::from_millis(cx.limits().request_ms_max);
            // Boxed: the future of all methods together is large.
            match timeout(limit, Box::pin(dispatch(cx, caller, name, params, session))).await {
                Ok(answer) => answer,
                Err(_) => Err(ErrorObject::busy(format!(
                    "not answered within {} ms; retry in a second",
                    cx.limits().request_ms_max
                ))),
            }
        }
    };
    let result = bounded(cx.limits(), result);
    cx.observer().called(
        name.unwrap_or("unknown"),
        outcome(&result),
        started.elapsed(),
    );
    let id = call.id?;
    Some(Answered {
        text: response(Some(&id), &result),
        code: result.err().map(|error| error.code),
    })
}

/// Refuses a result that is too long.
pub(crate) fn bounded(limits: &RpcLimits, result: Answer) -> Answer {
    let result = result?;
    let (found, max) = (result.get().len(), limits.response_bytes_max);
    if found > max {
        return Err(ErrorObject::new(
            code::RESPONSE_TOO_LARGE,
            format!("response of {found} bytes exceeds the limit of {max}; ask for less at once"),
        ));
    }
    Ok(result)
}

pub(crate) fn outcome(result: &Answer) -> CallOutcome {
    match result {
        Ok(_) => CallOutcome::Ok,
        Err(error) => match error.code {
            code::INTERNAL | code::UNAVAILABLE => CallOutcome::ServerError,
            code::LIMIT_EXCEEDED | code::RESPONSE_TOO_LARGE => CallOutcome::Limited,
            _ => CallOutcome::ClientError,
        },
    }
}

/// Checks that there are no parameters and answers with a constant.
fn constant(params: Params, value: &serde_json::Value) -> Answer {
    params.end()?;
    json(value)
}

async fn dispatch(
    cx: &Context,
    caller: &Arc<Caller>,
    method: &'static str,
    params: Params,
    session: Option<&Session>,
) -> Answer {
    use eth::debug::{self, Raw};
    let id = |params, by_hash| eth::block_param(params, by_hash);
    match method {
        "eth_accounts" => constant(params, &object!([])),
        "eth_blobBaseFee" => constant(params, &object!("0x1")),
        "eth_gasPrice" | "eth_maxPriorityFeePerGas" => constant(params, &object!("0x0")),
        "eth_blockNumber" => eth::block_number(cx),
        "eth_chainId" => json(&crate::view::quantity(cx.store().genesis().chain_id.0)),
        "eth_coinbase" => json(&cx.handle().status().await?.validator.unwrap_or_default()),
        "eth_syncing" => syncing(cx).await,
        "eth_call" => eth::call(cx, params).await,
        "eth_estimateGas" => eth::estimate_gas(cx, params).await,
        "eth_createAccessList" => eth::create_access_list(cx, params).await,
        "eth_simulateV1" => eth::simulate(cx, params).await,
        "eth_fillTransaction" => eth::fill_transaction(cx, params).await,
        "eth_feeHistory" => eth::fee_history(cx, params).await,
        "eth_getBalance" => eth::balance(cx, params).await,
        "eth_getCode" => eth::code(cx, params).await,
        "eth_getStorageAt" => eth::storage(cx, params).await,
        "eth_getTransactionCount" => eth::nonce(cx, params).await,
        "eth_getProof" => eth::get_proof(cx, params).await,
        "eth_getBlockByHash" => eth::block_by_hash(cx, params).await,
        "eth_getBlockByNumber" => eth::block_by_number(cx, params).await,
        "eth_getBlockReceipts" => eth::block_receipts(cx, params).await,
        "eth_getBlockTransactionCountByHash" => {
            eth::transaction_count_of_block(cx, id(params, true)?).await
        }
        "eth_getBlockTransactionCountByNumber" => {
            eth::transaction_count_of_block(cx, id(params, false)?).await
        }
        "eth_getUncleCountByBlockHash" => eth::uncle_count(cx, id(params, true)?).await,
        "eth_getUncleCountByBlockNumber" => eth::uncle_count(cx, id(params, false)?).await,
        "eth_getTransactionByBlockHashAndIndex" => {
            eth::transaction_by_index(cx, params, true).await
        }
        "eth_getTransactionByBlockNumberAndIndex" => {
            eth::transaction_by_index(cx, params, false).await
        }
        "eth_getTransactionByHash" => eth::transaction_by_hash(cx, params).await,
        "eth_getTransactionReceipt" => eth::receipt(cx, params).await,
        "eth_sendRawTransaction" | "hawser_sendRawTransaction" => eth::send_raw(cx, params).await,
        "eth_sendRawTransactionSync" => eth::send_raw_sync(cx, params).await,
        "eth_getLogs" => eth::get_logs(cx, params).await,
        "eth_newFilter" => eth::filters::new_filter(cx, params),
        "eth_newBlockFilter" => eth::filters::new_block_filter(cx, params),
        "eth_newPendingTransactionFilter" => eth::filters::new_pending_filter(cx, params),
        "eth_uninstallFilter" => eth::filters::uninstall_filter(cx, params),
        "eth_getFilterChanges" => eth::filters::filter_changes(cx, params).await,
        "eth_getFilterLogs" => eth::filters::filter_logs(cx, params).await,
        "eth_subscribe" | "eth_unsubscribe" => match session {
            Some(session) if method == "eth_subscribe" => {
                eth::subscribe::subscribe(cx, caller, session, params)
            }
            Some(session) => eth::subscribe::unsubscribe(session, params),
            None => Err(ErrorObject::new(
                code::METHOD_NOT_FOUND,
                "notifications not supported over HTTP; connect by WebSocket",
            )),
        },
        "debug_traceTransaction" => debug::trace_transaction(cx, params).await,
        "debug_traceCall" => debug::trace_call(cx, params).await,
        "debug_traceBlockByHash" => debug::trace_block(cx, params, true).await,
        "debug_traceBlockByNumber" => debug::trace_block(cx, params, false).await,
        "debug_getRawBlock" => debug::raw(cx, params, Raw::Block).await,
        "debug_getRawHeader" => debug::raw(cx, params, Raw::Header).await,
        "debug_getRawReceipts" => debug::raw(cx, params, Raw::Receipts).await,
        "debug_getRawTransaction" | "eth_getRawTransactionByHash" => {
            debug::raw_transaction(cx, params).await
        }
        "txpool_status" => eth::txpool::status(cx).await,
        "txpool_content" => eth::txpool::content(cx).await,
        "txpool_inspect" => eth::txpool::inspect(cx).await,
        "txpool_contentFrom" => eth::txpool::content_from(cx, params).await,
        "hawser_challenge" => hawser::challenge(cx, params),
        "hawser_login" => hawser::login(cx, caller, session, params).await,
        "hawser_authenticate" => hawser::authenticate(cx, caller, session, params).await,
        "hawser_logout" => hawser::logout(cx, caller, params).await,
        other if other.starts_with("hawser_") => dispatch_hawser(cx, other, params).await,
        other => dispatch_node(cx, other, params).await,
    }
}

async fn dispatch_hawser(cx: &Context, method: &'static str, params: Params) -> Answer {
    match method {
        "hawser_status" => hawser::status(cx, params).await,
        "hawser_nodeStatus" => hawser::node_status(cx, params).await,
        "hawser_chains" => hawser::chains(cx, params),
        "hawser_version" => hawser::version(cx, params),
        "hawser_links" => hawser::links(cx, params),
        "hawser_whoami" => hawser::whoami(cx, params),
        "hawser_getGenesis" => hawser::genesis(cx, params),
        "hawser_getCommitteeChanges" => hawser::changes_of_committee(cx, params).await,
        "hawser_getSettings" => hawser::settings(cx, params).await,
        "hawser_getValidators" => hawser::validators(cx, params).await,
        "hawser_getHeader" => hawser::header(cx, params).await,
        "hawser_getCertificate" => hawser::certificate(cx, params).await,
        "hawser_getStateProof" => hawser::state_proof(cx, params).await,
        "hawser_getAccountProof" => hawser::account_proof(cx, params).await,
        "hawser_getStorageProof" => hawser::storage_proof(cx, params).await,
        "hawser_getReceiptProof" => hawser::receipt_proof(cx, params).await,
        "hawser_getEvidence" => hawser::get_evidence(cx, params).await,
        "hawser_findEvidence" => hawser::find_evidence(cx, params).await,
        "hawser_getEvidenceProof" => hawser::evidence_proof(cx, params).await,
        "hawser_getEvidenceSet" => hawser::get_evidence_set(cx, params).await,
        "hawser_getEvidenceSetProof" => hawser::evidence_set_proof(cx, params).await,
        "hawser_findEvidenceDigest" => hawser::find_evidence_digest(cx, params).await,
        "hawser_governance" => hawser::governance(cx, params).await,
        "hawser_organisations" => hawser::organisations(cx, params).await,
        "hawser_member" => hawser::member(cx, params).await,
        "hawser_members" => hawser::members(cx, params).await,
        "hawser_proposals" => hawser::proposals(cx, params).await,
        "hawser_proposal" => hawser::proposal(cx, params).await,
        "hawser_risk" => hawser::risk(cx, params).await,
        "hawser_why" => hawser::why(cx, params).await,
        "hawser_dryRun" => hawser::dry_run(cx, params).await,
        "hawser_audit" => hawser::audit(cx, params).await,
        "hawser_freezes" => hawser::freezes(cx, params).await,
        "hawser_supervisionRule" => hawser::supervision_rule(cx, params).await,
        other => Err(ErrorObject::method_not_found(other)),
    }
}

async fn dispatch_node(cx: &Context, method: &'static str, mut params: Params) -> Answer {
    match method {
        "net_version" => json(&cx.store().genesis().chain_id.to_string()),
        "net_listening" => json(&true),
        "net_peerCount" => {
            let peers = cx.handle().status().await?.peers.len();
            json(&crate::view::count(peers))
        }
        "web3_clientVersion" => json(cx.client_version()),
        "web3_sha3" => {
            let data: Bytes = params.required("data")?;
            params.end()?;
            json(&alloy_primitives::keccak256(&data))
        }
        "rpc_modules" => {
            let mut modules = serde_json::Map::new();
            for (module, _) in METHODS.iter().filter_map(|name| name.split_once('_')) {
                modules.insert(module.to_owned(), "1.0".into());
            }
            json(&modules)
        }
        "admin_nodeInfo" => node_info(cx).await,
        "admin_peers" => peers(cx).await,
        other => Err(ErrorObject::method_not_found(other)),
    }
}

/// `eth_syncing`: false, or how far the node is.
pub(crate) async fn syncing(cx: &Context) -> Answer {
    let status = cx.handle().status().await?;
    if !status.syncing {
        return json(&false);
    }
    let highest = status
        .peers
        .iter()
        .map(|peer| peer.height)
        .max()
        .unwrap_or_default();
    json(&object!({
        "startingBlock": "0x0",
        "currentBlock": crate::view::quantity(status.executed.0),
        "highestBlock": crate::view::quantity(highest.max(status.height).0),
    }))
}

/// `admin_nodeInfo`: what a reader may know of this node.
async fn node_info(cx: &Context) -> Answer {
    let status = cx.handle().status().await?;
    let genesis = cx.store().genesis();
    json(&object!({
        "name": cx.client_version(),
        "id": status.validator,
        "protocols": { "hawser": {
            "network": genesis.chain_id,
            "name": genesis.name,
            "genesis": cx.store().genesis_hash(),
            "suite": genesis.suite,
            "head": status.hash,
            "height": status.height,
        } },
    }))
}

async fn peers(cx: &Context) -> Answer {
    let status = cx.handle().status().await?;
    let all: Vec<_> = status
        .peers
        .iter()
        .map(|peer| {
            object!({
                "id": peer.id,
                "name": peer.id,
                "protocols": { "hawser": { "height": peer.height } },
            })
        })
        .collect();
    json(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_methods_is_sorted_and_has_no_doubles() {
        assert!(METHODS.is_sorted_by(|a, b| a < b));
        assert_eq!(known("eth_call"), Some("eth_call"));
        assert_eq!(known("eth_Call"), None);
    }

    #[test]
    fn both_sides_of_the_response_limit() {
        let limits = RpcLimits {
            response_bytes_max: 12,
            ..RpcLimits::default()
        };
        assert!(bounded(&limits, json("0123456789")).is_ok());
        let error = bounded(&limits, json("0123456789a")).unwrap_err();
        assert_eq!(error.code, code::RESPONSE_TOO_LARGE);
        assert!(error.message.contains("limit of 12"), "{}", error.message);
    }
}

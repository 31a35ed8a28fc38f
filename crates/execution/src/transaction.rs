use alloy_consensus::{EthereumTxEnvelope, Transaction as _, TxEip4844, Typed2718};
use hawser_crypto::secp;
use hawser_primitives::Address;
use revm::{
    context::{TxEnv, either::Either},
    context_interface::transaction::{
        RecoveredAuthority, RecoveredAuthorization, SignedAuthorization,
    },
};

/// The engine's form of an Ethereum transaction on a chain without fees: what the sender would pay
/// per gas is left out, so `GASPRICE` is 0.
pub(crate) fn tx_env(envelope: &EthereumTxEnvelope<TxEip4844>, caller: Address) -> TxEnv {
    TxEnv {
        tx_type: envelope.ty(),
        caller,
        gas_limit: envelope.gas_limit(),
        gas_price: 0,
        kind: envelope.kind(),
        value: envelope.value(),
        data: envelope.input().clone(),
        nonce: envelope.nonce(),
        chain_id: envelope.chain_id(),
        access_list: envelope.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: envelope.is_dynamic_fee().then_some(0),
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: envelope
            .authorization_list()
            .unwrap_or_default()
            .iter()
            .map(|authorization| Either::Right(recover(authorization)))
            .collect(),
    }
}

/// Finds who signed an EIP-7702 authorization. An invalid one stays in the list (it is paid for)
/// and has no authority.
pub(crate) fn recover(authorization: &SignedAuthorization) -> RecoveredAuthorization {
    let mut r_s = [0u8; 64];
    let (r, s) = r_s.split_at_mut(32);
    r.copy_from_slice(&authorization.r().to_be_bytes::<32>());
    s.copy_from_slice(&authorization.s().to_be_bytes::<32>());
    let inner = authorization.inner().clone();
    let authority = match authorization.y_parity() {
        parity @ 0..=1 => secp::recover(&inner.signature_hash(), &r_s, parity == 1)
            .map_or(RecoveredAuthority::Invalid, |(_, address)| {
                RecoveredAuthority::Valid(address)
            }),
        _ => RecoveredAuthority::Invalid,
    };
    RecoveredAuthorization::new_unchecked(inner, authority)
}

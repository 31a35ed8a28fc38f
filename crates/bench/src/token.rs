//! The ERC-20 of the benchmark and what is called on it.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, sol};

use crate::error::{BenchError, Result};

/// Creation code; `contracts/README.md` names compiler and library.
pub(crate) const CODE_HEX: &str = include_str!("../contracts/BenchToken.hex");

/// Units every account gets: more than it can send one by one.
pub(crate) const MINTED: u64 = 1_000_000_000_000;
/// Accounts served by one call of `mint`, which costs about 30,000 gas for each.
pub(crate) const MINT_CHUNK: usize = 100;
/// Gas limit of a call of `mint`.
pub(crate) const MINT_GAS: u64 = 5_000_000;
/// Gas limit of the creation.
pub(crate) const DEPLOY_GAS: u64 = 3_000_000;
/// Gas limit of a transfer; it uses up to 52,000.
pub(crate) const TRANSFER_GAS: u64 = 65_000;
/// Gas limit of a transfer in the native envelope, whose longer bytes cost a little more.
pub(crate) const NATIVE_TRANSFER_GAS: u64 = 80_000;

sol! {
    function transfer(address to, uint256 amount) returns (bool);
    function mint(address[] to, uint256 amount);
    function balanceOf(address owner) returns (uint256);
    function totalSupply() returns (uint256);
}

pub(crate) fn creation_code() -> Result<Bytes> {
    let code = hex::decode(CODE_HEX.trim())
        .map_err(|error| BenchError::Target(format!("BenchToken.hex: {error}")))?;
    Ok(code.into())
}

pub(crate) fn transfer(to: Address, amount: u64) -> Bytes {
    let amount = U256::from(amount);
    transferCall { to, amount }.abi_encode().into()
}

pub(crate) fn mint(to: &[Address]) -> Bytes {
    let call = mintCall {
        to: to.to_vec(),
        amount: U256::from(MINTED),
    };
    call.abi_encode().into()
}

pub(crate) fn balance_of(owner: Address) -> Bytes {
    balanceOfCall { owner }.abi_encode().into()
}

pub(crate) fn total_supply() -> Bytes {
    totalSupplyCall {}.abi_encode().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, hex};

    #[test]
    fn calls_have_the_selectors_and_words_of_erc_20() {
        let to = address!("00000000000000000000000000000000000000aa");
        assert_eq!(
            transfer(to, 1).as_ref(),
            hex!(
                "a9059cbb"
                "00000000000000000000000000000000000000000000000000000000000000aa"
                "0000000000000000000000000000000000000000000000000000000000000001"
            )
        );
        assert_eq!(balance_of(to)[..4], hex!("70a08231"));
        assert_eq!(total_supply()[..], hex!("18160ddd"));
    }

    #[test]
    fn the_creation_code_is_complete() {
        let code = creation_code().unwrap();
        assert!(code.len() > 1_000 && code.len() < 49_152, "{}", code.len());
    }
}

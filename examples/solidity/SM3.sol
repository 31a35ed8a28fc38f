// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title SM3 (GB/T 32905-2016)
/// @notice The hash of Chinese national cryptography, by the chain's precompile.
library SM3 {
    address internal constant PRECOMPILE = 0x0000000000000000000000000000000000020003;

    /// The chain has no SM3 precompile, or the call ran out of gas.
    error SM3Unavailable();

    /// SM3 of `data`.
    function hash(bytes memory data) internal view returns (bytes32 digest) {
        (bool ok, bytes memory out) = PRECOMPILE.staticcall(data);
        if (!ok || out.length != 32) revert SM3Unavailable();
        return abi.decode(out, (bytes32));
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title ECDSA over P-256 (EIP-7951)
/// @notice What passkeys, secure enclaves and most X.509 certificates sign with. Ethereum's own precompile.
library P256 {
    address internal constant PRECOMPILE = address(0x100);
    uint256 internal constant HALF_ORDER = 0x7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8;

    /// Whether (x, y) signed `digest`, whatever half s lies in.
    function verify(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y) internal view returns (bool) {
        (bool ok, bytes memory out) = PRECOMPILE.staticcall(abi.encodePacked(digest, r, s, x, y));
        return ok && out.length == 32 && abi.decode(out, (uint256)) == 1;
    }

    /// The same with s in the lower half only, so that a signature has one form. For contracts that remember which
    /// signatures they have seen.
    function verifyLowS(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y) internal view returns (bool) {
        return uint256(s) <= HALF_ORDER && verify(digest, r, s, x, y);
    }
}

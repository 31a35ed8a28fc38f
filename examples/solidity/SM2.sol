// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {SM3} from "./SM3.sol";

/// @title SM2 signatures (GB/T 32918.2-2016)
/// @notice Verification by the chain's precompiles. A public key is a point (x, y) of the curve of GB/T 32918.5, a
/// signature (r, s). Nothing reverts for a bad signature; on a chain without the precompiles nothing verifies.
library SM2 {
    address internal constant VERIFY = 0x0000000000000000000000000000000000020002;
    address internal constant VERIFY_DIGEST = 0x0000000000000000000000000000000000020012;

    // a, b and the base point of the curve, which enter Z.
    bytes internal constant CURVE =
        hex"fffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffc"
        hex"28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93"
        hex"32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"
        hex"bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0";

    struct PublicKey {
        bytes32 x;
        bytes32 y;
    }

    struct Signature {
        bytes32 r;
        bytes32 s;
    }

    /// Whether `key` signed `message` with the identity 1234567812345678, as accounts of this chain,
    /// X.509 certificates and most software do.
    function verify(PublicKey memory key, bytes memory message, Signature memory signature)
        internal
        view
        returns (bool)
    {
        return isOne(VERIFY, abi.encodePacked(key.x, key.y, signature.r, signature.s, message));
    }

    /// Whether `key` signed the digest e = SM3(Z ‖ message).
    function verifyDigest(PublicKey memory key, bytes32 e, Signature memory signature) internal view returns (bool) {
        return isOne(VERIFY_DIGEST, abi.encodePacked(e, signature.r, signature.s, key.x, key.y));
    }

    /// Whether `key` signed `message` with another identity, of at most 8,191 bytes.
    function verifyAs(PublicKey memory key, bytes memory identity, bytes memory message, Signature memory signature)
        internal
        view
        returns (bool)
    {
        return verifyDigest(key, SM3.hash(abi.encodePacked(z(key, identity), message)), signature);
    }

    /// Z of GB/T 32918.2 section 5.5: what binds identity, curve and key into the digest.
    function z(PublicKey memory key, bytes memory identity) internal view returns (bytes32) {
        require(identity.length < 8192, "SM2: identity too long");
        return SM3.hash(abi.encodePacked(uint16(identity.length * 8), identity, CURVE, key.x, key.y));
    }

    /// The address of an account of this chain with this key.
    function accountOf(PublicKey memory key) internal view returns (address) {
        return address(uint160(uint256(SM3.hash(abi.encodePacked(key.x, key.y)))));
    }

    function isOne(address precompile, bytes memory input) private view returns (bool) {
        (bool ok, bytes memory out) = precompile.staticcall(input);
        return ok && out.length == 32 && abi.decode(out, (uint256)) == 1;
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title SM4 (GB/T 32907-2016)
/// @notice The block cipher, by the chain's precompiles. Everything in a transaction is public, its keys included: use
/// this to check what was encrypted elsewhere once its key may be known, never to hide anything.
library SM4 {
    address internal constant BLOCKS = 0x0000000000000000000000000000000000020004;
    address internal constant CTR = 0x0000000000000000000000000000000000020014;
    address internal constant GCM = 0x0000000000000000000000000000000000020024;

    /// The precompile refused; `reason` is the ABI-encoded error it gave.
    error SM4Failed(bytes reason);

    /// Encrypts whole blocks of 16 bytes, each by itself.
    function encryptBlocks(bytes16 key, bytes memory blocks) internal view returns (bytes memory) {
        return run(BLOCKS, abi.encodePacked(uint8(0), key, blocks));
    }

    /// Decrypts whole blocks of 16 bytes, each by itself.
    function decryptBlocks(bytes16 key, bytes memory blocks) internal view returns (bytes memory) {
        return run(BLOCKS, abi.encodePacked(uint8(1), key, blocks));
    }

    /// Encrypts or decrypts in counter mode; `counter` is the first counter block.
    function ctr(bytes16 key, bytes16 counter, bytes memory data) internal view returns (bytes memory) {
        return run(CTR, abi.encodePacked(key, counter, data));
    }

    /// Encrypts with SM4-GCM (RFC 8998). The last 16 bytes of the result are the tag.
    function seal(bytes16 key, bytes12 nonce, bytes memory associated, bytes memory data)
        internal
        view
        returns (bytes memory)
    {
        return run(GCM, abi.encodePacked(uint8(0), key, nonce, uint32(associated.length), associated, data));
    }

    /// Decrypts with SM4-GCM; reverts when the tag does not fit.
    function open(bytes16 key, bytes12 nonce, bytes memory associated, bytes memory ciphertext)
        internal
        view
        returns (bytes memory)
    {
        (bool ok, bytes memory out) = tryOpen(key, nonce, associated, ciphertext);
        if (!ok) revert SM4Failed(out);
        return out;
    }

    /// Decrypts with SM4-GCM; false and the precompile's error when the tag does not fit.
    function tryOpen(bytes16 key, bytes12 nonce, bytes memory associated, bytes memory ciphertext)
        internal
        view
        returns (bool, bytes memory)
    {
        return GCM.staticcall(
            abi.encodePacked(uint8(1), key, nonce, uint32(associated.length), associated, ciphertext)
        );
    }

    function run(address precompile, bytes memory input) private view returns (bytes memory) {
        (bool ok, bytes memory out) = precompile.staticcall(input);
        if (!ok) revert SM4Failed(out);
        return out;
    }
}

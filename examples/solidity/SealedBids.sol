// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {P256} from "./P256.sol";
import {SM2} from "./SM2.sol";
import {SM3} from "./SM3.sol";
import {SM4} from "./SM4.sol";

/// @title Sealed bids
/// @notice Bids are encrypted with SM4-GCM under a key of the bidder's own and signed with SM2. When bidding is over each
/// bidder publishes its key, and the contract itself opens the bid. Nobody sees an amount before, nobody changes one after.
/// For production: let a bidder who does not open lose a deposit.
contract SealedBids {
    using SM2 for SM2.PublicKey;

    struct Bid {
        address bidder;
        bytes12 nonce;
        bytes sealedAmount;
        uint256 amount;
        bool opened;
    }

    uint256 public immutable endsAt;
    Bid[] internal bids;

    event Placed(uint256 indexed index, address indexed bidder, bytes32 fingerprint);
    event Opened(uint256 indexed index, address indexed bidder, uint256 amount);

    error BadSignature();
    error TooEarly();
    error TooLate();
    error AlreadyOpened();
    error BadKey();

    constructor(uint256 seconds_) {
        endsAt = block.timestamp + seconds_;
    }

    /// What a bidder signs.
    function message(bytes12 nonce, bytes memory sealedAmount) public view returns (bytes memory) {
        return abi.encodePacked("SealedBids", block.chainid, address(this), nonce, sealedAmount);
    }

    /// Places a bid of the owner of an SM2 key; anyone may carry it here.
    function place(SM2.PublicKey calldata key, bytes12 nonce, bytes calldata sealedAmount, SM2.Signature calldata signature)
        external
        returns (uint256 index)
    {
        if (block.timestamp >= endsAt) revert TooLate();
        if (!SM2.verify(key, message(nonce, sealedAmount), signature)) revert BadSignature();
        index = bids.length;
        address bidder = SM2.accountOf(key);
        bids.push(Bid(bidder, nonce, sealedAmount, 0, false));
        emit Placed(index, bidder, SM3.hash(sealedAmount));
    }

    /// Opens a bid with the key it was encrypted under. The bidder is bound in, so a copied bid does not open.
    function open(uint256 index, bytes16 key) external returns (uint256 amount) {
        Bid storage bid = bids[index];
        if (block.timestamp < endsAt) revert TooEarly();
        if (bid.opened) revert AlreadyOpened();
        (bool ok, bytes memory plain) = SM4.tryOpen(key, bid.nonce, abi.encodePacked(bid.bidder), bid.sealedAmount);
        if (!ok || plain.length != 32) revert BadKey();
        amount = abi.decode(plain, (uint256));
        (bid.amount, bid.opened) = (amount, true);
        emit Opened(index, bid.bidder, amount);
    }

    function bidOf(uint256 index) external view returns (Bid memory) {
        return bids[index];
    }
}

/// @title The libraries, callable
/// @notice For trying them out and for tests.
contract Ciphers {
    function sm3(bytes memory data) external view returns (bytes32) {
        return SM3.hash(data);
    }

    function sm2(SM2.PublicKey memory key, bytes memory text, SM2.Signature memory signature)
        external
        view
        returns (bool)
    {
        return SM2.verify(key, text, signature);
    }

    function sm2As(SM2.PublicKey memory key, bytes memory identity, bytes memory text, SM2.Signature memory signature)
        external
        view
        returns (bool)
    {
        return SM2.verifyAs(key, identity, text, signature);
    }

    function sm4Encrypt(bytes16 key, bytes memory blocks) external view returns (bytes memory) {
        return SM4.encryptBlocks(key, blocks);
    }

    function sm4Decrypt(bytes16 key, bytes memory blocks) external view returns (bytes memory) {
        return SM4.decryptBlocks(key, blocks);
    }

    function sm4Ctr(bytes16 key, bytes16 counter, bytes memory data) external view returns (bytes memory) {
        return SM4.ctr(key, counter, data);
    }

    function sm4Seal(bytes16 key, bytes12 nonce, bytes memory associated, bytes memory data)
        external
        view
        returns (bytes memory)
    {
        return SM4.seal(key, nonce, associated, data);
    }

    function sm4Open(bytes16 key, bytes12 nonce, bytes memory associated, bytes memory ciphertext)
        external
        view
        returns (bytes memory)
    {
        return SM4.open(key, nonce, associated, ciphertext);
    }

    function p256(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y) external view returns (bool) {
        return P256.verify(digest, r, s, x, y);
    }
}

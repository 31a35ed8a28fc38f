// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.4;

import "IEvidence.sol";

/// Registers sets of evidence and checks their members from Solidity, for tests.
contract SetKeeper {
    IEvidence constant EVIDENCE = IEvidence(0x0000000000000000000000000000000000010001);
    uint256 public counter;

    function keep(bytes memory digests, string memory description) public returns (bytes32) {
        counter += 1;
        return EVIDENCE.registerSet(1, digests, "text/plain", description, "");
    }

    function keepThenRevert(bytes calldata digests) external {
        keep(digests, "never seen");
        revert("changed my mind");
    }

    /// Registers, undoes that in an inner call, and goes on.
    function keepAndSwallow(bytes calldata digests) external {
        try this.keepThenRevert(digests) {
            revert("should have reverted");
        } catch {}
        counter += 100;
    }

    /// Digests that no call data holds: keccak256 of 0, 1, 2 and so on.
    function keepComputed(uint256 count) external returns (bytes32) {
        bytes memory digests = new bytes(32 * count);
        for (uint256 i = 0; i < count; i++) {
            bytes32 digest = keccak256(abi.encode(i));
            assembly {
                mstore(add(add(digests, 32), mul(i, 32)), digest)
            }
        }
        return keep(digests, "computed");
    }

    /// What isMember answers, and whether the same follows from the root of the set by Solidity's own
    /// hashing, which is that of suite `intl`. For sets of two only.
    function check(bytes32 id, uint32 index, bytes32 digest, bytes32 other)
        external
        view
        returns (bool member, bool computed)
    {
        bytes32[] memory path = new bytes32[](1);
        path[0] = other;
        member = EVIDENCE.isMember(id, index, abi.encodePacked(digest), path);
        bytes32 leaf = keccak256(abi.encodePacked("hawser/evidleaf1", index, digest));
        bytes32 root = index == 0
            ? keccak256(abi.encodePacked("hawser/node///01", leaf, other))
            : keccak256(abi.encodePacked("hawser/node///01", other, leaf));
        computed = root == EVIDENCE.getSet(id).root;
    }

    function staticCall(bytes calldata data) external view returns (bool ok) {
        (ok, ) = address(EVIDENCE).staticcall{gas: 200000}(data);
    }
}

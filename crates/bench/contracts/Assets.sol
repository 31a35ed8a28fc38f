// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Assets of a fixed size, as Hyperledger Caliper's "fixed asset" creates them.
contract Assets {
    struct Asset {
        address owner;
        bytes content;
    }

    mapping(uint256 => Asset) private _assets;

    function create(uint256 id, bytes calldata content) external {
        require(_assets[id].owner == address(0), "there is such an asset");
        _assets[id] = Asset(msg.sender, content);
    }

    function get(uint256 id) external view returns (address owner, bytes memory content) {
        return (_assets[id].owner, _assets[id].content);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

/// A counter that only its owner may set.
contract Counter is Ownable {
    uint256 public count; // slot 1, after the owner

    event Counted(uint256 indexed count);

    constructor(uint256 start) Ownable(msg.sender) {
        count = start;
    }

    function set(uint256 next) external onlyOwner {
        count = next;
        emit Counted(next);
    }

    function increment() external {
        count += 1;
        emit Counted(count);
    }
}

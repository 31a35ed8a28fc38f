// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// OpenZeppelin's ERC-20 as it is; the account that deploys it can hand out units.
contract BenchToken is ERC20 {
    address private immutable _minter = msg.sender;

    constructor() ERC20("Bench", "BENCH") {}

    function mint(address[] calldata to, uint256 amount) external {
        require(msg.sender == _minter, "only the minter");
        for (uint256 i = 0; i < to.length; i++) {
            _mint(to[i], amount);
        }
    }
}

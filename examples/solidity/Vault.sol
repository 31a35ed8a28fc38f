// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Initializable} from "@openzeppelin/contracts-upgradeable/proxy/utils/Initializable.sol";
import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";

/// First version of an upgradeable contract: it keeps one number, which only the owner may set.
contract Vault is Initializable, OwnableUpgradeable, UUPSUpgradeable {
    uint256 internal held;

    constructor() {
        _disableInitializers();
    }

    function initialize(address owner_, uint256 start) external initializer {
        __Ownable_init(owner_);
        held = start;
    }

    function set(uint256 value) external onlyOwner {
        held = value;
    }

    function get() external view returns (uint256) {
        return held;
    }

    function version() external pure virtual returns (uint256) {
        return 1;
    }

    function _authorizeUpgrade(address) internal override onlyOwner {}
}

/// Second version: the number stays, and can now be raised by anybody.
contract VaultV2 is Vault {
    event Raised(address indexed by, uint256 from, uint256 to);

    function raise(uint256 by) external {
        uint256 before = held;
        held = before + by;
        emit Raised(msg.sender, before, held);
    }

    function version() external pure override returns (uint256) {
        return 2;
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

/// The address that users keep; the code behind it is a `Vault` and can be upgraded by its owner.
contract VaultProxy is ERC1967Proxy {
    constructor(address implementation, bytes memory call) ERC1967Proxy(implementation, call) {}
}

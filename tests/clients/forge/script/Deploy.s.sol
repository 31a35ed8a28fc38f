// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Counter} from "../src/Counter.sol";

interface Vm {
    function startBroadcast() external;
    function stopBroadcast() external;
}

contract Deploy {
    bool public constant IS_SCRIPT = true;
    /// Where forge answers its cheat codes: the last 20 bytes of keccak256("hevm cheat code").
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function run() external returns (Counter counter) {
        VM.startBroadcast();
        counter = new Counter(5);
        counter.increment();
        VM.stopBroadcast();
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Counter} from "../src/Counter.sol";

/// forge finds tests by name and needs no library for that.
contract CounterTest {
    Counter private counter;

    function setUp() public {
        counter = new Counter(41);
    }

    function test_Increment() public {
        counter.increment();
        require(counter.count() == 42, "not one more");
    }

    function testFuzz_Set(uint256 next) public {
        counter.set(next);
        require(counter.count() == next, "not what was set");
    }
}

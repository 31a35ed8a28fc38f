// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// What `Probe` calls into, so that traces have an inner frame.
contract Child {
    uint256 public seen;

    function note(uint256 value) external returns (uint256) {
        seen = value;
        return value * 2;
    }

    function refuse(uint256 value) external pure {
        revert Probe.Refused(value, "child");
    }
}

/// A contract whose storage layout, events and failures are known to the tests.
contract Probe {
    error Refused(uint256 code, string why);

    event Stored(address indexed by, uint256 indexed value, uint256 before);
    event Numbered(uint256 indexed index);

    uint256 public value; // slot 0
    mapping(address => uint256) public notes; // slot 1
    Child public child; // slot 2

    constructor() {
        child = new Child();
    }

    function store(uint256 next) external {
        uint256 before = value;
        value = next;
        emit Stored(msg.sender, next, before);
    }

    function note(uint256 amount) external {
        notes[msg.sender] = amount;
    }

    function relay(uint256 amount) external returns (uint256) {
        return child.note(amount);
    }

    function number(uint256 count) external {
        for (uint256 i = 0; i < count; i++) emit Numbered(i);
    }

    function fail(uint256 code) external {
        value = code;
        revert Refused(code, "on purpose");
    }

    function failInChild(uint256 code) external view {
        child.refuse(code);
    }

    function failWithText() external pure {
        require(false, "plain words");
    }

    function failWithPanic(uint256 divisor) external pure returns (uint256) {
        return 1 / divisor;
    }

    function spin() external pure {
        for (uint256 i = 0; ; i++) {}
    }

    function where() external view returns (uint256 number_, uint256 time, uint256 chain, uint256 fee) {
        return (block.number, block.timestamp, block.chainid, block.basefee);
    }

    function who() external view returns (address) {
        return address(this);
    }
}

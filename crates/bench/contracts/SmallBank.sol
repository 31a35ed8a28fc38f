// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// SmallBank (Cahill, Röhm, Fekete: "Serializable Isolation for Snapshot Databases", 2008) for customers
/// that are numbers. Balances may fall below zero and nothing is refused, so that what all balances add up
/// to follows from the transactions alone, whatever their order.
contract SmallBank {
    address private immutable _opener = msg.sender;
    mapping(uint256 => int256) private _savings;
    mapping(uint256 => int256) private _checking;

    function open(uint256 first, uint256 count, int256 amount) external {
        require(msg.sender == _opener, "only the opener");
        for (uint256 i = first; i < first + count; i++) {
            _savings[i] = amount;
            _checking[i] = amount;
        }
    }

    function transactSavings(uint256 customer, int256 amount) external {
        _savings[customer] += amount;
    }

    function depositChecking(uint256 customer, int256 amount) external {
        _checking[customer] += amount;
    }

    function sendPayment(uint256 from, uint256 to, int256 amount) external {
        _checking[from] -= amount;
        _checking[to] += amount;
    }

    function writeCheck(uint256 customer, int256 amount) external {
        _checking[customer] -= amount;
    }

    function amalgamate(uint256 from, uint256 to) external {
        int256 all = _savings[from] + _checking[from];
        _savings[from] = 0;
        _checking[from] = 0;
        _checking[to] += all;
    }

    function balance(uint256 customer) external view returns (int256) {
        return _savings[customer] + _checking[customer];
    }

    function sum(uint256 first, uint256 count) external view returns (int256 total) {
        for (uint256 i = first; i < first + count; i++) {
            total += _savings[i] + _checking[i];
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Records of 128 bytes for YCSB: a counter of writes and three words of content.
contract KeyValue {
    struct Entry {
        uint256 writes;
        bytes32[3] fields;
    }

    address private immutable _loader = msg.sender;
    mapping(uint256 => Entry) private _entries;

    function load(uint256 first, uint256 count) external {
        require(msg.sender == _loader, "only the loader");
        for (uint256 key = first; key < first + count; key++) {
            bytes32 word = bytes32(key + 1);
            _entries[key] = Entry(0, [word, word, word]);
        }
    }

    /// A read as a transaction: the benchmark orders reads as it orders writes.
    function read(uint256 key) external returns (Entry memory) {
        return _entries[key];
    }

    function update(uint256 key, bytes32[3] calldata fields) external {
        Entry storage entry = _entries[key];
        entry.writes += 1;
        entry.fields = fields;
    }

    /// Reads a record and writes what follows from it.
    function modify(uint256 key, bytes32 change) external {
        Entry storage entry = _entries[key];
        entry.writes += 1;
        for (uint256 i = 0; i < 3; i++) {
            entry.fields[i] = entry.fields[i] ^ change;
        }
    }

    function get(uint256 key) external view returns (uint256 writes, bytes32 a, bytes32 b, bytes32 c) {
        Entry storage entry = _entries[key];
        return (entry.writes, entry.fields[0], entry.fields[1], entry.fields[2]);
    }
}

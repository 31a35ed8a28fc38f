// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Blockbench's DoNothing, CPUHeavy (sorting an array that is in the wrong order) and IOHeavy (writing and
/// reading back many keys).
contract Heavy {
    mapping(uint256 => uint256) private _data;

    function nothing() external {}

    /// Sorts `size` numbers that are in descending order; a digest of the sorted ones.
    function sort(uint256 size) external returns (bytes32) {
        uint256[] memory numbers = new uint256[](size);
        for (uint256 i = 0; i < size; i++) {
            numbers[i] = size - i;
        }
        if (size > 1) {
            _quick(numbers, 0, int256(size) - 1);
        }
        return keccak256(abi.encodePacked(numbers));
    }

    function _quick(uint256[] memory numbers, int256 left, int256 right) private pure {
        int256 i = left;
        int256 j = right;
        uint256 pivot = numbers[uint256(left + (right - left) / 2)];
        while (i <= j) {
            while (numbers[uint256(i)] < pivot) i++;
            while (pivot < numbers[uint256(j)]) j--;
            if (i <= j) {
                (numbers[uint256(i)], numbers[uint256(j)]) = (numbers[uint256(j)], numbers[uint256(i)]);
                i++;
                j--;
            }
        }
        if (left < j) _quick(numbers, left, j);
        if (i < right) _quick(numbers, i, right);
    }

    function write(uint256 first, uint256 count) external returns (uint256 total) {
        for (uint256 key = first; key < first + count; key++) {
            _data[key] = key + 1;
        }
        for (uint256 key = first; key < first + count; key++) {
            total += _data[key];
        }
    }

    function total(uint256 first, uint256 count) external view returns (uint256 sum) {
        for (uint256 key = first; key < first + count; key++) {
            sum += _data[key];
        }
    }
}

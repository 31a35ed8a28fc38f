// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.4;

import "IEvidence.sol";

/// Calls the evidence contract from Solidity, for tests.
contract Notary {
    IEvidence constant EVIDENCE = IEvidence(0x0000000000000000000000000000000000010001);
    uint256 public counter;

    function record(bytes32 digest, string memory description) public returns (bytes32) {
        IEvidence.Record[] memory records = new IEvidence.Record[](1);
        records[0] = IEvidence.Record(abi.encodePacked(digest), 1, "text/plain", description, "");
        counter += 1;
        return EVIDENCE.register(records)[0];
    }

    function recordThenRevert(bytes32 digest) external {
        record(digest, "never seen");
        revert("changed my mind");
    }

    /// Registers, undoes that in an inner call, and goes on.
    function recordAndSwallow(bytes32 digest) external {
        try this.recordThenRevert(digest) {
            revert("should have reverted");
        } catch {}
        counter += 100;
    }

    function readBack(bytes32 id) external view returns (address owner, bytes memory digest) {
        IEvidence.StoredRecord memory stored = EVIDENCE.get(id);
        return (stored.owner, stored.record.digest);
    }

    function staticRegister(bytes calldata data) external view returns (bool ok) {
        (ok, ) = address(EVIDENCE).staticcall{gas: 200000}(data);
    }

    function delegateRegister(bytes calldata data) external returns (bool ok, bytes memory result) {
        return address(EVIDENCE).delegatecall(data);
    }
}

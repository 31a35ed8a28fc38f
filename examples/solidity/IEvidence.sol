// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.4;

/// Evidence (存证): a record that some content, known by its digest, was held by its owner at the
/// time of a block. A native contract at 0x0000000000000000000000000000000000010001.
///
/// The owner is the caller. A record is immutable; its id is
/// keccak256(abi.encode(owner, algorithm, digest)), so one owner registers one content once.
interface IEvidence {
    struct Record {
        /// Digest of the content, as long as its algorithm makes it.
        bytes digest;
        /// 1 SHA-256, 2 SM3, 3 Keccak-256, 4 SHA-512, 5 SHA-384.
        uint8 algorithm;
        /// Media type of the content (RFC 6838), at most 127 bytes of UTF-8; may be empty.
        string mediaType;
        /// For people, at most 256 bytes of UTF-8; may be empty.
        string description;
        /// Owner's particulars, encrypted by the owner, at most 512 bytes; may be empty.
        bytes sealedOwner;
    }

    struct StoredRecord {
        address owner;
        /// Time of the block, milliseconds since 1970 UTC.
        uint64 time;
        /// Height of the block.
        uint64 height;
        /// Hash of the transaction.
        bytes32 transactionHash;
        Record record;
    }

    /// `digestKey` is the digest if it has 32 bytes, else its Keccak-256. `recordHash` is the hash
    /// that the state holds of the whole record, by the chain's suite.
    event Registered(
        bytes32 indexed id,
        address indexed owner,
        bytes32 indexed digestKey,
        uint8 algorithm,
        bytes digest,
        bytes32 recordHash
    );

    error EmptyBatch();
    error TooManyRecords(uint256 count, uint256 max);
    error UnknownAlgorithm(uint256 index, uint256 algorithm);
    error DigestLength(uint256 index, uint256 length, uint256 expected);
    error MediaTypeTooLong(uint256 index, uint256 length, uint256 max);
    error MediaTypeNotUtf8(uint256 index);
    error DescriptionTooLong(uint256 index, uint256 length, uint256 max);
    error DescriptionNotUtf8(uint256 index);
    error SealedOwnerTooLong(uint256 index, uint256 length, uint256 max);
    error AlreadyRegistered(bytes32 id);
    error NotRegistered(bytes32 id);
    error NotPayable();
    error UnknownFunction(bytes4 selector);
    error MalformedCall(string reason);

    /// Registers 1 to 1,000 records; all of them or, with any refusal, none. Reverts with
    /// AlreadyRegistered where the caller registered the same digest before, also within the batch.
    function register(Record[] calldata records) external returns (bytes32[] memory ids);

    /// The record; reverts with NotRegistered where there is none.
    function get(bytes32 id) external view returns (StoredRecord memory);

    /// The id of a record, or zero where there is none.
    function find(address owner, uint8 algorithm, bytes calldata digest)
        external
        view
        returns (bytes32 id);

    /// Whether there is a record with this id.
    function exists(bytes32 id) external view returns (bool);
}

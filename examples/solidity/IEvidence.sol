// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.4;

/// Evidence (存证): a record that some content, known by its digest, was held by its owner at the
/// time of a block. A native contract at 0x0000000000000000000000000000000000010001.
///
/// The owner is the caller. A record is immutable; its id is
/// keccak256(abi.encode(owner, algorithm, digest)), so one owner registers one content once.
///
/// A set registers many digests at the price of one record: the state holds the root of a Merkle
/// tree over them, and a path of at most 14 hashes shows that a digest belongs to it. Its id is
/// keccak256(abi.encode(owner, algorithm, root)). Leaf i, counted from 0, is
/// H(bytes16("hawser/evidleaf1") || uint32(i) || digest), a node
/// H(bytes16("hawser/node///01") || left || right), H being the hash of the chain's suite; n > 1
/// leaves split at the largest power of two below n (RFC 6962).
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

    struct StoredSet {
        address owner;
        /// Time of the block, milliseconds since 1970 UTC.
        uint64 time;
        /// Height of the block.
        uint64 height;
        /// Hash of the transaction, whose call data has the digests.
        bytes32 transactionHash;
        /// As in a record, for all digests.
        uint8 algorithm;
        /// Number of digests.
        uint32 count;
        /// Root of the tree over them.
        bytes32 root;
        string mediaType;
        string description;
        bytes sealedOwner;
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

    /// `setHash` is the hash that the state holds of the whole set, by the chain's suite.
    event SetRegistered(
        bytes32 indexed setId,
        address indexed owner,
        bytes32 indexed root,
        uint8 algorithm,
        uint32 count,
        bytes32 setHash
    );

    error EmptyBatch();
    error TooManyRecords(uint256 count, uint256 max);
    error TooManyDigests(uint256 count, uint256 max);
    /// The digests of a set are no whole number of digests.
    error DigestsLength(uint256 length, uint256 digestLength);
    /// Of a set, `index` is 0 in this error and in those of texts and sealed owner.
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

    /// Registers 1 to 10,000 digests of one algorithm, one after another in `digests`, under one
    /// root; the rest is as in a record and shared by all. Reverts with AlreadyRegistered where the
    /// caller registered the same digests in the same order before. The same digest may be in it
    /// twice.
    function registerSet(
        uint8 algorithm,
        bytes calldata digests,
        string calldata mediaType,
        string calldata description,
        bytes calldata sealedOwner
    ) external returns (bytes32 setId);

    /// The set; reverts with NotRegistered where there is none.
    function getSet(bytes32 setId) external view returns (StoredSet memory);

    /// The id of a set, or zero where there is none.
    function findSet(address owner, uint8 algorithm, bytes32 root)
        external
        view
        returns (bytes32 setId);

    /// Whether there is a set with this id.
    function setExists(bytes32 setId) external view returns (bool);

    /// Whether `digest` is number `index`, counted from 0, of a set. `path` has the neighbours from
    /// the leaf upwards. Reverts with NotRegistered where there is no such set.
    function isMember(bytes32 setId, uint32 index, bytes calldata digest, bytes32[] calldata path)
        external
        view
        returns (bool);
}

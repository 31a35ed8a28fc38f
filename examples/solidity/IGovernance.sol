// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.4;

/// Governance (治理): organisations, members, permissions, proposals, freezes and the audit trail of a
/// chain. A native contract at 0x0000000000000000000000000000000000010002.
///
/// Changes of a proposal, and the ABI-independent form of everything stored, are in the canonical
/// encoding that docs/spec/governance.md gives; `hawser gov` writes and reads it.
interface IGovernance {
    /// Something was refused: which rule decided, and why. Every refused transaction reverts with it.
    error AccessDenied(string rule, string reason);
    /// Governance cannot do what was asked.
    error Refused(string reason);
    error NotPayable();
    error UnknownFunction(bytes4 selector);
    error MalformedCall(string reason);

    /// Every entry of the audit trail that a successful call appends. `kind` is a number of
    /// docs/spec/governance.md; `entryHash` is what the chain's next entry will name.
    event Audited(
        uint64 indexed number, uint8 indexed kind, address indexed actor, bytes32 entryHash, string target
    );
    event Proposed(uint64 indexed id, address indexed author, string title);
    event Voted(uint64 indexed id, address indexed voter, bool approve);
    /// `status`: 0 open, 1 passed, 2 rejected, 3 cancelled, 4 expired, 5 executed.
    event ProposalStatusChanged(uint64 indexed id, uint8 status);
    /// `target` as in `freeze`; `until` in milliseconds, 2^64 - 1 for no end, 0 when lifted.
    event FreezeChanged(uint8 indexed kind, bytes32 indexed target, uint64 until, string reason);

    // --- what is known -----------------------------------------------------------------------------

    /// 0 open, 1 permitted, 2 certificate.
    function accountMode() external view returns (uint8);

    /// `status`: 0 no member, 1 active, 2 suspended, 3 replaced. Bit n of `roles` is role n.
    function member(address account)
        external
        view
        returns (uint32 organisation, uint64 roles, uint8 status, bool certified, uint64 frozenUntil);

    /// Whether an account is an active member with a role.
    function hasRole(address account, uint8 role) external view returns (bool);

    /// The authorizer's answer for a contract (zero for none) and method (zero for all of it).
    function isAllowed(address account, uint8 action, address target, bytes4 selector)
        external
        view
        returns (bool allowed, string memory rule);

    /// Whether an account or contract is frozen now.
    function isFrozen(address account) external view returns (bool);

    /// EIP-1967 beacon: what the calling proxy runs. Reverts where governance set nothing.
    function implementation() external view returns (address);

    /// The same for a proxy by address; zero where governance set nothing.
    function implementationOf(address proxy) external view returns (address);

    /// Number and hash of the newest entry of the audit trail.
    function auditHead() external view returns (uint64 number, bytes32 head);

    /// Number of proposals ever submitted, and where one of them stands.
    function proposalCount() external view returns (uint64);
    function proposalStatus(uint64 id) external view returns (uint8);

    /// How an operation that a supervision rule stopped stands: whose it is, who has to co-sign, who of
    /// them is missing, and what was given until when (milliseconds). All empty where nothing waits.
    function coSignatures(bytes32 operation)
        external
        view
        returns (
            address sender,
            string[] memory parties,
            string[] memory missing,
            address[] memory signers,
            uint64[] memory until
        );

    // --- what can be done --------------------------------------------------------------------------

    /// Submits a proposal; `changes` is the canonical encoding of a list of 1 to 64 changes.
    function propose(string calldata title, string calldata description, bytes calldata changes)
        external
        returns (uint64 id);

    /// Submits a recovery, which the authorities of the organisations decide. Authorities only.
    function proposeRecovery(string calldata title, string calldata description, bytes calldata changes)
        external
        returns (uint64 id);

    /// Votes once. Governors on proposals, authorities on recoveries.
    function vote(uint64 id, bool approve) external;

    /// Withdraws an own proposal.
    function cancel(uint64 id) external;

    /// Puts a proposal into effect that has passed and waited.
    function execute(uint64 id) external;

    /// Freezes an account (kind 0), a contract (1) or an asset (2). `target` is the address, padded on
    /// the left, or the asset: zero for the chain's coin. `until` in milliseconds, 2^64 - 1 for no end.
    function freeze(uint8 kind, bytes32 target, uint64 until, string calldata reason) external;

    /// Lifts a freeze.
    function unfreeze(uint8 kind, bytes32 target, string calldata reason) external;

    /// Puts an inspection of a read domain on the record.
    function inspect(string calldata domain, string calldata purpose) external;

    /// Co-signs an operation that a supervision rule stopped, until a time in milliseconds. For the
    /// parties that the rule names, each once and from an account of its own.
    function cosign(bytes32 operation, uint64 until) external;

    /// Puts an administrative command on the record.
    function report(string calldata command) external;
}

/// What a hash or a signature is over. Its tag is the first thing hashed, so that no byte string
/// means one thing here and another there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Block header.
    Header,
    /// Leaf of a transaction or receipt tree.
    Leaf,
    /// Inner node of such a tree.
    Node,
    /// Native transaction, as signed.
    NativeTransaction,
    /// Agreement vote, as signed.
    Vote,
    /// Agreement proposal, as signed.
    Proposal,
    /// Validator set.
    ValidatorSet,
    /// Genesis document.
    Genesis,
    /// Path of a key in the state tree.
    StateKey,
    /// Value in the state tree.
    StateValue,
    /// Inner node of the state tree.
    StateNode,
    /// Leaf of the state tree.
    StateLeaf,
    /// Evidence record.
    Evidence,
    /// Evidence set.
    EvidenceSet,
    /// Leaf of the tree over the digests of an evidence set.
    EvidenceLeaf,
    /// Content that the governance contract keeps.
    Governance,
    /// Entry of the audit trail.
    Audit,
    /// Proposal of governance.
    GovernanceProposal,
    /// Address of an Ed25519 account.
    Ed25519Address,
    /// Schedule of chain settings.
    Settings,
    /// Script of a supervision rule, and slots of what rules remember.
    Policy,
    /// Multisignature policy, and transaction of such an account, as signed.
    Multisig,
    /// Key file and contents of an encrypted data folder.
    AtRest,
    /// Batch of transactions that validators vouch for.
    Batch,
    /// Attestation of a batch, as signed.
    Attestation,
    /// What a snapshot consists of.
    Snapshot,
}

impl Domain {
    /// The tag: sixteen bytes, unique per domain, frozen by `docs/spec/encoding.md`.
    #[must_use]
    pub const fn tag(self) -> [u8; 16] {
        *match self {
            Self::Header => b"hawser/header/01",
            Self::Leaf => b"hawser/leaf///01",
            Self::Node => b"hawser/node///01",
            Self::NativeTransaction => b"hawser/nativetx1",
            Self::Vote => b"hawser/vote///01",
            Self::Proposal => b"hawser/propose01",
            Self::ValidatorSet => b"hawser/valset/01",
            Self::Genesis => b"hawser/genesis01",
            Self::StateKey => b"hawser/stkey//01",
            Self::StateValue => b"hawser/stvalue01",
            Self::StateNode => b"hawser/stnode/01",
            Self::StateLeaf => b"hawser/stleaf/01",
            Self::Evidence => b"hawser/evidence1",
            Self::EvidenceSet => b"hawser/evidset01",
            Self::EvidenceLeaf => b"hawser/evidleaf1",
            Self::Governance => b"hawser/govblob/1",
            Self::Audit => b"hawser/audit///1",
            Self::GovernanceProposal => b"hawser/proposal1",
            Self::Ed25519Address => b"hawser/ed25519a1",
            Self::Settings => b"hawser/settings1",
            Self::Policy => b"hawser/policy//1",
            Self::Multisig => b"hawser/multisig1",
            Self::AtRest => b"hawser/atrest//1",
            Self::Batch => b"hawser/batch//01",
            Self::Attestation => b"hawser/attest/01",
            Self::Snapshot => b"hawser/snapshot1",
        }
    }
}

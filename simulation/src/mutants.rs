//! Safety rules that all nodes of a world break, to prove that the oracles notice.

use hawser_ledger::mutants::Rule;

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// One inside the replica or the store. Needs a build with the feature `mutants`.
    Inner(Rule),
    /// Messages leave before what they say is in the vote log durably.
    SkipPersist,
    /// After a restart nothing is known of what was voted for before.
    ForgetVotes,
    /// A precommit for nothing is sent after one for a block.
    VoteTwice,
    /// A prevote for nothing becomes one for what is proposed, whatever the validator is locked on.
    IgnoreLock,
    /// A precommit follows the proposal without waiting for prevotes.
    SkipPolka,
    /// Disks acknowledge syncs and do nothing.
    LyingDisk,
    /// Of two decided blocks that wait, the later one is executed first.
    OutOfOrder,
    /// A block is executed without its last transaction on some nodes.
    DropTransaction,
    /// Transactions of a block are taken without looking at their signatures.
    TransactionSignature,
    /// The committee of the genesis stays for ever: removed validators count on.
    OldCommittee,
    /// Decided blocks are executed and not stored.
    SkipStore,
    /// What peers send is kept for ever.
    KeepEverything,
}

impl Mutant {
    const OUTER: [Self; 12] = [
        Self::SkipPersist,
        Self::ForgetVotes,
        Self::VoteTwice,
        Self::IgnoreLock,
        Self::SkipPolka,
        Self::LyingDisk,
        Self::OutOfOrder,
        Self::DropTransaction,
        Self::TransactionSignature,
        Self::OldCommittee,
        Self::SkipStore,
        Self::KeepEverything,
    ];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let inner = Rule::ALL.into_iter().map(Self::Inner);
        Self::OUTER.into_iter().chain(inner)
    }

    /// Whether this build can break the rule.
    #[must_use]
    pub const fn is_possible(self) -> bool {
        !matches!(self, Self::Inner(_)) || hawser_ledger::mutants::MUTANTS
    }

    /// Its name in plans.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SkipPersist => "skip_persist",
            Self::ForgetVotes => "forget_votes",
            Self::VoteTwice => "vote_twice",
            Self::IgnoreLock => "ignore_lock",
            Self::SkipPolka => "skip_polka",
            Self::LyingDisk => "lying_disk",
            Self::OutOfOrder => "out_of_order",
            Self::DropTransaction => "drop_transaction",
            Self::TransactionSignature => "transaction_signature",
            Self::OldCommittee => "old_committee",
            Self::SkipStore => "skip_store",
            Self::KeepEverything => "keep_everything",
            Self::Inner(rule) => match rule {
                Rule::CertificateQuorum => "certificate_quorum",
                Rule::CertificateOnce => "certificate_once",
                Rule::CertificateSignature => "certificate_signature",
                Rule::VoteSignature => "vote_signature",
                Rule::PolkaQuorum => "polka_quorum",
                Rule::PolkaSignature => "polka_signature",
                Rule::BlockParent => "block_parent",
                Rule::BlockTime => "block_time",
                Rule::BlockRoots => "block_roots",
                Rule::BlockCommittee => "block_committee",
                Rule::BlockLimits => "block_limits",
                Rule::SyncCertificate => "sync_certificate",
                Rule::UnorderedOnce => "unordered_once",
            },
        }
    }

    /// The mutant of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::all().find(|mutant| mutant.name() == name)
    }

    /// Breaks the rule on this thread, or with `None` puts all back.
    pub(crate) fn install(mutant: Option<Self>) {
        #[cfg(feature = "mutants")]
        hawser_ledger::mutants::take_out(match mutant {
            Some(Self::Inner(rule)) => Some(rule),
            _ => None,
        });
        #[cfg(not(feature = "mutants"))]
        let _ = mutant;
    }
}

//! Safety rules that can be taken out one at a time, to prove that tests notice.
//!
//! Without the feature `mutants` [`broken`] is the constant `false` and the compiler removes every
//! trace of it. The feature is for `simulation/tests/mutants.rs` alone; the node's program does not
//! compile with it.

/// Whether this build can break rules. A program that is meant to run a chain asserts that it cannot.
pub const MUTANTS: bool = cfg!(feature = "mutants");

/// A rule that keeps the chain safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A certificate needs a quorum of the weight.
    CertificateQuorum,
    /// Each validator counts once in a certificate.
    CertificateOnce,
    /// Signatures in a certificate verify.
    CertificateSignature,
    /// Signatures of votes and proposals verify.
    VoteSignature,
    /// A quorum of prevotes that is received as a whole is one.
    PolkaQuorum,
    /// Signatures in such a quorum verify.
    PolkaSignature,
    /// A block follows the tip.
    BlockParent,
    /// A block's time is after its parent's, and not far ahead of the clock.
    BlockTime,
    /// A block carries the roots that this node computed.
    BlockRoots,
    /// A block names the committees that the settings give.
    BlockCommittee,
    /// A block stays within its limits of bytes and gas.
    BlockLimits,
    /// A block that a peer serves has a certificate.
    SyncCertificate,
    /// An unordered transaction is executed once.
    UnorderedOnce,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::CertificateQuorum,
        Self::CertificateOnce,
        Self::CertificateSignature,
        Self::VoteSignature,
        Self::PolkaQuorum,
        Self::PolkaSignature,
        Self::BlockParent,
        Self::BlockTime,
        Self::BlockRoots,
        Self::BlockCommittee,
        Self::BlockLimits,
        Self::SyncCertificate,
        Self::UnorderedOnce,
    ];
}

/// Whether a rule is taken out on this thread.
#[cfg(not(feature = "mutants"))]
#[inline]
#[must_use]
pub const fn broken(_: Rule) -> bool {
    false
}

#[cfg(feature = "mutants")]
thread_local! {
    static BROKEN: std::cell::Cell<Option<Rule>> = const { std::cell::Cell::new(None) };
}

/// Whether a rule is taken out on this thread.
#[cfg(feature = "mutants")]
#[must_use]
pub fn broken(rule: Rule) -> bool {
    BROKEN.get() == Some(rule)
}

/// Takes a rule out on this thread, or puts all of them back.
#[cfg(feature = "mutants")]
pub fn take_out(rule: Option<Rule>) {
    BROKEN.set(rule);
}

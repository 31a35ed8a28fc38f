use std::fmt;

/// One way in which a Byzantine validator behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Misdeed {
    /// Two proposals and two votes where one is allowed, each half of the network seeing one.
    Equivocate,
    /// Proposals, bodies, votes and answers that are kept back, from some or from all.
    Withhold,
    /// Old messages of its own, and those that others sent it, again.
    Replay,
    /// Blocks with a wrong parent, time, root or committee, over the limits, with forged or old
    /// transactions.
    BadBlocks,
    /// Claims to be ahead, and blocks in answer to requests that are not final.
    FalseSync,
    /// Votes in others' names, and quorums of prevotes that are none.
    Forge,
    /// Random bytes, and messages with inverted bits.
    Garbage,
    /// Many messages of every kind at once.
    Flood,
}

impl Misdeed {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Equivocate,
        Self::Withhold,
        Self::Replay,
        Self::BadBlocks,
        Self::FalseSync,
        Self::Forge,
        Self::Garbage,
        Self::Flood,
    ];

    /// Its name in plans.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equivocate => "equivocate",
            Self::Withhold => "withhold",
            Self::Replay => "replay",
            Self::BadBlocks => "bad_blocks",
            Self::FalseSync => "false_sync",
            Self::Forge => "forge",
            Self::Garbage => "garbage",
            Self::Flood => "flood",
        }
    }
}

/// A set of misdeeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Misdeeds(u8);

impl Misdeeds {
    /// A set.
    #[must_use]
    pub fn of(list: &[Misdeed]) -> Self {
        Self(list.iter().fold(0, |bits, one| bits | (1 << *one as u8)))
    }

    /// Whether it has a misdeed.
    #[must_use]
    pub const fn has(self, misdeed: Misdeed) -> bool {
        self.0 & (1 << misdeed as u8) != 0
    }

    /// The set without a misdeed.
    #[must_use]
    pub const fn without(self, misdeed: Misdeed) -> Self {
        Self(self.0 & !(1 << misdeed as u8))
    }

    /// Its members.
    pub fn iter(self) -> impl Iterator<Item = Misdeed> {
        Misdeed::ALL.into_iter().filter(move |one| self.has(*one))
    }

    /// Reads names joined by `+`, or `none`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "none" {
            return Some(Self::default());
        }
        let find = |name: &str| Misdeed::ALL.into_iter().find(|one| one.name() == name);
        let list: Option<Vec<_>> = text.split('+').map(find).collect();
        list.map(|list| Self::of(&list))
    }
}

impl fmt::Display for Misdeeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("none");
        }
        let names: Vec<_> = self.iter().map(Misdeed::name).collect();
        f.write_str(&names.join("+"))
    }
}

use std::{fmt, sync::Arc};

use super::{AnyAccount, ReadAudit, ReadGate};

/// Who may ask a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reads {
    /// Everybody who reaches the listener.
    #[default]
    Open,
    /// Authenticated readers whom the chain's gate allows.
    Signed,
}

/// How a chain's reads are guarded.
#[derive(Clone)]
pub struct Access {
    /// Who may ask. Default [`Reads::Open`].
    pub reads: Reads,
    /// Decides about authenticated readers. Default [`AnyAccount`].
    pub gate: Arc<dyn ReadGate>,
    /// Keeps the record of decisions; `None` for no record. Default none.
    pub audit: Option<Arc<dyn ReadAudit>>,
    /// Of so many allowed reads one is recorded; 1 for all. Refusals are always recorded, and so
    /// are submissions, subscriptions and inspections. Default 1.
    pub audit_one_in: u64,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            reads: Reads::Open,
            gate: Arc::new(AnyAccount),
            audit: None,
            audit_one_in: 1,
        }
    }
}

impl Access {
    /// Signed reads, any account, no record: a start for further settings.
    #[must_use]
    pub fn signed() -> Self {
        Self {
            reads: Reads::Signed,
            ..Self::default()
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("reads", &self.reads)
            .field("audited", &self.audit.is_some())
            .field("audit_one_in", &self.audit_one_in)
            .finish_non_exhaustive()
    }
}

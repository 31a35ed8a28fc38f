//! What supervisors and administrators do: freezes, inspections, co-signatures, commands.

use hawser_primitives::{B256, Time};

use super::{Call, Done, IGovernance, TEXT_BYTES_MAX, target_parts};
use crate::{
    action::Action,
    audit::{EntryKind, Remark},
    change::Target,
    cosign, draft,
    error::{invalid, limit},
    model::{DOMAIN_BYTES_MAX, Resource},
    slots::Counts,
};

impl Call<'_> {
    pub(super) fn tell_freeze(
        &mut self,
        kind: EntryKind,
        target: Target,
        until: u64,
        reason: &str,
    ) -> Done {
        let caller = self.env.caller;
        let detail = if kind == EntryKind::Frozen {
            format!("until {until} ms: {reason}")
        } else {
            reason.to_owned()
        };
        self.record(Remark::new(kind, caller, target, detail))?;
        let (kind, target) = target_parts(target);
        self.emit(&IGovernance::FreezeChanged {
            kind,
            target,
            until,
            reason: reason.to_owned(),
        })
    }

    pub(super) fn freeze(&mut self, target: Target, until: Time, reason: &str) -> Done {
        self.demand(Action::Freeze, &Resource::Any)?;
        let (moment, caller) = (self.moment(), self.env.caller);
        let mut store = self.store();
        let mut counts = Counts::load(&mut store)?;
        draft::freeze(
            &mut store,
            &mut counts,
            &moment,
            caller,
            target,
            until,
            reason,
        )?;
        counts.save(&mut store)?;
        self.tell_freeze(EntryKind::Frozen, target, until.0, reason)
    }

    pub(super) fn unfreeze(&mut self, target: Target, reason: &str) -> Done {
        // The freeze itself must not stand in the way of lifting it.
        self.demand(Action::Freeze, &Resource::Any)?;
        limit("bytes of a reason", reason.len(), draft::REASON_BYTES_MAX)?;
        let mut store = self.store();
        let mut counts = Counts::load(&mut store)?;
        draft::unfreeze(&mut store, &mut counts, target)?;
        counts.save(&mut store)?;
        self.tell_freeze(EntryKind::Unfrozen, target, 0, reason)
    }

    pub(super) fn inspect(&mut self, domain: String, purpose: String) -> Done {
        limit("bytes of a domain", domain.len(), DOMAIN_BYTES_MAX)?;
        limit("bytes of a purpose", purpose.len(), TEXT_BYTES_MAX)?;
        if domain.is_empty() || purpose.is_empty() {
            return invalid("an inspection names its domain and its purpose");
        }
        let resource = Resource::Domain(domain);
        self.demand(Action::Inspect, &resource)?;
        let caller = self.env.caller;
        self.record(Remark::new(EntryKind::Inspected, caller, resource, purpose))
    }

    pub(super) fn cosign(&mut self, operation: B256, until: Time) -> Done {
        let law = self.law()?;
        let (caller, now) = (self.env.caller, self.env.time);
        let missing = cosign::sign(&law, &mut self.store(), &operation, caller, until, now)?;
        let target = format!("operation:{operation}");
        let detail = match missing.as_slice() {
            [] => format!("until {until} ms; nobody is missing"),
            missing => format!("until {until} ms; missing {}", missing.join(", ")),
        };
        self.record(Remark::new(EntryKind::Cosigned, caller, target, detail))
    }

    pub(super) fn report(&mut self, command: String) -> Done {
        limit("bytes of a command", command.len(), TEXT_BYTES_MAX)?;
        if command.is_empty() {
            return invalid("there is no command to put on the record");
        }
        self.demand(Action::Configure, &Resource::Any)?;
        let caller = self.env.caller;
        self.record(Remark::new(EntryKind::Command, caller, "node", command))
    }
}

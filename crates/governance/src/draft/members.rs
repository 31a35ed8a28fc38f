//! Changes of members.

use hawser_ledger::GOVERNANCE_NAME_BYTES_MAX;
use hawser_primitives::{Address, B256, Time};

use super::{Done, Draft, freeze};
use crate::{
    action::{CUSTOM_ROLE_FIRST, Role, Roles},
    change::Target,
    error::{GovernanceError, invalid, limit},
    model::{AccountWord, GOVERNORS_MAX, MEMBERS_MAX, MemberDetails, NO_EXPIRY, Status},
    slots,
};

impl Draft<'_> {
    pub(super) fn member(&mut self, account: &Address) -> Result<AccountWord, GovernanceError> {
        let word = slots::load_account(self.store, account)?;
        if word.is_member() {
            Ok(word)
        } else {
            Err(GovernanceError::Unknown(format!("member {account}")))
        }
    }

    pub(super) fn details(&mut self, account: &Address) -> Result<MemberDetails, GovernanceError> {
        let details = slots::load_details(self.store, account)?;
        Ok(details.unwrap_or(MemberDetails {
            name: String::new(),
            certificate: None,
            replaced_by: None,
        }))
    }

    pub(super) fn check_roles(&self, roles: Roles) -> Done {
        for role in roles.iter() {
            if role >= CUSTOM_ROLE_FIRST && !self.charter.roles.contains_key(&role) {
                return Err(GovernanceError::Unknown(format!(
                    "custom role {role}; define it first"
                )));
            }
        }
        Ok(())
    }

    /// Writes a member's word and keeps the list of governors in step.
    pub(super) fn save_member(&mut self, account: &Address, word: &AccountWord) -> Done {
        if word.status == Status::Active && word.roles.has(Role::Governor) {
            self.charter.governors.insert(*account, word.organisation);
            limit("governors", self.charter.governors.len(), GOVERNORS_MAX)?;
        } else {
            self.charter.governors.remove(account);
        }
        Ok(slots::save_account(self.store, account, word)?)
    }

    pub(crate) fn add_member(
        &mut self,
        account: Address,
        name: &str,
        organisation: u32,
        roles: Roles,
        certificate: Option<B256>,
    ) -> Done {
        self.organisation(organisation)?;
        self.check_roles(roles)?;
        limit("bytes of a name", name.len(), GOVERNANCE_NAME_BYTES_MAX)?;
        let before = slots::load_account(self.store, &account)?;
        match before.status {
            Status::Outsider => {}
            Status::Replaced => {
                return invalid(format!(
                    "{account} was replaced in a key recovery and cannot become a member again"
                ));
            }
            Status::Active | Status::Suspended => {
                return Err(GovernanceError::Exists(format!("member {account}")));
            }
        }
        if account.is_zero() || account == crate::ADDRESS {
            return invalid(format!("{account} cannot be a member"));
        }
        let index = self.counts.members;
        if index >= MEMBERS_MAX {
            let (found, max) = (u64::from(index) + 1, u64::from(MEMBERS_MAX));
            let what = "members";
            return Err(GovernanceError::Limit { what, found, max });
        }
        self.counts.members = index.saturating_add(1);
        self.store
            .store(&slots::member_slot(index), account.into_word())?;
        let details = MemberDetails {
            name: name.to_owned(),
            certificate,
            replaced_by: None,
        };
        slots::save_details(self.store, &account, Some(&details))?;
        let word = AccountWord {
            organisation,
            roles,
            status: Status::Active,
            certified: certificate.is_some(),
            // A freeze outlives a change of membership.
            frozen_until: before.frozen_until,
            index,
        };
        self.save_member(&account, &word)
    }

    /// The last member of the list takes the place of the one that leaves.
    pub(super) fn remove_member(&mut self, account: &Address) -> Done {
        let word = self.member(account)?;
        let last = self.counts.members.saturating_sub(1);
        let last_slot = slots::member_slot(last);
        if word.index != last
            && let Some(moved) = slots::load_address(self.store, &last_slot)?
        {
            let mut moved_word = slots::load_account(self.store, &moved)?;
            moved_word.index = word.index;
            slots::save_account(self.store, &moved, &moved_word)?;
            let slot = slots::member_slot(word.index);
            self.store.store(&slot, moved.into_word())?;
        }
        self.store.store(&last_slot, B256::ZERO)?;
        self.counts.members = last;
        slots::save_details(self.store, account, None)?;
        let outside = AccountWord {
            frozen_until: word.frozen_until,
            ..AccountWord::default()
        };
        self.save_member(account, &outside)
    }

    pub(super) fn recover(&mut self, old: &Address, new: &Address) -> Done {
        let word = self.member(old)?;
        let taken = slots::load_account(self.store, new)?;
        if taken != AccountWord::default() || new.is_zero() || *new == crate::ADDRESS {
            return invalid(format!(
                "{new} cannot take the place of {old}: it must be an account of which governance says \
                 nothing yet"
            ));
        }
        self.store
            .store(&slots::member_slot(word.index), new.into_word())?;
        let mut details = self.details(old)?;
        slots::save_details(self.store, new, Some(&details))?;
        details.replaced_by = Some(*new);
        slots::save_details(self.store, old, Some(&details))?;
        // The freeze stays with the old account: most are put there because the key was lost.
        self.save_member(
            new,
            &AccountWord {
                frozen_until: Time::default(),
                ..word
            },
        )?;
        let replaced = AccountWord {
            organisation: word.organisation,
            status: Status::Replaced,
            ..AccountWord::default()
        };
        self.save_member(old, &replaced)?;
        let reason = "replaced in a key recovery";
        let target = Target::Account(*old);
        let (counts, moment) = (&mut self.counts, &self.moment);
        freeze(
            self.store, counts, moment, self.by, target, NO_EXPIRY, reason,
        )?;
        for organisation in self.charter.organisations.values_mut() {
            for authority in &mut organisation.authorities {
                if authority == old {
                    *authority = *new;
                }
            }
        }
        Ok(())
    }
}

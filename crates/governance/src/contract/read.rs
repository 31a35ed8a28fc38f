//! Questions that the contract answers.

use alloy_sol_types::{SolCall, SolValue};
use hawser_execution::NativeFailure;
use hawser_ledger::AccountMode;
use hawser_primitives::{Address, Bytes, U256};

use super::{Call, IGovernance, abi, access, revert};
use crate::{
    action::Action,
    audit, cosign,
    error::GovernanceError,
    law,
    model::{Resource, Status},
    slots::{self, Counts},
};

impl Call<'_> {
    /// Answers a question; `None` for what is none.
    pub(super) fn read(&mut self) -> Result<Option<Bytes>, NativeFailure> {
        let output: Vec<u8> = match self.selector {
            IGovernance::accountModeCall::SELECTOR => {
                let mode = match self.charter_mode()? {
                    AccountMode::Open => 0u8,
                    AccountMode::Permitted => 1,
                    AccountMode::Certificate => 2,
                };
                U256::from(mode).abi_encode()
            }
            IGovernance::memberCall::SELECTOR => {
                let account = self.decode::<IGovernance::memberCall>()?.account;
                let word = self.word(&account)?;
                IGovernance::memberCall::abi_encode_returns(&IGovernance::memberReturn {
                    organisation: word.organisation,
                    roles: word.roles.0,
                    status: word.status as u8,
                    certified: word.certified,
                    frozenUntil: word.frozen_until.0,
                })
            }
            IGovernance::hasRoleCall::SELECTOR => {
                let call = self.decode::<IGovernance::hasRoleCall>()?;
                let word = self.word(&call.account)?;
                let has = word.status == Status::Active && word.roles.contains(call.role);
                has.abi_encode()
            }
            IGovernance::isAllowedCall::SELECTOR => self.is_allowed()?,
            IGovernance::isFrozenCall::SELECTOR => {
                let account = self.decode::<IGovernance::isFrozenCall>()?.account;
                let now = self.env.time;
                self.word(&account)?.is_frozen(now).abi_encode()
            }
            IGovernance::implementationCall::SELECTOR => {
                let proxy = self.env.caller;
                let found = self.implementation(&proxy)?;
                let missing = || {
                    let reason =
                        format!("{proxy} has no implementation; governance sets one by a proposal");
                    revert(&IGovernance::Refused { reason })
                };
                found.ok_or_else(missing)?.abi_encode()
            }
            IGovernance::implementationOfCall::SELECTOR => {
                let proxy = self.decode::<IGovernance::implementationOfCall>()?.proxy;
                self.implementation(&proxy)?
                    .unwrap_or_default()
                    .abi_encode()
            }
            IGovernance::auditHeadCall::SELECTOR => {
                let (number, head) = audit::head(&mut self.store()).map_err(access)?;
                let answer = IGovernance::auditHeadReturn { number, head };
                IGovernance::auditHeadCall::abi_encode_returns(&answer)
            }
            IGovernance::coSignaturesCall::SELECTOR => {
                let operation = self.decode::<IGovernance::coSignaturesCall>()?.operation;
                let law = self.law()?;
                let now = self.env.time;
                let found = cosign::status(&law, &mut self.store(), &operation, now);
                IGovernance::coSignaturesCall::abi_encode_returns(&abi::co_signatures(
                    found.map_err(access)?,
                    now,
                ))
            }
            IGovernance::proposalCountCall::SELECTOR => {
                let counts = Counts::load(&mut self.store()).map_err(access)?;
                U256::from(counts.proposals).abi_encode()
            }
            IGovernance::proposalStatusCall::SELECTOR => {
                let id = self.decode::<IGovernance::proposalStatusCall>()?.id;
                let now = self.env.time;
                let status = self.proposal(id)?.status(now);
                U256::from(status as u8).abi_encode()
            }
            _ => return Ok(None),
        };
        Ok(Some(output.into()))
    }

    fn charter_mode(&mut self) -> Result<AccountMode, NativeFailure> {
        match self.law() {
            Ok(law) => Ok(law.charter().account_mode),
            Err(GovernanceError::Ungoverned) => Ok(AccountMode::Open),
            Err(error) => Err(error.into()),
        }
    }

    fn word(&mut self, account: &Address) -> Result<crate::model::AccountWord, NativeFailure> {
        slots::load_account(&mut self.store(), account).map_err(access)
    }

    fn implementation(&mut self, proxy: &Address) -> Result<Option<Address>, NativeFailure> {
        let slot = slots::implementation_slot(proxy);
        slots::load_address(&mut self.store(), &slot).map_err(access)
    }

    fn is_allowed(&mut self) -> Result<Vec<u8>, NativeFailure> {
        let call = self.decode::<IGovernance::isAllowedCall>()?;
        let action = Action::from_number(call.action)
            .ok_or_else(|| abi::malformed("there is no action with this number"))?;
        let resource = if call.target.is_zero() {
            Resource::Any
        } else if call.selector.is_zero() {
            Resource::Contract(call.target)
        } else {
            Resource::Method(call.target, call.selector.0)
        };
        let (allowed, rule) = match self.law() {
            Ok(law) => {
                let now = self.env.time;
                let mut store = self.store();
                let answer = law::decide(&law, &mut store, &call.account, action, &resource, now);
                let answer = answer.map_err(access)?;
                (answer.allowed, answer.rule())
            }
            Err(GovernanceError::Ungoverned) => (true, "ungoverned".to_owned()),
            Err(error) => return Err(error.into()),
        };
        let answer = IGovernance::isAllowedReturn { allowed, rule };
        Ok(IGovernance::isAllowedCall::abi_encode_returns(&answer))
    }
}

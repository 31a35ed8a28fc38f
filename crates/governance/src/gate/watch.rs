//! What the gate of a governed chain asks while a transaction runs, and of its effects.

use std::sync::Arc;

use alloy_primitives::b256;
use alloy_sol_types::SolError;
use hawser_execution::{
    Effects, Finding, FrameKind, GateFrame, GateState, GateStore, GateTransaction, Guard, Verdict,
};
use hawser_ledger::state::StateError;
use hawser_policy::{limits::PARTIES_MAX, missing};
use hawser_primitives::{Address, B256, Time};

use super::{Case, Ruling, Supervisor, frozen_party, operation};
use crate::{
    ADDRESS, IGovernance,
    access::{AccessError, GateView, GateWriter, Store, gate_error},
    action::Action,
    cosign,
    law::{Basis, Decision, Law, frozen_asset},
    model::{AccountWord, NATIVE_ASSET, Resource, token_asset},
    slots::{self, Counts},
};

/// `Transfer(address,address,uint256)` of ERC-20 and ERC-721.
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
/// `TransferSingle(address,address,address,uint256,uint256)` of ERC-1155.
const TRANSFER_SINGLE: B256 =
    b256!("c3d58168c5ae7397731d063d5bbf3d657854427343f4c083240f7aacaa2d0f62");
/// `TransferBatch(address,address,address,uint256[],uint256[])` of ERC-1155.
const TRANSFER_BATCH: B256 =
    b256!("4a39dc06d4c0dbc64b70af90fd698a233a518aa5d07e595d983b8c0526c8f7fb");

/// Watches one transaction. The law is that of its beginning, freezes are those of the moment.
pub(super) struct Watch {
    pub(super) law: Arc<Law>,
    pub(super) sender: Address,
    pub(super) word: AccountWord,
    pub(super) freezes: bool,
    pub(super) governance_called: bool,
    pub(super) unsigned: bool,
    pub(super) now: Time,
    pub(super) may_deploy: Option<Option<Finding>>,
    pub(super) supervisor: Option<Arc<dyn Supervisor>>,
}

impl Watch {
    fn frozen(
        &self,
        store: &mut dyn Store,
        account: &Address,
    ) -> Result<Option<Finding>, StateError> {
        if *account == ADDRESS {
            return Ok(None);
        }
        let word = slots::load_account(store, account).map_err(gate_error)?;
        Ok(word
            .is_frozen(self.now)
            .then(|| frozen_party(account, word.frozen_until)))
    }

    /// Whether what moved may move. Gives the first reason why not.
    fn moves(
        &self,
        store: &mut dyn Store,
        effects: &Effects<'_>,
    ) -> Result<Option<Finding>, StateError> {
        let asks = self.law.has_asset_rules() && !self.unsigned;
        if !self.freezes && !asks {
            return Ok(None);
        }
        let native = effects.transfers.iter();
        let native = native.map(|moved| (NATIVE_ASSET, moved.from, moved.to));
        let tokens = effects.logs.iter().filter_map(token_transfer);
        for (asset, from, to) in native.chain(tokens) {
            if self.freezes {
                for party in [from, to] {
                    if let Some(finding) = self.frozen(store, &party)? {
                        return Ok(Some(finding));
                    }
                }
                let frozen = frozen_asset(store, &asset, self.now).map_err(gate_error)?;
                if let Some(basis) = frozen {
                    let decision = Decision {
                        allowed: false,
                        basis,
                    };
                    let resource = Resource::Asset(asset);
                    return Ok(decision.refusal(&self.law, Action::Transfer, &resource));
                }
            }
            if asks {
                let resource = Resource::Asset(asset);
                let decision =
                    self.law
                        .permits(&self.sender, &self.word, Action::Transfer, &resource);
                // Only a rule stops what a contract moves; a role was asked for where the sender moved it.
                if !decision.allowed && matches!(decision.basis, Basis::Rule(_)) {
                    return Ok(decision.refusal(&self.law, Action::Transfer, &resource));
                }
            }
        }
        Ok(None)
    }
}

/// Asset, giver and taker of a token's event.
fn token_transfer(log: &alloy_primitives::Log) -> Option<(B256, Address, Address)> {
    let topics = log.data.topics();
    let asset = token_asset(&log.address);
    let party = |at: usize| topics.get(at).map(|topic| Address::from_word(*topic));
    match *topics.first()? {
        TRANSFER => Some((asset, party(1)?, party(2)?)),
        TRANSFER_SINGLE | TRANSFER_BATCH => Some((asset, party(2)?, party(3)?)),
        _ => None,
    }
}

impl Guard for Watch {
    fn needs_effects(&self) -> bool {
        let rules = self.law.has_asset_rules() && !self.unsigned;
        self.freezes || self.governance_called || rules || self.supervisor.is_some()
    }

    fn needs_trace(&self) -> bool {
        self.supervisor.is_some()
    }

    fn frame(
        &mut self,
        state: &mut dyn GateState,
        frame: &GateFrame,
    ) -> Result<Option<Finding>, StateError> {
        let mut store = GateView(state);
        // A freeze may come about within the transaction, once governance was called.
        if !self.freezes && self.governance_called {
            self.freezes = Counts::load(&mut store).map_err(gate_error)?.freezes > 0;
        }
        self.governance_called |= frame.to == Some(ADDRESS);
        if self.freezes {
            let code = frame.code.filter(|code| Some(*code) != frame.to);
            for party in [Some(frame.from), frame.to, code].into_iter().flatten() {
                if let Some(finding) = self.frozen(&mut store, &party)? {
                    return Ok(Some(finding));
                }
            }
        }
        if frame.kind == FrameKind::Create && frame.depth > 0 && !self.unsigned {
            let (law, sender, word) = (&self.law, &self.sender, &self.word);
            let found = self.may_deploy.get_or_insert_with(|| {
                law.permits(sender, word, Action::Deploy, &Resource::Any)
                    .refusal(law, Action::Deploy, &Resource::Any)
            });
            return Ok(found.clone());
        }
        Ok(None)
    }

    fn reverted(
        &mut self,
        transaction: &GateTransaction,
        data: &hawser_primitives::Bytes,
    ) -> Option<Finding> {
        // What governance refuses is as much a refusal as what the gate does.
        if !transaction
            .calls
            .iter()
            .any(|call| call.to == Some(ADDRESS))
        {
            return None;
        }
        Finding::from_revert_data(data).or_else(|| {
            let refused = IGovernance::Refused::abi_decode(data).ok()?;
            Some(Finding::new("governance", refused.reason))
        })
    }

    fn effects(
        &mut self,
        store: &mut dyn GateStore,
        transaction: &GateTransaction,
        effects: &Effects<'_>,
    ) -> Result<Verdict, StateError> {
        if !self.freezes && self.governance_called {
            let counts = Counts::load(&mut GateWriter(&mut *store)).map_err(gate_error)?;
            self.freezes = counts.freezes > 0;
        }
        let moved = self.moves(&mut GateWriter(&mut *store), effects)?;
        let mut verdict = Verdict {
            refuse: moved,
            ..Verdict::default()
        };
        let Some(supervisor) = &self.supervisor else {
            return Ok(verdict);
        };
        if verdict.refuse.is_some() || only_governance(transaction) {
            // No rule may keep governors from governing, nor supervisors from lifting a freeze.
            return Ok(verdict);
        }
        let case = Case {
            law: &self.law,
            transaction,
            effects,
        };
        let mut asked = Vec::new();
        for outcome in supervisor.judge(&case, &mut *store)? {
            let rule = format!("policy:{}", outcome.id);
            if outcome.shadow {
                let reason = match outcome.ruling {
                    Ruling::Allow => continue,
                    Ruling::Deny(reason) => format!("would deny: {reason}"),
                    Ruling::Flag(reason) => format!("would flag: {reason}"),
                    Ruling::CoSign { parties, reason } => {
                        let parties = parties.join(", ");
                        format!("would ask for the co-signature of {parties}: {reason}")
                    }
                };
                verdict
                    .flags
                    .push(Finding::new(format!("{rule}:shadow"), reason));
                continue;
            }
            match outcome.ruling {
                Ruling::Allow => {}
                Ruling::Flag(reason) => verdict.flags.push(Finding::new(rule, reason)),
                Ruling::Deny(reason) => {
                    verdict.refuse.get_or_insert(Finding::new(rule, reason));
                }
                Ruling::CoSign { parties, reason } => asked.push(Asked {
                    rule,
                    parties,
                    reason,
                }),
            }
        }
        if verdict.refuse.is_none() && !asked.is_empty() {
            let mut writer = GateWriter(&mut *store);
            let missed = co_signed(&self.law, &mut writer, transaction, &asked);
            if let Some((finding, parties)) = missed.map_err(gate_error)? {
                (verdict.refuse, verdict.awaits) = (Some(finding), parties);
            }
        }
        if verdict.refuse.is_none() {
            supervisor.settle(&case, store)?;
        }
        Ok(verdict)
    }
}

fn only_governance(transaction: &GateTransaction) -> bool {
    transaction
        .calls
        .iter()
        .all(|call| call.to == Some(ADDRESS))
}

/// A rule that asks for co-signatures: its name, whose, and why.
struct Asked {
    rule: String,
    parties: Vec<String>,
    reason: String,
}

/// The parties of all rules together: each as often as the rule that names it most often.
fn together(asked: &[Asked]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let count = |list: &[String], party: &String| list.iter().filter(|one| *one == party).count();
    for one in asked {
        for (at, party) in one.parties.iter().enumerate() {
            let so_far = one.parties.get(..=at).unwrap_or_default();
            if count(so_far, party) > count(&all, party) {
                all.push(party.clone());
            }
        }
    }
    all
}

/// Uses up the co-signatures of an operation; the refusal where somebody is missing, with all who
/// are asked for.
fn co_signed(
    law: &Law,
    store: &mut dyn Store,
    transaction: &GateTransaction,
    asked: &[Asked],
) -> Result<Option<(Finding, Vec<String>)>, AccessError> {
    let operation = operation(transaction);
    let given = cosign::approvals(law, store, &operation, transaction.block.time)?;
    let parties = together(asked);
    let sender = &transaction.sender;
    let left = missing(&parties, &given, sender);
    if left.is_empty() {
        cosign::used_up(store, &operation)?;
        return Ok(None);
    }
    // Each rule may be content where all together are not: then the first one speaks.
    let unmet = |one: &&Asked| !missing(&one.parties, &given, sender).is_empty();
    let speaks = asked.iter().find(unmet).or(asked.first());
    let (rule, reason) = speaks.map_or(("policy", ""), |one| (&*one.rule, &*one.reason));
    if parties.len() > PARTIES_MAX {
        let text = format!(
            "rules ask for the co-signatures of {} parties together, and at most {PARTIES_MAX} can \
             be given; the governors have to change a rule",
            parties.len()
        );
        return Ok(Some((Finding::new(rule, text), Vec::new())));
    }
    // The operation first: a long reason is cut at its end.
    let left = left.join(", ");
    let text = format!("operation {operation} needs the co-signature of {left}: {reason}");
    Ok(Some((Finding::new(rule, text), parties)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties_of_several_rules_are_asked_for_once_unless_a_rule_names_one_twice() {
        let asked = |parties: &[&str]| Asked {
            rule: String::new(),
            parties: parties.iter().map(|party| (*party).to_owned()).collect(),
            reason: String::new(),
        };
        let rules = [
            asked(&["role:a", "org:x"]),
            asked(&["org:x", "org:y"]),
            asked(&["role:a", "role:a"]),
        ];
        assert_eq!(together(&rules), ["role:a", "org:x", "org:y", "role:a"]);
    }
}

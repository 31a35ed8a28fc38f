//! The encodings of what the contract keeps, by the Keccak-256 of each: a change of one is a change of
//! the protocol.

use crate::common::*;
use hawser_governance::{
    AccountWord, Change, Effect, ProposalKind, Resource, Rule, Status, Subject, Target, Threshold,
    action::{Action, Actions, Role, Roles},
    query, slots,
};
use hawser_ledger::{AccountMode, state::StateRead};
use hawser_primitives::{Address, B256, Bytes, Height, Time, encode};

/// One change of every kind, in the order of the format.
fn changes() -> Vec<Change> {
    let account = Address::repeat_byte(1);
    let rule = Rule {
        subject: Subject::Role(4),
        actions: Actions::of(&[Action::Deploy, Action::Call]),
        resource: Resource::Method(account, [1, 2, 3, 4]),
        effect: Effect::Deny,
        note: "note".to_owned(),
    };
    let (name, weight, authorities, authority_threshold, roots) = (
        "name".to_owned(),
        2,
        vec![account],
        1,
        vec![B256::repeat_byte(2)],
    );
    vec![
        Change::AddOrganisation {
            id: 1,
            name: name.clone(),
            weight,
            authorities: authorities.clone(),
            authority_threshold,
            roots: roots.clone(),
        },
        Change::UpdateOrganisation {
            id: 1,
            name: name.clone(),
            weight,
            authorities,
            authority_threshold,
            roots,
        },
        Change::SuspendOrganisation {
            id: 1,
            suspended: true,
        },
        Change::RemoveOrganisation { id: 1 },
        Change::AddMember {
            account,
            name: name.clone(),
            organisation: 1,
            roles: Roles::of(&[Role::Governor]),
            certificate: None,
        },
        Change::RemoveMember { account },
        Change::SetRoles {
            account,
            roles: Roles(3),
        },
        Change::SuspendMember {
            account,
            suspended: false,
        },
        Change::SetCertificate {
            account,
            certificate: Some(B256::repeat_byte(3)),
        },
        Change::DefineRole {
            role: 8,
            name: name.clone(),
            actions: Actions(5),
        },
        Change::RemoveRole { role: 8 },
        Change::SetRule { id: 1, rule },
        Change::RemoveRule { id: 1 },
        Change::SetAccountMode {
            mode: AccountMode::Certificate,
        },
        Change::SetPublicActions {
            actions: Actions(16),
        },
        Change::SetSignedReads { signed: true },
        Change::SetParameters {
            parameters: Default::default(),
        },
        Change::SetValidators {
            validators: vec![validator(1, 1)],
        },
        Change::ActivateProtocol {
            version: 2,
            height: Height(9),
        },
        Change::Freeze {
            target: Target::Asset(B256::ZERO),
            until: Some(Time(7)),
            reason: name.clone(),
        },
        Change::Unfreeze {
            target: Target::Contract(account),
        },
        Change::Upgrade {
            contract: account,
            implementation: Address::repeat_byte(2),
        },
        Change::SetPolicy {
            id: 1,
            name,
            script: Bytes::from_static(b"x"),
        },
        Change::SetPolicyMode {
            id: 1,
            mode: hawser_governance::PolicyMode::Shadow,
        },
        Change::RemovePolicy { id: 1 },
        Change::SetThreshold {
            kind: ProposalKind::Recovery,
            threshold: Threshold::TWO_THIRDS,
        },
        Change::SetTimes {
            time_lock_ms: 1,
            voting_ms: 2,
        },
        Change::RecoverAccount {
            old: account,
            new: Address::repeat_byte(2),
        },
    ]
}

#[test]
fn every_change_keeps_its_encoding_and_its_place_and_survives_documents() {
    let all = changes();
    for (place, change) in (0u8..).zip(&all) {
        assert_eq!(encode(change)[0], place, "{change:?}");
        let document = serde_json::to_string(change).unwrap();
        assert_eq!(
            serde_json::from_str::<Change>(&document).unwrap(),
            *change,
            "{document}"
        );
    }
    let found = alloy_primitives::keccak256(encode(&all)).to_string();
    assert_eq!(
        found,
        "0x70cc43396f8fa33a1dbc00a92c43df1e302b28d0c77e1f56afcff2c8cfb8429e"
    );
}

#[test]
fn the_storage_of_a_genesis_is_as_it_was() {
    let chain = Chain::new(AccountMode::Permitted);
    let word = chain
        .state
        .storage(&hawser_governance::ADDRESS, &slots::account_slot(&who(20)))
        .unwrap();
    let expected = AccountWord {
        organisation: 1,
        roles: Roles::of(&[Role::Developer]),
        status: Status::Active,
        certified: true,
        frozen_until: Time(0),
        index: 3,
    };
    assert_eq!(word, expected.pack());
    assert_eq!(
        word.to_string(),
        "0x0000000100000000000000100101000000000000000000000003000000000000"
    );
    let charter = query::charter(&chain.state).unwrap().unwrap();
    let found = alloy_primitives::keccak256(encode(&charter)).to_string();
    assert_eq!(
        found,
        "0x1eb31c40b41ca443784a9059ec30d2517cb34977309e43f98764c22c51c2b275"
    );
    let (number, head) = query::audit_head(&chain.state).unwrap();
    assert_eq!(
        (number, head.to_string().as_str()),
        (
            1,
            "0x9031968d624c2cc19bcaba5ebd6eb64192d0b590a686830ce7943563cf3e3056"
        )
    );
}

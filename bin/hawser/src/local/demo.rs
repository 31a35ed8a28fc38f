//! Governance for a network that people try things out on.

use hawser_crypto::keystore::Params;
use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_ledger::{AccountMode, GenesisGovernance, GenesisMember, GenesisOrganisation};
use hawser_primitives::Address;

use crate::exit::{Code, OrFail, Result};
use crate::keyfile::Keystore;

/// Most organisations of a demonstration.
pub(crate) const ORGANISATIONS_MAX: u16 = 20;

/// Roles of the first organisation's people, by the names of their keys.
const PEOPLE: [(&str, &[&str]); 6] = [
    ("administrator", &["administrator"]),
    ("developer", &["user", "developer"]),
    ("user", &["user"]),
    ("supervisor", &["supervisor"]),
    ("auditor", &["auditor"]),
    ("operator", &["node-operator"]),
];

/// A section on governance, and the accounts that it names.
pub(crate) struct Demo {
    pub(crate) section: GenesisGovernance,
    pub(crate) accounts: Vec<Address>,
}

/// Makes organisations whose governors and authorities have their keys in the keystore: `governor1`,
/// `authority1` and so on, and for the first also one key per role. `test`, if there is such an account,
/// is a developer of the first.
pub(crate) fn make(
    count: u16,
    suite: Suite,
    keystore: &Keystore,
    secret: &str,
    cost: &Params,
    test: Option<Address>,
) -> Result<Demo> {
    let scheme = match suite {
        Suite::Sm => Scheme::Sm2,
        Suite::Intl => Scheme::Secp256k1,
    };
    let mut accounts = Vec::new();
    let mut key = |name: &str| -> Result<Address> {
        let key = SecretKey::generate(scheme).or_fail(Code::Failed)?;
        keystore.add(name, &key, secret, cost)?;
        accounts.push(key.address());
        Ok(key.address())
    };
    let member = |account, name: &str, organisation, roles: &[&str]| GenesisMember {
        account,
        name: name.to_owned(),
        organisation,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        certificate: None,
    };
    let (mut organisations, mut members) = (Vec::new(), Vec::new());
    for id in 1..=u32::from(count) {
        let governor = key(&format!("governor{id}"))?;
        let authority = key(&format!("authority{id}"))?;
        let name = format!("governor{id}");
        members.push(member(governor, &name, id, &["user", "governor"]));
        organisations.push(GenesisOrganisation {
            id,
            name: format!("organisation{id}"),
            weight: 1,
            authorities: vec![authority],
            authority_threshold: 1,
            roots: Vec::new(),
        });
    }
    for (name, roles) in PEOPLE {
        members.push(member(key(name)?, name, 1, roles));
    }
    if let Some(test) = test {
        members.push(member(test, "test", 1, &["user", "developer"]));
    }
    let section = GenesisGovernance {
        account_mode: AccountMode::Permitted,
        public_actions: None,
        signed_reads: false,
        // Long enough to be seen, short enough to be waited for.
        time_lock_ms: 2_000,
        voting_ms: 24 * 60 * 60 * 1000,
        organisations,
        members,
    };
    Ok(Demo { section, accounts })
}

//! Who co-signs for which party of a verdict.

use hawser_primitives::Address;

use crate::facts::PartyFact;

/// Whether an account is a party as rules name them: `role:…`, `org:…` or a lower-case address.
#[must_use]
pub fn is_party(account: &PartyFact, party: &str) -> bool {
    match party.split_once(':') {
        Some(("role", role)) => account.roles.iter().any(|own| own == role),
        Some(("org", organisation)) => account.organisation.as_deref() == Some(organisation),
        _ => format!("0x{}", hex::encode(account.address)) == party,
    }
}

/// The parties for which nobody has signed, in the order of the rule. An account signs for one
/// party only, whichever serves most: two parties are two people. The sender signs for none.
#[must_use]
pub fn missing<'p>(
    parties: &'p [String],
    approvals: &[PartyFact],
    sender: &Address,
) -> Vec<&'p str> {
    // For every approval the party that it stands for; maximum matching by augmenting paths, in the
    // order of the lists, so that all replicas find the same.
    let mut stands_for: Vec<Option<usize>> = vec![None; approvals.len()];
    let mut left = Vec::new();
    for at in 0..parties.len() {
        let mut tried = vec![false; approvals.len()];
        if !assign(parties, approvals, sender, at, &mut stands_for, &mut tried) {
            left.extend(parties.get(at).map(String::as_str));
        }
    }
    left
}

/// Finds an approval for the party at `at`, moving others to another of their parties if it must.
/// Recursion goes no deeper than there are approvals.
fn assign(
    parties: &[String],
    approvals: &[PartyFact],
    sender: &Address,
    at: usize,
    stands_for: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for (index, approval) in approvals.iter().enumerate() {
        let fits = parties
            .get(at)
            .is_some_and(|party| is_party(approval, party));
        let earlier = approvals.iter().take(index);
        let again = earlier
            .into_iter()
            .any(|other| other.address == approval.address);
        let done = tried.get(index).copied().unwrap_or(true);
        if !fits || again || done || approval.address == *sender {
            continue;
        }
        if let Some(tried) = tried.get_mut(index) {
            *tried = true;
        }
        let free = match stands_for.get(index).copied().flatten() {
            None => true,
            Some(other) => assign(parties, approvals, sender, other, stands_for, tried),
        };
        if free {
            if let Some(place) = stands_for.get_mut(index) {
                *place = Some(at);
            }
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(n: u8, organisation: &str, roles: &[&str]) -> PartyFact {
        PartyFact {
            address: Address::repeat_byte(n),
            organisation: Some(organisation.to_owned()),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            ..PartyFact::default()
        }
    }

    fn names(parties: &[&str]) -> Vec<String> {
        parties.iter().map(|party| (*party).to_owned()).collect()
    }

    const NOBODY: Address = Address::ZERO;

    #[test]
    fn every_party_needs_its_own_account() {
        let parties = names(&["role:supervisor", "org:bank"]);
        let both = account(1, "bank", &["supervisor"]);
        let one = account(2, "bank", &["user"]);
        let missing = |approvals: &[PartyFact]| missing(&parties, approvals, &NOBODY).join(" ");
        assert_eq!(missing(&[]), "role:supervisor org:bank");
        assert_eq!(
            missing(std::slice::from_ref(&both)),
            "org:bank",
            "one person is one party"
        );
        assert_eq!(missing(&[both.clone(), both.clone()]), "org:bank");
        assert_eq!(missing(std::slice::from_ref(&one)), "role:supervisor");
        assert_eq!(missing(&[one, both]), "");
    }

    #[test]
    fn the_order_of_co_signatures_does_not_matter() {
        // Whoever fits two parties gives way to the one that fits only one of them.
        let all = account(1, "bank", &["supervisor", "auditor"]);
        let two = account(2, "bank", &["supervisor"]);
        let one = account(3, "bank", &[]);
        let parties = names(&["org:bank", "role:supervisor", "role:auditor"]);
        let mut approvals = vec![all, two, one];
        for _ in 0..approvals.len() {
            assert!(missing(&parties, &approvals, &NOBODY).is_empty());
            approvals.rotate_left(1);
        }
        approvals.reverse();
        assert!(missing(&parties, &approvals, &NOBODY).is_empty());
    }

    #[test]
    fn a_party_named_twice_is_two_people_and_the_sender_is_none() {
        let parties = names(&["role:supervisor", "role:supervisor"]);
        let (one, two) = (
            account(1, "a", &["supervisor"]),
            account(2, "b", &["supervisor"]),
        );
        let approvals = [one.clone(), two];
        assert_eq!(missing(&parties, &approvals[..1], &NOBODY).len(), 1);
        assert!(missing(&parties, &approvals, &NOBODY).is_empty());
        assert_eq!(missing(&parties, &approvals, &one.address).len(), 1);
        let address = names(&[&format!("0x{}", "01".repeat(20))]);
        assert!(missing(&address, &approvals, &NOBODY).is_empty());
        assert_eq!(missing(&address, &approvals, &one.address).len(), 1);
    }
}

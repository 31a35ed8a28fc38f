use hawser_primitives::Time;

use super::*;
use crate::action::Role;

#[test]
fn an_account_word_survives_packing_and_strange_ones_are_refused() {
    let word = AccountWord {
        organisation: 7,
        roles: Roles(1 << 63 | 5),
        status: Status::Suspended,
        certified: true,
        frozen_until: NO_EXPIRY,
        index: 999_999,
    };
    let packed = word.pack();
    assert_eq!(AccountWord::unpack(&packed), Some(word));
    let mut strange = packed.0;
    strange[12] = 4;
    assert_eq!(AccountWord::unpack(&strange.into()), None);
    let mut strange = packed.0;
    strange[31] = 1;
    assert_eq!(AccountWord::unpack(&strange.into()), None);
    assert_eq!(
        AccountWord::unpack(&B256::ZERO),
        Some(AccountWord::default())
    );
}

#[test]
fn a_freeze_ends_at_its_expiry_and_not_before() {
    let word = AccountWord {
        frozen_until: Time(10),
        ..AccountWord::default()
    };
    assert!(word.is_frozen(Time(9)) && !word.is_frozen(Time(10)));
}

#[test]
fn subjects_and_resources_are_read_as_they_are_written() {
    let account = Address::repeat_byte(0xab);
    for subject in [
        Subject::Any,
        Subject::Outsiders,
        Subject::Organisation(3),
        Subject::Role(Role::Developer as u8),
        Subject::Role(12),
        Subject::Account(account),
    ] {
        assert_eq!(subject.to_string().parse(), Ok(subject));
    }
    for resource in [
        Resource::Any,
        Resource::Contract(account),
        Resource::Method(account, [1, 2, 3, 0xff]),
        Resource::Domain("blocks".to_owned()),
        Resource::Asset(NATIVE_ASSET),
        Resource::Asset(token_asset(&account)),
        Resource::Asset(B256::repeat_byte(9)),
    ] {
        assert_eq!(resource.to_string().parse(), Ok(resource));
    }
    let (fits, long) = (
        "d".repeat(DOMAIN_BYTES_MAX),
        "d".repeat(DOMAIN_BYTES_MAX + 1),
    );
    assert!(format!("domain:{fits}").parse::<Resource>().is_ok());
    assert!(format!("domain:{long}").parse::<Resource>().is_err());
    for wrong in ["", "every", "role:king", "organisation:x", "account:0x12"] {
        assert!(wrong.parse::<Subject>().is_err(), "{wrong}");
        assert!(wrong.parse::<Resource>().is_err(), "{wrong}");
    }
}

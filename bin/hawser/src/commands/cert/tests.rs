use super::words;
use crate::lang::Lang;
use hawser_pki::{Algorithm, Distrust, Moment, Reason};

#[test]
fn every_reason_for_distrust_has_words_in_both_languages() {
    let subject = || "CN=a, O=b".to_owned();
    let all = [
        Distrust::NoCertificate,
        Distrust::TooLong { max: 4 },
        Distrust::Unreadable("x".to_owned()),
        Distrust::Expired {
            subject: subject(),
            not_after: Moment(0),
        },
        Distrust::NotYetValid {
            subject: subject(),
            not_before: Moment(0),
        },
        Distrust::SelfSigned { subject: subject() },
        Distrust::UnknownIssuer {
            subject: subject(),
            issuer: subject(),
        },
        Distrust::BadSignature {
            subject: subject(),
            issuer: subject(),
        },
        Distrust::WrongAlgorithm {
            subject: subject(),
            found: Algorithm::P256,
            expected: "SM2",
        },
        Distrust::NotAuthority { subject: subject() },
        Distrust::PathLength {
            subject: subject(),
            max: 0,
        },
        Distrust::WrongUsage {
            subject: subject(),
            lacks: "x",
            profile: "node",
        },
        Distrust::UnknownCritical {
            subject: subject(),
            oid: "1.2".to_owned(),
        },
        Distrust::Revoked {
            subject: subject(),
            serial: "1".to_owned(),
            at: Moment(0),
            reason: Reason::KeyCompromise,
        },
        Distrust::NoCurrentCrl { issuer: subject() },
        Distrust::OtherOrganisation {
            claimed: "a".to_owned(),
            authority: "b".to_owned(),
        },
    ];
    for distrust in all {
        let (en, zh) = (
            words::distrust(&distrust, Lang::En),
            words::distrust(&distrust, Lang::Zh),
        );
        assert_ne!(en, zh, "{}", distrust.name());
        assert!(
            zh.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)),
            "{zh}"
        );
    }
}

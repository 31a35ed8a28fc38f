use alloy_primitives::BloomInput;

use super::*;

fn read(text: &str) -> Result<LogFilter, ErrorObject> {
    let raw = serde_json::value::RawValue::from_string(format!("[{text}]")).unwrap();
    let mut params = Params::new(Some(&raw)).unwrap();
    LogFilter::read(&mut params, &RpcLimits::default(), true)
}

fn log(topics: &[u8]) -> Log {
    Log {
        address: Address::repeat_byte(1),
        topics: topics.iter().map(|byte| B256::repeat_byte(*byte)).collect(),
        data: Default::default(),
    }
}

fn topic(byte: u8) -> String {
    format!("\"{}\"", B256::repeat_byte(byte))
}

#[test]
fn topics_match_as_in_geth() {
    let (a, b, c) = (topic(0xa), topic(0xb), topic(0xc));
    let cases = [
        ("[]".to_owned(), vec![], true),
        (format!("[{a}]"), vec![0xa], true),
        (format!("[{a}]"), vec![0xa, 0xb], true),
        (format!("[{a}]"), vec![0xb], false),
        (format!("[null, {b}]"), vec![0xa, 0xb], true),
        (format!("[null, {b}]"), vec![0xb], false),
        (format!("[[{a}, {c}]]"), vec![0xc], true),
        (format!("[[{a}, {c}]]"), vec![0xb], false),
        (format!("[[{a}, null]]"), vec![0xb], true),
        ("[[]]".to_owned(), vec![0xb], true),
        (format!("[{a}, null]"), vec![0xa], false),
    ];
    for (topics, found, expected) in cases {
        let filter = read(&format!(r#"{{"topics":{topics}}}"#)).unwrap();
        assert_eq!(
            filter.matches(&log(&found)),
            expected,
            "{topics} on {found:?}"
        );
    }
}

#[test]
fn addresses_are_one_or_many() {
    let (one, two) = (Address::repeat_byte(1), Address::repeat_byte(2));
    for (text, expected) in [
        (format!("\"{one}\""), true),
        (format!("\"{two}\""), false),
        (format!("[\"{two}\",\"{one}\"]"), true),
        ("[]".to_owned(), true),
        ("null".to_owned(), true),
    ] {
        let filter = read(&format!(r#"{{"address":{text}}}"#)).unwrap();
        assert_eq!(filter.matches(&log(&[])), expected, "{text}");
    }
}

#[test]
fn the_bloom_never_hides_a_match() {
    let filter = read(&format!(
        r#"{{"address":["{}","{}"],"topics":[[{},{}]]}}"#,
        Address::repeat_byte(1),
        Address::repeat_byte(9),
        topic(0xa),
        topic(0xb)
    ))
    .unwrap();
    let bloom_of = |log: &Log| {
        let mut bloom = Bloom::ZERO;
        bloom.accrue_raw_log(log.address, &log.topics);
        bloom
    };
    assert!(filter.may_match(&bloom_of(&log(&[0xa]))));
    assert!(filter.may_match(&bloom_of(&log(&[0xb, 0xc]))));
    assert!(!filter.may_match(&bloom_of(&log(&[0xd]))));
    assert!(!filter.may_match(&Bloom::ZERO));
}

#[test]
fn the_bits_of_a_value_are_those_of_its_bloom_and_take_little_room() {
    assert_eq!(size_of::<BloomBits>(), 6);
    for number in 0..200u64 {
        let value = B256::left_padding_from(&number.to_be_bytes());
        let bloom = Bloom::from(BloomInput::Raw(value.as_slice()));
        assert!(BloomBits::of(value.as_slice()).are_in(&bloom));
        let mut bits = BloomBits::of(value.as_slice()).0.to_vec();
        bits.sort_unstable();
        bits.dedup();
        let set: u32 = bloom.0.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(bits.len(), usize::try_from(set).unwrap());
    }
}

#[test]
fn doubles_take_no_room() {
    let one = format!("\"{}\"", Address::repeat_byte(1));
    let filter = read(&format!(
        r#"{{"address":[{}]}}"#,
        vec![one; 5_000].join(",")
    ))
    .unwrap();
    assert_eq!(filter.addresses.len(), 1);
    assert!(filter.addresses.capacity() < 10);
}

#[test]
fn both_sides_of_the_limits_on_alternatives_and_topics() {
    let max = RpcLimits::default().logs_alternatives_max;
    let many = |n: usize| {
        let list: Vec<_> = (0..n).map(|i| format!("\"{:#042x}\"", i + 1)).collect();
        format!(r#"{{"address":[{}]}}"#, list.join(","))
    };
    assert!(read(&many(max)).is_ok());
    assert_eq!(read(&many(max + 1)).unwrap_err().code, code::LIMIT_EXCEEDED);
    assert!(read(r#"{"topics":[null,null,null,null]}"#).is_ok());
    assert!(read(r#"{"topics":[null,null,null,null,null]}"#).is_err());
}

#[test]
fn a_hash_excludes_a_range() {
    let hash = topic(7);
    let filter = read(&format!(r#"{{"blockHash":{hash}}}"#)).unwrap();
    assert_eq!(filter.range, Range::Hash(B256::repeat_byte(7)));
    let error = read(&format!(r#"{{"blockHash":{hash},"fromBlock":"0x1"}}"#)).unwrap_err();
    assert!(error.message.contains("blockHash"), "{}", error.message);
    for bad in [
        r#"{"topics":5}"#,
        r#"{"address":"0x1"}"#,
        r#"{"fromBlock":"soon"}"#,
        "7",
    ] {
        let error = read(bad).unwrap_err();
        assert!(
            error.message.starts_with("invalid argument 0 (filter)"),
            "{}",
            error.message
        );
    }
}

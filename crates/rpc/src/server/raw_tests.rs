use super::*;

fn list(items: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for item in items {
        body.extend_from_slice(&(item.len() as u32).to_be_bytes());
        body.extend_from_slice(item);
    }
    body
}

fn cut(body: Vec<u8>) -> Result<Vec<Bytes>, String> {
    split(&body.into(), 3).map_err(|error| error.message.into_owned())
}

#[test]
fn a_list_is_cut_where_its_lengths_say() {
    let cut = cut(list(&[b"one", b"", b"three"])).unwrap();
    assert_eq!(cut, [&b"one"[..], b"", b"three"]);
}

#[test]
fn what_is_no_list_is_refused_as_a_whole() {
    let mut short = list(&[b"one", b"two"]);
    short.pop();
    let mut long = list(&[b"one"]);
    long.push(7);
    for (body, said) in [
        (Vec::new(), "no transaction"),
        (vec![0, 0, 0], "3 bytes at byte 0"),
        (vec![0xff; 4], "should have 4294967295 bytes, 0 are left"),
        (short, "at byte 7 should have 3 bytes, 2 are left"),
        (long, "1 bytes at byte 7"),
    ] {
        let error = cut(body).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn both_sides_of_the_limit_of_transactions() {
    assert_eq!(cut(list(&[b"a", b"b", b"c"])).unwrap().len(), 3);
    let error = cut(list(&[b"a", b"b", b"c", b"d"])).unwrap_err();
    assert!(error.contains("more than 3"), "{error}");
    // A body of many empty transactions costs no more than its bytes.
    assert!(cut(vec![0; 1 << 20]).is_err());
}

fn refused(code: i32, text: &'static str) -> Result<B256, ErrorObject> {
    Err(ErrorObject::new(code, text))
}

fn busy() -> Result<B256, ErrorObject> {
    Err(ErrorObject::busy("txpool is full"))
}

#[test]
fn the_status_of_an_answer_is_a_refusals_only_where_all_of_it_is_refused() {
    let good = || Ok(B256::ZERO);
    let denied = || refused(code::DENIED, "no");
    let unknown = || refused(code::UNAUTHENTICATED, "who");
    for (answers, expected) in [
        (vec![good()], 200),
        (vec![good(), busy()], 200),
        (vec![busy(), busy()], 429),
        (vec![busy(), refused(code::SERVER, "nonce too low")], 200),
        (vec![unknown(), unknown()], 401),
        (vec![denied()], 403),
        (vec![refused(code::UNAVAILABLE, "stopped")], 503),
    ] {
        assert_eq!(status(&answers).as_u16(), expected, "{answers:?}");
    }
}

#[test]
fn the_binary_answer_has_count_hint_and_an_entry_for_each() {
    let answers = [
        Ok(B256::ZERO),
        refused(code::SERVER, "already known"),
        busy(),
        refused(code::SERVER, "nonce too low"),
        refused(code::DENIED, "no"),
        refused(code::INTERNAL, "oh"),
    ];
    let mut expected = vec![0, 0, 0, 6, 0, 0, 3, 232];
    let texts = [
        "",
        "already known",
        "txpool is full",
        "nonce too low",
        "no",
        "oh",
    ];
    for (status, text) in texts.iter().enumerate() {
        expected.extend([status as u8, 0, text.len() as u8]);
        expected.extend(text.bytes());
    }
    assert_eq!(in_bytes(&answers), expected);
}

#[test]
fn long_messages_are_cut_between_characters() {
    let text = "缆".repeat(400);
    let cut = shortened(&text);
    assert!(cut.len() <= MESSAGE_BYTES_MAX && cut.len() > MESSAGE_BYTES_MAX - 3);
    assert_eq!(shortened("short"), "short");
}

#[test]
fn media_types_are_compared_without_their_parameters() {
    let with = |value: &str| HeaderMap::from_iter([(header::ACCEPT, value.parse().unwrap())]);
    let json = "application/json";
    assert!(is(&with("Application/JSON;q=1, */*"), header::ACCEPT, json));
    assert!(!is(&with("*/*"), header::ACCEPT, json));
    assert!(!is(&HeaderMap::new(), header::ACCEPT, json));
}

#[test]
fn damaged_lists_are_cut_as_their_lengths_say_or_refused() {
    use crate::mutate::{Mutator, inputs};

    let seeds = vec![list(&[b"one", b"", &[7; 300]]), list(&[&[1u8; 70][..]; 5])];
    let mut mutator = Mutator::new(2, seeds, &[]);
    for _ in 0..inputs() {
        let body = mutator.input();
        if let Ok(parts) = split(&body.clone().into(), 1_000) {
            let parts: Vec<&[u8]> = parts.iter().map(AsRef::as_ref).collect();
            assert_eq!(list(&parts), body);
        }
    }
}

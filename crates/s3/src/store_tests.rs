//! Against a server of a few lines that answers what it is told to: what no correct store does. A real one,
//! which checks signatures, is in the tests of the binary.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use hawser_storage::DiskError;

use super::*;

const SECRET: &str = "wJalrXUtnFEMI-hush";

/// Answers every request alike; keeps what it was asked.
struct Fake {
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
enum Answer {
    Say(String),
    /// Nothing, ever.
    Hang,
    /// As said, before the body of the request was read.
    Early(String),
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {len}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
}

fn fake(what: Answer) -> Fake {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (kept, what) = (Arc::clone(&kept), what.clone());
            thread::spawn(move || serve(stream.unwrap(), &kept, &what));
        }
    });
    Fake { address, seen }
}

/// How long a store says nothing: who waits for it, and not for the own bound, is noticed.
const HANG: Duration = Duration::from_secs(30);

fn serve(mut stream: TcpStream, kept: &Mutex<Vec<String>>, what: &Answer) {
    let mut head = Vec::new();
    let mut byte = [0u8; 1];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0u8; length.unwrap_or(0)];
    match what {
        Answer::Hang => {
            thread::sleep(HANG);
        }
        Answer::Early(text) => {
            stream.write_all(text.as_bytes()).unwrap();
            kept.lock().unwrap().push(head);
        }
        Answer::Say(text) => {
            if stream.read_exact(&mut body).is_err() {
                return;
            }
            kept.lock()
                .unwrap()
                .push(format!("{head}{}", String::from_utf8_lossy(&body)));
            let _ = stream.write_all(text.as_bytes());
        }
    }
}

fn store_at(address: &str, timeout_ms: u64) -> S3Store {
    let options = S3Options {
        endpoint: address.to_owned(),
        bucket: "ledger".to_owned(),
        region: "eu-1".to_owned(),
        path_style: true,
        ca_file: None,
        timeout_ms,
    };
    let variables = |name: &str| match name {
        "AWS_ACCESS_KEY_ID" => Some("AKID".to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some(SECRET.to_owned()),
        _ => None,
    };
    S3Store::open(&options, S3Credentials::from_variables(&variables).unwrap()).unwrap()
}

/// Of stores that answer: longer than a busy machine stands still.
const TIMEOUT_MS: u64 = 30_000;

fn store(answer: Answer) -> (S3Store, Fake) {
    let fake = fake(answer);
    (store_at(&fake.address, TIMEOUT_MS), fake)
}

/// What an operator or a client may read.
fn clean(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    for secret in [SECRET, "X-Amz", "Signature=", "AKID"] {
        assert!(!text.contains(secret), "{text}");
    }
    text
}

fn upload(store: &S3Store, parts: usize) -> Result<(), PutError> {
    let mut left = parts;
    let mut next = || {
        if left == 0 {
            return Ok(None);
        }
        left -= 1;
        Ok(Some(vec![b'x'; 64 * 1024]))
    };
    store.put("a/b.seg", (parts * 64 * 1024) as u64, &mut next)
}

#[test]
fn requests_are_signed_for_the_bucket_and_have_no_secret_in_them() {
    let body = "0123";
    let (store, fake) = store(Answer::Say(answer(
        "206 Partial Content",
        "content-range: bytes 4-7/100\r\n",
        body,
    )));
    assert_eq!(store.get("a/b.seg", 4, 4).unwrap(), b"0123");
    let seen = fake.seen.lock().unwrap().pop().unwrap();
    assert!(
        seen.starts_with("GET /ledger/a/b.seg?X-Amz-Algorithm=AWS4-HMAC-SHA256"),
        "{seen}"
    );
    assert!(seen.contains("%2Feu-1%2Fs3%2Faws4_request"), "{seen}");
    assert!(seen.to_lowercase().contains("range: bytes=4-7"), "{seen}");
    assert!(!seen.contains(SECRET), "{seen}");
}

#[test]
fn an_upload_sends_all_parts_with_their_length() {
    let (store, fake) = store(Answer::Say(answer("200 OK", "", "")));
    upload(&store, 5).unwrap();
    let seen = fake.seen.lock().unwrap().pop().unwrap();
    assert!(seen.starts_with("PUT /ledger/a/b.seg?"), "{}", &seen[..200]);
    assert!(seen.to_lowercase().contains("content-length: 327680"));
    assert!(!seen.to_lowercase().contains("transfer-encoding"));
    assert!(seen.matches('x').count() >= 327_680);
}

#[test]
fn the_size_is_that_of_the_whole_object() {
    let say =
        |status: &str, headers: &str, body: &str| store(Answer::Say(answer(status, headers, body)));
    let (some, _fake) = say(
        "206 Partial Content",
        "content-range: bytes 0-0/12345\r\n",
        "x",
    );
    assert_eq!(some.size("k").unwrap(), Some(12_345));
    let (none, _fake) = say("404 Not Found", "", "<Error><Code>NoSuchKey</Code></Error>");
    assert_eq!(none.size("k").unwrap(), None);
    let (whole, _fake) = say("200 OK", "", "x");
    assert_eq!(whole.size("k").unwrap(), Some(1));
}

#[test]
fn each_refusal_has_its_own_error_in_words() {
    let cases = [
        (
            "403 Forbidden",
            "SignatureDoesNotMatch",
            "denied",
            "SignatureDoesNotMatch",
        ),
        (
            "403 Forbidden",
            "InvalidAccessKeyId",
            "denied",
            "tier.credentials_file",
        ),
        ("403 Forbidden", "RequestTimeTooSkewed", "denied", "clock"),
        ("401 Unauthorized", "", "denied", "status 401"),
        ("404 Not Found", "NoSuchBucket", "no_bucket", "tier.bucket"),
        ("404 Not Found", "NoSuchKey", "missing", "a/b.seg"),
        ("503 Service Unavailable", "SlowDown", "failed", "SlowDown"),
        (
            "301 Moved Permanently",
            "PermanentRedirect",
            "failed",
            "PermanentRedirect",
        ),
        (
            "500 Internal Server Error",
            "<script>",
            "failed",
            "status 500",
        ),
    ];
    for (status, code, word, says) in cases {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
        let (store, _fake) = store(Answer::Say(answer(status, "", &body)));
        let error = store.get("a/b.seg", 0, 10).unwrap_err();
        assert_eq!(error.word(), word, "{error}");
        assert!(clean(&error).contains(says), "{error}");
        let Err(PutError::Object(error)) = upload(&store, 1) else {
            panic!("{status}: an upload that is refused");
        };
        assert_eq!(error.word(), word, "{error}");
        clean(&error);
    }
}

#[test]
fn answers_that_no_store_gives_are_refused() {
    for (status, headers, body) in [
        // More than was asked for, with and without a range.
        (
            "206 Partial Content",
            "content-range: bytes 0-9/10\r\n",
            "0123456789",
        ),
        ("200 OK", "", "0123456789"),
        // No length of the whole.
        ("206 Partial Content", "", "0123"),
        (
            "206 Partial Content",
            "content-range: bytes 0-3/many\r\n",
            "0123",
        ),
    ] {
        let (store, _fake) = store(Answer::Say(answer(status, headers, body)));
        assert_eq!(
            store.get("k", 0, 4).unwrap_err().word(),
            "failed",
            "{status} {headers}"
        );
    }
    let (all, _fake) = store(Answer::Say(answer("200 OK", "", "0123")));
    assert_eq!(
        all.get("k", 4, 4).unwrap_err().word(),
        "failed",
        "a range is not served"
    );
    let (beyond, _fake) = store(Answer::Say(answer("416 Range Not Satisfiable", "", "")));
    assert_eq!(beyond.get("k", 4, 4).unwrap(), b"");
}

#[test]
fn a_store_that_hangs_costs_its_bound_and_no_more() {
    let fake = fake(Answer::Hang);
    let store = store_at(&fake.address, 300);
    let within = |what: &str, began: Instant| {
        let took = began.elapsed();
        assert!(took < HANG / 2, "{what}: {took:?}");
    };
    let began = Instant::now();
    let error = store.get("k", 0, 4).unwrap_err();
    assert!(clean(&error).contains("300 ms"), "{error}");
    assert_eq!(error.word(), "timeout");
    within("a read", began);
    let began = Instant::now();
    // More than the buffers of a connection take.
    let error = upload(&store, 256).unwrap_err();
    assert!(
        matches!(&error, PutError::Object(ObjectError::TimedOut { .. })),
        "{error}"
    );
    within("an upload", began);
}

#[test]
fn nobody_at_the_address_is_told_as_such() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let store = store_at(&format!("http://{free}"), TIMEOUT_MS);
    let error = store.get("k", 0, 4).unwrap_err();
    assert_eq!(error.word(), "unreachable", "{error}");
    assert!(clean(&error).contains("refused"), "{error}");
    let Err(PutError::Object(error)) = upload(&store, 1) else {
        panic!("an upload to nobody");
    };
    assert_eq!(error.word(), "unreachable", "{error}");
}

#[test]
fn an_upload_ends_where_the_file_cannot_be_read_or_the_store_has_said_no() {
    let asked = AtomicU64::new(0);
    let (store, fake) = store(Answer::Say(answer("200 OK", "", "")));
    let mut next = || {
        if asked.fetch_add(1, Ordering::Relaxed) == 0 {
            return Ok(Some(vec![1; 1024]));
        }
        Err(DiskError::Name("gone".to_owned()))
    };
    let error = store.put("k", 4_096, &mut next).unwrap_err();
    assert!(matches!(error, PutError::Disk(_)), "{error}");
    assert!(
        fake.seen.lock().unwrap().is_empty(),
        "it never became whole"
    );
    let denied = answer(
        "403 Forbidden",
        "",
        "<Error><Code>AccessDenied</Code></Error>",
    );
    let (store, _fake) = self::store(Answer::Early(denied));
    let began = Instant::now();
    upload(&store, 512).unwrap_err();
    assert!(
        began.elapsed() < Duration::from_millis(TIMEOUT_MS / 2),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn addresses_are_understood_or_refused_and_never_hold_secrets() {
    for (endpoint, good) in [
        ("http://127.0.0.1:9000", true),
        ("http://s3.example:80", true),
        ("ftp://host", false),
        ("host:9000", false),
        ("", false),
        ("http://", false),
        ("http://user:hush@host", false),
    ] {
        let options = S3Options {
            endpoint: endpoint.to_owned(),
            bucket: "b".to_owned(),
            region: "r".to_owned(),
            path_style: true,
            ca_file: None,
            timeout_ms: 100,
        };
        let variables = |_: &str| Some("x".to_owned());
        let credentials = S3Credentials::from_variables(&variables).unwrap();
        let opened = S3Store::open(&options, credentials);
        assert_eq!(opened.is_ok(), good, "{endpoint}");
    }
    let store = store_at("http://127.0.0.1:9000/with/path", 100);
    assert_eq!(store.place(), "http://127.0.0.1:9000 (bucket ledger)");
}

#[test]
fn a_trust_file_is_needed_at_https_and_must_have_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("ca.pem");
    std::fs::write(&empty, "nothing").unwrap();
    for file in [empty, dir.path().join("missing.pem")] {
        let options = S3Options {
            endpoint: "https://127.0.0.1:9".to_owned(),
            bucket: "b".to_owned(),
            region: "r".to_owned(),
            path_style: true,
            ca_file: Some(file.clone()),
            timeout_ms: 100,
        };
        let variables = |_: &str| Some("x".to_owned());
        let credentials = S3Credentials::from_variables(&variables).unwrap();
        let error = S3Store::open(&options, credentials)
            .map(|_| ())
            .unwrap_err();
        assert!(
            error.to_string().contains(&file.display().to_string()),
            "{error}"
        );
    }
}

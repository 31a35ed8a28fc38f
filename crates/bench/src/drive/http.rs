//! A bare HTTP/1.1 connection: what the generator spends on a request is taken from the validators on the same machine.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long a connection may take to open.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Longest head of an answer, in bytes.
const HEAD_MAX: usize = 16 * 1024;
/// Longest body of an answer, in bytes.
const BODY_MAX: usize = 64 * 1024 * 1024;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Whether it says when to come back.
    pub(crate) retry_after: bool,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Nobody listens: the request never left.
    Closed,
    /// It left, and nobody knows what became of it.
    Unknown,
}

/// The host and port of a plain HTTP URL.
///
/// # Errors
/// What to write instead.
pub(crate) fn host_of(url: &str) -> Result<String, String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| {
        format!("{url}: the load driver speaks plain HTTP, such as http://127.0.0.1:8545")
    })?;
    let host = rest.trim_end_matches('/');
    if host.is_empty() || host.contains('/') {
        return Err(format!(
            "{url}: a node's address has no path, such as http://127.0.0.1:8545"
        ));
    }
    Ok(if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    })
}

/// A keep-alive connection to one node.
#[derive(Debug)]
pub(crate) struct Connection {
    host: String,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    limit: Duration,
}

impl Connection {
    /// To `host:port`; it opens with the first request. An answer may take `limit`.
    pub(crate) fn new(host: &str, limit: Duration) -> Self {
        Self {
            host: host.to_owned(),
            stream: None,
            buffer: Vec::new(),
            limit,
        }
    }

    /// Posts a body and waits for the answer.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        kind: &str,
        body: &[u8],
    ) -> Result<Answer, NoAnswer> {
        // A kept connection may have been closed meanwhile; then a new one is tried once.
        let kept = self.stream.is_some();
        match self.try_post(path, kind, body).await {
            Err(NoAnswer::Closed) if kept => self.try_post(path, kind, body).await,
            other => other,
        }
    }

    async fn try_post(&mut self, path: &str, kind: &str, body: &[u8]) -> Result<Answer, NoAnswer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let connecting = timeout(CONNECT_LIMIT, TcpStream::connect(&self.host));
                let Ok(Ok(stream)) = connecting.await else {
                    return Err(NoAnswer::Closed);
                };
                // Without it small requests wait for others; that is all that can fail here.
                let _ = stream.set_nodelay(true);
                stream
            }
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        let exchange = async {
            if body.len() < 4_096 {
                let mut all = head.into_bytes();
                all.extend_from_slice(body);
                stream.write_all(&all).await.map_err(|_| NoAnswer::Closed)?;
            } else {
                let sent = stream.write_all(head.as_bytes()).await;
                sent.map_err(|_| NoAnswer::Closed)?;
                let sent = stream.write_all(body).await;
                sent.map_err(|_| NoAnswer::Unknown)?;
            }
            self.buffer.clear();
            read_answer(&mut stream, &mut self.buffer).await
        };
        match timeout(self.limit, exchange).await {
            Ok(Ok((answer, keep))) => {
                self.stream = keep.then_some(stream);
                Ok(answer)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(NoAnswer::Unknown),
        }
    }
}

async fn read_answer(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> Result<(Answer, bool), NoAnswer> {
    let head_end = loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            break end;
        }
        if buffer.len() > HEAD_MAX {
            return Err(NoAnswer::Unknown);
        }
        match stream.read_buf(buffer).await {
            // Closed before a byte of an answer: the node had given the connection up.
            Ok(0) if buffer.is_empty() => return Err(NoAnswer::Closed),
            Ok(0) | Err(_) => return Err(NoAnswer::Unknown),
            Ok(_) => {}
        }
    };
    let head = buffer.get(..head_end).unwrap_or_default();
    let head = Head::parse(head).ok_or(NoAnswer::Unknown)?;
    let start = head_end.saturating_add(4);
    let end = start.saturating_add(head.length);
    while buffer.len() < end {
        match stream.read_buf(buffer).await {
            Ok(0) | Err(_) => return Err(NoAnswer::Unknown),
            Ok(_) => {}
        }
    }
    let answer = Answer {
        status: head.status,
        body: buffer.get(start..end).unwrap_or_default().to_vec(),
        retry_after: head.retry_after,
    };
    Ok((answer, head.keep))
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    length: usize,
    keep: bool,
    retry_after: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let mut head = Self {
            status,
            length: 0,
            keep: true,
            retry_after: false,
        };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = value.trim().parse().ok()?,
                // The nodes give lengths; parts of unknown length are not read.
                "transfer-encoding" => return None,
                "connection" => head.keep = !value.trim().eq_ignore_ascii_case("close"),
                "retry-after" => head.retry_after = true,
                _ => {}
            }
        }
        (head.length <= BODY_MAX).then_some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn addresses_are_plain_and_have_no_path() {
        assert_eq!(host_of("http://127.0.0.1:8545/").unwrap(), "127.0.0.1:8545");
        assert_eq!(host_of("http://node").unwrap(), "node:80");
        for bad in [
            "https://node",
            "node:8545",
            "http://",
            "http://node/chain/7",
        ] {
            assert!(host_of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn heads_are_read() {
        let head =
            Head::parse(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 12\r\nretry-after: 1");
        let expected = Head {
            status: 429,
            length: 12,
            keep: true,
            retry_after: true,
        };
        assert_eq!(head, Some(expected));
        assert!(
            !Head::parse(b"HTTP/1.1 200 OK\r\nconnection: close")
                .unwrap()
                .keep
        );
        for bad in [
            &b""[..],
            b"HTTP/1.1",
            b"HTTP/1.1 200 OK\r\ncontent-length: x",
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked",
            b"\xff",
        ] {
            assert_eq!(Head::parse(bad), None);
        }
    }

    /// Answers each connection with these bytes once per request, and closes after `times`.
    async fn server(answer: &'static [u8], times: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                for _ in 0..times {
                    let mut buffer = vec![0; 4_096];
                    if stream.read(&mut buffer).await.unwrap_or(0) == 0 {
                        break;
                    }
                    stream.write_all(answer).await.unwrap();
                }
            }
        });
        host
    }

    #[tokio::test]
    async fn a_connection_is_kept_and_renewed_when_the_node_has_closed_it() {
        let host = server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 2).await;
        let mut connection = Connection::new(&host, Duration::from_secs(5));
        for _ in 0..5 {
            let answer = connection.post("/", "text/plain", b"x").await.unwrap();
            assert_eq!((answer.status, answer.body), (200, b"ok".to_vec()));
        }
    }

    #[tokio::test]
    async fn no_listener_and_no_end_of_an_answer_are_told_apart() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = free.local_addr().unwrap().to_string();
        drop(free);
        let limit = Duration::from_secs(5);
        let gone = Connection::new(&host, limit).post("/", "a", b"").await;
        assert_eq!(gone, Err(NoAnswer::Closed));
        let host = server(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", 1).await;
        let cut = Connection::new(&host, limit).post("/", "a", b"").await;
        assert_eq!(cut, Err(NoAnswer::Unknown));
        let host = server(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", 2).await;
        let late = Connection::new(&host, Duration::from_millis(50));
        let mut late = late;
        assert_eq!(late.post("/", "a", b"").await, Err(NoAnswer::Unknown));
    }
}

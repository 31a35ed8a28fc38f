use std::error::Error as _;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hawser_storage::{ObjectError, ObjectStore, PutError, Upload};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use reqwest::{Body, Client, Response, StatusCode, Url};
use rusty_s3::actions::{GetObject, PutObject};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::body::ChannelBody;
use crate::{S3Credentials, trust};

/// How long a signed request may be used: long enough for an upload, and for clocks that differ.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);
/// Parts of an upload in memory beside the one being sent.
const PARTS: usize = 2;
/// How often a full queue is looked at again.
const NAP: Duration = Duration::from_millis(2);
/// Largest answer that says what went wrong, in bytes.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// Longest code that is shown of it.
const CODE_BYTES_MAX: usize = 64;
/// How much longer than the request's own bound its caller waits, for a thread that comes late.
const GRACE: Duration = Duration::from_secs(1);

/// Where a store is and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Options {
    /// `http://` or `https://` address, with a port if it is not the usual one.
    pub endpoint: String,
    /// The bucket, which is there already.
    pub bucket: String,
    /// The region that requests are signed for.
    pub region: String,
    /// Whether the bucket is a part of the path (`host/bucket/key`) rather than of the host.
    pub path_style: bool,
    /// PEM file of the authorities that are believed at `https://`; `None` for the system's.
    pub ca_file: Option<PathBuf>,
    /// Longest that a request may take, and an upload may stand still, in milliseconds.
    pub timeout_ms: u64,
}

/// Why a store cannot be spoken to at all.
#[derive(Debug, Error)]
pub enum S3Error {
    /// The credentials.
    #[error("credentials of the object store in {place}: {reason}")]
    Credentials {
        /// The file, or the environment.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The certificates.
    #[error("certificates for the object store in {place}: {reason}")]
    Trust {
        /// The file.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The address.
    #[error("tier.endpoint '{endpoint}': {reason}; write https://host or http://host:port")]
    Endpoint {
        /// As configured.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
    /// No thread, no TLS.
    #[error("the object store: {0}")]
    Start(String),
}

/// A bucket of an S3-compatible store.
///
/// Calls may be made from any thread that is allowed to wait; requests run on a thread of their own.
pub struct S3Store {
    bucket: Bucket,
    credentials: Credentials,
    client: Client,
    place: String,
    timeout: Duration,
    runtime: Option<Runtime>,
}

impl Drop for S3Store {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait: the last owner may be a thread that must not.
            runtime.shutdown_background();
        }
    }
}

impl S3Store {
    /// Makes ready to speak to a store; nothing is sent.
    pub fn open(options: &S3Options, credentials: S3Credentials) -> Result<Self, S3Error> {
        let wrong = |reason: String| S3Error::Endpoint {
            endpoint: options.endpoint.clone(),
            reason,
        };
        let endpoint: Url = options
            .endpoint
            .parse()
            .map_err(|error| wrong(format!("{error}")))?;
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            return Err(wrong("it must not hold credentials".to_owned()));
        }
        let secure = endpoint.scheme() == "https";
        let place = format!("{} (bucket {})", shown(&endpoint), options.bucket);
        let style = match options.path_style {
            true => UrlStyle::Path,
            false => UrlStyle::VirtualHost,
        };
        let bucket = Bucket::new(
            endpoint,
            style,
            options.bucket.clone(),
            options.region.clone(),
        );
        let bucket = bucket.map_err(|error| wrong(error.to_string()))?;
        let timeout = Duration::from_millis(options.timeout_ms);
        let mut builder = Client::builder()
            .connect_timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .tls_built_in_root_certs(false)
            .no_proxy();
        if secure {
            for root in trust::roots(options.ca_file.as_deref())? {
                builder = builder.add_root_certificate(root);
            }
        }
        let client = builder.build();
        let client = client.map_err(|error| S3Error::Start(reason_of(&error.without_url())))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("object-store")
            .enable_all()
            .build()
            .map_err(|error| S3Error::Start(error.to_string()))?;
        let S3Credentials { key, secret, token } = credentials;
        // Copies that the signer owns; it wipes the secret as well.
        let secret = secret.as_str().to_owned();
        let credentials = match token {
            Some(token) => Credentials::new_with_token(key, secret, token.as_str().to_owned()),
            None => Credentials::new(key, secret),
        };
        Ok(Self {
            bucket,
            credentials,
            client,
            place,
            timeout,
            runtime: Some(runtime),
        })
    }

    fn timed_out(&self) -> ObjectError {
        ObjectError::TimedOut {
            place: self.place.clone(),
            ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn failed(&self, reason: impl Into<String>) -> ObjectError {
        ObjectError::Failed {
            place: self.place.clone(),
            reason: reason.into(),
        }
    }

    fn runtime(&self) -> Result<&Runtime, ObjectError> {
        self.runtime
            .as_ref()
            .ok_or_else(|| self.failed("it is closing"))
    }

    /// Runs a request on the store's own thread, within the bound.
    fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Trouble>> + Send + 'static,
        key: &str,
    ) -> Result<T, ObjectError> {
        let (tell, told) = sync_channel(1);
        let timeout = self.timeout;
        self.runtime()?.spawn(async move {
            let done = tokio::time::timeout(timeout, work).await;
            // Nobody listens where the caller gave up.
            let _ = tell.send(done);
        });
        match told.recv_timeout(self.timeout.saturating_add(GRACE)) {
            Ok(Ok(done)) => done.map_err(|trouble| self.error(trouble, key)),
            Ok(Err(_)) | Err(RecvTimeoutError::Timeout) => Err(self.timed_out()),
            Err(RecvTimeoutError::Disconnected) => Err(self.failed("the request was given up")),
        }
    }

    fn error(&self, trouble: Trouble, key: &str) -> ObjectError {
        let place = self.place.clone();
        match trouble {
            Trouble::Transport(error) if error.is_timeout() => self.timed_out(),
            Trouble::Transport(error) => ObjectError::Unreachable {
                place,
                reason: reason_of(&error),
            },
            Trouble::Answer(status, code) => match (status, code.as_str()) {
                (_, "NoSuchBucket") => ObjectError::NoBucket { place },
                (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => ObjectError::Denied {
                    place,
                    reason: named(status, &code),
                },
                (StatusCode::NOT_FOUND, _) => ObjectError::Missing {
                    place,
                    key: key.to_owned(),
                },
                _ => self.failed(named(status, &code)),
            },
            Trouble::Form(reason) => self.failed(reason),
        }
    }

    fn ranged(
        &self,
        key: &str,
        offset: u64,
        len: usize,
    ) -> impl Future<Output = Result<(u64, Vec<u8>), Trouble>> + Send + use<> {
        let url = GetObject::new(&self.bucket, Some(&self.credentials), key).sign(SIGNED_FOR);
        let last = offset.saturating_add(len as u64).saturating_sub(1);
        let request = self
            .client
            .get(url)
            .header(RANGE, format!("bytes={offset}-{last}"));
        async move {
            let mut response = request.send().await.map_err(Trouble::of)?;
            let status = response.status();
            if status == StatusCode::RANGE_NOT_SATISFIABLE {
                // The object ends before.
                return Ok((total(&response).unwrap_or(0), Vec::new()));
            }
            if !status.is_success() {
                return Err(Trouble::read(response).await);
            }
            let total = match status {
                StatusCode::PARTIAL_CONTENT => total(&response),
                // All of it, where that is what was asked for.
                _ if offset == 0 => response.content_length(),
                _ => None,
            };
            let total = total.ok_or(Trouble::Form("it does not serve ranges of objects"))?;
            let mut bytes = Vec::with_capacity(len);
            while let Some(part) = response.chunk().await.map_err(Trouble::of)? {
                if bytes.len().saturating_add(part.len()) > len {
                    return Err(Trouble::Form("it sends more than it was asked for"));
                }
                bytes.extend_from_slice(&part);
            }
            Ok((total, bytes))
        }
    }

    /// Hands the parts of an upload to the request; `false` where that has ended already.
    fn feed(
        &self,
        parts: &mpsc::Sender<Bytes>,
        next: Upload<'_>,
        ended: &dyn Fn() -> bool,
    ) -> Result<bool, PutError> {
        while let Some(part) = next()? {
            let mut part = Bytes::from(part);
            let began = Instant::now();
            loop {
                match parts.try_send(part) {
                    Ok(()) => break,
                    Err(TrySendError::Closed(_)) => return Ok(false),
                    Err(TrySendError::Full(back)) => part = back,
                }
                if ended() {
                    return Ok(false);
                }
                if began.elapsed() > self.timeout {
                    return Err(self.timed_out().into());
                }
                std::thread::sleep(NAP);
            }
        }
        Ok(true)
    }
}

impl ObjectStore for S3Store {
    fn put(&self, key: &str, len: u64, next: Upload<'_>) -> Result<(), PutError> {
        let url = PutObject::new(&self.bucket, Some(&self.credentials), key).sign(SIGNED_FOR);
        let (parts, waiting) = mpsc::channel(PARTS);
        let body = Body::wrap(ChannelBody {
            parts: waiting,
            left: len,
        });
        let request = self.client.put(url).header(CONTENT_LENGTH, len).body(body);
        let (tell, told) = sync_channel(1);
        let task = self.runtime()?.spawn(async move {
            let sent = async {
                let response = request.send().await.map_err(Trouble::of)?;
                match response.status().is_success() {
                    true => Ok(()),
                    false => Err(Trouble::read(response).await),
                }
            };
            let _ = tell.send(sent.await);
        });
        let ended = || task.is_finished();
        let fed = self.feed(&parts, next, &ended);
        drop(parts);
        if let Err(error) = fed {
            // The connection closes before the announced length: the store keeps nothing.
            task.abort();
            return Err(error);
        }
        match told.recv_timeout(self.timeout.saturating_add(GRACE)) {
            Ok(done) => Ok(done.map_err(|trouble| self.error(trouble, key))?),
            Err(_) => {
                task.abort();
                Err(self.timed_out().into())
            }
        }
    }

    fn get(&self, key: &str, offset: u64, len: usize) -> Result<Vec<u8>, ObjectError> {
        if len == 0 {
            return Ok(Vec::new());
        }
        let (_, bytes) = self.run(self.ranged(key, offset, len), key)?;
        Ok(bytes)
    }

    fn size(&self, key: &str) -> Result<Option<u64>, ObjectError> {
        // Two bytes, as there are servers that take a range of one for none.
        // `HeadObject` would tell a missing object and a missing bucket by the same status, without a word.
        match self.run(self.ranged(key, 0, 2), key) {
            Ok((total, _)) => Ok(Some(total)),
            Err(ObjectError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn place(&self) -> String {
        self.place.clone()
    }
}

/// What went wrong with a request. Never with its address, which is signed.
enum Trouble {
    Transport(reqwest::Error),
    Answer(StatusCode, String),
    Form(&'static str),
}

impl Trouble {
    fn of(error: reqwest::Error) -> Self {
        Self::Transport(error.without_url())
    }

    /// Reads the code out of an answer that says what is wrong.
    async fn read(mut response: Response) -> Self {
        let status = response.status();
        let mut text = Vec::new();
        while let Ok(Some(part)) = response.chunk().await {
            let room = ERROR_BYTES_MAX.saturating_sub(text.len()).min(part.len());
            text.extend_from_slice(part.get(..room).unwrap_or_default());
            if text.len() >= ERROR_BYTES_MAX {
                break;
            }
        }
        Self::Answer(status, code_of(&String::from_utf8_lossy(&text)))
    }
}

/// What stands between `<Code>` and `</Code>`, if it is a word.
fn code_of(text: &str) -> String {
    let code = || {
        let (_, rest) = text.split_once("<Code>")?;
        let (code, _) = rest.split_once("</Code>")?;
        let word = code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (word && code.len() <= CODE_BYTES_MAX).then_some(code)
    };
    code().unwrap_or_default().to_owned()
}

fn named(status: StatusCode, code: &str) -> String {
    match code {
        "" => format!("status {}", status.as_u16()),
        code => format!("{code} (status {})", status.as_u16()),
    }
}

/// Length of the whole object, as the answer to a ranged request tells it: `bytes 0-0/123`.
fn total(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.rsplit_once('/')?.1.parse().ok()
}

/// An error with what caused it, which is what tells people something.
fn reason_of(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

/// Scheme, host and port, nothing else.
fn shown(endpoint: &Url) -> String {
    let host = endpoint.host_str().unwrap_or_default();
    match endpoint.port() {
        Some(port) => format!("{}://{host}:{port}", endpoint.scheme()),
        None => format!("{}://{host}", endpoint.scheme()),
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

//! Signs requests to chains whose reads are signed.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hawser_crypto::SecretKey;
use hawser_rpc::auth::{SignedHeaders, sign_request};
use reqwest::Url;
use tokio::sync::OnceCell;

use crate::exit::{Code, OrFail, Result};
use crate::keyfile::Keystore;
use crate::local::generate::TEST_ACCOUNT;
use crate::passphrase::PassphraseArgs;

/// Who reads, where a node wants to know. Clones share what was found out.
#[derive(Clone)]
pub(crate) struct Reader(Arc<Inner>);

struct Inner {
    source: Source,
    signer: OnceCell<Option<Signer>>,
}

enum Source {
    /// Nobody: what is refused stays refused.
    Nobody,
    /// This key.
    Key(Box<SecretKey>),
    /// The test account of a network on this machine, if it can be opened without a question.
    Local(Keystore),
}

/// A key and what its signatures are bound to.
pub(crate) struct Signer {
    key: SecretKey,
    audience: String,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl Reader {
    fn new(source: Source) -> Self {
        Self(Arc::new(Inner {
            source,
            signer: OnceCell::new(),
        }))
    }

    /// Nobody.
    pub(crate) fn nobody() -> Self {
        Self::new(Source::Nobody)
    }

    /// The owner of this key.
    pub(crate) fn key(key: SecretKey) -> Self {
        Self::new(Source::Key(Box::new(key)))
    }

    /// The test account of a local network.
    pub(crate) fn local(keystore: Keystore) -> Self {
        Self::new(Source::Local(keystore))
    }

    /// The signer, once one was needed.
    pub(crate) fn signer(&self) -> Option<&Signer> {
        self.0.signer.get()?.as_ref()
    }

    /// Finds the signer, if there is one; `audience` asks the node what to sign for.
    pub(crate) async fn find(
        &self,
        audience: impl AsyncFnOnce(&SecretKey) -> Result<String>,
    ) -> Result<Option<&Signer>> {
        let find = async || {
            let key = match &self.0.source {
                Source::Nobody => None,
                Source::Key(key) => Some(key.as_ref().clone()),
                Source::Local(keystore) => local_key(keystore),
            };
            let Some(key) = key else { return Ok(None) };
            let audience = audience(&key).await?;
            Ok(Some(Signer { key, audience }))
        };
        let found = self.0.signer.get_or_try_init(find).await?;
        Ok(found.as_ref())
    }
}

fn local_key(keystore: &Keystore) -> Option<SecretKey> {
    let beside = keystore.0.parent()?.join("passphrase");
    let args = PassphraseArgs {
        passphrase_file: beside.is_file().then_some(beside),
    };
    args.passphrase_file.as_ref()?;
    keystore.open(TEST_ACCOUNT, &args).ok()
}

impl Signer {
    /// Headers that sign a POST of this body.
    pub(crate) fn sign(&self, url: &str, body: &[u8]) -> Result<SignedHeaders> {
        let url = Url::parse(url).context(Code::Usage, url)?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .context(Code::Failed, "the clock of this machine is before 1970")?;
        sign_request(
            &self.key,
            &self.audience,
            "POST",
            url.path(),
            Some(body),
            now.as_secs(),
        )
        .context(Code::Failed, "the operating system gave no randomness")
    }
}

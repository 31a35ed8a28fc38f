use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hawser_pki::{ClientIdentity, PrivateKey};
use rustls::crypto::CryptoProvider;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::chains::{Chains, Verdict};
use crate::tls::{certificates, harden_server, provider_for};
use crate::{CertificateFiles, NetworkError};

/// TLS of a listener that serves clients, such as JSON-RPC: with an SM2 certificate by RFC 8998,
/// with another by the usual suites.
#[derive(Clone)]
pub struct ListenerTls {
    provider: Arc<CryptoProvider>,
    chains: Arc<Chains>,
    client_required: bool,
    protocols: Vec<Vec<u8>>,
}

impl ListenerTls {
    /// Reads the files. With a trust folder, clients are asked for a certificate, and refused with
    /// one that is not believed; `client_required` refuses those without. An empty path as trust
    /// folder asks nobody. `protocols` are names of ALPN (RFC 7301).
    ///
    /// # Errors
    /// [`NetworkError::Certificate`].
    pub fn open(
        key: PrivateKey,
        files: CertificateFiles,
        client_required: bool,
        protocols: &[&[u8]],
    ) -> Result<Self, NetworkError> {
        let chains = Arc::new(Chains::open_listener(key, files)?);
        if client_required && !chains.has_trust() {
            return Err(NetworkError::Certificate(
                "client certificates are required, and no trust folder says whose".to_owned(),
            ));
        }
        Ok(Self {
            provider: provider_for(chains.algorithm()),
            chains,
            client_required,
            protocols: protocols.iter().map(|name| name.to_vec()).collect(),
        })
    }

    /// Looks at the files every second and takes over what changed, until it is dropped.
    pub async fn watch(&self) {
        match self.chains.watch().await {}
    }

    /// Shakes hands. Gives the stream, and whom the client's certificate names if it showed one.
    /// The caller bounds the time.
    ///
    /// # Errors
    /// Why not, in words.
    pub async fn accept(
        &self,
        tcp: TcpStream,
    ) -> Result<(ListenerStream, Option<ClientIdentity>), String> {
        let verdict = Verdict::default();
        let mut config = self
            .chains
            .listener(&self.provider, self.client_required, &verdict)
            .map_err(|error| error.to_string())?;
        harden_server(&mut config);
        config.alpn_protocols.clone_from(&self.protocols);
        let stream = TlsAcceptor::from(Arc::new(config))
            .accept(tcp)
            .await
            .map_err(|error| match verdict.take() {
                Some(distrust) => distrust.to_string(),
                None => error.to_string(),
            })?;
        let presented = certificates(stream.get_ref().1.peer_certificates());
        let client = presented.first().map(ClientIdentity::of);
        Ok((ListenerStream(Box::new(stream)), client))
    }
}

impl fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerTls")
            .field("algorithm", &self.chains.algorithm())
            .finish_non_exhaustive()
    }
}

/// A connection that a [`ListenerTls`] accepted.
pub struct ListenerStream(Box<tokio_rustls::server::TlsStream<TcpStream>>);

impl fmt::Debug for ListenerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListenerStream")
    }
}

impl AsyncRead for ListenerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ListenerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}

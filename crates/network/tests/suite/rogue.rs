//! A client that speaks the protocol by hand, so that it can break it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hawser_network::{NodeIdentity, PeerId};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::{default_provider, sign::any_eddsa_type};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Believes everything.
#[derive(Debug)]
struct Gullible {
    raw_keys: bool,
}

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ED25519,
            SignatureScheme::ECDSA_NISTP256_SHA256,
        ]
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw_keys
    }
}

async fn handshake(at: SocketAddr, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(at).await?;
    let name = ServerName::try_from("hawser").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
}

/// Presents the public key `shown`, and signs with `key`.
pub async fn connect_as(
    at: SocketAddr,
    key: &NodeIdentity,
    shown: PeerId,
    protocols: Vec<Vec<u8>>,
) -> io::Result<TlsStream<TcpStream>> {
    let der = key.to_pkcs8_der();
    let signing = any_eddsa_type(&PrivatePkcs8KeyDer::from(der.as_slice())).unwrap();
    let mut spki = hex::decode("302a300506032b6570032100").unwrap();
    spki.extend_from_slice(&shown.0);
    let certified = CertifiedKey::new(vec![CertificateDer::from(spki)], signing);
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible { raw_keys: true }))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::new(
            certified,
        ))));
    config.alpn_protocols = protocols;
    handshake(at, config).await
}

pub async fn connect(
    at: SocketAddr,
    key: &NodeIdentity,
    shown: PeerId,
) -> io::Result<TlsStream<TcpStream>> {
    connect_as(at, key, shown, vec![b"hawser/1".to_vec()]).await
}

pub async fn connect_tls12(at: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
    anonymous(at, &rustls::version::TLS12).await
}

pub async fn connect_without_raw_keys(at: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
    anonymous(at, &rustls::version::TLS13).await
}

async fn anonymous(
    at: SocketAddr,
    version: &'static rustls::SupportedProtocolVersion,
) -> io::Result<TlsStream<TcpStream>> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible { raw_keys: false }))
        .with_no_client_auth();
    handshake(at, config).await
}

pub fn frame(chain: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(payload.len()).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(&chain.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// Opens a link to a node with a smaller id, as the run numbered `run`.
pub async fn open(at: SocketAddr, key: &NodeIdentity, run: u8) -> TlsStream<TcpStream> {
    let mut stream = connect(at, key, key.peer_id()).await.unwrap();
    stream.read_exact(&mut [0; 29]).await.unwrap();
    let hello = [&[0][..], &[run; 16]].concat();
    stream.write_all(&frame(u64::MAX, &hello)).await.unwrap();
    stream.flush().await.unwrap();
    let mut accept = [0; 21];
    stream.read_exact(&mut accept).await.unwrap();
    assert_eq!(accept[12], 1);
    stream
}

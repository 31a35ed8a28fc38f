use hawser_primitives::Address;

/// Who a client's TLS certificate says it is. The listener that checked the certificate gives it;
/// one without TLS gives none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The account that the certificate is bound to; `None` where it is bound to none.
    pub account: Option<Address>,
    /// Subject of the certificate, for the audit log.
    pub subject: String,
}

impl From<&hawser_pki::ClientIdentity> for ClientIdentity {
    /// A certificate speaks for the account of its own key, if that is a kind that accounts have.
    fn from(client: &hawser_pki::ClientIdentity) -> Self {
        let key = client.public_key.account_key();
        Self {
            account: key.map(hawser_crypto::PublicKey::address),
            subject: client.subject.to_string(),
        }
    }
}

//! Certificate authorities of a network that one command makes: one organisation per node, each
//! with an authority of its own in `authorities/org<i>`. For trying things out: in production every
//! organisation makes its authority on a machine of its own.

use std::path::Path;

use hawser_crypto::SecretKey;
use hawser_crypto::keystore::Params;
use hawser_pki::{
    Algorithm, Authority, Certificate, Moment, PrivateKey, Profile, Request, Subject, Template,
    TrustFolder, write_atomic,
};
use parking_lot::Mutex;

use super::generate::NodePlan;
use crate::exit::{Code, OrFail, Result};
use crate::files;

/// Days that an authority's certificate lasts.
const AUTHORITY_DAYS: u32 = 3_650;
/// Days that a node's certificate lasts.
const NODE_DAYS: u32 = 825;

/// The authorities, open for signing.
pub(crate) struct Authorities(Vec<Mutex<Authority>>);

/// Name of the organisation that node i belongs to.
pub(crate) fn organisation(i: usize) -> String {
    format!("org{i}")
}

/// Makes an authority per node.
pub(crate) fn authorities(
    dir: &Path,
    nodes: &[NodePlan],
    passphrase: &str,
    cost: &Params,
) -> Result<Authorities> {
    let now = Moment::now();
    let make = |i: usize| {
        let name = organisation(i);
        Authority::create(
            &dir.join("authorities").join(&name),
            Subject::new(format!("{name} authority"), &name),
            Algorithm::Sm2,
            AUTHORITY_DAYS,
            passphrase,
            cost,
            now,
        )
        .map(Mutex::new)
        .or_fail(Code::Failed)
    };
    (0..nodes.len())
        .map(make)
        .collect::<Result<_>>()
        .map(Authorities)
}

impl Authorities {
    /// Gives node i its certificate and what it trusts.
    pub(crate) fn equip(
        &self,
        dir: &Path,
        i: usize,
        node: &NodePlan,
        identity: &SecretKey,
    ) -> Result<()> {
        let certs = dir.join("certs");
        let trust = TrustFolder(certs.join("trust"));
        files::make_dir(&trust.roots())?;
        files::make_dir(&trust.crls())?;
        for (j, authority) in self.0.iter().enumerate() {
            let root: Certificate = authority.lock().root().clone();
            let path = trust.roots().join(format!("{}.pem", organisation(j)));
            write_atomic(&path, &root.to_pem(), false).or_fail(Code::Failed)?;
        }
        let Some(authority) = self.0.get(i) else {
            return Ok(());
        };
        let key = PrivateKey::from_secret(identity.clone()).or_fail(Code::Failed)?;
        let subject = Subject::new(&node.name, organisation(i));
        let request = Request::new(&subject, &[], &key).or_fail(Code::Failed)?;
        let template = Template {
            subject,
            profile: Profile::Node,
            names: Vec::new(),
            days: NODE_DAYS,
            path_len: None,
        };
        let issued = authority
            .lock()
            .issue(&request, &template, Moment::now())
            .or_fail(Code::Failed)?;
        write_atomic(&certs.join("node.pem"), &issued.to_pem(), false).or_fail(Code::Failed)
    }
}

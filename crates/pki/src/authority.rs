use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use hawser_crypto::keystore::Params;

use crate::build::{self, Signer, new_serial};
use crate::files::{at, read, write_atomic};
use crate::index::{Index, Line};
use crate::limits::CHAIN_MAX;
use crate::{
    Algorithm, Certificate, Crl, Entry, Moment, PkiError, PrivateKey, Profile, PublicKey, Reason,
    Request, Subject, Template, parse_certificates,
};

/// An organisation's certificate authority: a folder.
///
/// | file | content |
/// |---|---|
/// | `certificate.pem` | its certificate, then those of the authorities above it, the root last |
/// | `key.pem` | its private key, encrypted PKCS#8 |
/// | `index.jsonl` | what it issued and revoked, appended line by line |
/// | `issued/<serial>.pem` | every certificate issued, with its chain |
/// | `crl.pem` | the latest revocation list |
/// | `lock` | held by the process that signs |
pub struct Authority {
    dir: PathBuf,
    certificate: Certificate,
    /// The authorities above, the root last.
    above: Vec<Certificate>,
    index: Index,
    open: Option<Open>,
}

/// What signing takes.
struct Open {
    key: PrivateKey,
    _lock: File,
}

/// A certificate just made.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate: Certificate,
    /// The intermediates that its holder presents with it; the root is not among them.
    pub intermediates: Vec<Certificate>,
}

impl Issued {
    /// The PEM file that the holder configures: the certificate, then the intermediates.
    #[must_use]
    pub fn to_pem(&self) -> String {
        std::iter::once(&self.certificate)
            .chain(&self.intermediates)
            .map(Certificate::to_pem)
            .collect()
    }
}

/// Files that say that a folder is taken.
const FILES: [&str; 3] = ["certificate.pem", "key.pem", "index.jsonl"];

impl Authority {
    /// Makes a root authority with a new key. `subject` names the organisation.
    ///
    /// # Errors
    /// [`PkiError::Exists`], [`PkiError::Input`], what files and keys give.
    #[allow(clippy::too_many_arguments)]
    pub fn create(
        dir: &Path,
        subject: Subject,
        algorithm: Algorithm,
        days: u32,
        passphrase: &str,
        params: &Params,
        now: Moment,
    ) -> Result<Self, PkiError> {
        let lock = take_folder(dir)?;
        let key = PrivateKey::generate(algorithm)?;
        let template = Template {
            subject,
            profile: Profile::Authority,
            names: Vec::new(),
            days,
            path_len: None,
        };
        let signer = Signer {
            certificate: None,
            key: &key,
        };
        let certificate =
            build::certificate(&template, key.public_key(), &signer, &new_serial()?, now)?;
        Self::write_new(dir, certificate, Vec::new(), key, passphrase, params, lock)
    }

    /// Makes an authority below `parent`, with a new key of the parent's kind. It belongs to the
    /// parent's organisation.
    ///
    /// # Errors
    /// As [`Self::create`], [`PkiError::Sealed`], and [`PkiError::Refused`] where the chain would
    /// become too long.
    #[allow(clippy::too_many_arguments)]
    pub fn create_below(
        dir: &Path,
        parent: &mut Self,
        subject: Subject,
        path_len: Option<u8>,
        days: u32,
        passphrase: &str,
        params: &Params,
        now: Moment,
    ) -> Result<Self, PkiError> {
        let lock = take_folder(dir)?;
        let key = PrivateKey::generate(parent.certificate.public_key().algorithm())?;
        let template = Template {
            subject,
            profile: Profile::Authority,
            names: Vec::new(),
            days,
            path_len,
        };
        let issued = parent.issue_key(key.public_key(), &template, now)?;
        let above = parent.chain();
        Self::write_new(
            dir,
            issued.certificate,
            above,
            key,
            passphrase,
            params,
            lock,
        )
    }

    /// Takes in an authority from elsewhere: its certificate followed by those above it, root last,
    /// and its key.
    ///
    /// # Errors
    /// [`PkiError::Refused`] for what is no authority or no chain, [`PkiError::OtherKey`].
    pub fn import(
        dir: &Path,
        chain: Vec<Certificate>,
        key: PrivateKey,
        passphrase: &str,
        params: &Params,
    ) -> Result<Self, PkiError> {
        let refuse = |why: &str| Err(PkiError::Refused(why.to_owned()));
        let mut above = chain.into_iter();
        let Some(certificate) = above.next() else {
            return Err(PkiError::NoBlock("CERTIFICATE"));
        };
        let above: Vec<_> = above.collect();
        if certificate.public_key() != key.public_key() {
            return Err(PkiError::OtherKey(certificate.subject().to_string()));
        }
        if above.len().saturating_add(1) >= CHAIN_MAX {
            return refuse("the chain leaves no room for certificates below this authority");
        }
        let whole: Vec<_> = std::iter::once(&certificate).chain(&above).collect();
        if !whole.iter().all(|one| one.is_authority()) {
            return refuse("not every certificate of the file is an authority's");
        }
        if certificate.subject().organisation.is_empty() {
            return refuse("the authority's certificate names no organisation (O)");
        }
        for pair in whole.windows(2) {
            if let [lower, upper] = pair
                && !(lower.names_as_issuer(upper) && lower.is_signed_by(upper.public_key()))
            {
                return Err(PkiError::Signature(lower.subject().to_string()));
            }
        }
        match whole.last() {
            Some(root) if root.is_self_issued() && root.is_signed_by(root.public_key()) => {}
            _ => return refuse("the last certificate of the file is no root; append those above"),
        }
        let lock = take_folder(dir)?;
        Self::write_new(dir, certificate, above, key, passphrase, params, lock)
    }

    fn write_new(
        dir: &Path,
        certificate: Certificate,
        above: Vec<Certificate>,
        key: PrivateKey,
        passphrase: &str,
        params: &Params,
        lock: File,
    ) -> Result<Self, PkiError> {
        write_atomic(
            &dir.join("key.pem"),
            &key.encrypt(passphrase, params)?,
            true,
        )?;
        let authority = Self {
            dir: dir.to_owned(),
            certificate,
            above,
            index: Index::default(),
            open: Some(Open { key, _lock: lock }),
        };
        let text: String = authority.chain().iter().map(Certificate::to_pem).collect();
        // Last: its presence says that the folder is complete.
        write_atomic(&dir.join("certificate.pem"), &text, false)?;
        Ok(authority)
    }

    /// Opens an authority for reading.
    ///
    /// # Errors
    /// [`PkiError::NoAuthority`], and what is wrong with its files.
    pub fn load(dir: &Path) -> Result<Self, PkiError> {
        let path = dir.join("certificate.pem");
        if !path.is_file() {
            return Err(PkiError::NoAuthority(dir.to_owned()));
        }
        let mut chain = parse_certificates(&read(&path)?)?.into_iter();
        let certificate = chain.next().ok_or(PkiError::NoBlock("CERTIFICATE"))?;
        Ok(Self {
            dir: dir.to_owned(),
            certificate,
            above: chain.collect(),
            index: Index::read(&dir.join("index.jsonl"))?,
            open: None,
        })
    }

    /// Opens the key and locks the folder, after which it can sign.
    ///
    /// # Errors
    /// [`PkiError::Locked`], [`PkiError::Keystore`], [`PkiError::OtherKey`].
    pub fn unlock(&mut self, passphrase: &str) -> Result<(), PkiError> {
        let lock = lock(&self.dir)?;
        let key = PrivateKey::decrypt(&read(&self.dir.join("key.pem"))?, passphrase)?;
        if key.public_key() != self.certificate.public_key() {
            return Err(PkiError::OtherKey(self.certificate.subject().to_string()));
        }
        // Another process may have written since it was read.
        self.index = Index::read(&self.index_path())?;
        self.open = Some(Open { key, _lock: lock });
        Ok(())
    }

    fn index_path(&self) -> PathBuf {
        self.dir.join("index.jsonl")
    }

    /// The authority's own certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its certificate and those above, the root last.
    #[must_use]
    pub fn chain(&self) -> Vec<Certificate> {
        std::iter::once(&self.certificate)
            .chain(&self.above)
            .cloned()
            .collect()
    }

    /// The root above it, or itself.
    #[must_use]
    pub fn root(&self) -> &Certificate {
        self.above.last().unwrap_or(&self.certificate)
    }

    /// The organisation that it vouches for.
    #[must_use]
    pub fn organisation(&self) -> &str {
        &self.certificate.subject().organisation
    }

    /// Everything issued, in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.index.entries
    }

    /// An issued certificate by the beginning of its serial number, or the latest by common name.
    ///
    /// # Errors
    /// [`PkiError::Unknown`] and [`PkiError::Ambiguous`].
    pub fn find(&self, what: &str) -> Result<&Entry, PkiError> {
        self.index.find(what)
    }

    /// Issues a certificate for a request. The template says what it contains; only the key comes
    /// from the request.
    ///
    /// # Errors
    /// [`PkiError::Sealed`], [`PkiError::Input`], [`PkiError::Refused`] for another organisation or
    /// another kind of key than the authority's.
    pub fn issue(
        &mut self,
        request: &Request,
        template: &Template,
        now: Moment,
    ) -> Result<Issued, PkiError> {
        self.issue_key(request.public_key(), template, now)
    }

    fn issue_key(
        &mut self,
        key: &PublicKey,
        template: &Template,
        now: Moment,
    ) -> Result<Issued, PkiError> {
        let open = self.open.as_ref().ok_or(PkiError::Sealed)?;
        self.check_issue(key, template)?;
        let signer = Signer {
            certificate: Some(&self.certificate),
            key: &open.key,
        };
        let certificate = build::certificate(template, key, &signer, &new_serial()?, now)?;
        let issued = Issued {
            intermediates: self.intermediates(),
            certificate,
        };
        // The index first: whatever exists can be revoked.
        let entry = Entry::of(&issued.certificate, template.profile);
        let (path, serial) = (self.index_path(), entry.serial.clone());
        self.index.append(&path, Line::Issued(entry))?;
        let folder = self.dir.join("issued");
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        write_atomic(
            &folder.join(format!("{serial}.pem")),
            &issued.to_pem(),
            false,
        )?;
        Ok(issued)
    }

    fn check_issue(&self, key: &PublicKey, template: &Template) -> Result<(), PkiError> {
        let refuse = |text: String| Err(PkiError::Refused(text));
        if template.subject.organisation != self.organisation() {
            return refuse(format!(
                "this authority vouches for organisation `{}` only, not for `{}`",
                self.organisation(),
                template.subject.organisation
            ));
        }
        if key.algorithm() != self.certificate.public_key().algorithm() {
            let own = self.certificate.public_key().algorithm();
            // P-256 and Ed25519 go together on international networks.
            let mixed = own != Algorithm::Sm2 && key.algorithm() != Algorithm::Sm2;
            if !mixed {
                return refuse(format!(
                    "the key is {}, the authority's is {own}: SM2 certificates need an SM2 chain \
                     throughout",
                    key.algorithm()
                ));
            }
        }
        if key == self.certificate.public_key() {
            return refuse("the request has the authority's own key".to_owned());
        }
        if template.profile == Profile::Authority {
            let depth = self.above.len().saturating_add(1);
            if depth.saturating_add(2) > CHAIN_MAX {
                return refuse(format!(
                    "a chain has at most {CHAIN_MAX} certificates: no authority fits below this one"
                ));
            }
            if self.certificate.path_len() == Some(0) {
                return refuse(
                    "this authority may have no authority below it (path length 0)".to_owned(),
                );
            }
        }
        Ok(())
    }

    fn intermediates(&self) -> Vec<Certificate> {
        let mut chain = self.chain();
        chain.pop();
        chain
    }

    /// Issues a certificate with the key, subject and names of one issued before, for a new time.
    ///
    /// # Errors
    /// [`PkiError::Unknown`], [`PkiError::Revoked`], as [`Self::issue`].
    pub fn renew(&mut self, what: &str, days: u32, now: Moment) -> Result<Issued, PkiError> {
        let entry = self.index.find(what)?.clone();
        if entry.revoked_at.is_some() {
            return Err(PkiError::Revoked(entry.serial));
        }
        let path = self
            .dir
            .join("issued")
            .join(format!("{}.pem", entry.serial));
        let old = Certificate::from_pem(&read(&path)?)?;
        let template = Template {
            subject: entry.subject,
            profile: entry.profile,
            names: entry.names,
            days,
            path_len: old.path_len(),
        };
        self.issue_key(old.public_key(), &template, now)
    }

    /// Revokes a certificate and, unless it is merely superseded, every other one of the same key:
    /// its holder could otherwise come back with an earlier certificate. It counts once the next
    /// revocation list has reached the others. Gives what was revoked, the one asked for first.
    ///
    /// # Errors
    /// [`PkiError::Sealed`], [`PkiError::Unknown`], [`PkiError::Revoked`] if it is already.
    pub fn revoke(
        &mut self,
        what: &str,
        reason: Reason,
        now: Moment,
    ) -> Result<Vec<Entry>, PkiError> {
        if self.open.is_none() {
            return Err(PkiError::Sealed);
        }
        let entry = self.index.find(what)?;
        if entry.revoked_at.is_some() {
            return Err(PkiError::Revoked(entry.serial.clone()));
        }
        let others = self.index.entries.iter().filter(|other| {
            reason != Reason::Superseded
                && other.key_id == entry.key_id
                && other.serial != entry.serial
                && other.revoked_at.is_none()
        });
        let serials: Vec<_> = std::iter::once(entry)
            .chain(others)
            .map(|entry| entry.serial.clone())
            .collect();
        let path = self.index_path();
        let mut revoked = Vec::new();
        for serial in serials {
            let line = Line::Revoked {
                serial: serial.clone(),
                at: now,
                reason,
            };
            self.index.append(&path, line)?;
            revoked.push(self.index.find(&serial)?.clone());
        }
        Ok(revoked)
    }

    /// Makes a revocation list of everything revoked, and keeps it as `crl.pem`.
    ///
    /// # Errors
    /// [`PkiError::Sealed`], [`PkiError::TooMany`].
    pub fn crl(&mut self, days: u32, now: Moment) -> Result<Crl, PkiError> {
        let open = self.open.as_ref().ok_or(PkiError::Sealed)?;
        let number = self.index.crl_number.saturating_add(1);
        let revoked = self.index.revoked()?;
        let entries = revoked
            .iter()
            .map(|(serial, entry)| (serial.as_slice(), *entry));
        let next = now.plus_days(days);
        let crl = Crl::new(&self.certificate, &open.key, entries, number, now, next)?;
        let path = self.index_path();
        self.index.append(&path, Line::Crl { number, at: now })?;
        write_atomic(&self.dir.join("crl.pem"), &crl.to_pem(), false)?;
        Ok(crl)
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.certificate.subject())
    }
}

/// Makes the folder, unless it holds an authority, and locks it.
fn take_folder(dir: &Path) -> Result<File, PkiError> {
    fs::create_dir_all(dir).map_err(at(dir))?;
    let lock = lock(dir)?;
    if FILES.iter().any(|name| dir.join(name).exists()) {
        return Err(PkiError::Exists(dir.to_owned()));
    }
    Ok(lock)
}

fn lock(dir: &Path) -> Result<File, PkiError> {
    let path = dir.join("lock");
    let file = File::create(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(PkiError::Locked(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(at(&path)(error)),
    }
}

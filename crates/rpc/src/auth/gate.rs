use std::{
    borrow::Cow,
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use hawser_primitives::Address;
use parking_lot::RwLock;
use thiserror::Error;

use super::{Action, Resource};

/// What a reader wants.
#[derive(Clone, Debug)]
pub struct ReadRequest<'a> {
    /// The method's name.
    pub method: &'a str,
    /// What kind of act that is.
    pub action: Action,
    /// What it is about.
    pub resource: &'a Resource,
}

/// A refusal: the rule that decided, and why in words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason} (rule {rule})")]
pub struct Denied {
    /// Name of the rule.
    pub rule: Cow<'static, str>,
    /// For the reader: what is missing, and who can give it.
    pub reason: String,
}

/// Decides who may read what on a chain. Asked once per call, and again for every message of a
/// subscription, so it must be quick: microseconds, no I/O that waits.
pub trait ReadGate: Send + Sync + 'static {
    /// Whether `reader` may; gives the rule that allows. `None` is somebody unknown, which only a
    /// chain with open reads has.
    ///
    /// # Errors
    /// [`Denied`] with the rule that refuses.
    fn allows(
        &self,
        reader: Option<Address>,
        request: &ReadRequest<'_>,
    ) -> Result<Cow<'static, str>, Denied>;
}

/// Allows every authenticated account.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyAccount;

impl ReadGate for AnyAccount {
    fn allows(
        &self,
        reader: Option<Address>,
        _request: &ReadRequest<'_>,
    ) -> Result<Cow<'static, str>, Denied> {
        match reader {
            Some(_) => Ok("reads.any-account".into()),
            None => Err(Denied {
                rule: "reads.any-account".into(),
                reason: "this chain answers known accounts only".to_owned(),
            }),
        }
    }
}

/// Refuses the accounts in a file, and asks another gate about the rest.
///
/// The file has one address per line; what follows the address, and lines that begin with `#`, are
/// remarks. Changes take effect within a second. A file that is not there refuses nobody; one that
/// was there and cannot be read any more leaves the last list in force.
pub struct RevokedList {
    path: PathBuf,
    inner: Arc<dyn ReadGate>,
    state: RwLock<ListState>,
}

#[derive(Debug, Default)]
struct ListState {
    checked: Option<Instant>,
    stamp: Option<(SystemTime, u64)>,
    accounts: BTreeSet<Address>,
}

impl RevokedList {
    /// Largest file read, in bytes.
    pub const FILE_BYTES_MAX: u64 = 1024 * 1024;
    /// How often the file is looked at.
    const CHECK_EVERY: Duration = Duration::from_secs(1);

    /// A list in this file, before `inner`.
    #[must_use]
    pub fn new(path: PathBuf, inner: Arc<dyn ReadGate>) -> Self {
        Self {
            path,
            inner,
            state: RwLock::default(),
        }
    }

    fn contains(&self, account: &Address) -> bool {
        let fresh = |state: &ListState| {
            state
                .checked
                .is_some_and(|checked| checked.elapsed() < Self::CHECK_EVERY)
        };
        {
            let state = self.state.read();
            if fresh(&state) {
                return state.accounts.contains(account);
            }
        }
        let mut state = self.state.write();
        if !fresh(&state) {
            self.look(&mut state);
            state.checked = Some(Instant::now());
        }
        state.accounts.contains(account)
    }

    fn look(&self, state: &mut ListState) {
        let found = match std::fs::metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                state.stamp = None;
                state.accounts.clear();
                return;
            }
            Err(error) => {
                tracing::warn!(file = %self.path.display(), %error, "revoked readers: kept as they were");
                return;
            }
        };
        let stamp = found.modified().ok().map(|time| (time, found.len()));
        if stamp.is_some() && stamp == state.stamp {
            return;
        }
        match read_list(&self.path) {
            Ok(accounts) => {
                tracing::info!(count = accounts.len(), "revoked readers");
                state.accounts = accounts;
                state.stamp = stamp;
            }
            Err(error) => {
                tracing::warn!(file = %self.path.display(), error, "revoked readers: kept as they were");
            }
        }
    }
}

fn read_list(path: &Path) -> Result<BTreeSet<Address>, String> {
    use std::io::Read;
    let mut text = String::new();
    hawser_primitives::open_file(path)
        .and_then(|file| {
            file.take(RevokedList::FILE_BYTES_MAX + 1)
                .read_to_string(&mut text)
        })
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > RevokedList::FILE_BYTES_MAX {
        return Err(format!("more than {} bytes", RevokedList::FILE_BYTES_MAX));
    }
    let mut accounts = BTreeSet::new();
    for (i, line) in text.lines().enumerate() {
        let Some(first) = line.split_whitespace().next() else {
            continue;
        };
        if first.starts_with('#') {
            continue;
        }
        let account = first
            .parse()
            .map_err(|_| format!("line {}: an address was expected", i + 1))?;
        accounts.insert(account);
    }
    Ok(accounts)
}

impl ReadGate for RevokedList {
    fn allows(
        &self,
        reader: Option<Address>,
        request: &ReadRequest<'_>,
    ) -> Result<Cow<'static, str>, Denied> {
        if reader.is_some_and(|account| self.contains(&account)) {
            return Err(Denied {
                rule: "reads.revoked".into(),
                reason: "this node's operator has revoked your account's access; ask the operator"
                    .to_owned(),
            });
        }
        self.inner.allows(reader, request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(gate: &dyn ReadGate, reader: Option<Address>) -> Result<Cow<'static, str>, Denied> {
        let request = ReadRequest {
            method: "eth_blockNumber",
            action: Action::Read,
            resource: &Resource::Chain,
        };
        gate.allows(reader, &request)
    }

    fn expire(list: &RevokedList) {
        list.state.write().checked = None;
    }

    #[test]
    fn any_account_is_let_in_and_nobody_is_not() {
        assert!(ask(&AnyAccount, Some(Address::ZERO)).is_ok());
        assert_eq!(
            ask(&AnyAccount, None).unwrap_err().rule,
            "reads.any-account"
        );
    }

    #[test]
    fn a_list_is_followed_as_it_changes_and_kept_while_it_makes_no_sense() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("revoked");
        let (one, two) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let list = RevokedList::new(path.clone(), Arc::new(AnyAccount));
        assert!(ask(&list, Some(one)).is_ok());
        std::fs::write(&path, format!("# who left\n\n{one} left in May\n")).unwrap();
        expire(&list);
        assert_eq!(ask(&list, Some(one)).unwrap_err().rule, "reads.revoked");
        assert!(ask(&list, Some(two)).is_ok());
        std::fs::write(&path, "nonsense").unwrap();
        expire(&list);
        assert!(ask(&list, Some(one)).is_err() && ask(&list, Some(two)).is_ok());
        std::fs::write(&path, vec![b'#'; RevokedList::FILE_BYTES_MAX as usize + 1]).unwrap();
        expire(&list);
        assert!(ask(&list, Some(one)).is_err());
        std::fs::write(&path, vec![b'#'; RevokedList::FILE_BYTES_MAX as usize]).unwrap();
        expire(&list);
        assert!(ask(&list, Some(one)).is_ok());
        std::fs::write(&path, format!("{two}")).unwrap();
        expire(&list);
        assert!(ask(&list, Some(two)).is_err());
        std::fs::remove_file(&path).unwrap();
        expire(&list);
        assert!(ask(&list, Some(two)).is_ok());
    }
}

//! Whose certificates a node believes, as part of an invitation.

use std::collections::BTreeMap;
use std::path::Path;

use hawser_pki::TrustFolder;
use serde::{Deserialize, Serialize};

use crate::exit::{Code, OrFail, Result};
use crate::files;

/// A folder of trust, by file names; all PEM.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TrustFiles {
    pub(super) roots: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) intermediates: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) crls: BTreeMap<String, String>,
}

/// Most files of a folder in an invitation, and the largest, in bytes.
const TRUST_FILES_MAX: usize = 256;
const TRUST_FILE_BYTES_MAX: u64 = 1024 * 1024;

impl TrustFiles {
    /// Reads what a node trusts.
    pub(super) fn read(folder: &TrustFolder) -> Result<Self> {
        Ok(Self {
            roots: read_folder(&folder.roots())?,
            intermediates: read_folder(&folder.intermediates())?,
            crls: read_folder(&folder.crls())?,
        })
    }

    /// Writes it for a new node.
    pub(super) fn write(&self, folder: &TrustFolder) -> Result<()> {
        for (files, path) in [
            (&self.roots, folder.roots()),
            (&self.intermediates, folder.intermediates()),
            (&self.crls, folder.crls()),
        ] {
            files::make_dir(&path)?;
            for (name, text) in files {
                files::write_public(&path.join(name), text)?;
            }
        }
        Ok(())
    }

    /// Whether the names are names of files and nothing else.
    pub(super) fn is_plain(&self) -> bool {
        let plain = |name: &String| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !name.is_empty()
                && !name.starts_with('.')
                && name.len() <= 128
                && name.chars().all(fits)
        };
        let all = [&self.roots, &self.intermediates, &self.crls];
        all.iter()
            .all(|files| files.len() <= TRUST_FILES_MAX && files.keys().all(plain))
    }
}

fn read_folder(path: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(path) else {
        // A folder that is not there holds nothing.
        return Ok(found);
    };
    for entry in entries {
        let path = entry.or_fail(Code::Config)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let (Some(name), Some("pem")) = (name, path.extension().and_then(|e| e.to_str())) {
            let text = files::read_text(&path, TRUST_FILE_BYTES_MAX)?;
            found.insert(name.to_owned(), text);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_root(name: &str) -> TrustFiles {
        TrustFiles {
            roots: BTreeMap::from([(name.to_owned(), "text".to_owned())]),
            ..TrustFiles::default()
        }
    }

    #[test]
    fn names_that_lead_out_of_the_folder_are_refused() {
        assert!(with_root("org1.pem").is_plain());
        for bad in ["../org1.pem", "a/b.pem", ".hidden", "", "org\u{0}.pem"] {
            assert!(!with_root(bad).is_plain(), "{bad:?}");
        }
        assert!(!with_root(&"a".repeat(129)).is_plain());
        let mut many = TrustFiles::default();
        for i in 0..=TRUST_FILES_MAX {
            many.crls.insert(format!("{i}.pem"), String::new());
            assert_eq!(many.is_plain(), i < TRUST_FILES_MAX, "{i}");
        }
    }

    #[test]
    fn a_folder_survives_the_way_into_an_invitation_and_out() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (
            TrustFolder(from.path().join("trust")),
            TrustFolder(to.path().join("trust")),
        );
        let mut trust = with_root("org1.pem");
        trust.crls.insert("org1.pem".to_owned(), "list".to_owned());
        trust.write(&from).unwrap();
        files::write_public(&from.roots().join("note.txt"), "not a certificate").unwrap();
        assert_eq!(TrustFiles::read(&from).unwrap(), trust);
        trust.write(&to).unwrap();
        assert_eq!(TrustFiles::read(&to).unwrap(), trust);
    }
}

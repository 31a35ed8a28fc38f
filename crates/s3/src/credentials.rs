use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hawser_primitives::open_file;
use zeroize::Zeroizing;

use crate::S3Error;

/// Longest file of credentials, in bytes.
pub const CREDENTIALS_BYTES_MAX: u64 = 16 * 1024;

/// What requests are signed with. Wiped from memory when dropped; it has no text form.
pub struct S3Credentials {
    pub(crate) key: String,
    pub(crate) secret: Zeroizing<String>,
    pub(crate) token: Option<Zeroizing<String>>,
}

impl std::fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("S3Credentials")
    }
}

impl S3Credentials {
    /// From a file that nobody but its owner may read, in the form of `~/.aws/credentials`: lines
    /// `aws_access_key_id = …`, `aws_secret_access_key = …` and, if there is one,
    /// `aws_session_token = …`. Of several sections the first one counts.
    pub fn from_file(path: &Path) -> Result<Self, S3Error> {
        let failed = |reason: String| S3Error::Credentials {
            place: path.display().to_string(),
            reason,
        };
        let file = open_file(path).map_err(|error| failed(error.to_string()))?;
        let metadata = file.metadata().map_err(|error| failed(error.to_string()))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(failed(format!(
                "its mode is {mode:04o}, so others may read it; chmod 600 it"
            )));
        }
        if metadata.len() > CREDENTIALS_BYTES_MAX {
            return Err(failed(format!(
                "it is longer than {CREDENTIALS_BYTES_MAX} bytes"
            )));
        }
        // No growing, which would leave copies behind.
        let room = usize::try_from(CREDENTIALS_BYTES_MAX).unwrap_or_default();
        let mut text = Zeroizing::new(String::with_capacity(room));
        file.take(CREDENTIALS_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|error| failed(error.to_string()))?;
        Self::parse(&text).map_err(failed)
    }

    /// From `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if it is set, `AWS_SESSION_TOKEN`, as a
    /// function gives them.
    pub fn from_variables(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, S3Error> {
        let needed = |name: &str| {
            let value = get(name).filter(|value| !value.trim().is_empty());
            value.ok_or_else(|| S3Error::Credentials {
                place: "the environment".to_owned(),
                reason: format!(
                    "{name} is not set; set it, or name a file with tier.credentials_file"
                ),
            })
        };
        Ok(Self {
            key: needed("AWS_ACCESS_KEY_ID")?,
            secret: Zeroizing::new(needed("AWS_SECRET_ACCESS_KEY")?),
            token: get("AWS_SESSION_TOKEN")
                .filter(|token| !token.is_empty())
                .map(Zeroizing::new),
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (mut key, mut secret, mut token) = (None, None, None);
        let mut sections = 0u32;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                sections = sections.saturating_add(1);
                if sections > 1 {
                    break;
                }
                continue;
            }
            if line.is_empty() || line.starts_with('#') || line.starts_with(';') {
                continue;
            }
            // The line itself is never shown: it may be the secret.
            let (name, value) = line
                .split_once('=')
                .ok_or("a line is neither `name = value` nor a comment")?;
            let value = value.trim();
            match name.trim() {
                "aws_access_key_id" => key = Some(value.to_owned()),
                "aws_secret_access_key" => secret = Some(Zeroizing::new(value.to_owned())),
                "aws_session_token" => token = Some(Zeroizing::new(value.to_owned())),
                // Files of other tools have more (region, output, role).
                _ => {}
            }
        }
        let present = |name: &str, there: bool| {
            there
                .then_some(())
                .ok_or_else(|| format!("it has no line `{name} = …`"))
        };
        present(
            "aws_access_key_id",
            key.as_ref().is_some_and(|key| !key.is_empty()),
        )?;
        present(
            "aws_secret_access_key",
            secret.as_ref().is_some_and(|secret| !secret.is_empty()),
        )?;
        Ok(Self {
            key: key.unwrap_or_default(),
            secret: secret.unwrap_or_default(),
            token,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    const GOOD: &str = "# of the store\n[default]\naws_access_key_id = AK\n\
                        aws_secret_access_key = hush=hush\nregion = x\n[other]\naws_access_key_id = B\n";

    #[test]
    fn the_first_section_of_a_file_that_only_its_owner_reads_is_taken() {
        for mode in [0o600, 0o400] {
            let (_dir, path) = file(GOOD, mode);
            let read = S3Credentials::from_file(&path).unwrap();
            assert_eq!(
                (read.key.as_str(), read.secret.as_str()),
                ("AK", "hush=hush")
            );
            assert!(read.token.is_none());
            assert_eq!(format!("{read:?}"), "S3Credentials");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_without_showing_it() {
        for mode in [0o644, 0o640, 0o604, 0o660, 0o601] {
            let (_dir, path) = file(GOOD, mode);
            let error = S3Credentials::from_file(&path).unwrap_err().to_string();
            assert!(
                error.contains("chmod 600") && !error.contains("hush"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_missing_or_malformed_is_named_and_not_shown() {
        for (text, wanted) in [
            ("aws_access_key_id = a\n", "aws_secret_access_key"),
            ("aws_secret_access_key = hush\n", "aws_access_key_id"),
            (
                "aws_access_key_id =\naws_secret_access_key = hush\n",
                "aws_access_key_id",
            ),
            ("hush hush", "neither"),
        ] {
            let (_dir, path) = file(text, 0o600);
            let error = S3Credentials::from_file(&path).unwrap_err().to_string();
            assert!(error.contains(wanted) && !error.contains("hush"), "{error}");
        }
        let size = usize::try_from(CREDENTIALS_BYTES_MAX).unwrap();
        for (more, good) in [(0, true), (1, false)] {
            let filled = format!("{GOOD}{}", "#".repeat(size - GOOD.len() + more));
            let (_dir, path) = file(&filled, 0o600);
            assert_eq!(S3Credentials::from_file(&path).is_ok(), good);
        }
    }

    #[test]
    fn variables_are_read_and_their_absence_is_named() {
        let all = |name: &str| Some(format!("value of {name}"));
        let read = S3Credentials::from_variables(&all).unwrap();
        assert_eq!(read.key, "value of AWS_ACCESS_KEY_ID");
        assert!(read.token.is_some());
        for missing in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let some = |name: &str| (name != missing).then(|| "hush".to_owned());
            let error = S3Credentials::from_variables(&some)
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(missing) && !error.contains("hush"),
                "{error}"
            );
        }
    }
}

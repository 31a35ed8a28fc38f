//! Digests of files, however large.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use hawser_services::evidence::Algorithm;
use sha2::Digest;

use crate::exit::{Code, OrFail, Result, fail};
use crate::files;
use crate::progress::Progress;

/// Files from this size on show progress, in bytes: what takes about a second.
const PROGRESS_FROM: u64 = 256 * 1024 * 1024;

/// The name of an algorithm, as in the interface.
pub(super) const fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Sha256 => "sha-256",
        Algorithm::Sm3 => "sm3",
        Algorithm::Keccak256 => "keccak-256",
        Algorithm::Sha512 => "sha-512",
        Algorithm::Sha384 => "sha-384",
    }
}

/// The digest of a file's content.
pub(super) fn of_file(path: &Path, algorithm: Algorithm) -> Result<Vec<u8>> {
    let context = || format!("cannot read {}", path.display());
    let file = files::open(path)?;
    let metadata = file.metadata().context(Code::Failed, context())?;
    if metadata.is_dir() {
        return fail(
            Code::Usage,
            format!("{} is a folder; name its files", path.display()),
        );
    }
    let len = metadata.len();
    let progress = (len >= PROGRESS_FROM).then(|| Progress::bytes(len, path.display().to_string()));
    let step = |count: usize| {
        if let Some(progress) = &progress {
            progress.advance(count as u64);
        }
    };
    match algorithm {
        Algorithm::Sha256 => stream::<sha2::Sha256>(file, &step),
        Algorithm::Sha384 => stream::<sha2::Sha384>(file, &step),
        Algorithm::Sha512 => stream::<sha2::Sha512>(file, &step),
        Algorithm::Sm3 => stream::<sm3::Sm3>(file, &step),
        Algorithm::Keccak256 => stream::<sha3::Keccak256>(file, &step),
    }
    .context(Code::Failed, context())
}

fn stream<D: Digest>(mut file: File, step: &dyn Fn(usize)) -> std::io::Result<Vec<u8>> {
    let mut hasher = D::new();
    let mut buffer = vec![0u8; 1024 * 1024];
    loop {
        let count = file.read(&mut buffer)?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else {
            return Ok(hasher.finalize().to_vec());
        };
        hasher.update(read);
        step(count);
    }
}

/// The media type that a file's ending stands for (IANA's registry); empty where it is not known.
pub(super) fn media_type(path: &Path) -> &'static str {
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "pdf" => "application/pdf",
        "txt" | "log" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "json" => "application/json",
        "xml" => "application/xml",
        "ofd" => "application/ofd",
        "zip" => "application/zip",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "tif" | "tiff" => "image/tiff",
        "mp4" => "video/mp4",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digests of "abc" as FIPS 180-4's examples, GB/T 32905 (A.1) and the Keccak team give them.
    #[test]
    fn files_have_their_published_digests() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let digest = |algorithm| hex::encode(of_file(&path, algorithm).unwrap());
        assert_eq!(
            digest(Algorithm::Sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            digest(Algorithm::Sm3),
            "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
        );
        assert_eq!(
            digest(Algorithm::Keccak256),
            "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
        );
        for algorithm in Algorithm::ALL {
            assert_eq!(digest(algorithm).len(), algorithm.digest_len() * 2);
        }
    }

    #[test]
    fn a_file_longer_than_the_buffer_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long");
        let content = vec![7u8; 3 * 1024 * 1024 + 1];
        std::fs::write(&path, &content).unwrap();
        let whole = sha2::Sha256::digest(&content).to_vec();
        assert_eq!(of_file(&path, Algorithm::Sha256).unwrap(), whole);
    }

    #[test]
    fn folders_and_missing_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            of_file(dir.path(), Algorithm::Sm3).unwrap_err().code,
            Code::Usage
        );
        let missing = of_file(&dir.path().join("none"), Algorithm::Sm3).unwrap_err();
        assert_eq!(missing.code, Code::NotFound);
    }

    #[test]
    fn media_types_go_by_the_ending() {
        assert_eq!(media_type(Path::new("a/B.PDF")), "application/pdf");
        assert_eq!(media_type(Path::new("a.xml")), "application/xml");
        assert_eq!(media_type(Path::new("a.ofd")), "application/ofd");
        assert_eq!(media_type(Path::new("a")), "");
    }
}

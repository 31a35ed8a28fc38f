//! The web console, embedded: what a node serves to browsers beside its JSON-RPC.
//!
//! For: looking up a file of the built console by its URL path, with the headers that go with it.
//! Not for: serving HTTP (whoever listens does that), and nothing about the chain is known here.
//!
//! Entry points: [`asset`], [`HEADERS`].
//!
//! Invariants: a path leads to an embedded file or to nothing, never to the file system; every
//! file is fit for [`CONTENT_SECURITY_POLICY`], which allows no inline script or style and no
//! other origin.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Content-Security-Policy of every response with an [`Asset`]: everything from this origin,
/// nothing inline, no frames, and scripts are named through the console's own policy only
/// (Trusted Types).
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self'; img-src 'self'; connect-src 'self'; worker-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types hawser";

/// Headers of every response with an [`Asset`], names in lower case. `content-type`, `etag` and
/// `cache-control` are the asset's own.
pub const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// What is served where the console was not built.
const FALLBACK: &[u8] = include_bytes!("fallback.html");

/// A file of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its content.
    pub bytes: &'static [u8],
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `ETag`, quoted: a response to a request whose `If-None-Match` equals it can be 304.
    pub etag: &'static str,
    /// `Cache-Control`: files whose name holds a hash of their content are kept for a year, others
    /// are asked for again each time.
    pub cache_control: &'static str,
}

/// Whether this build has the console, rather than the page that says how to build it.
#[must_use]
pub const fn is_embedded() -> bool {
    !FILES.is_empty()
}

/// The file at a URL path such as `/` or `/assets/index-Bf3d.js`, without query. `None` where there
/// is none; the console keeps its places in the fragment, so no other path needs the page.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    let name = match path.strip_prefix('/').unwrap_or(path) {
        "" => "index.html",
        name => name,
    };
    if !is_embedded() {
        return (name == "index.html").then_some(Asset {
            bytes: FALLBACK,
            content_type: content_type(name),
            etag: "\"not-built\"",
            cache_control: "no-cache",
        });
    }
    let at = FILES
        .binary_search_by(|(known, _, _)| (*known).cmp(name))
        .ok()?;
    let (name, bytes, etag) = FILES.get(at)?;
    let cache_control = if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    Some(Asset {
        bytes,
        content_type: content_type(name),
        etag,
        cache_control,
    })
}

/// By the end of the name; what is unknown is bytes, which browsers do not interpret.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_a_page_whether_or_not_the_console_is_built() {
        let page = asset("/").expect("a page");
        assert_eq!(page.content_type, "text/html; charset=utf-8");
        assert_eq!(asset("/index.html"), Some(page));
        assert_eq!(asset(""), Some(page));
        assert_eq!(page.cache_control, "no-cache");
        assert!(page.etag.starts_with('"') && page.etag.ends_with('"'));
    }

    #[test]
    fn a_path_that_is_no_embedded_file_leads_nowhere() {
        for path in [
            "/../Cargo.toml",
            "/assets",
            "/assets/",
            "//",
            "/index.html/",
            "/Index.html",
            "/assets/../index.html",
            "/.gitignore",
            "/%2e%2e/x",
            "/chain/7",
        ] {
            assert_eq!(asset(path), None, "{path}");
        }
    }

    #[test]
    fn files_are_sorted_so_that_searching_finds_them() {
        assert!(FILES.is_sorted_by(|a, b| a.0 < b.0));
        for (name, bytes, _) in FILES {
            assert_eq!(
                asset(&format!("/{name}")).map(|found| found.bytes),
                Some(*bytes),
                "{name}"
            );
        }
    }

    #[test]
    fn every_file_that_the_page_names_is_there_and_is_kept_by_browsers() {
        if !is_embedded() {
            return;
        }
        let page = std::str::from_utf8(asset("/").expect("a page").bytes).expect("UTF-8");
        let named: Vec<_> = page
            .split('"')
            .filter_map(|part| part.strip_prefix("./assets/"))
            .collect();
        assert!(named.len() >= 2, "a script and a style");
        for name in named {
            let file = asset(&format!("/assets/{name}")).expect("named by the page");
            assert!(file.cache_control.contains("immutable"));
            assert_ne!(file.content_type, "application/octet-stream");
        }
    }

    #[test]
    fn pages_have_nothing_that_the_policy_forbids() {
        let page = asset("/").expect("a page").bytes;
        for page in [FALLBACK, page] {
            let text = std::str::from_utf8(page).expect("UTF-8");
            assert!(!text.contains("<style") && !text.contains(" style=") && !text.contains(" on"));
            assert!(!text.contains("http:") && !text.contains("https:"));
            // Every script is a file.
            assert_eq!(
                text.matches("<script").count(),
                text.matches("></script>").count()
            );
        }
    }

    #[test]
    fn the_policy_allows_this_origin_only() {
        for directive in CONTENT_SECURITY_POLICY.split("; ") {
            let mut words = directive.split(' ');
            let name = words.next().expect("a name");
            for value in words {
                let own = ["'none'", "'self'", "'script'", "hawser"].contains(&value);
                assert!(own, "{name} allows {value}");
            }
        }
    }
}

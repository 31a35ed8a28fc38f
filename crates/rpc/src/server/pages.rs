use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

/// A file for browsers.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its content.
    pub bytes: &'static [u8],
    /// `ETag`, quoted.
    pub etag: &'static str,
    /// Further headers, `Content-Type` among them.
    pub headers: Vec<(&'static str, &'static str)>,
}

/// Finds files for browsers by path, such as those of a console.
pub type Pages = Arc<dyn Fn(&str) -> Option<Page> + Send + Sync>;

/// The page that a request asks for, if it asks for one that is there.
pub(super) fn page(pages: Option<&Pages>, request: &Request) -> Option<Response> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads || is_upgrade(request.headers()) {
        return None;
    }
    let page = pages?(request.uri().path())?;
    let known = request.headers().get(header::IF_NONE_MATCH);
    let mut response = if known.is_some_and(|tag| tag.as_bytes() == page.etag.as_bytes()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Bytes::from_static(page.bytes).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, HeaderValue::from_static(page.etag));
    for (name, value) in page.headers {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    Some(response)
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

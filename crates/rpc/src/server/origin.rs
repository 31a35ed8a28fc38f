//! Which web pages may call.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::{Cors, RpcConfig, RpcError};

/// The origins that are welcome.
#[derive(Clone, Debug)]
pub(crate) enum Origins {
    Any,
    These(Vec<HeaderValue>),
}

impl Origins {
    pub(crate) fn new(config: &RpcConfig) -> Result<Self, RpcError> {
        match &config.cors {
            Cors::Any => Ok(Self::Any),
            Cors::Auto if config.listen.ip().is_loopback() => Ok(Self::Any),
            Cors::Auto | Cors::None => Ok(Self::These(Vec::new())),
            Cors::Origins(list) => list
                .iter()
                .map(|text| parse(text))
                .collect::<Result<_, _>>()
                .map(Self::These),
        }
    }

    /// The headers that browsers ask for.
    pub(crate) fn layer(&self) -> CorsLayer {
        let layer = CorsLayer::new()
            .allow_methods([Method::POST, Method::GET])
            .allow_headers([
                header::CONTENT_TYPE,
                header::AUTHORIZATION,
                HeaderName::from_static("content-digest"),
                HeaderName::from_static("signature-input"),
                HeaderName::from_static("signature"),
            ]);
        match self {
            Self::Any => layer.allow_origin(Any),
            Self::These(list) => layer.allow_origin(AllowOrigin::list(list.clone())),
        }
    }

    /// Whether a WebSocket may open: browsers do not ask before, they only name the origin.
    pub(crate) fn allows(&self, headers: &HeaderMap) -> bool {
        match (self, headers.get(header::ORIGIN)) {
            (Self::Any, _) | (_, None) => true,
            (Self::These(list), Some(origin)) => {
                list.contains(origin) || is_own(origin, headers.get(header::HOST))
            }
        }
    }
}

/// Whether a page that this node served asks.
fn is_own(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let own = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"));
    own.is_some_and(|(_, own)| host.is_some_and(|host| host.as_bytes() == own.as_bytes()))
}

fn parse(text: &str) -> Result<HeaderValue, RpcError> {
    let bad = || RpcError::Origin(text.to_owned());
    let (scheme, host) = text.split_once("://").ok_or_else(bad)?;
    let fine = !scheme.is_empty() && !host.is_empty() && !host.contains('/');
    if fine {
        HeaderValue::from_str(text).map_err(|_| bad())
    } else {
        Err(bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str, cors: Cors) -> RpcConfig {
        RpcConfig {
            cors,
            ..RpcConfig::new(listen.parse().unwrap())
        }
    }

    fn from(origin: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))])
    }

    #[test]
    fn any_page_may_call_a_loopback_node_and_none_another() {
        let local = Origins::new(&config("127.0.0.1:0", Cors::Auto)).unwrap();
        assert!(local.allows(&from("https://a.example")));
        let public = Origins::new(&config("0.0.0.0:0", Cors::Auto)).unwrap();
        assert!(!public.allows(&from("https://a.example")));
        assert!(public.allows(&HeaderMap::new()));
    }

    #[test]
    fn listed_origins_may_call() {
        let list = Cors::Origins(vec!["https://a.example".to_owned()]);
        let origins = Origins::new(&config("0.0.0.0:0", list)).unwrap();
        assert!(origins.allows(&from("https://a.example")));
        assert!(!origins.allows(&from("https://b.example")));
        for bad in [
            "a.example",
            "https://",
            "://x",
            "https://a.example/path",
            "https://a\n",
        ] {
            let list = Cors::Origins(vec![bad.to_owned()]);
            assert!(Origins::new(&config("0.0.0.0:0", list)).is_err(), "{bad:?}");
        }
    }
}

//! The node's links, and who asks.

use hawser_network::{Direction, NetworkHandle, PeerStatus};
use serde_json::{Value, json as object};

use crate::{
    methods::{Answer, Context},
    wire::{Params, json},
};

/// `hawser_links`: every configured peer with its link, cipher suite and certificate.
pub(crate) fn links(cx: &Context, params: Params) -> Answer {
    params.end()?;
    json(&link_views(cx.links()))
}

/// The links as clients see them.
pub(crate) fn link_views(links: Option<&NetworkHandle>) -> Vec<Value> {
    let peers = links.map(NetworkHandle::peers);
    peers.iter().flatten().map(view).collect()
}

fn view(peer: &PeerStatus) -> Value {
    object!({
        "id": peer.id,
        "address": peer.address,
        "connectedSince": peer.connected_since,
        "direction": peer.direction.map(|direction| match direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        }),
        "cipherSuite": peer.cipher_suite,
        "certificate": peer.certificate.as_ref().map(|certificate| object!({
            "subject": certificate.subject(),
            "serial": certificate.serial(),
            "notAfter": certificate.not_after().to_string(),
        })),
        "roundTripUs": peer.round_trip_us,
        "lastError": peer.last_error,
    })
}

/// `hawser_whoami`: whom the client's certificate names; null without one.
pub(crate) fn whoami(cx: &Context, params: Params) -> Answer {
    params.end()?;
    json(&cx.client())
}

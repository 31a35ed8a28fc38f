use std::{net::SocketAddr, sync::Arc};

use hawser_network::{ListenerTls, NetworkHandle};

use crate::{Pages, RpcError, RpcObserver, observer::NoObserver};

/// Which web pages may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// Any origin when listening on loopback, none otherwise.
    Auto,
    /// Any origin.
    Any,
    /// These origins, such as `https://console.example`.
    Origins(Vec<String>),
    /// No origin but the node's own.
    None,
}

/// How the interface is served.
#[derive(Clone)]
pub struct RpcConfig {
    /// Where to listen; port 0 for any free port.
    pub listen: SocketAddr,
    /// Which web pages may call. Default [`Cors::Auto`].
    pub cors: Cors,
    /// Name and version of the program, for `web3_clientVersion`.
    pub client_version: String,
    /// Bounds on what clients ask for.
    pub limits: RpcLimits,
    /// Learns of every call.
    pub observer: Arc<dyn RpcObserver>,
    /// The node's name in the audience of credentials; `None` for a random one, which ends with
    /// the process.
    pub node: Option<String>,
    /// Files for browsers, served beside JSON-RPC; default none.
    pub pages: Option<Pages>,
    /// TLS, and whose client certificates are believed; default none: plain HTTP.
    pub tls: Option<ListenerTls>,
    /// The node's links, for `hawser_links`; default none.
    pub links: Option<NetworkHandle>,
}

impl RpcConfig {
    /// Everything by default, on this address.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            cors: Cors::Auto,
            client_version: format!(
                "Hawser/v{}/{}-{}/rust",
                env!("CARGO_PKG_VERSION"),
                std::env::consts::OS,
                std::env::consts::ARCH,
            ),
            limits: RpcLimits::default(),
            observer: Arc::new(NoObserver),
            node: None,
            pages: None,
            tls: None,
            links: None,
        }
    }
}

/// Bounds on what clients ask for. Each is refused with an error that names the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcLimits {
    /// Open HTTP connections. Default 1,024.
    pub connections_max: usize,
    /// Open connections from one address, WebSockets included; of IPv6, from one network of 64 bits.
    /// Where all clients come through a proxy they share one address. Default 512.
    pub connections_per_address_max: usize,
    /// Open WebSocket connections. Default 512.
    pub websockets_max: usize,
    /// Bytes of an HTTP body. Default 8 MiB.
    pub body_bytes_max: usize,
    /// Milliseconds for headers or a body to arrive; also how long an idle connection stays open.
    /// Default 30,000.
    pub read_ms_max: u64,
    /// Milliseconds that a TLS handshake with a client may take. Default 10,000.
    pub tls_ms_max: u64,
    /// Milliseconds in which a request, batch or not, is answered. Default 60,000.
    pub request_ms_max: u64,
    /// Milliseconds that a client may leave what the node sends unread, before it is dropped. A
    /// client that reads gets one second more for every `write_rate_min` bytes. Default 20,000.
    pub write_ms_max: u64,
    /// Bytes per second that a client has to read after `write_ms_max`. Default 64 KiB.
    pub write_rate_min: u64,
    /// Bytes held for all clients together: requests being worked on and answers waiting to be
    /// read. Default 512 MiB.
    pub memory_bytes_max: usize,
    /// Of these, bytes held for one connection. Default 96 MiB.
    pub connection_bytes_max: usize,
    /// Requests in a batch. Default 1,000.
    pub batch_max: usize,
    /// Requests of a batch or of a WebSocket connection worked on at once. Default 32.
    pub concurrency_max: usize,
    /// Bytes of a response, a batch's together. Default 32 MiB.
    pub response_bytes_max: usize,
    /// Nesting of objects and arrays in a request. Default 64.
    pub json_depth_max: usize,
    /// Bytes of a WebSocket message. Default 4 MiB.
    pub ws_message_bytes_max: usize,
    /// Bytes of messages of one WebSocket connection worked on at once; beyond them nothing more
    /// is read. A single message may be longer. Default 8 MiB.
    pub ws_inflight_bytes_max: usize,
    /// Milliseconds of silence, pings unanswered, after which a WebSocket is closed. Default
    /// 60,000.
    pub ws_silence_ms_max: u64,
    /// Messages that wait to be read by a WebSocket client; further ones wait for room, for
    /// `ws_write_ms_max`. Default 4,096.
    pub ws_queue_max: usize,
    /// Bytes that wait to be read by a WebSocket client; further ones wait for room, for
    /// `ws_write_ms_max`. A single message may be longer. Default 16 MiB.
    pub ws_queue_bytes_max: usize,
    /// Milliseconds that one message to a WebSocket client may take, or wait for room in the
    /// queue, before the client is dropped. Default 20,000.
    pub ws_write_ms_max: u64,
    /// Milliseconds that a reader's token is good for, at most 15 minutes. Default 900,000.
    pub token_ms_max: u64,
    /// Subscriptions of a WebSocket connection. Default 64.
    pub subscriptions_max: usize,
    /// Filters of a chain (`eth_newFilter` and the like). Default 1,024.
    pub filters_max: usize,
    /// Milliseconds after which a filter that nobody asks for is forgotten. Default 300,000.
    pub filter_idle_ms_max: u64,
    /// Calls, estimates, traces and log queries run at once. Default: the number of processors.
    pub heavy_max: usize,
    /// Such requests that wait for their turn. Default 256.
    pub heavy_queue_max: usize,
    /// Milliseconds for such a request, waiting included. Default 10,000.
    pub heavy_ms_max: u64,
    /// Reads of blocks and state run at once. Default 32.
    pub reads_max: usize,
    /// Reads that wait for their turn. Default 8,192.
    pub reads_queue_max: usize,
    /// Gas of `eth_call`, of a simulation and of a traced call. Default 100,000,000.
    pub call_gas_max: u64,
    /// Milliseconds that a question for the receipt of a transaction on its way waits for its
    /// execution. Default 2,000.
    pub receipt_wait_ms_max: u64,
    /// Milliseconds after sending before `eth_getTransactionReceipt` answers the same interface;
    /// 0 for at once. ethers needs 250, for it takes nonces from a cache that long. Other ways to
    /// learn of an execution (subscriptions, blocks, `eth_sendRawTransactionSync`) do not wait.
    /// Default 260.
    pub receipt_settle_ms: u64,
    /// Blocks in one log query. Default 100,000.
    pub logs_range_max: u64,
    /// Logs in one answer. Default 10,000.
    pub logs_results_max: usize,
    /// Addresses in a log filter, and alternatives per topic. Default 1,000.
    pub logs_alternatives_max: usize,
    /// Blocks in one `eth_feeHistory`. Default 1,024.
    pub fee_history_max: u64,
    /// Keys in one request for state proofs. Default 1,024.
    pub proof_keys_max: usize,
    /// Transactions in `txpool_content` and `txpool_inspect`. Default 10,000.
    pub pool_content_max: usize,
}

impl Default for RpcLimits {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            connections_per_address_max: 512,
            websockets_max: 512,
            body_bytes_max: 8 * 1024 * 1024,
            read_ms_max: 30_000,
            tls_ms_max: 10_000,
            request_ms_max: 60_000,
            write_ms_max: 20_000,
            write_rate_min: 64 * 1024,
            memory_bytes_max: 512 * 1024 * 1024,
            connection_bytes_max: 96 * 1024 * 1024,
            batch_max: 1_000,
            concurrency_max: 32,
            response_bytes_max: 32 * 1024 * 1024,
            json_depth_max: 64,
            ws_message_bytes_max: 4 * 1024 * 1024,
            ws_inflight_bytes_max: 8 * 1024 * 1024,
            ws_silence_ms_max: 60_000,
            ws_queue_max: 4_096,
            ws_queue_bytes_max: 16 * 1024 * 1024,
            ws_write_ms_max: 20_000,
            token_ms_max: 900_000,
            subscriptions_max: 64,
            filters_max: 1_024,
            filter_idle_ms_max: 300_000,
            heavy_max: std::thread::available_parallelism().map_or(2, usize::from),
            heavy_queue_max: 256,
            heavy_ms_max: 10_000,
            reads_max: 32,
            reads_queue_max: 8_192,
            call_gas_max: 100_000_000,
            receipt_wait_ms_max: 2_000,
            receipt_settle_ms: 260,
            logs_range_max: 100_000,
            logs_results_max: 10_000,
            logs_alternatives_max: 1_000,
            fee_history_max: 1_024,
            proof_keys_max: 1_024,
            pool_content_max: 10_000,
        }
    }
}

impl RpcLimits {
    /// Refuses limits under which nothing works.
    pub(crate) fn check(&self) -> Result<(), RpcError> {
        let zero = [
            ("connections_max", self.connections_max == 0),
            (
                "connections_per_address_max",
                self.connections_per_address_max == 0,
            ),
            ("body_bytes_max", self.body_bytes_max == 0),
            ("read_ms_max", self.read_ms_max == 0),
            ("tls_ms_max", self.tls_ms_max == 0),
            ("request_ms_max", self.request_ms_max == 0),
            ("write_ms_max", self.write_ms_max == 0),
            ("write_rate_min", self.write_rate_min == 0),
            ("memory_bytes_max", self.memory_bytes_max == 0),
            ("connection_bytes_max", self.connection_bytes_max == 0),
            ("batch_max", self.batch_max == 0),
            ("concurrency_max", self.concurrency_max == 0),
            ("response_bytes_max", self.response_bytes_max == 0),
            ("json_depth_max", self.json_depth_max == 0),
            ("ws_message_bytes_max", self.ws_message_bytes_max == 0),
            ("ws_inflight_bytes_max", self.ws_inflight_bytes_max == 0),
            ("ws_silence_ms_max", self.ws_silence_ms_max == 0),
            ("ws_queue_max", self.ws_queue_max == 0),
            ("ws_write_ms_max", self.ws_write_ms_max == 0),
            ("token_ms_max", self.token_ms_max == 0),
            ("heavy_max", self.heavy_max == 0),
            ("heavy_ms_max", self.heavy_ms_max == 0),
            ("reads_max", self.reads_max == 0),
            ("call_gas_max", self.call_gas_max == 0),
            ("logs_range_max", self.logs_range_max == 0),
            ("logs_results_max", self.logs_results_max == 0),
        ];
        match zero.into_iter().find(|(_, is_zero)| *is_zero) {
            Some((name, _)) => Err(RpcError::ZeroLimit(name)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_zero_is_refused_by_name() {
        assert!(RpcLimits::default().check().is_ok());
        let limits = RpcLimits {
            batch_max: 0,
            ..RpcLimits::default()
        };
        assert!(matches!(
            limits.check(),
            Err(RpcError::ZeroLimit("batch_max"))
        ));
    }
}

//! hawser-rpc

//! hawser-network

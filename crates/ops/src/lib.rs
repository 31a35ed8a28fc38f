//! hawser-ops

//! hawser-consensus

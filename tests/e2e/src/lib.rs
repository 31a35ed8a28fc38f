//! hawser-e2e

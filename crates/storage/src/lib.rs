//! hawser-storage

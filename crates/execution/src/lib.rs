//! hawser-execution

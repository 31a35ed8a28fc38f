//! hawser-ledger

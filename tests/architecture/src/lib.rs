//! hawser-architecture

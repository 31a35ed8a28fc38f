//! hawser-simulation

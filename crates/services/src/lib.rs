//! hawser-services

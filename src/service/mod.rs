//! Everything around the workers: signals, metrics, health.

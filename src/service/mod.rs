//! Everything around the workers: signals, metrics, health.

pub mod health;
pub mod http;
pub mod metrics;
mod reload;
pub mod supervisor;

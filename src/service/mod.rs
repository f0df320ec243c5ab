//! Everything around the workers: signals, reloads, the pages.

pub mod http;
mod reload;
pub mod supervisor;

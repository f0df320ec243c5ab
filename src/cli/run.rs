//! `trailtag run`: the service.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::config::Config;
use crate::pipeline::Pipeline;
use crate::service::supervisor::{self, ServiceError};

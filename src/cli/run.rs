//! `trailtag run`: the service.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::config::Config;
use crate::pipeline::Pipeline;
use crate::service::supervisor::{self, ServiceError};

/// Runs the service until SIGTERM or SIGINT, then drains it.
pub async fn serve(config: Config, pipeline: Pipeline) -> Result<(), ServiceError> {
    let listener = supervisor::bind(&config)?;
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(ServiceError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServiceError::Signal)?;
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        info!(signal = name, "stopping: finishing what is in flight");
        stop.cancel();
    });
    let (config, pipeline) = (Arc::new(config), Arc::new(pipeline));
    supervisor::run(config, listener, None, pipeline, shutdown).await
}

//! `trailtag run`: the service.

use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{Completion, ConfigFile, Failure, pipeline, runtime, start_log};
use crate::config::Config;
use crate::pipeline::Pipeline;
use crate::service::supervisor::{self, ServiceError};

/// `trailtag run`.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    config: ConfigFile,
}

impl Run {
    /// Runs the service until it is stopped.
    pub fn run(self) -> Result<Completion, Failure> {
        let config = self.config.load()?;
        let pipeline = pipeline(&config)?;
        start_log(config.log.format, &config.log.level);
        runtime()?.block_on(serve(config, pipeline))?;
        Ok(Completion::Done)
    }
}

/// Runs the service until SIGTERM or SIGINT, then drains it.
async fn serve(config: Config, pipeline: Pipeline) -> Result<(), ServiceError> {
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

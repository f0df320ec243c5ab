//! `/metrics`, `/livez` and `/readyz`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::health::WorkerHealth;
use super::metrics::Metrics;

/// What the three pages are made of.
#[derive(Clone)]
pub struct Pages {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// One a worker.
    pub workers: Arc<[Arc<WorkerHealth>]>,
    /// Stopping: not ready, so that nobody new relies on this process.
    pub shutdown: CancellationToken,
}

/// Serves the pages until `done` is cancelled.
pub async fn serve(
    listener: TcpListener,
    pages: Pages,
    done: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(pages);
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { done.cancelled().await })
        .await
}

async fn metrics(State(pages): State<Pages>) -> Response {
    match pages.metrics.scrape() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn livez(State(pages): State<Pages>) -> Response {
    let stuck = (0..)
        .zip(pages.workers.iter())
        .find(|(_, worker)| !worker.is_alive());
    match stuck {
        None => "ok\n".into_response(),
        Some((number, _)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("worker {number} is stuck\n"),
        )
            .into_response(),
    }
}

async fn readyz(State(pages): State<Pages>) -> Response {
    if pages.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    let unready = (0..)
        .zip(pages.workers.iter())
        .find_map(|(number, worker)| Some((number, worker.unready()?)));
    match unready {
        None => "ok\n".into_response(),
        Some((number, why)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("worker {number}: {why}\n"),
        )
            .into_response(),
    }
}

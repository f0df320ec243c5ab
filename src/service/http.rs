//! `/metrics`, `/livez` and `/readyz`: what is served, and to whom.
//!
//! `http/` has how: `listener.rs` accepts connections on a thread of its own, `connections.rs` knows which of them are
//! open, `credentials.rs` keeps certificate and token as their files are.

mod connections;
pub(super) mod credentials;
mod listener;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::credentials::Credentials;
use crate::telemetry::health::WorkerHealth;
use crate::telemetry::metrics::Metrics;

pub(super) use listener::{bind, start};

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

/// The pages. What stands before the layer asks for the token, where there is one; the probes after it never do.
fn router(pages: Pages, credentials: watch::Receiver<Credentials>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .layer(from_fn_with_state(credentials, ask_for_token))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(pages)
}

/// Lets a request pass that brings the token. Neither the token nor what came instead of it is ever logged.
async fn ask_for_token(
    State(credentials): State<watch::Receiver<Credentials>>,
    request: Request,
    next: Next,
) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION);
    let permits = credentials
        .borrow()
        .permits(authorization.map(header::HeaderValue::as_bytes));
    if permits {
        return next.run(request).await;
    }
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, "Bearer")],
        "this page asks for a bearer token\n",
    )
        .into_response()
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

//! Common input and output of all route handlers.

use std::{
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use axum::{Extension, extract::State, response::Response};

use super::{Shared, access::Credentials, reply::Failure};

/// The answer of a handler.
pub(super) type Answer = Result<Response, Failure>;
/// The handle by which a handler asks the control loop.
pub(super) type Loop = State<Arc<Shared>>;
/// The peer's credentials.
pub(super) type Caller = Extension<Arc<Credentials>>;

/// A unique id of a change, for a client that sent none.
pub(super) fn fresh_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |it| it.as_nanos());
    format!("unnamed-{now:x}-{count}")
}

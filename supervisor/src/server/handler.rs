//! What every handler of a route takes and gives.

use std::{
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use axum::{Extension, extract::State, response::Response};

use super::{Shared, access::Credentials, reply::Failure};

/// What a handler answers.
pub(super) type Answer = Result<Response, Failure>;
/// By which a handler asks the loop.
pub(super) type Loop = State<Arc<Shared>>;
/// Who asks.
pub(super) type Caller = Extension<Arc<Credentials>>;

/// For a client that made no id: nobody else has this one.
pub(super) fn fresh_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |it| it.as_nanos());
    format!("unnamed-{now:x}-{count}")
}

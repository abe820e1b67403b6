//! Threads for one kind of blocking work. What hangs holds up its own kind alone: each kind has a number of its
//! own, and more work of it waits.
//!
//! Owner: whoever asks for the work, on the control thread, which never waits for it.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// So many threads of the blocking pool, whoever has a clone.
#[derive(Clone, Debug)]
pub(crate) struct Threads(Arc<Semaphore>);

impl Threads {
    /// `count` at one time.
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Does it on one of them, as soon as there is one.
    pub(crate) fn run(&self, work: impl FnOnce() + Send + 'static) {
        let threads = Arc::clone(&self.0);
        tokio::spawn(async move {
            // Nobody closes it.
            if let Ok(one) = threads.acquire_owned().await {
                drop(tokio::task::spawn_blocking(move || {
                    work();
                    drop(one);
                }));
            }
        });
    }
}

//! Threads for one kind of blocking work. What hangs holds up its own kind alone: each kind has a
//! number of its own, and more work of it waits.
//!
//! Owner: whoever asks for the work, on the control thread, which never waits for it.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

/// A number of threads of the blocking pool, shared by all clones.
#[derive(Clone, Debug)]
pub(crate) struct Threads(Arc<Semaphore>);

impl Threads {
    /// `count` at one time.
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Does it on one of them, and waits for the answer. None: that has not come in time. Work that
    /// has not begun by then is not done; what hangs keeps its thread.
    pub(crate) fn run_within<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Option<T>> + Send + 'static {
        let threads = Arc::clone(&self.0);
        let done = async move {
            // The semaphore is never closed.
            let one = threads.acquire_owned().await.ok()?;
            let done = tokio::task::spawn_blocking(move || {
                let done = work();
                drop(one);
                done
            });
            done.await.ok()
        };
        async move { tokio::time::timeout(limit, done).await.ok().flatten() }
    }

    /// Does it on one of them, as soon as there is one.
    pub(crate) fn run(&self, work: impl FnOnce() + Send + 'static) {
        let threads = Arc::clone(&self.0);
        tokio::spawn(async move {
            // The semaphore is never closed.
            if let Ok(one) = threads.acquire_owned().await {
                drop(tokio::task::spawn_blocking(move || {
                    work();
                    drop(one);
                }));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// So long that nobody waits for it here.
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn what_hangs_is_not_waited_for_and_holds_up_no_other_kind() {
        let (looks, starts) = (Threads::new(1), Threads::new(1));
        let (end, hangs) = mpsc::channel::<()>();
        let hung = looks.run_within(SHORT, move || hangs.recv().is_ok());
        assert_eq!(hung.await, None);
        let (tell, begun) = mpsc::channel();
        let waits = looks.run_within(SHORT, move || tell.send(()));
        assert_eq!(waits.await, None, "its thread is not free");
        assert_eq!(starts.run_within(LONG, || 7).await, Some(7));
        end.send(()).unwrap();
        assert_eq!(looks.run_within(LONG, || 8).await, Some(8));
        assert!(begun.recv().is_err(), "nobody waits for it any more");
    }
}

//! Effects of signals, as in the real server.

use std::sync::Arc;

use signal_hook::{
    consts::{SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2},
    iterator::Signals,
};
use tokio::sync::Notify;

/// Takes the signals that have an effect from the first moment on.
pub(crate) fn at_start(ignore_term: bool) -> std::io::Result<()> {
    let mut watched = vec![SIGUSR1, SIGUSR2, SIGQUIT];
    if ignore_term {
        watched.extend([SIGTERM, SIGINT]);
    }
    let mut signals = Signals::new(watched)?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if signal == SIGQUIT {
                dump();
            }
        }
    });
    Ok(())
}

/// Says that a stop has been asked for.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<Notify>);

impl Stop {
    /// Takes SIGTERM and SIGINT from now on. Only the first signal counts.
    pub(crate) fn listen(&self) -> std::io::Result<()> {
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let notify = Arc::clone(&self.0);
        std::thread::spawn(move || {
            if signals.forever().next().is_some() {
                notify.notify_one();
            }
            // Keep the handlers: a second signal must have no effect.
            std::mem::forget(signals);
        });
        Ok(())
    }

    /// Returns once the first signal has come.
    pub(crate) async fn asked(&self) {
        self.0.notified().await;
    }
}

/// A Go program's answer to SIGQUIT.
fn dump() {
    eprintln!("SIGQUIT: quit\nPC=0x0 m=0 sigcode=0\n");
    for number in 1..=40 {
        eprintln!(
            "goroutine {number} [select]:\nstandin.worker({number:#x})\n\t/standin/worker.go:{number} +0x{number:x}\n"
        );
    }
    std::process::abort();
}

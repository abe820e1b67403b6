//! A process that SIGKILL does not end: its tracer stops it at its exit, as a file server that does
//! not answer would.

use std::{sync::mpsc, thread};

use nix::libc;

/// A thread that traces a process. Dropping the tracer releases the process, which ends if it was
/// killed.
#[derive(Debug)]
pub struct Tracer {
    hold: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Tracer {
    /// Makes the process stop when it is about to end.
    #[expect(
        unsafe_code,
        reason = "there is no safe ptrace without a feature of its own"
    )]
    pub fn hold(pid: i32) -> Self {
        const PTRACE_SEIZE: libc::c_uint = 0x4206;
        const PTRACE_O_TRACEEXIT: usize = 0x40;
        let (hold, wait) = mpsc::channel();
        let (seized, is_seized) = mpsc::channel();
        let thread = thread::spawn(move || {
            // SAFETY: takes integers, touches no memory of ours.
            let done = unsafe { libc::ptrace(PTRACE_SEIZE as _, pid, 0, PTRACE_O_TRACEEXIT) };
            let _ = seized.send(done);
            // The kernel releases the process when the tracing thread ends.
            let _ = wait.recv();
        });
        assert_eq!(is_seized.recv().ok(), Some(0), "cannot trace {pid}");
        Self {
            hold: Some(hold),
            thread: Some(thread),
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        drop(self.hold.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

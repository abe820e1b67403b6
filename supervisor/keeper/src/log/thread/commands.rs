//! Carries out the commands that the main thread sends to the log thread.
//!
//! A command takes effect at its place in the stream: bytes that were in the pipe before the
//! command are read and written first, under the settings that applied until then.

use std::{os::fd::OwnedFd, sync::Arc};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::{
    super::{
        Command, PipeReader, Spec,
        file::LogFile,
        lines::{Out, Target},
        stamp::Clock,
        troubles::Told,
    },
    Log, PIPE_BYTES, Worker,
};
use crate::message::Forward;

impl Worker {
    /// Carries out all waiting commands. True: stop.
    pub(super) fn obey(&mut self) -> bool {
        // A command that arrives from here on signals the waker again.
        let _ = self.shared.waker.read();
        let commands = std::mem::take(&mut *self.shared.commands());
        for command in commands {
            match command {
                Command::Open(service, spec, pipe, pipe_reader, mark) => {
                    self.open(&service, spec, pipe, pipe_reader);
                    if let Some((mark, token)) = mark.zip(self.find(&service))
                        && let Some(log) = self.logs.get_mut(&token)
                    {
                        self.out.mark(&mut log.target, &mark, &self.clock);
                    }
                }
                Command::Reconfigure(service, spec) => {
                    if let Some(token) = self.find(&service) {
                        self.drain(token);
                        self.route(token, spec.forward);
                    }
                    self.after_all_before(&service, |target, _, _| target.file.reconfigure(spec));
                }
                Command::Close(service) => {
                    if let Some(token) = self.find(&service) {
                        self.end(token);
                    }
                    self.shared.counts.forget(&service);
                }
                Command::Mark(service, text) => {
                    self.after_all_before(&service, |target, out, clock| {
                        out.finish(target, clock);
                        out.mark(target, &text, clock);
                    });
                }
                // The end of the run is among the `ends` of the pipe reader, so the reading itself
                // ends the line.
                Command::Finish(service, pipe_reader) => {
                    self.after_all_before(&service, |_, _, _| {});
                    pipe_reader.wrote_last();
                }
                Command::Rotate(service) => {
                    self.after_all_before(&service, |target, _, clock| {
                        target.file.settle();
                        target.file.rotate(clock);
                    });
                }
                Command::Sync(told) => {
                    for token in self.logs.keys().copied().collect::<Vec<_>>() {
                        self.drain(token);
                    }
                    let _ = told.send(());
                }
                Command::Park(tell, go_on) => self.park(&tell, &go_on),
                Command::Resume(logs, batches) => self.resume(logs, batches),
                Command::Stop => return true,
            }
        }
        false
    }

    /// Writes what is in the pipe, then does `work`.
    fn after_all_before(
        &mut self,
        service: &str,
        work: impl FnOnce(&mut Target, &mut Out, &Clock),
    ) {
        let Some(token) = self.find(service) else {
            return;
        };
        self.drain(token);
        if let Some(log) = self.logs.get_mut(&token) {
            work(&mut log.target, &mut self.out, &self.clock);
            log.report(token, &self.shared, &mut self.untold, &self.clock);
        }
    }

    fn find(&self, service: &str) -> Option<u64> {
        self.tokens.get(service).copied()
    }

    fn open(&mut self, service: &str, spec: Spec, pipe: OwnedFd, pipe_reader: PipeReader) {
        if let Some(token) = self.find(service) {
            self.end(token);
        }
        let flags = fcntl(&pipe, FcntlArg::F_GETFL).unwrap_or(0);
        let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
        let _ = fcntl(&pipe, FcntlArg::F_SETFL(flags));
        let pipe_bytes = fcntl(&pipe, FcntlArg::F_GETPIPE_SZ).ok();
        let token = self.next_token;
        self.next_token += 1;
        let forward = spec.forward;
        let counts = self.shared.counts.of(service);
        let service: Arc<str> = service.into();
        self.tokens.insert(Arc::clone(&service), token);
        let log = Log {
            service,
            pipe: Some(pipe),
            pipe_bytes: pipe_bytes
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(PIPE_BYTES),
            pipe_reader,
            target: Target {
                file: LogFile::new(spec, counts),
                route: None,
                carry: Vec::new(),
            },
            told: Told::default(),
            streak: (0, 0),
            streams: false,
        };
        self.logs.insert(token, log);
        self.watch_again(token);
        self.route(token, forward);
        self.take_up(token);
    }

    /// Sends the lines of a service to `forward` from now on.
    fn route(&mut self, token: u64, forward: Option<Forward>) {
        let Some(log) = self.logs.get_mut(&token) else {
            return;
        };
        let now = log.target.route.as_ref().map(|route| route.forward());
        if now == forward {
            return;
        }
        Out::last_words(&mut log.target, &self.clock);
        log.target.route = None;
        match forward.map(|to| self.forwarding.route(&log.service, to)) {
            None => {}
            Some(Ok(route)) => log.target.route = Some(route),
            Some(Err(error)) => {
                let text = format!("lines are not forwarded: could not begin to: {error}");
                self.out.mark(&mut log.target, &text, &self.clock);
            }
        }
    }

    /// Writes all that is left of a service and forgets it.
    pub(super) fn end(&mut self, token: u64) {
        self.drain(token);
        self.hang_up(token);
        if let Some(log) = self.logs.get_mut(&token) {
            Out::last_words(&mut log.target, &self.clock);
        }
        self.streams.retain(|stream| *stream != token);
        if let Some(mut log) = self.logs.remove(&token) {
            log.told
                .update(&self.shared.troubles, &log.service, i64::MAX, None);
            self.tokens.remove(&log.service);
        }
    }
}

//! The only loop that awaits: each arrival becomes one [`Input`], each output is carried out.

use std::{
    io,
    os::unix::net::UnixListener,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use engine::Moment;
use keeper::{
    hello::Gathering,
    link::{Link, LinkError},
    message::{EXIT_OTHER_MESSAGES, Hello, Request},
};
use nix::{
    time::{ClockId, clock_gettime},
    unistd::Uid,
};
use plan::{Options, Paths};
use tokio::sync::{mpsc, watch};

use crate::{
    ask::{ASKS_MAX, Ask},
    control::{
        Control, boot,
        driver::{
            clock_step::WallClock,
            in_order::InOrder,
            link::{Messages, Wire},
            tasks::{self, Tasks},
        },
        input::{Done, Input, Now, Output},
        monitors::inotify,
        recreated::Recreated,
        runs::socket_groups::SocketGroups,
        succession::{keeper_lost::RunHandles, versions},
    },
    exit, server,
};

/// Stack of the thread that serves clients, in bytes; only touched pages count.
const CLIENTS_STACK_BYTES: usize = 1 << 20;

/// A deadline noticed later than this means that this process was stopped or not scheduled.
const LATE_MS: u64 = 100;
/// Turns that tasks get then: an answer may pass through that many tasks.
const CATCH_UP_TURNS: usize = 8;
/// Most reads from the keeper before the clock counts.
const CATCH_UP_READS_MAX: usize = 16;
/// An idle thread of the pool ends after this time and frees its memory.
const JOB_THREAD_IDLE: Duration = Duration::from_secs(1);
/// Pause between a settled plan and the release of memory, for the work that follows a plan.
const RELEASE_LATER: Duration = Duration::from_millis(500);
/// Flush beyond this size: the keeper can begin while the rest is being decided.
const FLUSH_BYTES: usize = 16 << 10;

/// Runs the control process until the keeper ends it or dies.
pub(crate) fn run(options: &Options) -> ExitCode {
    let link = match keeper::link_to_keeper() {
        Ok(link) => link,
        Err(error) => {
            tracing::error!(
                "the control process is started by the keeper alone, not by hand: {error}"
            );
            return ExitCode::from(exit::FAILURE);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(tasks::THREADS_MAX)
        .thread_keep_alive(JOB_THREAD_IDLE)
        .build();
    match runtime {
        Ok(runtime) => {
            let code = i32::from(runtime.block_on(serve(link, options)));
            keeper::stderr::flush();
            // No cleanup: the kernel frees everything at once, and a task that hangs (a dead name
            // service) must not delay the exit.
            std::process::exit(code)
        }
        Err(error) => {
            tracing::error!("cannot set up the event loop: {error}");
            ExitCode::from(exit::FAILURE)
        }
    }
}

async fn serve(link: Link, options: &Options) -> u8 {
    let wire = match Wire::new(link) {
        Ok(wire) => wire,
        Err(error) => {
            tracing::error!("cannot watch the link to the keeper: {error}");
            return exit::FAILURE;
        }
    };
    let (recreated, next_listeners) = Recreated::new();
    let mut event_loop = EventLoop::new(wire, options, recreated);
    let (hello, listener, messages) = match event_loop.hello().await {
        Ok(met) => met,
        Err(error) => {
            tracing::error!("the keeper did not say hello: {error}");
            return match error {
                LinkError::Malformed(_) => EXIT_OTHER_MESSAGES,
                _ => exit::FAILURE,
            };
        }
    };
    if let Err(unfit) = versions::check(&hello, &Paths::new(options).state_dir) {
        tracing::error!("does not take over: {unfit}");
        return unfit.exit_code();
    }
    event_loop.run_handles.adopt(&hello);
    let (plan, boot) = boot::read(&hello, options, seed());
    let access = own_access();
    let (access_sender, access_receiver) = watch::channel(access);
    let (unclosed_sender, unclosed) = watch::channel(0);
    event_loop.access = Some(access_sender);
    event_loop.unclosed = Some(unclosed);
    if boot.applied.is_some() {
        // An earlier control process has already opened the socket.
        event_loop.widen(plan.control.clone());
    }
    let (ask_sender, mut asks) = mpsc::channel(ASKS_MAX);
    let keeper_lost = Arc::new(AtomicBool::new(false));
    let known = Arc::clone(&keeper_lost);
    let serve = server::serve(
        listener,
        next_listeners,
        ask_sender,
        access_receiver,
        known,
        unclosed_sender,
    );
    if let Err(error) = serve_clients(serve) {
        tracing::error!("the control socket does not work: {error}");
    }
    let mut control = Control::new(now(), &hello, plan, boot);
    event_loop.drain(&mut control);
    event_loop.take_in(&mut control, messages);
    event_loop.turn(&mut control, &mut asks).await;
    if event_loop.leaving {
        return 0;
    }
    // Set before the last requests go unanswered.
    keeper_lost.store(true, Ordering::Relaxed);
    drop(asks);
    tracing::error!("lost the keeper");
    event_loop.run_handles.stop_everything(&control);
    exit::FAILURE
}

/// Serves the control socket on a thread of its own, so that the cost of clients (their bytes,
/// their log lines) is not the control thread's.
fn serve_clients(served: impl Future<Output = io::Result<()>> + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let serve = move || {
        if let Err(error) = runtime.block_on(served) {
            tracing::error!("the control socket does not work: {error}");
        }
    };
    let thread = std::thread::Builder::new().name("clients".to_owned());
    thread
        .stack_size(CLIENTS_STACK_BYTES)
        .spawn(serve)
        .map(drop)
}

fn own_access() -> server::Access {
    server::Access {
        own_uid: Uid::effective().as_raw(),
        ..server::Access::default()
    }
}

fn seed() -> u64 {
    u64::from(std::process::id()) ^ now().unix_ms.rotate_left(32)
}

fn now() -> Now {
    let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let ms = |it: Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
    Now {
        moment: Moment(ms(monotonic)),
        unix_ms: ms(wall),
    }
}

/// State of the loop.
struct EventLoop {
    wire: Wire,
    options: Options,
    tasks: Tasks,
    results: mpsc::UnboundedReceiver<Input>,
    result_sender: mpsc::UnboundedSender<Input>,
    access: Option<watch::Sender<server::Access>>,
    /// What clients have sent along and is not closed yet.
    unclosed: Option<watch::Receiver<usize>>,
    /// The groups that may use the socket, once a plan names them.
    groups: Option<watch::Sender<plan::ControlAccess>>,
    /// Files to watch, once there are any.
    files: Option<watch::Sender<Vec<PathBuf>>>,
    run_handles: RunHandles,
    recreated: Recreated,
    in_order: InOrder,
    /// Whether the keeper has been told to quit, so that its end is expected.
    leaving: bool,
}

impl EventLoop {
    fn new(wire: Wire, options: &Options, recreated: Recreated) -> Self {
        // Unbounded, but each result answers one task and the engine bounds those.
        let (result_sender, results) = mpsc::unbounded_channel();
        Self {
            wire,
            options: options.clone(),
            tasks: Tasks::new(options.clone(), result_sender.clone()),
            results,
            result_sender,
            access: None,
            unclosed: None,
            groups: None,
            files: None,
            run_handles: RunHandles::default(),
            recreated,
            in_order: InOrder::default(),
            leaving: false,
        }
    }

    /// Hello, the listener that came with it, and what else was said until its end.
    async fn hello(&mut self) -> Result<(Hello, UnixListener, Messages), LinkError> {
        let (mut gathering, mut others) = (Gathering::default(), Messages::new());
        loop {
            for (notice, fds) in self.receive().await? {
                others.extend(gathering.take(notice, fds));
            }
            if let Some((hello, fds)) = gathering.finish() {
                let listener = fds.into_iter().next();
                let missing = || LinkError::Io(io::Error::other("no socket came with it"));
                let listener = listener.ok_or_else(missing)?;
                return Ok((hello, UnixListener::from(listener), others));
            }
        }
    }

    /// Waits for messages of the keeper.
    async fn receive(&mut self) -> Result<Messages, LinkError> {
        loop {
            self.wire.ready().await?;
            let messages = self.wire.exchange()?;
            if !messages.is_empty() {
                return Ok(messages);
            }
        }
    }

    /// Runs one turn after the other, until the keeper is gone. Facts come before requests, and
    /// both before the clock.
    async fn turn(&mut self, control: &mut Control, asks: &mut mpsc::Receiver<Ask>) {
        let mut clock = WallClock::default();
        loop {
            self.flush();
            if self.leaving && !self.wire.link.wants_write() {
                return;
            }
            let due = control.poll_timeout();
            let outcome = tokio::select! {
                biased;
                ready = self.wire.ready() => match ready {
                    Ok(()) => self.read_mail(control),
                    Err(error) => Err(error.into()),
                },
                Some(result) = self.results.recv() => {
                    self.handle(control, result);
                    Ok(())
                }
                Some(ask) = asks.recv() => {
                    self.handle(control, Input::Ask(ask));
                    Ok(())
                }
                () = sleep_until(due) => self.judge_by_the_clock(control, due).await,
                () = clock.was_set(control.needs_clock_step_events()) => {
                    self.handle(control, Input::Timeout);
                    Ok(())
                }
            };
            if let Err(error) = outcome {
                return tracing::debug!("the keeper has gone: {error}");
            }
        }
    }

    fn read_mail(&mut self, control: &mut Control) -> Result<(), LinkError> {
        let messages = self.wire.exchange()?;
        self.take_in(control, messages);
        Ok(())
    }

    /// Handles a due deadline. Earlier arrivals come first: this process may have been stopped or
    /// not scheduled, and then the clock is ahead of what the process has heard.
    async fn judge_by_the_clock(
        &mut self,
        control: &mut Control,
        due: Option<Moment>,
    ) -> Result<(), LinkError> {
        let late_ms = due.map_or(0, |due| now().moment.0.saturating_sub(due.0));
        if late_ms > LATE_MS {
            // Tasks that wait for an answer can check for it.
            for _ in 0..CATCH_UP_TURNS {
                tokio::task::yield_now().await;
            }
        }
        for _ in 0..CATCH_UP_READS_MAX {
            self.read_mail(control)?;
            if self.wire.link.drained() {
                break;
            }
        }
        for _ in 0..self.results.len() {
            if let Ok(result) = self.results.try_recv() {
                self.handle(control, result);
            }
        }
        self.handle(control, Input::Timeout);
        Ok(())
    }

    fn take_in(&mut self, control: &mut Control, messages: Messages) {
        for (notice, fds) in messages {
            let fds = self.recreated.take(&notice, fds);
            self.run_handles.note(&notice, fds);
            self.handle(control, Input::Notice(notice));
        }
    }

    fn handle(&mut self, control: &mut Control, input: Input) {
        control.handle(now(), input);
        self.drain(control);
    }

    fn drain(&mut self, control: &mut Control) {
        while let Some(output) = control.poll_output() {
            match output {
                Output::Keeper(_) if self.leaving => {}
                Output::Keeper(request) => self.tell(&request),
                other => self.in_order.push(self.wire.link.said(), other),
            }
        }
    }

    fn tell(&mut self, request: &Request) {
        self.leaving = matches!(request, Request::Quit { .. });
        if let Err(error) = self.wire.link.queue(request, Vec::new()) {
            tracing::error!("cannot tell the keeper: {error}");
        }
        if self.wire.link.pending() > FLUSH_BYTES {
            self.flush();
        }
    }

    /// Sends the output of a turn, and then what must follow that output. What does not fit leaves
    /// when the link has room.
    fn flush(&mut self) {
        if let Err(error) = self.wire.flush() {
            tracing::error!("cannot tell the keeper: {error}");
        }
        while let Some(output) = self.in_order.pop(self.wire.link.written()) {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Keeper(request) => self.tell(&request),
            Output::Task(task) => self.tasks.start(task),
            Output::Answer(answer) => answer.send(),
            Output::Access(who) => self.widen(who),
            Output::WatchFiles(paths) => self.watch_files(paths),
            Output::LetIn(open) => {
                if let Some(access) = &self.access {
                    access.send_modify(|it| it.closed = !open);
                }
            }
            Output::ReleaseMemory => drop(tokio::spawn(async {
                tokio::time::sleep(RELEASE_LATER).await;
                keeper::release_memory();
            })),
        }
    }

    /// Watches files that others write, in a task.
    fn watch_files(&mut self, paths: Vec<PathBuf>) {
        if let Some(files) = &self.files {
            files.send_replace(paths);
            return;
        }
        let (sender, wanted) = watch::channel(paths);
        self.files = Some(sender);
        let results = self.result_sender.clone();
        let tell = move |unwatched| {
            let touched = Done::FilesTouched(unwatched);
            drop(results.send(Input::Done(Box::new(touched))));
        };
        drop(tokio::spawn(inotify::follow(wanted, tell)));
    }

    /// Lets the groups of the plan use the control socket.
    fn widen(&mut self, who: plan::ControlAccess) {
        if let Some(groups) = &self.groups {
            groups.send_replace(who);
            return;
        }
        let (Some(access), Some(unclosed)) = (&self.access, &self.unclosed) else {
            return;
        };
        let (sender, plan) = watch::channel(who);
        self.groups = Some(sender);
        let follower = SocketGroups {
            socket: Paths::new(&self.options).run_dir.join("ctl.sock"),
            reopened: self.recreated.reopened(),
            plan,
            unclosed: unclosed.clone(),
            access: access.clone(),
        };
        drop(tokio::spawn(follower.follow()));
    }
}

async fn sleep_until(due: Option<Moment>) {
    match due {
        // One more millisecond: `now` is rounded down, and an early wake-up would do nothing.
        Some(due) => {
            let left = due.0.saturating_sub(now().moment.0);
            if left > 0 {
                tokio::time::sleep(Duration::from_millis(left)).await;
            }
        }
        None => std::future::pending().await,
    }
}

//! What the control process asks for, one by one and in its order. None of it waits.

use std::os::fd::AsFd;

use nix::{
    errno::Errno,
    fcntl::OFlag,
    libc,
    sys::stat::fstat,
    unistd::{Gid, Uid, fchown, pipe2},
};

use crate::{
    description,
    ending::Ending,
    keeper::Keeper,
    log::{self, Spec},
    message::{Notice, Open, Request, RunId},
    notify::Dropped,
    run::{Pipe, Service},
    say::say,
    sys::pidfd,
};

impl Keeper {
    /// Carries out one request.
    pub(crate) fn request(&mut self, request: Request) {
        match request {
            Request::TookOver => {
                self.control_took_over();
                self.tell_strays();
                self.tell_all_log_troubles();
            }
            Request::Open(open) => self.open(open),
            Request::Spawn(spawn) => self.spawn(&spawn),
            Request::Signal { run, signal, cont } => self.signal(run, signal, cont),
            Request::Rotate { service } => self.log.rotate(&service),
            Request::Stats => {
                let logs = self.log.stats();
                self.notice(&Notice::Stats { logs }, Vec::new());
            }
            Request::Sweep { run } => self.sweep_asked(run),
            Request::Remember { service, record } => {
                self.records.insert(service, record);
            }
            Request::Forget { service } => self.forget(&service),
            Request::TellInit { message } => self.init.tell(&message),
            Request::Ack { seq } => self.acknowledged(seq),
            Request::Sync { at_ms } => self.catch_up.ask(at_ms),
            // Any word is a sign of life.
            Request::Here => {}
            Request::Reexec => self.reexec(),
            Request::Quit { code } => self.end(Ending::asked(code)),
        }
    }

    fn open(&mut self, open: Open) {
        let name = open.service.clone();
        if let Some(service) = self.services.get_mut(&name) {
            // Said before every run; then there is mostly nothing to do.
            if service.open == open && service.pipe.is_some() {
                return;
            }
            if let Some(pipe) = &service.pipe {
                own(&pipe.read, &open);
            }
            service.open = open;
            self.own_notify_socket(&name);
            self.log.reconfigure(&name, self.log_spec(&name));
        } else {
            self.services_made += 1;
            let group = self.cgroups.as_ref().map(|groups| groups.service(&name));
            if let Some(Err(error)) = &group {
                say!("{name}: goes without a cgroup: {error}");
            }
            let service = Service {
                open,
                pipe: None,
                group: group.and_then(Result::ok),
                notify: None,
                dropped: Dropped::default(),
                number: self.services_made,
                main: None,
            };
            self.services.insert(name.clone(), Box::new(service));
        }
        if let Err(error) = self.make_pipe(&name) {
            say!("{name}: no log pipe yet: {error}");
        }
    }

    fn log_spec(&self, service: &str) -> Spec {
        let open = &self.services[service].open;
        Spec {
            dir: open.log_dir.clone(),
            size_bytes: open.log_size_bytes,
            keep: open.log_keep,
            age_ms: open.log_age_ms,
            compress: open.log_compress,
            forward: open.log_forward,
        }
    }

    /// Makes the log pipe of an opened service, unless it has one.
    pub(crate) fn make_pipe(&mut self, name: &str) -> Result<(), Errno> {
        let spec = self.log_spec(name);
        let Some(service) = self.services.get_mut(name) else {
            return Err(Errno::ENOENT);
        };
        if service.pipe.is_some() {
            return Ok(());
        }
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        let size = description::enlarge(&write);
        own(&read, &service.open);
        let for_log = read.try_clone().map_err(|_| Errno::EMFILE)?;
        let inode = fstat(&read)?.st_ino;
        let mark = self
            .leftovers
            .has_gap(name, &self.files)
            .then_some(log::KEEPER_DIED);
        let flow = self.log.open_later(name, spec, for_log, mark);
        service.pipe = Some(Pipe {
            read,
            write,
            inode,
            size,
            flow,
        });
        self.unannounced.push(name.to_owned());
        Ok(())
    }

    /// A log cannot be written or rotated, or can again.
    pub(crate) fn tell_log_troubles(&mut self) {
        for (service, trouble) in self.log.take_troubles() {
            self.notice(&Notice::Log { service, trouble }, Vec::new());
        }
    }

    /// A new control process knows of none.
    fn tell_all_log_troubles(&mut self) {
        for (service, trouble) in self.log.all_troubles() {
            let trouble = Some(trouble);
            self.notice(&Notice::Log { service, trouble }, Vec::new());
        }
    }

    fn signal(&mut self, run: RunId, signal: i32, cont: bool) {
        self.see_descendants(run);
        let Some(run) = self.runs.get(&run).filter(|run| run.lives()) else {
            return;
        };
        if let Err(error) = pidfd::signal(&run.pidfd, signal) {
            let (service, pid) = (&run.service, run.main);
            say!("{service}: could not send signal {signal} to pid {pid}: {error}");
        }
        if cont {
            let _ = pidfd::signal(&run.pidfd, libc::SIGCONT);
        }
    }

    fn forget(&mut self, name: &str) {
        self.records.remove(name);
        let Some(mut service) = self.services.remove(name) else {
            return;
        };
        if service.pipe.is_some() {
            self.log.close(name);
        }
        self.close_notify_socket(&mut service);
        if let Some(group) = &service.group {
            group.remove();
        }
    }

    /// A run is forgotten once it is swept and the last fact about it has been taken in. Its
    /// `Swept` is such a fact, so only runs of this acknowledgement need a look.
    fn acknowledged(&mut self, seq: u64) {
        for id in self.facts.acknowledge(seq) {
            let Some(run) = self.runs.get(&id).filter(|run| run.swept) else {
                continue;
            };
            if let Some(service) = self.services.get_mut(&run.service)
                && service.main == Some(id)
            {
                service.main = None;
            }
            self.runs.remove(&id);
        }
    }
}

/// Lets the service's processes open their `/dev/stdout` again.
fn own(pipe: impl AsFd, open: &Open) {
    let (uid, gid) = (Uid::from_raw(open.uid), Gid::from_raw(open.gid));
    if uid == nix::unistd::geteuid() {
        return;
    }
    if let Err(error) = fchown(pipe, Some(uid), Some(gid)) {
        say!(
            "{}: could not give the log pipe to uid {uid}: {error}",
            open.service
        );
    }
}

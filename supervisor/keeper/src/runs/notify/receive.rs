//! Binds the notify sockets of services, and reads their messages: only for runs that the sender
//! may speak for.

use std::{io, os::fd::AsFd};

use nix::errno::Errno;

use super::{
    Place, Socket,
    keys::{self, DATAGRAM_BYTES_MAX},
};
use crate::{
    clock::now_ms,
    kit::Kit,
    message::{Fact, RunId},
    poller::Source,
    runs::{
        Runs,
        run::{Run, Service},
    },
    stderr_log::{error, warning},
    sys::{
        pidfd,
        socket::{Peeked, peek, sender_pidfd},
    },
    timers::Timer,
};

/// Datagrams taken from one socket in one turn.
const DATAGRAMS_PER_TURN: usize = 32;
/// To the next try to start a thread.
const THREAD_RETRY_MS: u64 = 1000;
impl Runs {
    /// `NOTIFY_SOCKET` of a service, bound with the first run that wants one.
    pub(crate) fn notify_socket(&mut self, kit: &mut Kit, name: &str) -> Result<String, Errno> {
        let service = self.services.get(name).ok_or(Errno::ENOENT)?;
        if let Some(socket) = &service.notify
            // A socket at which a thread hangs is left to that thread: the next run gets a fresh
            // one.
            && !(socket.is_busy() && socket.may_be_replaced())
            && self.is_in_place(socket)
        {
            return Ok(socket.path());
        }
        let usual = match &service.notify {
            Some(former) => former.place() == Place::Usual,
            None => self.directories.usual_suits(name, service.open.uid),
        };
        let places = [Place::Usual, Place::Short];
        let places = if usual { &places[..] } else { &places[1..] };
        self.bind_notify_socket(kit, name, places).map_err(|error| {
            let text = format!(
                "{name}: no notify socket: {error}; choose a shorter --root whose directories all accounts can \
                 pass through"
            );
            kit.original.say_once(text, "");
            Errno::from_raw(error.raw_os_error().unwrap_or(Errno::ENAMETOOLONG as i32))
        })
    }

    /// Binds a socket in place of a former one, in the first of these directories that works.
    fn bind_notify_socket(
        &mut self,
        kit: &mut Kit,
        name: &str,
        places: &[Place],
    ) -> io::Result<String> {
        let service = self.services.get_mut(name).ok_or(Errno::ENOENT)?;
        let (number, owner) = (service.number, (service.open.uid, service.open.gid));
        let mut outcome = Err(io::ErrorKind::NotFound.into());
        for place in places {
            let file = match place {
                Place::Usual => name.to_owned(),
                Place::Short => number.to_string(),
            };
            let directory = self.directories.get(*place, &kit.removals);
            outcome = directory.and_then(|it| Ok(Socket::bind((*place, it), file, owner)?));
            if outcome.is_ok() {
                break;
            }
        }
        let mut socket = outcome?;
        let path = socket.path();
        if let Some(former) = &service.notify {
            socket.follows(former);
        }
        let former = service.notify.replace(socket);
        if let Some(former) = former {
            kit.poller.unwatch(&former);
            former.close(None);
        }
        if let Some(socket) = self.notify_socket_of(number) {
            kit.poller.watch(socket, Source::Notify(number));
        }
        Ok(path)
    }

    fn is_in_place(&self, socket: &Socket) -> bool {
        let directory = self.directories.in_place(socket.place());
        directory.is_some_and(|directory| socket.lies_in(directory))
    }

    /// Binds sockets again that have been removed.
    pub(crate) fn check_notify_sockets(&mut self, kit: &mut Kit) {
        let sockets = self.services.iter().filter_map(|(name, service)| {
            let socket = service.notify.as_ref()?;
            (!self.is_in_place(socket)).then(|| (name.clone(), service.number, socket.place()))
        });
        for (name, number, place) in sockets.collect::<Vec<_>>() {
            // Messages to the removed socket are read before another is bound.
            self.read_notify(kit, number);
            // At the path in the environment of the run.
            let outcome = match self.bind_notify_socket(kit, &name, &[place]) {
                Ok(path) => format!("is made again: {path}"),
                Err(error) => format!("could not be made again: {error}"),
            };
            warning!("{name}: its notify socket was removed and {outcome}");
        }
    }

    /// Closes the socket of a service that has gone.
    pub(crate) fn close_notify_socket(&mut self, kit: &mut Kit, service: &mut Service) {
        if let Some(socket) = service.notify.take() {
            kit.poller.unwatch(&socket);
            let directory = self.directories.in_place(socket.place());
            socket.close(directory);
        }
    }

    /// Gives the socket to the new account of the service.
    pub(crate) fn own_notify_socket(&self, name: &str) {
        let service = self.services.get(name);
        let Some((service, socket)) = service.and_then(|one| Some((one, one.notify.as_ref()?)))
        else {
            return;
        };
        let owner = (service.open.uid, service.open.gid);
        if let Some(directory) = self.directories.in_place(socket.place())
            && let Err(error) = socket.give_to(directory, owner)
        {
            error!(
                "{name}: could not give its notify socket to uid {}: {error}",
                owner.0
            );
        }
    }

    /// Reads messages of a service's processes.
    pub(crate) fn read_notify(&mut self, kit: &mut Kit, number: u64) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        for _ in 0..DATAGRAMS_PER_TURN {
            let service = self.services.values().find(|one| one.number == number);
            let Some((service, socket)) = service.and_then(|one| Some((one, one.notify.as_ref()?)))
            else {
                return;
            };
            if socket.is_busy() {
                return;
            }
            let peeked = match peek(socket, &mut buffer) {
                Ok(peeked) => peeked,
                Err(Errno::EINTR) => continue,
                Err(_) => return,
            };
            if let Some(run) = self.speaker(service, socket, &peeked) {
                self.take_notification(kit, run, &buffer[..peeked.bytes]);
            } else {
                let pid = peeked.sender.map_or(0, |sender| sender.pid);
                let name = service.open.service.clone();
                self.dropped(
                    &name,
                    &format!("of pid {pid}, which may not speak for its run"),
                );
            }
            if peeked.has_descriptors {
                self.discard_aside(kit, number);
                return;
            }
            if let Some(socket) = self.notify_socket_of(number) {
                socket.discard();
            }
        }
    }

    fn notify_socket_of(&self, number: u64) -> Option<&Socket> {
        let service = self.services.values().find(|one| one.number == number);
        service?.notify.as_ref()
    }

    /// Has the next message, which has been acted on and brings descriptors, taken away.
    fn discard_aside(&mut self, kit: &mut Kit, number: u64) {
        let Some(socket) = self.notify_socket_of(number) else {
            return;
        };
        if let Err(error) = socket.discard_aside(&kit.poller, Source::Notify(number)) {
            let text =
                format!("could not start a thread that closes what a service has sent: {error}");
            kit.original.say_once(text, "; tries again");
            let at = now_ms() + THREAD_RETRY_MS;
            kit.timers.add(at, Timer::Notify(number));
        }
    }

    /// A thread could not be started; the service may have another socket by now.
    pub(crate) fn discard_aside_again(&mut self, kit: &mut Kit, number: u64) {
        let socket = self.notify_socket_of(number);
        if socket.is_some_and(Socket::waits_for_thread) {
            self.discard_aside(kit, number);
        }
    }

    /// The run that the sender of the next message speaks for.
    fn speaker(&self, service: &Service, socket: &Socket, peeked: &Peeked) -> Option<RunId> {
        let sender = peeked.sender?;
        let run = service.main.and_then(|id| self.all.get(&id));
        let run = run.filter(|run| run.lives())?;
        let speaks = sender.pid == run.main
            || !run.main_only
                // In this order: the sender may end in between.
                && (self.speaks_for(run, sender.pid)
                    || proc::stat(sender.pid).is_none()
                        && !peeked.has_descriptors
                        && sender.uid == service.open.uid
                        && belonged(service, run, socket));
        speaks.then_some(run.id)
    }

    /// Reports a dropped message, at intervals.
    fn dropped(&mut self, name: &str, what: &str) {
        let service = self.services.get_mut(name);
        if let Some(count) = service.and_then(|one| one.dropped.add(now_ms())) {
            warning!(
                "{name}: drops notifications ({count} since this was last said), the last one {what}"
            );
        }
    }

    fn take_notification(&mut self, kit: &mut Kit, id: RunId, datagram: &[u8]) {
        for (key, value) in keys::lines(datagram) {
            if key == "MAINPID" && !self.adopt_main(kit, id, value) {
                continue;
            }
            let Some(run) = self.all.get_mut(&id) else {
                return;
            };
            run.notified.insert(key.to_owned(), value.to_owned());
            kit.facts.push(Fact::Notified {
                run: id,
                key: key.to_owned(),
                value: value.to_owned(),
            });
        }
    }

    /// Makes another process of the service its main process.
    fn adopt_main(&mut self, kit: &mut Kit, id: RunId, value: &str) -> bool {
        let Some(run) = self.all.get(&id) else {
            return false;
        };
        let service = run.service.clone();
        let pid = value.parse().unwrap_or(0);
        if pid == run.main {
            return true;
        }
        // The pidfd is opened before the check: so the check is about the process of the pidfd.
        let Some(fd) = pidfd::open(pid).ok().filter(|_| self.speaks_for(run, pid)) else {
            self.dropped(
                &service,
                &format!("MAINPID={value}, which is no process of its run"),
            );
            return false;
        };
        if proc::stat(pid).is_none_or(|stat| stat.state == b'Z') {
            self.dropped(&service, &format!("MAINPID={value}, which has ended"));
            return false;
        }
        let leader = run.leader;
        if run.main != leader {
            kit.poller.unwatch(&run.pidfd);
            let old = run.main;
            self.by_pid.remove(&old);
        }
        if pid != leader {
            kit.poller.watch(&fd, Source::Main(id));
        }
        self.by_pid.remove(&leader);
        self.by_pid.insert(pid, id);
        if let Some(run) = self.all.get_mut(&id) {
            run.main = pid;
            run.pidfd = fd;
        }
        true
    }
}

/// Whether the sender of the next message, which has been reaped, was of the service: by its cgroup
/// if the kernel reports it; otherwise the sender is believed.
fn belonged(service: &Service, run: &Run, socket: &Socket) -> bool {
    let group = service.group.as_ref().filter(|_| run.in_cgroup);
    let Some(group) = group else {
        return true;
    };
    let was_in = sender_pidfd(socket.as_fd()).and_then(pidfd::cgroup);
    was_in.is_none_or(|id| group.has_id(id))
}

//! Everything that outlives the runs of a service: its log pipe, its cgroup, its notify socket.
//!
//! Both ends of the pipe are held from the first `Open` to the last `Forget`, so that no run of the
//! service ever finds its output closed, whoever reads it at the moment.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::stat::fstat,
    unistd::{Gid, Uid, fchown, pipe2},
};

use super::{
    Runs, description,
    notify::Dropped,
    run::{Pipe, Service},
};
use crate::{
    kit::Kit,
    log::{self, Spec},
    message::{Notice, Open},
    stderr_log::{error, warning},
};

/// Services in one [`Notice::Opened`]: a message carries 253 descriptors.
const OPENED_MAX: usize = 120;

impl Runs {
    /// Makes a service known, or updates a known one.
    pub(crate) fn open(&mut self, kit: &mut Kit, open: Open) {
        let name = open.service.clone();
        if let Some(service) = self.services.get_mut(&name) {
            // `Open` comes before every run; mostly nothing has changed.
            if service.open == open && service.pipe.is_some() {
                return;
            }
            if let Some(pipe) = &service.pipe {
                own(&pipe.read, &open);
            }
            service.open = open;
            self.own_notify_socket(&name);
            kit.log
                .reconfigure(&name, log_spec(&self.services[&name].open));
        } else {
            self.services_made += 1;
            let group = kit.cgroups.as_ref().map(|groups| groups.service(&name));
            if let Some(Err(error)) = &group {
                warning!("{name}: goes without a cgroup: {error}");
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
        if let Err(error) = self.make_pipe(kit, &name) {
            error!("{name}: no log pipe yet: {error}");
        }
    }

    /// Makes the log pipe of an opened service, unless it has one.
    pub(crate) fn make_pipe(&mut self, kit: &mut Kit, name: &str) -> Result<(), Errno> {
        let Some(service) = self.services.get_mut(name) else {
            return Err(Errno::ENOENT);
        };
        let spec = log_spec(&service.open);
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
            .has_gap(name, &kit.files)
            .then_some(log::KEEPER_DIED);
        let reader = kit.log.open_later(name, spec, for_log, mark);
        service.pipe = Some(Pipe {
            read,
            write,
            inode,
            size,
            reader,
        });
        self.unannounced.push(name.to_owned());
        Ok(())
    }

    /// Drops a service that has left the plan.
    pub(crate) fn forget(&mut self, kit: &mut Kit, name: &str) {
        let Some(mut service) = self.services.remove(name) else {
            return;
        };
        if service.pipe.is_some() {
            kit.log.close(name);
        }
        self.close_notify_socket(kit, &mut service);
        if let Some(group) = &service.group {
            group.remove();
        }
    }

    /// Hands the ends of log pipes over, those of many services with one message.
    pub(crate) fn announce(&mut self) -> Vec<(Notice, Vec<OwnedFd>)> {
        let all = std::mem::take(&mut self.unannounced);
        self.announcements(&all)
    }

    /// As [`Self::announce`], of all that there are.
    pub(crate) fn announce_all(&mut self) -> Vec<(Notice, Vec<OwnedFd>)> {
        self.unannounced.clear();
        let opened = self.services.values().filter(|it| it.pipe.is_some());
        let opened: Vec<String> = opened.map(|it| it.open.service.clone()).collect();
        self.announcements(&opened)
    }

    /// Where the log of a service is, if its rotated files are to be compressed.
    pub(crate) fn compressed_log_dir(&self, service: &str) -> Option<&Path> {
        let service = self.services.get(service)?;
        service.open.log_compress.then_some(&*service.open.log_dir)
    }

    fn announcements(&self, all: &[String]) -> Vec<(Notice, Vec<OwnedFd>)> {
        let mut announcements = Vec::new();
        for some in all.chunks(OPENED_MAX) {
            let (mut services, mut fds) = (Vec::new(), Vec::new());
            for name in some {
                let service = self.services.get(name);
                let Some(pipe) = service.and_then(|service| service.pipe.as_ref()) else {
                    continue;
                };
                // Out of descriptors: control then has none of this pipe, which matters only if
                // we die.
                if let (Ok(read), Ok(write)) = (pipe.read.try_clone(), pipe.write.try_clone()) {
                    services.push(name.clone());
                    fds.extend([read, write]);
                }
            }
            if !services.is_empty() {
                announcements.push((Notice::Opened { services }, fds));
            }
        }
        announcements
    }
}

/// Where the log of a service goes.
pub(super) fn log_spec(open: &Open) -> Spec {
    Spec {
        dir: open.log_dir.clone(),
        size_bytes: open.log_size_bytes,
        keep: open.log_keep,
        age_ms: open.log_age_ms,
        compress: open.log_compress,
        forward: open.log_forward,
    }
}

/// Lets the service's processes open their `/dev/stdout` again.
fn own(pipe: impl AsFd, open: &Open) {
    let (uid, gid) = (Uid::from_raw(open.uid), Gid::from_raw(open.gid));
    if uid == nix::unistd::geteuid() {
        return;
    }
    if let Err(error) = fchown(pipe, Some(uid), Some(gid)) {
        error!(
            "{}: could not give the log pipe to uid {uid}: {error}",
            open.service
        );
    }
}

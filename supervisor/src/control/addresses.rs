//! Addresses that services listen on: whether they are free, and who is waited for if they are not.
//!
//! An address that a run of ours still has which is on its way down is waited for: that run has a
//! deadline by which it is killed, and so the wait has one. Anybody else who has it is named, and the
//! start is tried again later. Only literal addresses are tried here; a name would ask a name server.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use engine::{Goal, RunId, State};
use nix::errno::Errno;

use super::{Control, Job, Purpose};
use crate::prepare::{Address, Resolved};

/// Starts that wait for an address, by their runs.
#[derive(Debug, Default)]
pub(super) struct AddressWaits(BTreeMap<RunId, Wait>);

#[derive(Debug)]
struct Wait {
    /// What it waits for: `a to release 127.0.0.1:8065`.
    what: String,
    /// The run that has the address.
    holder: RunId,
    /// What was found out for the start.
    resolved: Arc<Resolved>,
}

impl AddressWaits {
    /// In words, what a run waits for.
    pub(super) fn reason(&self, run: RunId) -> Option<String> {
        Some(format!("waiting for {}", self.0.get(&run)?.what))
    }
}

impl Control {
    /// False: an address is not free, and the run waits for it or is refused.
    pub(super) fn has_its_addresses(
        &mut self,
        service: &plan::Service,
        run: RunId,
        resolved: &Arc<Resolved>,
    ) -> bool {
        let Some(address) = resolved.listens.iter().find(|it| in_use(&it.at)) else {
            return true;
        };
        if let Some((holder, name)) = self.ending_holder(run, address) {
            let wait = Wait {
                what: format!("{name} to release {}", address.said),
                holder,
                resolved: Arc::clone(resolved),
            };
            self.address_waits.0.insert(run, wait);
            if let Some(id) = self.names.id(&service.name) {
                self.touched.insert(id);
            }
            let what = self.address_waits.reason(run).unwrap_or_default();
            self.publish(&service.name, "address", &what, None);
            return false;
        }
        self.job(Job::Holder {
            run,
            address: address.said.clone(),
            hint: service.listens_hint.clone(),
        });
        false
    }

    /// After every input: who waits for an address that has been let go of tries again, and who is
    /// not wanted any more does not wait.
    pub(super) fn look_at_address_waits(&mut self) {
        let over: Vec<RunId> = self
            .address_waits
            .0
            .iter()
            .filter(|(run, wait)| {
                let wanted = self.is_wanted(**run, &Purpose::Main);
                !wanted || !self.is_ending(wait.holder)
            })
            .map(|(run, _)| *run)
            .collect();
        for run in over {
            let Some(wait) = self.address_waits.0.remove(&run) else {
                continue;
            };
            let name = self.runs.get(&run).map(|known| known.service.clone());
            let service = name.and_then(|name| self.plan.services.get(&name).cloned());
            match service {
                Some(service) if self.is_wanted(run, &Purpose::Main) => {
                    if self.outdated.remove(&run) {
                        self.prepare(run, &service);
                    } else {
                        self.start_prepared(&service, run, wait.resolved);
                    }
                }
                _ => self.drop_start(run),
            }
        }
    }

    /// A run of another service, or an earlier one of the same, that has the address and is going.
    fn ending_holder(&self, run: RunId, address: &Address) -> Option<(RunId, String)> {
        let others = self.runs.iter().filter(|(other, known)| {
            **other != run && known.purpose == Purpose::Main && self.is_ending(**other)
        });
        let mut holders = others.filter(|(_, known)| {
            let listens = known.resolved.as_ref().map(|it| &it.listens);
            listens.is_some_and(|all| all.iter().any(|it| it.meets(address)))
        });
        let (holder, known) = holders.next()?;
        Some((*holder, known.service.clone()))
    }

    /// It lives, or what is left of it does, and is on its way down.
    fn is_ending(&self, run: RunId) -> bool {
        let known = self.runs.get(&run);
        let view = known
            .and_then(|known| self.names.id(&known.service))
            .and_then(|id| self.engine.view(id));
        known.is_some()
            && view.is_none_or(|view| {
                view.goal == Goal::Down || matches!(view.state, State::Stopping { .. })
            })
    }
}

/// Somebody listens on all of them. Anything but "in use" is left to the service itself to meet.
fn in_use(at: &[SocketAddr]) -> bool {
    // std sets SO_REUSEADDR, so connections in TIME_WAIT do not count.
    let taken = |address: &SocketAddr| match bind(*address) {
        Err(error) => error.raw_os_error() == Some(Errno::EADDRINUSE as i32),
        Ok(_) => false,
    };
    !at.is_empty() && at.iter().all(taken)
}

#[expect(clippy::disallowed_methods, reason = "no name is looked up")]
fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address)
}

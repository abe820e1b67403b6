//! Waits for addresses that services listen on and that are not free.
//!
//! An address that a run of ours still has which is on its way down is waited for: that run has a
//! deadline by which it is killed, and so the wait has one. Anybody else who has it is named, and
//! the start is tried again later. Only literal addresses are tried here; a name would ask a name
//! server.

use std::{collections::BTreeMap, sync::Arc};

use engine::{Detail, RunId, ServiceId};

use crate::{
    control::{
        Context, Purpose, Run, Task,
        runs::starts::{StartStep, Starts, drop_start, refuse},
    },
    port_owner::Holder,
    prepare::{Address, Resolved},
    sockets::in_use,
};

/// Starts that wait for an address, by their runs.
#[derive(Debug, Default)]
pub(super) struct AddressWaits(BTreeMap<RunId, Wait>);

#[derive(Debug)]
struct Wait {
    /// As the service file has it.
    address: String,
    /// The result of the preparation.
    resolved: Arc<Resolved>,
    on: On,
}

#[derive(Debug)]
enum On {
    /// A job finds out who has the address.
    Search,
    /// This run of this service, which is ending, has it.
    Ending(RunId, ServiceId),
}

impl AddressWaits {
    /// The process that a run waits for, in words.
    pub(super) fn reason(&self, cx: &Context, run: RunId) -> Option<String> {
        let wait = self.0.get(&run)?;
        match &wait.on {
            On::Search => None,
            On::Ending(_, id) => {
                let name = cx.name(*id);
                Some(format!("waiting for {name} to release {}", wait.address))
            }
        }
    }

    fn wait_for(&mut self, cx: &mut Context, run: RunId, (holder, its): (RunId, ServiceId)) {
        let Some(wait) = self.0.get_mut(&run) else {
            return;
        };
        wait.on = On::Ending(holder, its);
        let id = cx.run(run).and_then(|known| known.service);
        let (Some(id), Some(what)) = (id, self.reason(cx, run)) else {
            return;
        };
        cx.touch(id);
        let service = cx.name(id).to_owned();
        cx.publish(&service, api::EventKind::Address, &what, None);
    }
}

impl Starts {
    /// False: an address is not free, so the run waits for it or is refused.
    pub(super) fn has_its_addresses(
        &mut self,
        cx: &mut Context,
        run: RunId,
        resolved: &Arc<Resolved>,
    ) -> bool {
        let Some(address) = resolved.listens.iter().find(|it| in_use(&it.at)) else {
            return true;
        };
        let wait = Wait {
            address: address.said.clone(),
            resolved: Arc::clone(resolved),
            on: On::Search,
        };
        self.address_waits.0.insert(run, wait);
        let known = ending(cx, run, |known| {
            let listens = known.resolved.as_ref().map(|it| &it.listens);
            listens.is_some_and(|all| all.iter().any(|it| it.meets(address)))
        });
        if let Some(holder) = known {
            self.address_waits.wait_for(cx, run, holder);
        } else {
            self.lookups += 1;
            let address = address.said.clone();
            cx.queue_task(Task::Holder { run, address });
        }
        false
    }

    /// The answer of who has an address: a run of ours that its service file did not say it of, or
    /// that an earlier control process started; or a stranger.
    pub(in crate::control) fn on_holder(
        &mut self,
        cx: &mut Context,
        run: RunId,
        holder: &Holder,
    ) -> StartStep {
        self.lookups -= 1;
        let ours = ending(cx, run, |known| {
            known.pid.is_some_and(|pid| holder.line.contains(&pid))
        });
        if let Some(ours) = ours {
            self.address_waits.wait_for(cx, run, ours);
            return StartStep::Nothing;
        }
        let Some(wait) = self.address_waits.0.remove(&run) else {
            return StartStep::Nothing; // Nobody wants the run any more.
        };
        let service = cx.service_of(run);
        let said = |it: &&Address| it.said == wait.address;
        let address = wait.resolved.listens.iter().find(said);
        if address.is_none_or(|it| !in_use(&it.at))
            && let Some(service) = service.cloned()
        {
            // The address has been let go of during the search.
            return self.spawn_main(cx, &service, run, wait.resolved);
        }
        let reason = Detail {
            what: holder.reason.clone(),
            hint: service.map_or_else(String::new, |it| it.listens_hint.clone()),
            address_in_use: true,
        };
        refuse(cx, run, true, reason)
    }

    /// Runs whose address has been let go of, and runs that nobody wants any more:
    /// [`Self::end_address_wait`] of each.
    pub(in crate::control) fn ended_address_waits(&self, cx: &Context) -> Vec<RunId> {
        let is_over = |on: &On| match on {
            On::Search => false,
            On::Ending(holder, _) => !cx.is_ending(*holder),
        };
        let waits = self.address_waits.0.iter();
        let over = waits.filter(|(run, wait)| is_over(&wait.on) || !cx.is_wanted(**run));
        over.map(|(run, _)| *run).collect()
    }

    /// Retries the run, or gives it up.
    pub(in crate::control) fn end_address_wait(
        &mut self,
        cx: &mut Context,
        run: RunId,
    ) -> StartStep {
        let Some(wait) = self.address_waits.0.remove(&run) else {
            return StartStep::Nothing;
        };
        match cx.service_of(run).cloned() {
            Some(service) if cx.is_wanted(run) => {
                if self.outdated.remove(&run) {
                    self.prepare(cx, run, &service)
                } else {
                    self.spawn_main(cx, &service, run, wait.resolved)
                }
            }
            _ => drop_start(cx, run),
        }
    }
}

/// Another main run that is this one, and is on its way down.
fn ending(cx: &Context, run: RunId, is: impl Fn(&Run) -> bool) -> Option<(RunId, ServiceId)> {
    let mut others = cx.runs().iter().filter(|(other, known)| {
        **other != run && known.purpose == Purpose::Main && is(known) && cx.is_ending(**other)
    });
    let (holder, known) = others.next()?;
    Some((*holder, known.service?))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use api::Action;
    use engine::RunId;

    use crate::{control::harness::Harness, sockets::bind, store::Handled};

    const PID: i32 = 7;

    /// Service `b` wants an address that `listener` has; `a`, which does not say so, runs as
    /// [`PID`].
    fn world(listener: &TcpListener) -> (Harness, RunId) {
        let address = listener.local_addr().unwrap();
        let b = format!("command = ['/bin/b']\nlistens = ['{address}']\n");
        let services = [("a", "command = ['/bin/a']\n"), ("b", b.as_str())];
        let mut world = Harness::new(&services, Handled::default());
        let [(a, run)] = &world.spawned[..] else {
            panic!("{:?}", world.spawned);
        };
        assert_eq!(a, "a");
        world.spawned(*run);
        let [search] = world.searching[..] else {
            panic!("{:?}", world.searching);
        };
        (world, search)
    }

    fn listener() -> TcpListener {
        bind("127.0.0.1:0".parse().unwrap()).unwrap()
    }

    #[test]
    fn an_address_that_is_let_go_of_during_the_search_is_taken() {
        let listener = listener();
        let (mut world, search) = world(&listener);
        drop(listener);
        world.found(search, Vec::new());
        assert_eq!(world.spawned.last().unwrap().0, "b");
    }

    #[test]
    fn who_does_not_go_by_sigkill_is_waited_for_no_longer() {
        let listener = listener();
        let (mut world, search) = world(&listener);
        world.act(Action::Stop, "a");
        world.found(search, vec![PID]);
        let waits = world.status("b").reason.unwrap_or_default();
        assert!(waits.starts_with("waiting for a to release"), "{waits}");
        world.pass(60_000);
        assert_eq!(world.status("a").state, api::ServiceState::Failed);
        let again = *world.searching.last().unwrap();
        assert_eq!(world.searching, [search, again]);
        world.found(again, vec![PID]);
        let b = world.status("b");
        assert_eq!(b.state, api::ServiceState::Backoff, "{b:?}");
    }
}

//! Starts that wait until another run no longer has a directory that is to change hands.
//!
//! Only a run that is on its way down is waited for: its kill deadline bounds the wait. Beside a
//! run that goes on the directory keeps its owner (`staging/ownership.rs`).

use engine::RunId;

use crate::{
    control::{
        Context, Purpose,
        runs::starts::{StartStep, Starts, drop_start},
    },
    staging::InUse,
};

/// Directories of all main runs but this one that have come to be.
pub(in crate::control) fn in_use(cx: &Context, run: RunId) -> Vec<InUse> {
    let others = cx.runs().iter().filter(|(other, known)| {
        let main = known.purpose == Purpose::Main && **other != run;
        main && (known.pid.is_some() || known.resolved.is_some() || cx.is_ending(**other))
    });
    let used = others.flat_map(|(other, known)| {
        let service = known.service.map_or("", |id| cx.name(id));
        let ending = cx.is_ending(*other);
        known.directories.iter().map(move |path| InUse {
            path: path.clone(),
            run: *other,
            service: service.to_owned(),
            ending,
        })
    });
    used.collect()
}

impl Starts {
    /// The run goes on in [`Self::end_directory_wait`].
    pub(super) fn wait_for_directories(&mut self, cx: &mut Context, run: RunId, on: RunId) {
        let service = |run| {
            let id = cx.run(run)?.service?;
            Some(cx.name(id).to_owned())
        };
        if let (Some(name), Some(other)) = (service(run), service(on)) {
            let what = format!("waiting for {other}, which has a directory that changes hands");
            tracing::info!(service = name, "{what}");
            cx.publish(&name, api::EventKind::Files, &what, None);
        }
        self.directory_waits.insert(run, on);
    }

    /// Runs that wait for a run which has gone, and runs that nobody wants any more:
    /// [`Self::end_directory_wait`] of each.
    pub(in crate::control) fn ended_directory_waits(&self, cx: &Context) -> Vec<RunId> {
        let waits = self.directory_waits.iter();
        let over = waits.filter(|(run, on)| !cx.is_ending(**on) || !cx.is_wanted(**run));
        over.map(|(run, _)| *run).collect()
    }

    /// Retries the run, or gives it up.
    pub(in crate::control) fn end_directory_wait(
        &mut self,
        cx: &mut Context,
        run: RunId,
    ) -> StartStep {
        self.directory_waits.remove(&run);
        if cx.run(run).is_none() {
            return StartStep::Nothing;
        }
        match cx.service_of(run).cloned() {
            Some(service) if cx.is_wanted(run) => {
                self.outdated.remove(&run);
                self.prepare(cx, run, &service)
            }
            _ => drop_start(cx, run),
        }
    }
}

#[cfg(test)]
mod tests {
    use api::Action;

    use crate::{control::harness::Harness, store::Handled};

    const OWN: &str = "command = ['/bin/one']\n[[directories]]\npath = '/srv/own'\n";
    const BELOW: &str = "command = ['/bin/two']\n[[directories]]\npath = '/srv/own/below'\n";

    /// Both run; one is told to stop, and the other to start again meanwhile.
    fn world() -> (Harness, u64) {
        let mut world = Harness::new(&[("a", OWN), ("b", BELOW)], Handled::default());
        let runs: Vec<_> = world.spawned.iter().map(|(_, run)| *run).collect();
        let [a, b] = runs[..] else {
            panic!("{:?}", world.spawned);
        };
        world.spawned(a);
        world.spawned(b);
        world.act(Action::Stop, "a");
        world.act(Action::Restart, "b");
        world.ended(b);
        (world, a)
    }

    #[test]
    fn a_directory_of_one_that_is_on_its_way_down_is_waited_for() {
        let (mut world, a) = world();
        assert_eq!(world.status("b").state, api::ServiceState::Spawning);
        assert_eq!(world.spawned.len(), 2, "{:?}", world.spawned);
        world.ended(a);
        let last = world.spawned.last().unwrap();
        assert_eq!((world.spawned.len(), last.0.as_str()), (3, "b"));
    }

    #[test]
    fn a_start_that_waits_so_can_be_stopped() {
        let (mut world, a) = world();
        world.act(Action::Stop, "b");
        assert_eq!(world.status("b").state, api::ServiceState::Stopped);
        world.ended(a);
        assert_eq!(world.spawned.len(), 2, "{:?}", world.spawned);
        world.act(Action::Start, "b");
        assert_eq!(world.spawned.last().unwrap().0, "b");
    }
}

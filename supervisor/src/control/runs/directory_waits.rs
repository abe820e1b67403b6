//! Starts that wait until another run no longer has a directory that is to change hands.
//!
//! Only a run that is on its way down is waited for: its kill deadline bounds the wait. Beside one that
//! goes on the directory keeps its owner (`staging/ownership.rs`).

use std::{collections::BTreeMap, path::PathBuf};

use engine::{RunId, ServiceId};

use crate::{
    control::{Control, Purpose},
    staging::InUse,
};

/// Whom each start waits for.
pub(in crate::control) type DirectoryWaits = BTreeMap<RunId, RunId>;

impl Control {
    /// Directories of all main runs but this one that have come to be.
    pub(in crate::control) fn directories_in_use(&self, run: RunId) -> Vec<InUse> {
        let others = self.cx.runs.iter().filter(|(other, known)| {
            let main = known.purpose == Purpose::Main && **other != run;
            main && (known.pid.is_some() || known.resolved.is_some() || self.is_ending(**other))
        });
        let used = others.flat_map(|(other, known)| {
            let service = known.service.map_or("", |id| self.cx.name(id));
            let ending = self.is_ending(*other);
            known.directories.iter().map(move |path| InUse {
                path: path.clone(),
                run: *other,
                service: service.to_owned(),
                ending,
            })
        });
        used.collect()
    }

    /// Directories that a service has by the plan that runs.
    pub(in crate::control) fn directories_of(&self, id: ServiceId) -> Vec<PathBuf> {
        let service = self.cx.service(id);
        let all = service.into_iter().flat_map(|it| &it.directories);
        all.map(|it| it.path.clone()).collect()
    }

    /// It goes on in [`Self::look_at_directory_waits`].
    pub(in crate::control) fn wait_for_directories(&mut self, run: RunId, on: RunId) {
        let service = |run| {
            let id = self.cx.runs.get(&run)?.service?;
            Some(self.cx.name(id).to_owned())
        };
        if let (Some(name), Some(other)) = (service(run), service(on)) {
            let what = format!("waiting for {other}, which has a directory that changes hands");
            tracing::info!(service = name, "{what}");
            self.cx.publish(&name, "files", &what, None);
        }
        self.directory_waits.insert(run, on);
    }

    /// After every input: who waits for what has gone tries again, and who is not wanted any more does
    /// not wait.
    pub(in crate::control) fn look_at_directory_waits(&mut self) {
        let waits = self.directory_waits.iter();
        let over = waits.filter(|(run, on)| {
            let purpose = self.cx.runs.get(run).map(|known| &known.purpose);
            !self.is_ending(**on) || purpose.is_none_or(|it| !self.is_wanted(**run, it))
        });
        for run in over.map(|(run, _)| *run).collect::<Vec<_>>() {
            self.directory_waits.remove(&run);
            let Some(known) = self.cx.runs.get(&run) else {
                continue;
            };
            let service = self.cx.service_of(run).cloned();
            match service {
                Some(service) if self.is_wanted(run, &known.purpose) => {
                    self.outdated.remove(&run);
                    self.prepare(run, &service);
                }
                _ => self.drop_start(run),
            }
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
        assert_eq!(world.status("b").state, "spawning");
        assert_eq!(world.spawned.len(), 2, "{:?}", world.spawned);
        world.ended(a);
        let last = world.spawned.last().unwrap();
        assert_eq!((world.spawned.len(), last.0.as_str()), (3, "b"));
    }

    #[test]
    fn a_start_that_waits_so_can_be_stopped() {
        let (mut world, a) = world();
        world.act(Action::Stop, "b");
        assert_eq!(world.status("b").state, "stopped");
        world.ended(a);
        assert_eq!(world.spawned.len(), 2, "{:?}", world.spawned);
        world.act(Action::Start, "b");
        assert_eq!(world.spawned.last().unwrap().0, "b");
    }
}

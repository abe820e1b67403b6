//! The content of services' status files, and when a job writes them.
//!
//! Compared after every input; a job writes all files when one of them changes. Limit: one write in
//! [`PAUSE_MS`], however often a service crashes. A failed write is retried by time (`on_disk.rs`).
//! The files are written once more before a service starts, since somebody may have removed them,
//! and the new process may read them.

use std::sync::Arc;

use engine::{Moment, ServiceId, Settled, State, View};
use plan::{JobSituation, MaintenanceSituation, Plan, Situation, When};

use crate::{
    control::{
        Context, Task,
        on_disk::{Durability, OnDisk},
        service_state::service_state,
        work::Work,
    },
    status_files::Situations,
};

/// From the end of one write to the next.
const PAUSE_MS: u64 = 500;

/// The content of services' status files, in memory and on the way to the disk.
#[derive(Debug)]
pub(super) struct StatusFiles {
    /// Enabled services that have status files.
    services: Vec<String>,
    /// Whether files of an earlier plan may exist, which have to go.
    may_be_left: bool,
    disk: OnDisk<Situations>,
    /// Whether a job is writing the files.
    writing: bool,
    not_before: Moment,
    /// Whether files may have been removed: then all are written once more, changed or not.
    again: bool,
}

impl StatusFiles {
    /// `may_be_left`: whether status files existed before.
    pub(super) fn new(may_be_left: bool) -> Self {
        let none = Situations::new();
        Self {
            services: Vec::new(),
            may_be_left,
            disk: OnDisk::new(none.clone(), Some(none)),
            writing: false,
            not_before: Moment(0),
            again: false,
        }
    }

    pub(super) fn are_awaited(&self) -> bool {
        self.disk.standing() == Durability::Awaited
    }

    /// Whether the files say that there is this maintenance, or none.
    pub(super) fn standing(&self, maintenance: Option<&MaintenanceSituation>) -> Durability {
        let said = |there: &Situations| {
            (self.services.iter()).all(|name| {
                there
                    .get(name)
                    .is_some_and(|it| it.maintenance.as_ref() == maintenance)
            })
        };
        if self.disk.is_so(said) {
            Durability::Stored
        } else {
            self.disk.standing()
        }
    }

    /// The present trouble with the files, if any.
    pub(super) fn warning(&self) -> Option<String> {
        match self.disk.standing() {
            Durability::Unstored(why) => Some(format!("status files may say what is over: {why}")),
            _ => None,
        }
    }

    pub(super) fn poll_timeout(&self, now: Moment) -> Option<Moment> {
        let wanted = self.again || self.are_awaited();
        let rests = wanted && !self.writing && now < self.not_before;
        let pause = rests.then_some(self.not_before);
        self.disk.poll_timeout().into_iter().chain(pause).min()
    }

    pub(super) fn timeout(&mut self, now: Moment) {
        self.disk.timeout(now);
    }

    /// Writes all files once more, since somebody may have removed them.
    pub(super) fn write_again(&mut self) {
        self.again = !self.services.is_empty();
    }
}

impl StatusFiles {
    /// Takes a new plan, which may change templates and places.
    pub(super) fn follow_plan(&mut self, plan: &Plan) {
        let services = plan.services.values();
        let with_some = services.filter(|it| it.enabled && !it.status_files.is_empty());
        self.services = with_some.map(|it| it.name.clone()).collect();
        let some = !self.services.is_empty();
        if some || self.may_be_left {
            self.disk.doubt();
        }
        self.may_be_left = some;
    }

    /// After every input: works out the content, and has a job write it if a write is due.
    pub(super) fn write(
        &mut self,
        cx: &mut Context,
        work: &Work,
        maintenance: Option<&MaintenanceSituation>,
    ) {
        let services = self.services.iter();
        let wanted: Situations = services
            .filter_map(|name| Some((name.clone(), situation(cx, work, maintenance, name)?)))
            .collect();
        if *self.disk.wanted() != wanted {
            self.disk.change(|it| *it = wanted);
        }
        if self.writing || cx.now.moment < self.not_before {
            return;
        }
        // What has been seen is in doubt no sooner than it is seen anew: whoever waits for it gets
        // an answer.
        if std::mem::take(&mut self.again) {
            self.disk.doubt();
        }
        if let Some(situations) = self.disk.due(cx.now.moment) {
            self.writing = true;
            let plan = Arc::clone(&cx.plan);
            cx.queue_task(Task::WriteStatusFiles { plan, situations });
        }
    }

    pub(super) fn written(&mut self, now: Moment, result: Result<(), String>) {
        if let Err(error) = &result {
            tracing::error!("{error}; tries again");
        }
        self.disk.written(now, result);
        self.writing = false;
        self.not_before = now.after(PAUSE_MS);
    }
}

/// The state of a service, for people who cannot use it.
fn situation(
    cx: &Context,
    work: &Work,
    maintenance: Option<&MaintenanceSituation>,
    name: &str,
) -> Option<Situation> {
    let view = cx.engine.view(cx.names.id(name)?)?;
    Some(Situation {
        state: service_state(&view.state).as_str().to_owned(),
        ready: view.ready,
        held: view.hold.is_some(),
        blocked: is_blocked(cx, &view),
        job: view
            .lease
            .and_then(|lease| job_situation(cx, work, lease.job)),
        maintenance: maintenance.cloned(),
    })
}

fn job_situation(cx: &Context, work: &Work, job: ServiceId) -> Option<JobSituation> {
    let progress = work.progress_of(job);
    let total = progress.and_then(|it| it.total).filter(|total| *total > 0);
    let done = progress.and_then(|it| it.done);
    let percent = done.zip(total).map(|(done, total)| {
        let percent = u128::from(done) * 100 / u128::from(total);
        u8::try_from(percent.min(100)).expect("at most 100")
    });
    let planned = cx.service(job)?;
    let announcement = Some(planned.announcement.clone());
    Some(JobSituation {
        name: planned.name.clone(),
        announcement: announcement.filter(|it| !it.is_empty()),
        percent,
    })
}

/// Whether the requirements that a service waits for have settled without being up.
fn is_blocked(cx: &Context, view: &View) -> bool {
    let State::Waiting { on } = &view.state else {
        return false;
    };
    on.iter()
        .any(|id| cx.engine.settled(*id) != Some(Settled::No))
}

/// Files whose presence tells others of maintenance.
pub(super) fn maintenance_files(plan: &Plan) -> Vec<String> {
    let services = plan.services.values().filter(|it| it.enabled);
    let files = services.flat_map(|it| &it.status_files);
    let flags = files.filter(|it| it.when == When::Maintenance);
    flags.map(|it| it.path.display().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use api::Action;
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;
    use crate::{control::harness::Harness, store::Handled};

    const WITH_FILE: &str = "[[status_files]]\npath = '/run/a/status'\ntemplate = 'status.j2'\n";

    fn world(more: &[(&str, &str)], text: &str) -> Harness {
        let text = format!("command = ['/bin/a']\n{text}{WITH_FILE}");
        let services = [&[("a", text.as_str())], more].concat();
        Harness::new(&services, Handled::default())
    }

    #[test]
    fn each_state_is_written_and_a_write_waits_for_the_one_before() {
        let mut world = world(&[], "");
        // The start is on its way when the first of them are written.
        assert_eq!(world.saying.len(), 1);
        let run = world.spawned[0].1;
        world.spawned(run);
        assert_eq!(world.saying.len(), 1, "one at a time");
        world.said(Ok(()));
        world.pass(PAUSE_MS);
        assert_eq!(world.said(Ok(()))["a"].state, "running");
        world.pass(PAUSE_MS);
        let rests = |world: &Harness| {
            let now = world.control.cx.now.moment;
            world.saying.is_empty() && world.control.status_files.poll_timeout(now).is_none()
        };
        assert!(rests(&world));
        world.act(Action::Stop, "a");
        assert_eq!(world.said(Ok(()))["a"].state, "stopping");
        world.ended(run);
        assert!(world.saying.is_empty());
        world.pass(PAUSE_MS);
        let said = world.said(Ok(()));
        assert_eq!(
            (said["a"].state.as_str(), said["a"].held),
            ("stopped", true)
        );
    }

    /// However often a service ends in a second, what it says is written twice in it.
    #[test]
    fn a_crash_loop_writes_no_faster_than_it_may() {
        let mut world = world(
            &[],
            "[restart]\ndelay = '1ms'\nmax_delay = '1ms'\njitter = 0\n",
        );
        let begin = world.control.cx.now.moment;
        let (mut writes, mut runs) = (0, 0);
        let mut answer = None;
        while world.control.cx.now.moment.since(begin) < 10_000 {
            while runs < world.spawned.len() {
                let run = world.spawned[runs].1;
                runs += 1;
                world.spawned(run);
                world.ended(run);
            }
            while !world.saying.is_empty() {
                writes += 1;
                world.said(Ok(()));
            }
            world.pass(10);
            let passed = world.control.cx.now.moment.since(begin);
            if passed >= 5_000 {
                // And nobody waits longer for that.
                let wanted = Some(api::MaintenanceRequest::default());
                let answer = answer.get_or_insert_with(|| world.set_maintenance(wanted));
                assert!(passed < 6_000 || !matches!(answer.try_recv(), Err(TryRecvError::Empty)));
            }
        }
        assert!(runs > 500, "{runs}");
        assert!((15..=21).contains(&writes), "{writes}");
    }

    /// What waits for something that nobody starts is not on its way.
    #[test]
    fn who_waits_in_vain_is_blocked() {
        let mut world = world(
            &[("db", "command = ['/bin/db']\n[ready]\nnotify = true\n")],
            "requires = ['db']\n",
        );
        let said = world.said(Ok(()));
        assert_eq!(
            (said["a"].state.as_str(), said["a"].blocked),
            ("waiting", false)
        );
        let (_, db) = world.spawned[0].clone();
        world.spawned(db);
        world.act(Action::Stop, "db");
        world.ended(db);
        for _ in 0..4 {
            world.pass(PAUSE_MS);
            while !world.saying.is_empty() {
                let said = world.said(Ok(()));
                if said["a"].blocked && said["a"].state == "waiting" {
                    return;
                }
            }
        }
        panic!("it is never blocked");
    }
}

//! The whole control process on a clock and with a keeper that are ours.

use std::{fs, sync::Arc};

use engine::Moment;
use keeper::message::{Exit, Fact, Hello, Notice, Numbered, Request};
use plan::{Options, RealHost};

use super::Handled;
use crate::control::{
    Control,
    input::{Done, Input, Job, Loaded, Now, Output, Staged},
    lifecycle::Boot,
};
use crate::{
    applied::Swapped,
    prepare::{Prepared, Resolved, Start},
};

fn program() -> Arc<Resolved> {
    Arc::new(Resolved {
        program: "/bin/job".to_owned(),
        ..Resolved::default()
    })
}

const MINUTE: u64 = 60_000;
/// 2026-11-23 00:00 UTC.
const MIDNIGHT: u64 = 1_795_392_000_000;

struct World {
    control: Control,
    now: Now,
    seq: u64,
    /// Runs that were asked for.
    spawned: Vec<u64>,
    stored: Option<Handled>,
    _root: tempfile::TempDir,
}

impl World {
    /// A oneshot `job` that is due every ten minutes.
    fn new(handled: Handled) -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("etc/mattervisor/services.d");
        fs::create_dir_all(&dir).unwrap();
        fs::create_dir(root.path().join("catalog")).unwrap();
        let text = "type = 'oneshot'\ncommand = ['/bin/job']\n[schedule]\ncron = '*/10 * * * *'\n";
        fs::write(dir.join("job.toml"), text).unwrap();
        let options = Options {
            root: root.path().to_owned(),
            catalog: Some(root.path().join("catalog")),
        };
        let plan = plan::load(&RealHost, &options).unwrap();
        let hello = Hello {
            version: keeper::message::VERSION,
            keeper_pid: 1,
            started_ms: 0,
            control_deaths: 0,
            next_run: 1,
            records: std::collections::BTreeMap::new(),
            runs: Vec::new(),
            facts: Vec::new(),
            leftovers: Vec::new(),
            went_back: false,
            remaining: Vec::new(),
        };
        let now = Now {
            moment: Moment(5_000),
            unix_ms: MIDNIGHT + MINUTE,
        };
        let boot = Boot {
            handled,
            ..Boot::default()
        };
        let empty = plan::Plan::empty(plan.paths.clone());
        let mut world = Self {
            control: Control::new(now, &hello, empty, boot),
            now,
            seq: 0,
            spawned: Vec::new(),
            stored: None,
            _root: root,
        };
        world.drain(&plan);
        world
    }

    fn handle(&mut self, input: Input) {
        let plan = plan::Plan::clone(&self.control.plan);
        self.control.handle(self.now, input);
        self.drain(&plan);
    }

    /// Does at once what control wants done. `plan`: what the files say.
    fn drain(&mut self, plan: &plan::Plan) {
        while let Some(output) = self.control.poll_output() {
            let done = match output {
                Output::Keeper(Request::Spawn(spawn)) => {
                    self.spawned.push(spawn.run);
                    continue;
                }
                Output::Job(Job::Load(_)) => Done::Loaded(Ok(Loaded {
                    plan: Box::new(plan.clone()),
                    put_back: Vec::new(),
                    kept: None,
                    rejected: None,
                    mark: None,
                })),
                Output::Job(Job::MissingAccounts { .. }) => {
                    Done::MissingAccounts(crate::accounts::Accounts::default())
                }
                Output::Job(Job::Stage { .. }) => Done::Staged(Staged {
                    resolved: [("job".to_owned(), Ok(program()))].into(),
                    zone: Some(jiff::tz::TimeZone::UTC),
                    ..Staged::default()
                }),
                Output::Job(Job::Prepare(starts)) => {
                    self.prepared(starts);
                    continue;
                }
                Output::Job(Job::Swap(_)) => Done::Swapped(Ok(Swapped::default())),
                Output::Job(Job::StoreSchedule { handled }) => {
                    self.stored = Some(handled);
                    Done::ScheduleStored(Ok(()))
                }
                _ => continue,
            };
            self.control.handle(self.now, Input::Done(Box::new(done)));
        }
    }

    fn prepared(&mut self, starts: Vec<Start>) {
        for Start { run, .. } in starts {
            let outcome = Ok(Prepared {
                resolved: program(),
                made: Vec::new(),
                laid: Ok(()),
            });
            let done = Done::Prepared { run, outcome };
            self.control.handle(self.now, Input::Done(Box::new(done)));
        }
    }

    fn fact(&mut self, fact: Fact) {
        self.seq += 1;
        let seq = self.seq;
        self.handle(Input::Notice(Notice::Fact(Numbered { seq, fact })));
    }

    fn spawned(&mut self, run: u64) {
        let at_ms = self.now.moment.0;
        self.fact(Fact::Spawned { run, pid: 7, at_ms });
    }

    fn ended(&mut self, run: u64) {
        let at_ms = self.now.moment.0;
        let exit = Exit::Code(0);
        let output = String::new();
        self.fact(Fact::Exited {
            run,
            exit,
            at_ms,
            timed_out: false,
            output,
        });
        self.fact(Fact::Swept { run, left: vec![] });
    }

    /// Time passes, with every timeout in it.
    fn pass(&mut self, ms: u64) {
        let end = self.now.moment.after(ms);
        while let Some(due) = self.control.poll_timeout().filter(|due| *due <= end) {
            self.set(due);
            self.handle(Input::Timeout);
        }
        self.set(end);
    }

    fn set(&mut self, moment: Moment) {
        self.now.unix_ms += moment.since(self.now.moment);
        self.now.moment = self.now.moment.max(moment);
    }

    fn job(&self) -> api::ServiceStatus {
        self.control.status(&[]).unwrap().services.remove(0)
    }

    fn told(&self) -> Vec<String> {
        let past = self.control.feed.history("job", 100).into_iter();
        let past = past.filter(|event| event.kind == "schedule");
        past.map(|event| event.detail.clone()).collect()
    }
}

#[test]
fn it_rests_until_its_time_and_runs_again_at_the_next() {
    let mut world = World::new(Handled::default());
    assert!(world.spawned.is_empty());
    let job = world.job();
    assert_eq!((job.state.as_str(), job.ready), ("completed", true));
    assert_eq!(job.next_try_ms, Some(9 * MINUTE));
    world.pass(9 * MINUTE - 1);
    assert!(world.spawned.is_empty());
    world.pass(1);
    let [run] = world.spawned[..] else {
        panic!("{:?}", world.spawned);
    };
    world.spawned(run);
    world.ended(run);
    assert!(world.job().last_exit.is_some());
    assert_eq!(world.job().next_try_ms, Some(10 * MINUTE));
    world.pass(10 * MINUTE);
    assert_eq!(world.spawned.len(), 2);
    let stored = world.stored.clone().unwrap();
    assert_eq!(stored.0["job"], MIDNIGHT + 20 * MINUTE);
}

#[test]
fn a_time_that_comes_while_it_runs_is_skipped_and_told() {
    let mut world = World::new(Handled::default());
    world.pass(9 * MINUTE);
    let run = world.spawned[0];
    world.spawned(run);
    world.pass(10 * MINUTE);
    assert_eq!(world.spawned.len(), 1);
    let told = world.told();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("skipped"), "{told:?}");
    world.ended(run);
    world.pass(MINUTE);
    assert_eq!(
        world.spawned.len(),
        1,
        "what was skipped is not made up for"
    );
    world.pass(9 * MINUTE);
    assert_eq!(world.spawned.len(), 2);
}

#[test]
fn a_clock_that_is_set_forward_is_gone_by_at_once() {
    let mut world = World::new(Handled::default());
    world.now.unix_ms += 12 * MINUTE;
    // The event loop hears of it from the kernel.
    world.handle(Input::Timeout);
    world.pass(0);
    assert_eq!(
        world.spawned.len(),
        1,
        "twelve minutes are no reason to skip one"
    );
    assert_eq!(world.job().state, "spawning");
}

#[test]
fn nothing_runs_while_everything_stops() {
    let mut world = World::new(Handled::default());
    world.fact(Fact::Signalled { signal: 15 });
    world.pass(30 * MINUTE);
    assert!(world.spawned.is_empty());
}

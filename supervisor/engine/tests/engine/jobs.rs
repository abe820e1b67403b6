//! Jobs run when a request asks for their work, and may have services stopped: a leased service
//! never runs, and a lease never outlives its job.

use engine::*;

use crate::common::*;

const DATABASE: u32 = 0;
const SERVER: u32 = 1;
const PROXY: u32 = 2;
const JOB: u32 = 3;
const OTHER: u32 = 4;

/// A database, a server that requires it, a proxy, and two jobs.
fn rig() -> Rig {
    Rig::up(&[daemon(), requiring(&[DATABASE]), daemon(), job(), job()])
}

/// Like `rig`, with the first job running.
fn working() -> Rig {
    let mut rig = rig();
    rig.ask_job(JOB).expect("the job takes it");
    rig.spawned(JOB);
    rig
}

fn names(rig: &Rig) -> [&'static str; 3] {
    [DATABASE, SERVER, PROXY].map(|n| rig.name(n))
}

/// Lets everything except the jobs act.
fn settle(rig: &mut Rig) {
    loop {
        let others = rig.procs.iter().find_map(|(run, it)| {
            let run = *run;
            if it.service.0 >= JOB {
                return None;
            }
            match it.phase {
                Phase::Forking => Some(Fact::Spawned { run }),
                Phase::Alive if it.asked => Some(Fact::Exited {
                    run,
                    exit: Exit::Code(0),
                }),
                Phase::Alive => None,
                Phase::Dead => Some(Fact::Swept { run, left: 0 }),
            }
        });
        match others {
            Some(fact) => rig.fact(fact),
            None => return,
        }
    }
}

#[test]
fn nothing_but_a_request_starts_a_job() {
    let mut rig = rig();
    assert_eq!(rig.name(JOB), "completed");
    rig.command(Command::Start(set(&[DATABASE, JOB]))).unwrap();
    rig.command(Command::Once(set(&[JOB]))).unwrap();
    let target = set(&[JOB]);
    let is_job = Err(Refusal::IsJob(id(JOB)));
    assert_eq!(rig.command(Command::Restart(target.clone())), is_job);
    assert_eq!(rig.command(Command::Run(target)), is_job);
    let specs: Vec<Spec> = rig.specs.values().cloned().collect();
    rig.apply(&specs, ProcessImpact::Restart).unwrap();
    settle(&mut rig);
    assert_eq!(rig.name(JOB), "completed");
    assert!(rig.engine.active_job().is_none());
    rig.ask_job(JOB).unwrap();
    assert_eq!(rig.name(JOB), "spawning");
    let request = rig.engine.view(id(JOB)).unwrap().request;
    assert_eq!(request.as_deref(), Some("request of 3"));
    let not = Err(Refusal::NotJob(id(PROXY)));
    assert_eq!(rig.ask_job(PROXY), not);
}

#[test]
fn one_job_at_a_time_and_the_next_one_after_it() {
    let mut rig = working();
    let runs = Err(Refusal::JobRuns(id(JOB)));
    assert_eq!(rig.ask_job(OTHER), runs);
    assert_eq!(rig.ask_job(JOB), runs);
    rig.exit(JOB, Exit::Code(0));
    assert_eq!(rig.name(JOB), "completed");
    rig.ask_job(OTHER).unwrap();
}

#[test]
fn a_failure_that_leaves_nothing_open_is_the_end_and_any_other_is_tried_again() {
    let mut rig = working();
    rig.exit(JOB, Exit::Code(1));
    let reason = Failure::Exited(Exit::Code(1));
    assert_eq!(rig.state(JOB), State::Failed { reason });
    for exit in [Exit::Code(75), Exit::Signal(9)] {
        rig.ask_job(JOB).unwrap();
        for _ in 0..2 {
            rig.spawned(JOB);
            rig.exit(JOB, exit);
            rig.pass(100);
            assert_eq!(rig.name(JOB), "spawning", "{exit:?}");
        }
        rig.spawned(JOB);
        rig.exit(JOB, exit);
        let reason = Failure::StartLimit;
        assert_eq!(rig.state(JOB), State::Failed { reason }, "given up");
    }
}

/// A reconfiguration that changes the job's file, and a start of all services, leave a failed job
/// failed.
#[test]
fn a_job_that_has_failed_is_not_tried_again_by_a_plan_or_a_start() {
    let mut rig = working();
    rig.exit(JOB, Exit::Code(1));
    let specs: Vec<Spec> = rig.specs.values().cloned().collect();
    rig.apply(&specs, ProcessImpact::Restart).unwrap();
    rig.start(JOB);
    assert_eq!(rig.name(JOB), "failed");
}

/// A job does not wait for ever for a requirement: it ends and names the requirement. A requirement
/// between two attempts is waited for.
#[test]
fn a_job_whose_requirement_is_down_for_good_ends_as_failed() {
    let mut specs = [daemon(), requiring(&[DATABASE]), daemon(), job(), job()];
    specs[DATABASE as usize].restart.limit = Some(StartLimit {
        starts: 2,
        within_ms: 60_000,
    });
    specs[JOB as usize].requires = set(&[SERVER]);
    let mut rig = Rig::up(&specs);
    rig.exit(SERVER, Exit::Code(3));
    rig.exit(DATABASE, Exit::Code(3));
    rig.ask_job(JOB).unwrap();
    rig.exit(SERVER, Exit::Code(3));
    rig.exit(DATABASE, Exit::Code(3));
    assert_eq!(rig.name(DATABASE), "backoff");
    assert_eq!(rig.name(JOB), "waiting", "it is tried again");
    rig.pass(100);
    assert_eq!(rig.name(SERVER), "waiting");
    assert_eq!(rig.name(JOB), "waiting");
    rig.exit(DATABASE, Exit::Code(3));
    let reason = Failure::StartLimit;
    assert_eq!(rig.state(DATABASE), State::Failed { reason });
    let reason = Failure::Requirement(id(SERVER));
    let given_up = State::Failed { reason };
    assert_eq!(rig.state(JOB), given_up);
    assert!(rig.engine.active_job().is_none());
    // The next request fails alike until somebody repairs the requirement.
    rig.ask_job(JOB).unwrap();
    assert_eq!(rig.state(JOB), given_up);
    rig.start(DATABASE);
    rig.spawned(DATABASE);
    rig.spawned(SERVER);
    rig.ask_job(JOB).unwrap();
    assert_eq!(rig.name(JOB), "spawning");
}

#[test]
fn what_is_leased_stops_with_what_requires_it_and_comes_back_when_it_is_given_back() {
    let mut rig = working();
    let accepted = rig.lease(JOB, &[DATABASE]).unwrap();
    assert_eq!(accepted.affected, set(&[DATABASE]));
    assert_eq!(accepted.dependents, set(&[SERVER]));
    settle(&mut rig);
    assert_eq!(names(&rig), ["stopped", "waiting", "running"]);
    assert_eq!(rig.settled(DATABASE), Settled::Held);
    let again = rig.lease(JOB, &[DATABASE, PROXY]).unwrap();
    assert_eq!(again.affected, set(&[PROXY]), "the rest it has already");
    settle(&mut rig);
    assert_eq!(rig.engine.leases_of(id(JOB)), set(&[DATABASE, PROXY]));
    let back = rig.release(JOB).unwrap();
    assert_eq!(back.affected, set(&[DATABASE, PROXY]));
    settle(&mut rig);
    assert_eq!(names(&rig), ["running"; 3]);
    assert_eq!(rig.release(JOB).unwrap().affected, set(&[]));
}

#[test]
fn a_lease_ends_with_its_job_however_that_ends() {
    let ends: [fn(&mut Rig); 5] = [
        |rig| rig.exit(JOB, Exit::Code(0)),
        |rig| rig.exit(JOB, Exit::Code(1)),
        |rig| {
            for _ in 0..3 {
                rig.exit(JOB, Exit::Signal(9));
                let leased = rig.engine.has_leases();
                assert_eq!(leased, rig.name(JOB) != "failed");
                rig.pass(100);
                if leased {
                    rig.spawned(JOB);
                }
            }
        },
        |rig| {
            rig.stop(JOB);
            assert!(rig.engine.has_leases(), "it still runs");
            rig.exit(JOB, Exit::Signal(15));
        },
        |rig| {
            let mut specs: Vec<Spec> = rig.specs.values().cloned().collect();
            specs.truncate(3);
            rig.apply(&specs, ProcessImpact::Keep).unwrap();
            rig.exit(JOB, Exit::Signal(15));
        },
    ];
    for (n, end) in ends.iter().enumerate() {
        let mut rig = working();
        rig.lease(JOB, &[DATABASE]).unwrap();
        settle(&mut rig);
        assert_eq!(names(&rig), ["stopped", "waiting", "running"]);
        end(&mut rig);
        settle(&mut rig);
        assert!(!rig.engine.has_leases(), "end {n}");
        assert_eq!(names(&rig), ["running"; 3], "end {n}");
    }
}

/// Leftovers of SIGKILL may still work on the leased services.
#[test]
fn a_lease_lasts_as_long_as_anything_of_its_job_is_left() {
    let mut rig = working();
    rig.lease(JOB, &[PROXY]).unwrap();
    settle(&mut rig);
    let run = rig.run(JOB);
    rig.stop(JOB);
    let exit = Exit::Signal(9);
    rig.fact(Fact::Exited { run, exit });
    rig.fact(Fact::Swept { run, left: 1 });
    assert_eq!((rig.name(JOB), rig.name(PROXY)), ("failed", "stopped"));
    assert_eq!(rig.ask_job(OTHER), Err(Refusal::JobRuns(id(JOB))));
    rig.fact(Fact::Swept { run, left: 0 });
    assert_eq!((rig.name(JOB), rig.name(PROXY)), ("stopped", "spawning"));
}

#[test]
fn no_start_reaches_what_is_leased_and_a_stop_holds_it_besides() {
    let mut rig = working();
    rig.lease(JOB, &[DATABASE]).unwrap();
    settle(&mut rig);
    let lease = rig.engine.view(id(DATABASE)).unwrap().lease.unwrap();
    for service in [DATABASE, SERVER] {
        let target = set(&[service]);
        let refused = Err(Refusal::Leased {
            service: id(service),
            requirement: id(DATABASE),
            lease,
        });
        assert_eq!(rig.command(Command::Start(target.clone())), refused);
        assert_eq!(rig.command(Command::Once(target.clone())), refused);
        assert_eq!(rig.command(Command::Restart(target)), refused);
    }
    rig.stop(DATABASE);
    rig.exit(JOB, Exit::Code(0));
    settle(&mut rig);
    let view = rig.engine.view(id(DATABASE)).unwrap();
    assert_eq!((view.lease, view.hold), (None, Some(hold())));
    assert_eq!(names(&rig), ["stopped", "waiting", "running"]);
}

#[test]
fn only_a_job_that_runs_leases_and_never_what_it_stands_on() {
    let mut rig = rig();
    assert_eq!(rig.lease(JOB, &[PROXY]), Err(Refusal::NoJob(id(JOB))));
    assert_eq!(rig.lease(PROXY, &[JOB]), Err(Refusal::NotJob(id(PROXY))));
    let mut specs: Vec<Spec> = rig.specs.values().cloned().collect();
    specs[JOB as usize].requires = set(&[SERVER]);
    rig.apply(&specs, ProcessImpact::Keep).unwrap();
    rig.ask_job(JOB).unwrap();
    rig.spawned(JOB);
    for service in [DATABASE, SERVER, JOB] {
        let itself = Refusal::LeasesItself {
            job: id(JOB),
            service: id(service),
        };
        assert_eq!(rig.lease(JOB, &[PROXY, service]), Err(itself));
    }
    assert_eq!(rig.lease(JOB, &[77]), Err(Refusal::Unknown(id(77))));
    rig.stop(JOB);
    assert_eq!(rig.lease(JOB, &[PROXY]), Err(Refusal::NoJob(id(JOB))));
}

/// A service stopped by hand stays stopped, and the next request lifts a stop of the job itself.
#[test]
fn holds_go_their_own_way() {
    let mut rig = working();
    rig.stop(PROXY);
    rig.lease(JOB, &[PROXY]).unwrap();
    settle(&mut rig);
    rig.stop(JOB);
    rig.exit(JOB, Exit::Signal(15));
    settle(&mut rig);
    assert_eq!((rig.name(JOB), rig.name(PROXY)), ("stopped", "stopped"));
    assert_eq!(rig.ask_job(JOB).unwrap().lifted, [(id(JOB), hold())]);
    assert_eq!(rig.name(JOB), "spawning");
}

#[test]
fn a_new_control_process_knows_who_has_what_and_ends_what_was_to_end() {
    let mut rig = working();
    rig.lease(JOB, &[DATABASE]).unwrap();
    settle(&mut rig);
    let specs: Vec<Spec> = rig.specs.values().cloned().collect();
    let mut next = rig.reborn();
    next.apply(&specs, ProcessImpact::Keep).unwrap();
    settle(&mut next);
    assert_eq!(names(&next), ["stopped", "waiting", "running"]);
    next.exit(JOB, Exit::Code(0));
    settle(&mut next);
    assert_eq!(names(&next), ["running"; 3]);
    // The control process died after it had stored the job's end and before it ended the lease.
    rig.exit(JOB, Exit::Code(0));
    let over = rig.engine.record(id(JOB)).unwrap();
    let mut next = working();
    next.lease(JOB, &[DATABASE]).unwrap();
    settle(&mut next);
    let mut last = next.reborn();
    last.engine.restore(id(JOB), over);
    last.procs.retain(|_, it| it.service != id(JOB));
    last.apply(&specs, ProcessImpact::Keep).unwrap();
    settle(&mut last);
    assert_eq!(names(&last), ["running"; 3]);
}

#[test]
fn an_ordered_shutdown_ends_job_and_lease() {
    let mut rig = working();
    rig.lease(JOB, &[DATABASE]).unwrap();
    settle(&mut rig);
    let shutdown = Command::Shutdown { deadline_ms: 500 };
    rig.command(shutdown).unwrap();
    rig.calm(Mood::Obedient);
    assert_eq!(rig.complete, Some(true));
    assert!(!rig.engine.has_leases());
}

//! When an operation has ended for one service, and with which verdict.

use engine::{Detail, StopCause, StopPhase, StopTarget};

use super::*;

const SERVICE_RUN: RunId = RunId(7);

/// A ready service that no operation has touched.
fn ready() -> Seen {
    Seen {
        view: Some(View {
            goal: Goal::Up,
            hold: None,
            state: State::Completed,
            ready: true,
            healthy: None,
            lease: None,
            request: None,
            since: Moment(0),
            up_since: None,
            once: false,
            unrun: false,
            validating: false,
            restarts: 0,
            last_exit: None,
            detail: Detail::NONE,
            unhealthy: None,
            last_reload: None,
        }),
        run: Some(SERVICE_RUN),
        settled: Some(Settled::Ready),
        listening: Progress::Done,
    }
}

fn down(state: State, goal: Goal) -> Seen {
    let seen = ready();
    Seen {
        view: seen.view.map(|view| View {
            state,
            goal,
            ..view
        }),
        run: None,
        settled: Some(Settled::Held),
        ..seen
    }
}

fn of(kind: Kind, target: &Target, seen: &Seen) -> Option<Verdict> {
    judgement(kind, target, seen).map(|it| it.verdict)
}

#[test]
fn a_restart_ends_only_with_another_run() {
    let before = Target {
        run_before: Some(SERVICE_RUN),
        ..Target::default()
    };
    assert_eq!(of(Kind::Restart, &before, &ready()), None);
    assert_eq!(of(Kind::Start, &before, &ready()), Some(Verdict::Done));
    let other = Target {
        run_before: Some(RunId(1)),
        ..Target::default()
    };
    assert_eq!(of(Kind::Restart, &other, &ready()), Some(Verdict::Done));
    let unsettled = Seen {
        settled: Some(Settled::No),
        ..ready()
    };
    assert_eq!(of(Kind::Restart, &other, &unsettled), None);
}

#[test]
fn a_ready_service_that_does_not_listen_where_it_is_to_has_failed() {
    let target = Target::default();
    let on_its_way = Seen {
        listening: Progress::Awaited,
        ..ready()
    };
    assert_eq!(of(Kind::Reconfigure, &target, &on_its_way), None);
    let elsewhere = Seen {
        listening: Progress::Failed,
        ..ready()
    };
    let failed = Some(Verdict::Failed);
    assert_eq!(of(Kind::Reconfigure, &target, &elsewhere), failed);
}

#[test]
fn a_stop_that_needed_sigkill_has_succeeded_and_says_so() {
    let target = Target {
        run_before: Some(SERVICE_RUN),
        ..Target::default()
    };
    let mut seen = down(State::Stopped, Goal::Down);
    let by_kill = Exit::Signal(Signal::SIGKILL as i32);
    seen.view.as_mut().unwrap().last_exit = Some((by_kill, Moment(1)));
    let killed = judgement(Kind::Stop, &target, &seen).unwrap();
    assert_eq!((killed.verdict, killed.killed), (Verdict::Done, true));
    // The service was down before, so that run did not end by this stop.
    let again = judgement(Kind::Stop, &Target::default(), &seen).unwrap();
    assert!(!again.killed);
}

#[test]
fn a_stop_waits_for_all_processes_and_fails_if_some_would_not_go() {
    let target = Target::default();
    let stopping = State::Stopping {
        run: SERVICE_RUN,
        target: StopTarget::Main,
        phase: StopPhase::Sweep {
            exit: Exit::Code(0),
            killed: None,
        },
        cause: StopCause::Exited,
        then_start: false,
    };
    assert_eq!(
        of(Kind::Stop, &target, &down(stopping.clone(), Goal::Down)),
        None
    );
    // A client has started the service again meanwhile.
    let started = of(Kind::Stop, &target, &down(stopping.clone(), Goal::Up));
    assert_eq!(started, Some(Verdict::Failed));
    // The job that leased the service is over.
    let lease = of(Kind::Lease, &target, &down(stopping, Goal::Up));
    assert_eq!(lease, Some(Verdict::Failed));
    let leftovers = State::Failed {
        reason: Failure::Leftovers {
            count: 2,
            look_at: None,
        },
    };
    let left = of(Kind::Stop, &target, &down(leftovers, Goal::Down));
    assert_eq!(left, Some(Verdict::Failed));
}

#[test]
fn what_has_left_the_plan_or_needed_nothing_is_done() {
    let gone = Seen {
        view: None,
        ..ready()
    };
    let done = Some(Verdict::Done);
    assert_eq!(of(Kind::Reconfigure, &Target::default(), &gone), done);
    let needless = Target {
        already: true,
        ..Target::default()
    };
    let already = Some(Verdict::Already);
    assert_eq!(of(Kind::Start, &needless, &ready()), already);
    assert_eq!(of(Kind::Signal(1), &Target::default(), &ready()), done);
}

#[test]
fn a_job_says_itself_whether_it_has_done_its_work() {
    let mut result = result("backup", Verdict::Done, None);
    let said = JobResult {
        ok: false,
        message: "the disk is full".to_owned(),
        ..JobResult::default()
    };
    tell_result(&mut result, &said);
    assert_eq!(result.verdict, Verdict::Failed);
    assert_eq!(result.detail, "the disk is full");
    // The reason of its failure is the same message, which is said once.
    tell_result(&mut result, &said);
    assert_eq!(result.detail, "the disk is full");
}

//! Invariants of every state of the search: a stale fact changes nothing, a refusal stays visible,
//! and the service reaches its goal.

use engine::*;

use super::{DEP, SHUTDOWN_MS_MAX, SUT, moves::asked, table::label};
use crate::common::*;

/// Facts about a run that is over change nothing.
pub(crate) fn check_stale(rig: &Rig) {
    let run = RunId(999_999);
    for run in [run, RunId(1)] {
        if rig.procs.contains_key(&run) || rig.engine.service_of(run).is_some() {
            continue;
        }
        let mut engine = rig.engine.clone();
        for fact in facts_about(run).into_iter().chain(notifications_of(run)) {
            engine.handle(rig.now, Event::Fact(fact)).expect("a fact");
            assert_eq!(engine.poll_effect(), None);
        }
        assert_eq!(engine.record(id(SUT)), rig.engine.record(id(SUT)));
    }
}

fn facts_about(run: RunId) -> [Fact; 8] {
    [
        Fact::Validated {
            run,
            verdict: Ok(()),
        },
        Fact::Spawned { run },
        Fact::SpawnFailed {
            run,
            transient: true,
            reason: Detail::NONE,
        },
        Fact::SpawnRefused { run, left: 1 },
        Fact::Probed {
            run,
            probe: ProbeKind::Liveness,
            ok: false,
            detail: String::new(),
        },
        Fact::Reloaded {
            run,
            outcome: refused(),
        },
        Fact::Exited {
            run,
            exit: Exit::Code(1),
        },
        Fact::Swept { run, left: 1 },
    ]
}

fn notifications_of(run: RunId) -> [Fact; 8] {
    [
        Notification::ReadyClosed,
        Notification::Ready,
        Notification::ReadySignal,
        Notification::Reloading,
        Notification::Alive,
        Notification::WatchdogTimeout { ms: 1 },
        Notification::WatchdogTrigger,
        Notification::ExtendTimeout { ms: 1 },
    ]
    .map(|what| Fact::Notified { run, what })
}

/// A refusal stays visible until the next reload, start or stop.
pub(crate) fn check_refusal_stays(before: &Rig, after: &Rig, effects: &str) {
    let shown = |rig: &Rig| rig.engine.view(id(SUT)).and_then(|view| view.last_reload);
    let (was, is) = (shown(before), shown(after));
    if !was.as_ref().is_some_and(ReloadOutcome::is_failure) || was == is {
        return;
    }
    let main = |rig: &Rig| rig.engine.main_run(id(SUT));
    let ended = !matches!(label(after), 5 | 6) || main(before) != main(after);
    let begun = label(after) == 6 || effects.contains("reload");
    // A new run or a new reload may hide the refusal, because it concerns neither.
    assert!(ended || begun, "{was:?} has become {is:?}: {effects}");
}

/// An unsettled service can make progress: a process owes a fact, or a deadline is set.
pub(crate) fn check_progress(rig: &Rig) {
    let owed = !rig.procs.is_empty() || rig.engine.poll_timeout().is_some();
    assert!(
        rig.settled(SUT) != Settled::No || owed,
        "nothing will ever happen: {:?}",
        rig.state(1)
    );
}

/// A fair world of this mood reaches `done`.
pub(crate) fn reaches(rig: &Rig, mood: Mood, goal: &str, done: impl Fn(&Rig) -> bool) {
    let mut rig = rig.clone();
    for _ in 0..300 {
        if done(&rig) {
            return;
        }
        match rig.next_fact(mood) {
            Some(fact) => rig.fact(fact),
            None if rig.next_deadline() => {}
            None => break,
        }
    }
    panic!(
        "a {mood:?} world never gets from here to {goal}: {:#?}",
        (rig.engine.view(id(SUT)), &rig.procs)
    );
}

/// Makes the service run: by a start, and for a job also by a request.
pub(crate) fn wake(rig: &mut Rig) {
    rig.start(SUT);
    if rig.specs[&id(SUT)].job {
        // The job may be active already, so a refusal is fine.
        let _ = rig.command(asked());
    }
}

/// Whether a start is under way or done.
pub(crate) const fn is_on_its_way_or_up(state: &State) -> bool {
    matches!(
        state,
        State::Validating { .. }
            | State::Spawning { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reloading { .. }
    )
}

pub(crate) fn check_liveness(rig: &Rig) {
    let oneshot = rig.specs[&id(SUT)].kind == Kind::Oneshot;
    for mood in MOODS {
        let mut up = rig.clone();
        // A running start is not begun again, so it may still exceed the start limit.
        let last_try = is_on_its_way_or_up(&rig.state(SUT));
        // An active job comes to its end first, which may be a failure.
        let may_fail = !up.engine.is_over(id(SUT)) && rig.specs[&id(SUT)].job;
        wake(&mut up);
        let kind = |rig: &Rig| rig.settled(SUT);
        match mood {
            Mood::Obedient | Mood::Stubborn => reaches(&up, mood, "ready", |rig| {
                let limit = State::Failed {
                    reason: Failure::StartLimit,
                };
                matches!(kind(rig), Settled::Ready | Settled::Completed)
                    || (last_try && rig.state(SUT) == limit)
                    || (may_fail && kind(rig) == Settled::Failed)
            }),
            Mood::NeverReady if oneshot => {}
            Mood::DiesAtOnce | Mood::NeverReady | Mood::Immortal => {
                reaches(&up, mood, "rest", |rig| kind(rig) != Settled::No);
            }
        }
        let mut down = rig.clone();
        down.stop(SUT);
        reaches(&down, mood, "stopped", |rig| [0, 12].contains(&label(rig)));
    }
    let mut shut = rig.clone();
    shut.command(Command::Shutdown { deadline_ms: 30 })
        .expect("it is the first");
    reaches(&shut, Mood::Stubborn, "the end", |rig| {
        rig.complete.is_some() && rig.procs.is_empty()
    });
    let begin = shut.now;
    reaches(&shut, Mood::Immortal, "an end within its bound", |rig| {
        rig.complete.is_some() && rig.now.since(begin) <= SHUTDOWN_MS_MAX
    });
    for mood in [Mood::Obedient, Mood::NeverReady] {
        reaches(rig, mood, "the end of a reload", |rig| label(rig) != 6);
    }
    // Leases end at last, and then the leased service is up again.
    for mood in [Mood::Obedient, Mood::Stubborn, Mood::DiesAtOnce] {
        reaches(rig, mood, "the end of its leases", |rig| {
            !rig.engine.has_leases()
        });
    }
    let dep_wanted = rig
        .engine
        .view(id(DEP))
        .is_some_and(|it| it.goal == Goal::Up);
    let dep_failed = rig.name(DEP) == "failed";
    if rig.engine.has_leases() && dep_wanted && !dep_failed {
        reaches(rig, Mood::Obedient, "its neighbour's return", |rig| {
            rig.name(DEP) == "running"
        });
    }
    // Leftovers end at last; then the service is as its goal says.
    reaches(rig, Mood::Obedient, "no leftovers", |rig| label(rig) != 12);
    if rig
        .engine
        .view(id(SUT))
        .is_some_and(|view| view.goal == Goal::Up)
        && !oneshot
    {
        reaches(rig, Mood::Obedient, "rest by itself", |rig| {
            rig.settled(SUT) != Settled::No
        });
    }
}

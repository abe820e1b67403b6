//! The consequences of an end: policies, start limits and pauses.

use std::collections::BTreeSet;

use engine::*;

use crate::common::*;

/// peers' behaviours 29 and 30
#[test]
fn start_limit_ends_in_failed_and_a_start_by_hand_resets_it() {
    let limit = Some(StartLimit {
        starts: 2,
        within_ms: 10_000,
    });
    let mut rig = Rig::with(&[Spec {
        restart: Restart {
            limit,
            ..daemon().restart
        },
        ..daemon()
    }]);
    for _ in 0..4 {
        rig.calm(Mood::DiesAtOnce);
        rig.pass(100);
    }
    assert_eq!(
        rig.state(0),
        State::Failed {
            reason: Failure::StartLimit
        }
    );
    assert_eq!(rig.engine.view(id(0)).unwrap().restarts, 2);
    rig.start(0);
    assert_eq!(rig.name(0), "spawning");
    assert_eq!(rig.engine.view(id(0)).unwrap().restarts, 0);
    rig.spawned(0);
    rig.exit(0, Exit::Code(1));
    assert_eq!(rig.name(0), "spawning", "its first early death again");
}

/// peers' behaviour 30
#[test]
fn start_limit_is_not_used_up_by_restarts_over_a_long_time() {
    let limit = Some(StartLimit {
        starts: 2,
        within_ms: 5000,
    });
    let mut rig = Rig::with(&[Spec {
        restart: Restart {
            limit,
            ..daemon().restart
        },
        ..daemon()
    }]);
    for _ in 0..20 {
        rig.calm(Mood::Obedient);
        rig.pass(3000);
        rig.exit(0, Exit::Code(0));
        assert_eq!(rig.name(0), "spawning");
    }
}

/// peers' behaviour 31
#[test]
fn on_failure_restarts_failures_and_not_successes() {
    let success = ExitSet {
        codes: [7].into(),
        signals: [10].into(),
    };
    let restart = Restart {
        policy: Policy::OnFailure,
        success,
        ..daemon().restart
    };
    let spec = Spec {
        restart,
        ..daemon()
    };
    let after = |exit| {
        let mut rig = Rig::up(std::slice::from_ref(&spec));
        rig.exit(0, exit);
        rig.name(0)
    };
    assert_eq!(
        [after(Exit::Code(1)), after(Exit::Signal(9))],
        ["spawning"; 2]
    );
    assert_eq!(
        [
            after(Exit::Code(0)),
            after(Exit::Code(7)),
            after(Exit::Signal(10))
        ],
        ["completed"; 3]
    );
}

/// peers' behaviour 32
#[test]
fn success_exit_codes_of_a_oneshot_satisfy_dependents() {
    let success = ExitSet {
        codes: [7].into(),
        signals: BTreeSet::new(),
    };
    let spec = Spec {
        restart: Restart {
            success,
            ..oneshot().restart
        },
        ..oneshot()
    };
    let mut rig = Rig::with(&[spec, requiring(&[0])]);
    rig.spawned(0);
    assert_eq!([rig.name(0), rig.name(1)], ["starting", "waiting"]);
    rig.exit(0, Exit::Code(7));
    assert_eq!([rig.name(0), rig.name(1)], ["completed", "spawning"]);
    assert_eq!(rig.settled(0), Settled::Completed);
}

/// peers' behaviour 33
#[test]
fn backoff_starts_with_the_second_early_death_grows_and_is_reset_by_good_uptime() {
    let mut rig = Rig::up(&[daemon()]);
    let mut pauses = Vec::new();
    for _ in 0..6 {
        rig.exit(0, Exit::Code(1));
        let pause = backoff_pause(&rig).unwrap_or(0);
        pauses.push(pause);
        rig.pass(pause);
        rig.calm(Mood::Obedient);
    }
    assert_eq!(pauses, [0, 10, 20, 40, 40, 40]);
    rig.pass(1000);
    assert_eq!(rig.engine.poll_timeout(), None, "idle means no wake-up");
    for expected in [None, None, Some(10)] {
        rig.exit(0, Exit::Code(1));
        assert_eq!(backoff_pause(&rig), expected);
        rig.calm(Mood::Obedient);
    }
}

#[test]
fn backoff_is_not_needed_when_the_uptime_was_good_though_no_timeout_was_told() {
    let mut rig = Rig::up(&[daemon()]);
    rig.exit(0, Exit::Code(1));
    rig.calm(Mood::Obedient);
    rig.now = rig.now.after(1000);
    rig.exit(0, Exit::Code(1));
    assert_eq!(rig.name(0), "spawning");
}

/// peers' behaviour 34
#[test]
fn start_by_hand_during_backoff_starts_now_and_resets_the_counts() {
    let mut rig = Rig::with(&[daemon()]);
    rig.calm(Mood::DiesAtOnce);
    rig.start(0);
    assert_eq!(rig.name(0), "spawning");
    assert_eq!(rig.engine.view(id(0)).unwrap().restarts, 0);
    rig.spawned(0);
    rig.exit(0, Exit::Code(1));
    assert_eq!(rig.name(0), "spawning", "its first early death again");
}

#[test]
fn oneshot_failure_follows_its_policy() {
    let mut rig = Rig::with(&[oneshot()]);
    rig.spawned(0);
    rig.exit(0, Exit::Code(1));
    rig.spawned(0);
    rig.exit(0, Exit::Code(1));
    assert_eq!(backoff_pause(&rig), Some(10));
    rig.pass(10);
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "completed");
    rig.start(0);
    assert_eq!(rig.name(0), "completed", "it has run");
    rig.restart(0);
    assert_eq!(rig.name(0), "spawning");
}

//! Alerts about a service, on a test clock.

use engine::Moment;
use plan::NotifyOn::{Failed, Recovered, Restarted, Unhealthy};

use crate::control::alerts::trouble::{
    Condition, FLAPPING_MS, FLAPPING_RESTARTS, QUIET_MS, Tell, Trouble,
};

const FIRST: u64 = 1_000_000;

/// A trouble with its clock. When time passes, every due timeout is carried out.
struct Clock {
    trouble: Trouble,
    now: u64,
    told: Vec<(u64, Tell)>,
}

impl Clock {
    fn new() -> Self {
        Self {
            trouble: Trouble::default(),
            now: FIRST,
            told: Vec::new(),
        }
    }

    fn note(&mut self, tells: Vec<Tell>) {
        let at = self.now - FIRST;
        self.told.extend(tells.into_iter().map(|tell| (at, tell)));
    }

    fn look(&mut self, look: Condition) -> &mut Self {
        let tells = self.trouble.look(Moment(self.now), &look);
        self.note(tells);
        self
    }

    fn pass(&mut self, ms: u64) -> &mut Self {
        let end = self.now + ms;
        let mut turns = 0;
        while let Some(due) = self.trouble.due().filter(|due| due.0 <= end) {
            self.now = self.now.max(due.0);
            let tells = self.trouble.timeout(Moment(self.now));
            self.note(tells);
            turns += 1;
            assert!(turns < 1000, "it wakes up for nothing");
        }
        self.now = end;
        self
    }

    fn told(&mut self) -> Vec<(u64, Tell)> {
        std::mem::take(&mut self.told)
    }
}

fn up(restarts: u32) -> Condition {
    Condition {
        well: true,
        restarts,
        ..Condition::default()
    }
}

fn starting(restarts: u32) -> Condition {
    Condition {
        restarts,
        ..Condition::default()
    }
}

const FAILED: Condition = Condition {
    failed: true,
    each_run: false,
    unhealthy: false,
    crashing: false,
    well: false,
    down: false,
    restarts: 0,
};

#[test]
fn a_service_without_trouble_is_not_told_of_and_wakes_nobody() {
    let mut clock = Clock::new();
    clock.look(starting(0)).look(up(0)).pass(1 << 40);
    assert_eq!(clock.told(), []);
    assert!(clock.trouble.is_over() && clock.trouble.due().is_none());
}

#[test]
fn what_has_failed_and_is_well_again_is_told_once_each() {
    let mut clock = Clock::new();
    clock.look(FAILED).look(FAILED).pass(10).look(FAILED);
    assert_eq!(clock.told(), [(0, Tell::Cause(Failed, 1))]);
    clock
        .look(starting(0))
        .look(up(0))
        .pass(5)
        .look(up(0))
        .pass(QUIET_MS * 3);
    assert_eq!(clock.told(), [(10, Tell::Cause(Recovered, 1))]);
    assert!(clock.look(up(0)).trouble.is_over());
}

#[test]
fn one_restart_is_told_at_once_and_needs_no_recovery() {
    let mut clock = Clock::new();
    clock.look(starting(1)).look(up(1)).pass(QUIET_MS * 3);
    assert_eq!(clock.told(), [(0, Tell::Cause(Restarted, 1))]);
    assert!(clock.trouble.due().is_none());
}

#[test]
fn of_one_cause_there_is_one_message_a_minute_and_then_a_number() {
    let mut clock = Clock::new();
    let sick = Condition {
        unhealthy: true,
        ..Condition::default()
    };
    for _ in 0..4 {
        clock.look(sick).pass(1000).look(up(0)).pass(1000);
    }
    clock.pass(QUIET_MS * 3);
    assert_eq!(
        clock.told(),
        [
            (0, Tell::Cause(Unhealthy, 1)),
            (1000, Tell::Cause(Recovered, 1)),
            (QUIET_MS, Tell::Cause(Unhealthy, 3)),
            (QUIET_MS + 1000, Tell::Cause(Recovered, 3)),
        ]
    );
}

#[test]
fn a_crash_loop_is_told_thrice_and_ends_with_one_recovery() {
    let mut clock = Clock::new();
    let mut restarts = 0;
    // One restart per second for an hour; the service is ready in between.
    for _ in 0..3600 {
        restarts += 1;
        clock.look(starting(restarts)).look(up(restarts)).pass(1000);
    }
    let told = clock.told();
    let flapping_at = 1000 * (FLAPPING_RESTARTS as u64 - 1);
    let (burst_at, burst) = told[2];
    assert_eq!(
        told[..2],
        [
            (0, Tell::Cause(Restarted, 1)),
            (flapping_at, Tell::Flapping(5)),
        ]
    );
    assert_eq!(burst_at, QUIET_MS);
    assert!(
        matches!(burst, Tell::Cause(Restarted, 59 | 60)),
        "{burst:?}"
    );
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(clock.trouble.flapping(), Some(3600));
    // The service stays up: it recovers once the last restarts are long enough ago, and not before.
    assert!(!clock.trouble.is_calm(Moment(clock.now)));
    clock.pass(2 * QUIET_MS);
    assert!(clock.trouble.flapping().is_some() && clock.trouble.is_calm(Moment(clock.now)));
    clock.pass(FLAPPING_MS * 3);
    let told = clock.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(matches!(told[0].1, Tell::Cause(Recovered, 1)));
    assert!(
        (3_599_000..3_600_000 + FLAPPING_MS).contains(&told[0].0),
        "{told:?}"
    );
    assert_eq!(clock.trouble.flapping(), None);
}

#[test]
fn few_restarts_over_a_long_time_are_no_flapping() {
    let mut clock = Clock::new();
    for restarts in 1..50 {
        clock
            .look(starting(restarts))
            .look(up(restarts))
            .pass(FLAPPING_MS / 4);
    }
    let told = clock.told();
    assert_eq!(told.len(), 49);
    assert!(
        told.iter()
            .all(|(_, tell)| *tell == Tell::Cause(Restarted, 1))
    );
}

#[test]
fn a_service_that_died_early_is_well_again_only_after_a_while() {
    let mut clock = Clock::new();
    let waits = Condition {
        crashing: true,
        restarts: 1,
        ..Condition::default()
    };
    clock
        .look(waits)
        .pass(1000)
        .look(up(2))
        .pass(500)
        .look(up(2));
    assert_eq!(clock.told(), [(0, Tell::Cause(Restarted, 1))]);
    clock.pass(QUIET_MS * 5);
    assert_eq!(
        clock.told(),
        [(QUIET_MS, Tell::Cause(Restarted, 1)), (61_000, Tell::Calm),]
    );
}

#[test]
fn each_failed_run_of_what_runs_by_the_clock_is_told() {
    let failed = Condition {
        each_run: true,
        ..FAILED
    };
    let mut clock = Clock::new();
    clock.look(failed).look(failed).pass(QUIET_MS * 2);
    clock.look(starting(0)).look(failed);
    let times = [
        (0, Tell::Cause(Failed, 1)),
        (120_000, Tell::Cause(Failed, 1)),
    ];
    assert_eq!(clock.told(), times);
    clock.pass(QUIET_MS * 2).look(starting(0)).look(up(0));
    assert_eq!(clock.told(), [(240_000, Tell::Cause(Recovered, 1))]);
    // A failed service that somebody starts by hand and watches fail again is reported once.
    clock
        .look(FAILED)
        .pass(QUIET_MS * 2)
        .look(starting(0))
        .look(FAILED);
    assert_eq!(clock.told(), [(240_000, Tell::Cause(Failed, 1))]);
}

#[test]
fn a_start_by_hand_is_a_new_beginning() {
    let mut clock = Clock::new();
    for restarts in 1..=9 {
        clock.look(starting(restarts));
    }
    assert_eq!(clock.trouble.flapping(), Some(9));
    clock.told();
    // `ctl restart` resets the count.
    clock.look(starting(0));
    assert_eq!(clock.trouble.flapping(), None);
    clock.look(up(0));
    assert_eq!(clock.told(), [(0, Tell::Cause(Recovered, 1))]);
}

#[test]
fn a_stop_by_hand_ends_the_trouble_without_a_word() {
    let mut clock = Clock::new();
    clock.look(FAILED).told();
    let down = Condition {
        down: true,
        ..Condition::default()
    };
    clock
        .look(down)
        .look(starting(0))
        .look(up(0))
        .pass(QUIET_MS * 2);
    assert_eq!(clock.told(), []);
}

#[test]
fn a_failure_is_told_also_while_it_flaps() {
    let mut clock = Clock::new();
    for restarts in 1..=9 {
        clock.look(starting(restarts));
    }
    clock.told();
    clock.look(Condition {
        restarts: 9,
        ..FAILED
    });
    assert_eq!(clock.told(), [(0, Tell::Cause(Failed, 1))]);
    assert_eq!(clock.trouble.flapping(), None);
}

#[test]
fn what_was_told_is_known_to_the_next_control_process() {
    let mut clock = Clock::new();
    clock.look(Condition {
        restarts: 3,
        ..FAILED
    });
    clock.told();
    let record = serde_json::to_string(&clock.trouble).unwrap();
    let mut next = Clock::new();
    next.trouble = serde_json::from_str(&record).unwrap();
    let now = Condition {
        restarts: 3,
        ..FAILED
    };
    next.trouble.known(&now);
    next.look(now);
    assert_eq!(next.told(), []);
    next.look(up(0));
    assert_eq!(next.told(), [(0, Tell::Cause(Recovered, 1))]);
}

//! Outcomes of a reload, and how long an outcome stays visible.

use engine::*;

use crate::common::*;

const RELOAD_MS: u64 = 100;

fn reload(rig: &mut Rig) {
    rig.command(Command::Reload(set(&[0])))
        .expect("it can reload");
}

fn outcome(rig: &Rig) -> Option<ReloadOutcome> {
    rig.engine.view(id(0)).expect("it is there").last_reload
}

/// The confirmation probe that was requested and not answered.
fn asked(rig: &Rig) -> ProbeKind {
    let mut kinds = rig.probes.iter().map(|(_, kind)| *kind);
    kinds
        .find(|kind| matches!(kind, ProbeKind::Confirm(_)))
        .expect("it is asked")
}

fn said(rig: &mut Rig, probe: ProbeKind, ok: bool, detail: &str) {
    let (run, detail) = (rig.run(0), detail.to_owned());
    rig.fact(Fact::Probed {
        run,
        probe,
        ok,
        detail,
    });
}

fn helper(rig: &Rig, role: impl Fn(Role) -> bool) -> RunId {
    let mut all = rig.procs.iter().filter(|(_, it)| role(it.role));
    *all.next().expect("there is one").0
}

fn validator(rig: &Rig) -> RunId {
    helper(rig, |role| role == Role::Validator)
}

fn command(rig: &Rig) -> RunId {
    helper(rig, |role| matches!(role, Role::Reload(_)))
}

/// A service with a health probe, whose health is good.
fn with_health(reload: Option<Reload>) -> Spec {
    Spec {
        validated: true,
        reload,
        health: Some(probe(1)),
        ..daemon()
    }
}

#[test]
fn a_refusal_is_shown_whatever_its_health_says_until_the_next_reload() {
    let mut rig = Rig::up(&[with_health(Some(by_command()))]);
    let main = rig.run(0);
    reload(&mut rig);
    assert_eq!(outcome(&rig), None);
    let run = validator(&rig);
    let verdict = Err("line 3 is wrong".to_owned());
    rig.fact(Fact::Validated { run, verdict });
    let refused = Some(ReloadOutcome::Refused("line 3 is wrong".to_owned()));
    assert_eq!((rig.name(0), outcome(&rig)), ("running", refused.clone()));
    for ok in [true, false, true] {
        rig.pass(10);
        rig.probed(0, ProbeKind::Health, ok);
        assert_eq!(outcome(&rig), refused);
    }
    reload(&mut rig);
    assert_eq!(outcome(&rig), None);
    rig.calm(Mood::Obedient);
    assert_eq!((rig.name(0), rig.run(0)), ("running", main));
    assert_eq!(outcome(&rig), Some(ReloadOutcome::Done));
}

#[test]
fn a_run_has_been_up_since_it_was_ready_whatever_is_reloaded() {
    let mut rig = Rig::up(&[with_health(Some(by_command()))]);
    let up_since = |rig: &Rig| rig.engine.view(id(0)).expect("it is there").up_since;
    let ready = up_since(&rig);
    assert!(ready.is_some());
    rig.pass(50);
    reload(&mut rig);
    assert_eq!((rig.name(0), up_since(&rig)), ("reloading", ready));
    rig.calm(Mood::Obedient);
    assert_eq!((rig.name(0), up_since(&rig)), ("running", ready));
    rig.restart(0);
    assert_eq!(up_since(&rig), None);
    rig.calm(Mood::Obedient);
    assert!(up_since(&rig) > ready);
}

#[test]
fn a_refusal_ends_with_the_run_that_it_is_about() {
    let ends: [fn(&mut Rig); 2] = [|rig| drop(rig.restart(0)), |rig| rig.exit(0, Exit::Code(1))];
    for end in ends {
        let mut rig = Rig::up(&[with_health(Some(by_command()))]);
        reload(&mut rig);
        let run = validator(&rig);
        rig.fact(Fact::Validated {
            run,
            verdict: refused(),
        });
        assert!(outcome(&rig).is_some_and(|it| it.is_failure()));
        end(&mut rig);
        assert_eq!(outcome(&rig), None);
        rig.calm(Mood::Obedient);
        assert_eq!((rig.name(0), outcome(&rig)), ("running", None));
    }
}

#[test]
fn a_reload_command_that_fails_says_why() {
    let mut rig = Rig::up(&[Spec {
        reload: Some(by_command()),
        ..daemon()
    }]);
    reload(&mut rig);
    rig.fact(Fact::Reloaded {
        run: command(&rig),
        outcome: Err("exit code 3".to_owned()),
    });
    let failed = ReloadOutcome::Failed("exit code 3".to_owned());
    assert_eq!((rig.name(0), outcome(&rig)), ("running", Some(failed)));
}

/// The earlier command was killed for being too slow, and its end is heard late.
#[test]
fn the_end_of_an_earlier_reload_command_ends_no_later_reload() {
    for outcome_of in [Ok(()), refused()] {
        let mut rig = Rig::up(&[Spec {
            reload: Some(by_command()),
            ..daemon()
        }]);
        reload(&mut rig);
        let early = command(&rig);
        rig.pass(RELOAD_MS);
        assert_eq!(outcome(&rig), Some(ReloadOutcome::TimedOut));
        let late = Fact::Reloaded {
            run: early,
            outcome: outcome_of,
        };
        rig.fact(late.clone());
        assert_eq!(outcome(&rig), Some(ReloadOutcome::TimedOut));
        reload(&mut rig);
        rig.fact(late);
        assert_eq!(rig.name(0), "reloading");
        rig.fact(Fact::Reloaded {
            run: command(&rig),
            outcome: Ok(()),
        });
        assert_eq!(outcome(&rig), Some(ReloadOutcome::Done));
    }
}

#[test]
fn a_reload_lasts_until_the_run_is_seen_to_have_the_new_configuration() {
    let mut rig = Rig::up(&[with_health(Some(confirmed(hup())))]);
    reload(&mut rig);
    let number = validator(&rig);
    rig.fact(Fact::Validated {
        run: number,
        verdict: Ok(()),
    });
    rig.pass(0);
    assert_eq!(rig.name(0), "reloading");
    assert_eq!(asked(&rig), ProbeKind::Confirm(number));
    said(&mut rig, ProbeKind::Confirm(number), false, "an older one");
    assert_eq!(rig.name(0), "reloading");
    rig.pass(10);
    said(&mut rig, ProbeKind::Confirm(number), true, "");
    assert_eq!(
        (rig.name(0), outcome(&rig)),
        ("running", Some(ReloadOutcome::Done))
    );
    rig.pass(1_000);
    assert!(
        rig.probes
            .iter()
            .all(|(_, kind)| *kind == ProbeKind::Health)
    );
}

#[test]
fn one_that_is_not_confirmed_in_time_has_failed_with_the_last_words() {
    let mut rig = Rig::up(&[with_health(Some(confirmed(hup())))]);
    reload(&mut rig);
    let run = validator(&rig);
    // The validator's time is part of the timeout.
    rig.pass(RELOAD_MS / 2);
    rig.fact(Fact::Validated {
        run,
        verdict: Ok(()),
    });
    rig.pass(0);
    let probe = asked(&rig);
    said(&mut rig, probe, false, "an older one");
    rig.pass(RELOAD_MS / 2);
    let words = ReloadOutcome::NotConfirmed("an older one".to_owned());
    assert_eq!((rig.name(0), outcome(&rig)), ("running", Some(words)));
}

/// A late answer is about the earlier configuration.
#[test]
fn an_answer_to_an_earlier_reload_confirms_no_later_one() {
    let mut rig = Rig::up(&[with_health(Some(confirmed(hup())))]);
    reload(&mut rig);
    rig.fact(Fact::Validated {
        run: validator(&rig),
        verdict: Ok(()),
    });
    rig.pass(0);
    let early = asked(&rig);
    rig.pass(RELOAD_MS);
    assert_eq!(rig.name(0), "running");
    reload(&mut rig);
    rig.fact(Fact::Validated {
        run: validator(&rig),
        verdict: Ok(()),
    });
    rig.pass(0);
    said(&mut rig, early, true, "");
    assert_eq!(rig.name(0), "reloading");
    let late = asked(&rig);
    assert_ne!(late, early);
    said(&mut rig, late, true, "");
    assert_eq!(rig.name(0), "running");
}

#[test]
fn what_says_that_it_is_ready_again_is_asked_after_that() {
    let mut rig = Rig::up(&[Spec {
        ready: Ready::Notify,
        reload: Some(confirmed(hup())),
        ..daemon()
    }]);
    reload(&mut rig);
    rig.pass(20);
    assert!(rig.probes.is_empty());
    rig.ready(0);
    rig.pass(0);
    assert_eq!(rig.name(0), "reloading");
    let probe = asked(&rig);
    // The run begins another reload by itself: the yes counts once the run is ready again.
    let run = rig.run(0);
    rig.fact(Fact::Notified {
        run,
        what: Notification::Reloading,
    });
    said(&mut rig, probe, true, "");
    assert_eq!(rig.name(0), "reloading");
    rig.ready(0);
    assert_eq!(
        (rig.name(0), outcome(&rig)),
        ("running", Some(ReloadOutcome::Done))
    );
}

#[test]
fn a_reload_that_the_run_has_begun_is_not_confirmed() {
    let mut rig = Rig::up(&[Spec {
        reload: Some(confirmed(hup())),
        ..daemon()
    }]);
    let run = rig.run(0);
    rig.fact(Fact::Notified {
        run,
        what: Notification::Reloading,
    });
    rig.ready(0);
    assert_eq!(
        (rig.name(0), outcome(&rig)),
        ("running", Some(ReloadOutcome::Done))
    );
}

#[test]
fn a_new_control_process_asks_again_and_knows_the_outcome() {
    let spec = with_health(Some(confirmed(hup())));
    let mut rig = Rig::up(std::slice::from_ref(&spec));
    reload(&mut rig);
    rig.fact(Fact::Validated {
        run: validator(&rig),
        verdict: Ok(()),
    });
    rig.pass(0);
    let before = asked(&rig);
    let reborn = |rig: &mut Rig| {
        let record = rig.engine.record(id(0)).expect("a record");
        let stored = serde_json::to_string(&record).expect("plain data");
        let record = serde_json::from_str(&stored).expect("its own words");
        rig.engine = Engine::new(1, RunId(1));
        rig.engine.restore(id(0), record);
        rig.probes.clear();
        rig.apply(std::slice::from_ref(&spec), ProcessImpact::Keep)
            .unwrap();
        rig.pass(0);
    };
    reborn(&mut rig);
    assert_eq!((rig.name(0), asked(&rig)), ("reloading", before));
    said(&mut rig, before, false, "an older one");
    rig.pass(RELOAD_MS);
    let words = Some(ReloadOutcome::NotConfirmed("an older one".to_owned()));
    assert_eq!(outcome(&rig), words);
    reborn(&mut rig);
    assert_eq!((rig.name(0), outcome(&rig)), ("running", words));
}

/// A plan without confirmation leaves nothing to wait for, whether a probe is under way or not.
#[test]
fn a_plan_that_drops_the_question_ends_the_reload_that_waits_for_the_answer() {
    for is_out in [true, false] {
        let mut rig = Rig::up(&[with_health(Some(confirmed(hup())))]);
        reload(&mut rig);
        rig.fact(Fact::Validated {
            run: validator(&rig),
            verdict: Ok(()),
        });
        rig.pass(0);
        let probe = asked(&rig);
        if !is_out {
            said(&mut rig, probe, false, "an older one");
        }
        let unasked = [with_health(Some(hup()))];
        rig.apply(&unasked, ProcessImpact::Keep).expect("it checks");
        assert_eq!(
            (rig.name(0), outcome(&rig)),
            ("running", Some(ReloadOutcome::Done))
        );
        if is_out {
            said(&mut rig, probe, false, "an older one");
        }
        rig.pass(RELOAD_MS);
        assert_eq!(outcome(&rig), Some(ReloadOutcome::Done));
    }
}

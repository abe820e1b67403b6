//! Reasons and warnings for services that should listen, and their timing.

use api::Action;

use super::*;
use crate::{control::harness::Harness, listening::Taken, store::Handled};

const WEB: &str = "command = ['/bin/web']\nlistens = ['127.0.0.1:PORT']\n[reload]\nsignal = 'HUP'\n\
                   [[files]]\npath = '/run/web.conf'\ncontent = 'PORT'\non_change = 'reload'\n";

fn web(port: u16) -> String {
    WEB.replace("PORT", &port.to_string())
}

/// `web` runs with one port and was told to reload with another, which the look has not seen yet.
fn reloading() -> Harness {
    let mut world = Harness::new(&[("web", &web(9))], Handled::default());
    let run = world.spawned[0].1;
    world.spawned(run);
    assert!(world.looks.is_empty(), "nothing has changed");
    world.write_and_apply("web", &web(10));
    let [look] = &world.looks[..] else {
        panic!("{:?}", world.looks);
    };
    assert_eq!(look.wanted, ["127.0.0.1:10"]);
    assert_eq!(look.given_up, ["127.0.0.1:9"]);
    world
}

fn missing() -> Sight {
    Sight::Otherwise(vec![Fault::Missing {
        address: "127.0.0.1:10".to_owned(),
        instead: None,
    }])
}

fn has_worked(world: &Harness) -> bool {
    world
        .control
        .reconfigure
        .on_probation(&world.control.cx)
        .is_empty()
}

#[test]
fn a_plan_has_not_worked_before_its_services_are_seen_to_listen() {
    let mut world = reloading();
    assert!(!has_worked(&world));
    // A look that comes too early is not the last.
    world.seen(missing());
    assert!(world.looks.is_empty() && !has_worked(&world));
    assert_eq!(world.status("web").healthy, None);
    world.pass(PAUSE_MS);
    world.seen(Sight::AsPlanned);
    assert!(has_worked(&world));
    world.pass(LISTEN_MS_MAX);
    assert!(world.looks.is_empty(), "it is not looked at for ever");
}

#[test]
fn who_does_not_listen_in_time_has_failed_the_plan_until_its_next_start() {
    let mut world = reloading();
    let end = world.now.moment.after(LISTEN_MS_MAX);
    while world.now.moment < end {
        world.seen(missing());
        world.pass(PAUSE_MS_MAX);
    }
    world.seen(missing());
    let status = world.status("web");
    let reason = status.reason.unwrap_or_default();
    assert_eq!(reason, "does not listen on 127.0.0.1:10");
    assert_eq!((status.healthy, has_worked(&world)), (Some(false), false));
    // Nothing has changed, so the fault remains.
    world.signal(1);
    assert!(world.looks.is_empty() && !has_worked(&world));
    world.act(Action::Restart, "web");
    assert_eq!(world.status("web").reason, None);
    world.ended(world.spawned[0].1);
    let run = world.spawned[1].1;
    world.spawned(run);
    world.seen(Sight::AsPlanned);
    assert!(has_worked(&world));
    assert_eq!(world.status("web").healthy, None);
}

#[test]
fn what_cannot_be_seen_is_said_and_fails_nothing() {
    let mut world = reloading();
    world.seen(Sight::Hidden("no leave".to_owned()));
    assert!(has_worked(&world));
    let reason = world.status("web").reason.unwrap_or_default();
    assert_eq!(
        reason,
        "whether it listens on 127.0.0.1:10 was not verified: no leave"
    );
}

#[test]
fn an_address_of_a_stranger_refuses_the_plan_and_one_that_comes_free_does_not() {
    for (by, refused) in [(None, true), (Some("web"), false)] {
        let mut world = Harness::new(&[("web", &web(9))], Handled::default());
        world.spawned(world.spawned[0].1);
        world.taken = Ok(vec![Taken {
            address: "127.0.0.1:80".to_owned(),
            unseen: false,
            service: "web".to_owned(),
            by: by.map(str::to_owned),
            reason: "127.0.0.1:10 is in use by other (pid 7)".to_owned(),
        }]);
        world.write_and_apply("web", &web(10));
        assert_eq!(world.looks.is_empty(), refused, "{by:?}");
        let listens = &world.control.cx.plan.services["web"].listens;
        assert_eq!(listens[0] == "127.0.0.1:9", refused, "{by:?}");
    }
}

#[test]
fn an_address_that_cannot_be_looked_at_refuses_nothing() {
    let mut world = Harness::new(&[("web", &web(9))], Handled::default());
    world.spawned(world.spawned[0].1);
    world.taken = Err("it takes too long".to_owned());
    world.write_and_apply("web", &web(10));
    let listens = &world.control.cx.plan.services["web"].listens;
    assert_eq!(listens, &["127.0.0.1:10"]);
    assert_eq!(world.looks.len(), 1, "it is looked at afterwards");
}

/// A client's signal is no reload: the observed fault stays.
#[test]
fn a_signal_does_not_take_back_what_was_seen() {
    let mut world = reloading();
    world.seen(Sight::Hidden("no leave".to_owned()));
    let reason = || "whether it listens on 127.0.0.1:10 was not verified: no leave".to_owned();
    world.act(Action::Signal("USR1".to_owned()), "web");
    assert_eq!(world.status("web").reason, Some(reason()));
    assert!(world.looks.is_empty());
    world.act(Action::Reload, "web");
    assert_eq!(world.looks.len(), 1, "a reload is looked at again");
}

#[test]
fn what_is_wrong_is_said_with_who_has_the_address() {
    let expected = |outcome| Expected {
        wanted: vec!["0.0.0.0:80".to_owned()],
        given_up: Vec::new(),
        outcome,
        watch: None,
    };
    let faults = vec![
        Fault::Missing {
            address: "0.0.0.0:80".to_owned(),
            instead: Some("0.0.0.0:80 is in use by other (pid 7)".to_owned()),
        },
        Fault::Missing {
            address: "[::]:80".to_owned(),
            instead: None,
        },
        Fault::Kept("127.0.0.1:80".to_owned()),
    ];
    let hidden = Outcome::NotVerified("no leave".to_owned());
    let listening = Listening(BTreeMap::from([
        (ServiceId(0), expected(Some(Outcome::Failed(faults)))),
        (ServiceId(1), expected(Some(hidden))),
        (ServiceId(2), expected(None)),
    ]));
    assert_eq!(
        listening.reason(ServiceId(0)).to_string(),
        "does not listen where it is to: 0.0.0.0:80 is in use by other (pid 7), \
         does not listen on [::]:80, still listens on 127.0.0.1:80"
    );
    assert_eq!(
        listening.reason(ServiceId(1)).to_string(),
        "whether it listens on 0.0.0.0:80 was not verified: no leave"
    );
    assert!(listening.reason(ServiceId(2)).is_empty());
    let in_use = |number| listening.reason(ServiceId(number)).has_address_in_use();
    assert!(in_use(0) && !in_use(1));
    let all = [0, 1, 2, 3].map(|number| listening.of(ServiceId(number)));
    use Progress::{Awaited, Done, Failed};
    assert_eq!(all, [Failed, Done, Awaited, Done]);
}

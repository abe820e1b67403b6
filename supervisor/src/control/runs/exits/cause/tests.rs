//! Each act of the supervisor has one cause in the record of the end that the act brings.

use std::path::PathBuf;

use api::{Action, ExitRecord, NextRun};

use super::*;
use crate::{
    control::{
        harness::Harness,
        input::Done,
        monitors::inotify::{Seen, Stamp},
    },
    store::Handled,
};

const TERM: i32 = 15;

/// `base`, a service that requires it, a service bound to it, and a service that restarts for a
/// file.
fn world() -> Harness {
    let services = [
        ("base", "command = ['/bin/a']\n"),
        ("above", "command = ['/bin/a']\nrequires = ['base']\n"),
        ("bound", "command = ['/bin/a']\nbinds_to = ['base']\n"),
        (
            "reader",
            "command = ['/bin/a']\n[[watches]]\npath = '/etc/list'\non_change = 'restart'\n\
             [[watches]]\npath = '/etc/other'\non_change = 'restart'\n",
        ),
    ];
    let mut world = Harness::new(&services, Handled::default());
    let mut known = 0;
    while let Some((_, run)) = world.spawned.get(known).cloned() {
        known += 1;
        world.spawned(run);
    }
    world
}

fn run_of(world: &Harness, name: &str) -> u64 {
    let mut spawned = world.spawned.iter().rev();
    spawned
        .find(|(of, _)| of == name)
        .expect("it was spawned")
        .1
}

fn last(world: &Harness, name: &str) -> ExitRecord {
    let mut exits = world.exits.iter().rev();
    exits
        .find(|it| it.service == name)
        .expect("it ended")
        .clone()
}

/// Ends the service's last run and returns the recorded cause.
fn cause_of_end(world: &mut Harness, name: &str) -> ExitCause {
    let run = run_of(world, name);
    world.ended(run);
    last(world, name).cause
}

fn change(cause: &ExitCause) -> &str {
    match cause {
        ExitCause::Change { what, .. } => what,
        other => panic!("{other:?}"),
    }
}

/// The watched files have these contents now.
fn see(world: &mut Harness, files: &[(&str, u64)]) {
    let changed_ms = world.now.unix_ms + 1;
    let stamp = |content| Stamp {
        content: Some(content),
        changed_ms,
    };
    let stamps = files
        .iter()
        .map(|&(path, it)| (PathBuf::from(path), stamp(it)));
    world.done(Done::FilesSeen(Seen {
        stamps: stamps.collect(),
        ..Seen::default()
    }));
}

#[test]
fn a_restart_for_a_file_names_it_over_a_death_of_control() {
    let mut world = world();
    let files = |paths: &[&str]| ExitCause::Files {
        paths: paths.iter().map(|&path| path.to_owned()).collect(),
        more: 0,
    };
    world.pass(1_000);
    see(&mut world, &[("/etc/list", 1), ("/etc/other", 1)]);
    assert_eq!(
        cause_of_end(&mut world, "reader"),
        files(&["/etc/list", "/etc/other"])
    );
    let record = last(&world, "reader");
    assert_eq!(record.next, NextRun::Start);
    assert!(record.is_automatic_restart());

    let run = run_of(&world, "reader");
    world.spawned(run);
    world.pass(1_000);
    see(&mut world, &[("/etc/list", 2), ("/etc/other", 1)]);
    let info = keeper::message::RunInfo {
        run,
        service: "reader".to_owned(),
        ..info()
    };
    world.reborn(vec![info], Vec::new());
    assert_eq!(cause_of_end(&mut world, "reader"), files(&["/etc/list"]));
    // A later crash counts as a crash.
    let run = run_of(&world, "reader");
    world.spawned(run);
    world.killed(run, TERM);
    assert_eq!(last(&world, "reader").cause, ExitCause::Itself);
}

fn info() -> keeper::message::RunInfo {
    keeper::message::RunInfo {
        run: 0,
        service: String::new(),
        role: keeper::message::Role::Main,
        pid: 7,
        spawned_ms: 0,
        exit: None,
        core: false,
        swept: false,
        left: Vec::new(),
        notified: std::collections::BTreeMap::new(),
    }
}

#[test]
fn who_goes_down_along_names_with_what_and_the_named_one_names_the_change() {
    for (action, what) in [(Action::Stop, "stop"), (Action::Restart, "restart")] {
        let mut world = world();
        world.act(action, "base");
        world.recorded();
        let on = || "base".to_owned();
        for name in ["above", "bound"] {
            let cause = cause_of_end(&mut world, name);
            assert_eq!(cause, ExitCause::Dependency { on: on() }, "{name}");
        }
        assert_eq!(change(&cause_of_end(&mut world, "base")), what);
    }
    let mut world = world();
    let run = run_of(&world, "base");
    world.killed(run, 9);
    let binding = ExitCause::Binding {
        on: "base".to_owned(),
    };
    assert_eq!(cause_of_end(&mut world, "bound"), binding);
}

#[test]
fn another_configuration_and_a_shutdown_are_causes_of_their_own() {
    let mut world = world();
    world.write_and_apply("base", "command = ['/bin/b']\n");
    for name in ["above", "bound"] {
        let on = "base".to_owned();
        assert_eq!(cause_of_end(&mut world, name), ExitCause::Dependency { on });
    }
    assert_eq!(change(&cause_of_end(&mut world, "base")), "reconfigure");
    world.remove_and_apply("reader");
    assert_eq!(change(&cause_of_end(&mut world, "reader")), "reconfigure");
    for name in ["base", "above", "bound"] {
        let run = run_of(&world, name);
        world.spawned(run);
    }
    world.signal(TERM);
    for name in ["above", "bound", "base"] {
        assert_eq!(
            cause_of_end(&mut world, name),
            ExitCause::Shutdown,
            "{name}"
        );
    }
}

/// A signal that has ended a run has done so soon.
#[test]
fn a_signal_is_blamed_for_as_long_as_a_stop_may_take() {
    let signal = || Action::Signal("TERM".to_owned());
    let killed_after = |ms: u64, by: Option<i32>| {
        let mut world = world();
        world.act(signal(), "base");
        world.recorded();
        let stop_ms = world.control.cx.plan.services["base"].stop.timeout_ms;
        world.pass(ms * stop_ms / 100);
        let run = run_of(&world, "base");
        match by {
            Some(signal) => world.killed(run, signal),
            None => world.ended(run),
        }
        last(&world, "base").cause
    };
    assert_eq!(change(&killed_after(99, Some(TERM))), "signal TERM");
    assert_eq!(killed_after(101, Some(TERM)), ExitCause::Itself);
    // A program that handles the signal ends with a code.
    assert_eq!(change(&killed_after(10, None)), "signal TERM");
    assert_eq!(killed_after(10, Some(11)), ExitCause::Itself);
}

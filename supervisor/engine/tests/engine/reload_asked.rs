//! When a reload may be requested, and what ends a reload early.

use engine::*;

use crate::common::*;

/// peers' behaviour 18
#[test]
fn reload_by_notify_lasts_until_ready_and_an_exit_in_it_is_an_exit() {
    let spec = Spec {
        reload: Some(hup()),
        ..notify()
    };
    let mut rig = Rig::up(&[spec]);
    rig.command(Command::Reload(set(&[0]))).unwrap();
    assert_eq!((rig.name(0), signals(&rig)), ("reloading", vec![1]));
    rig.ready(0);
    assert_eq!(rig.name(0), "running");
    rig.command(Command::Reload(set(&[0]))).unwrap();
    rig.exit(0, Exit::Code(1));
    assert_eq!(rig.name(0), "spawning");
}

#[test]
fn reload_asked_for_during_a_start_or_a_reload_is_done_after_it() {
    let spec = Spec {
        reload: Some(hup()),
        ..notify()
    };
    let mut rig = Rig::with(&[spec]);
    rig.spawned(0);
    rig.command(Command::Reload(set(&[0]))).unwrap();
    assert!(signals(&rig).is_empty());
    rig.ready(0);
    assert_eq!((rig.name(0), signals(&rig)), ("reloading", vec![1]));
    rig.command(Command::Reload(set(&[0]))).unwrap();
    rig.ready(0);
    assert_eq!((rig.name(0), signals(&rig)), ("reloading", vec![1]));
    rig.ready(0);
    assert_eq!(rig.name(0), "running");
}

#[test]
fn reload_command_dies_with_the_stop_of_its_run() {
    let mut rig = Rig::up(&[Spec {
        reload: Some(by_command()),
        ..daemon()
    }]);
    rig.command(Command::Reload(set(&[0]))).unwrap();
    rig.stop(0);
    assert!(matches!(rig.last[1], Effect::Kill { .. }));
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "stopped");
}

#[test]
fn reload_and_signal_are_refused_without_a_process_or_a_way() {
    let with = Spec {
        reload: Some(by_command()),
        ..daemon()
    };
    let mut rig = Rig::up(&[daemon(), with]);
    rig.stop(1);
    rig.calm(Mood::Obedient);
    let reload = |n| Command::Reload(set(&[n]));
    assert_eq!(rig.command(reload(0)), Err(Refusal::CannotReload(id(0))));
    assert_eq!(rig.command(reload(1)), Err(Refusal::NotRunning(id(1))));
    assert_eq!(
        rig.command(Command::Signal(set(&[0, 1]), 10)),
        Err(Refusal::NotRunning(id(1)))
    );
    rig.command(Command::Signal(set(&[0]), 10)).unwrap();
    assert_eq!(signals(&rig), [10]);
    assert_eq!(rig.command(reload(9)), Err(Refusal::Unknown(id(9))));
}

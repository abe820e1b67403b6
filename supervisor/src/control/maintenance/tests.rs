//! When a client that begins or ends maintenance hears that the change is done.

use api::{ServiceState, Told};
use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::{control::harness::Harness, store::Handled};

const FULL: &str = "no space left on device";

fn world() -> Harness {
    let service = "command = ['/bin/a']\n[[status_files]]\npath = '/run/a/status'\n\
                   template = 'status.j2'\nwhen = 'maintenance'\n";
    let mut world = Harness::new(&[("a", service)], Handled::default());
    world.spawned(world.spawned[0].1);
    while !world.saying.is_empty() {
        world.said(Ok(()));
        world.pass(1_000);
    }
    world
}

fn request(message: &str) -> MaintenanceRequest {
    let message = Some(message.to_owned());
    MaintenanceRequest { message }
}

/// The client hears that the change is done when the status files have the change.
#[test]
fn it_is_done_when_the_files_say_it() {
    let mut world = world();
    let mut answer = world.set_maintenance(Some(request("back soon")));
    assert_eq!(answer.try_recv(), Err(TryRecvError::Empty));
    let said = world.said(Ok(()));
    let told = said["a"].maintenance.clone().unwrap();
    assert_eq!(told.message.as_deref(), Some("back soon"));
    let reply = answer.try_recv().unwrap();
    assert_eq!(reply.files, ["/run/a/status"]);
    assert_eq!((reply.unwritten, reply.unstored), (None, None));
    let since = reply.maintenance.unwrap().since;
    // A later message does not change when maintenance began.
    world.pass(60_000);
    let mut again = world.set_maintenance(Some(request("a bit longer")));
    world.said(Ok(()));
    let reply = again.try_recv().unwrap().maintenance.unwrap();
    assert_eq!(
        (reply.since, reply.message.as_deref()),
        (since, Some("a bit longer"))
    );
    // A change to the present state has nothing to wait for.
    let mut same = world.set_maintenance(Some(request("a bit longer")));
    assert!(same.try_recv().is_ok() && world.saying.is_empty());
    world.pass(1_000);
    let mut off = world.set_maintenance(None);
    assert_eq!(off.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(world.said(Ok(()))["a"].maintenance, None);
    assert_eq!(off.try_recv().unwrap().maintenance, None);
}

#[test]
fn what_is_not_seen_is_said_not_to_be() {
    let mut world = world();
    world.disk = Err(FULL.to_owned());
    let mut answer = world.set_maintenance(Some(request("x")));
    world.said(Err(FULL.to_owned()));
    let reply = answer.try_recv().unwrap();
    assert_eq!(reply.unwritten.as_deref(), Some(FULL));
    assert_eq!(reply.unstored.as_deref(), Some(FULL));
    assert_eq!(
        world.control.status(&[]).unwrap().supervisor.warnings.len(),
        2
    );
    world.disk = Ok(());
    world.pass(2_000);
    world.said(Ok(()));
    let now = world.control.maintenance.reply(
        &world.control.cx,
        &world.control.status_files,
        BTreeMap::new(),
    );
    assert_eq!((now.unwritten, now.unstored), (None, None));
}

/// Clients wait only this long for a disk that does not answer.
#[test]
fn nobody_waits_for_ever() {
    let mut world = world();
    let mut answer = world.set_maintenance(Some(request("x")));
    world.pass(4_900);
    assert_eq!(answer.try_recv(), Err(TryRecvError::Empty));
    world.pass(200);
    let why = answer.try_recv().unwrap().unwritten.unwrap();
    assert!(why.contains("has not answered"), "{why}");
}

/// A service that serves users, and is asked whether it tells them of maintenance.
const SERVER: &str = "command = ['/bin/web']\n[maintenance]\nhttp = 'http://web/'\nunix = '/run/web'\n\
    status = [503]\n";

fn world_with_server() -> Harness {
    let service = "command = ['/bin/a']\n[[status_files]]\npath = '/run/a/status'\n\
                   template = 'status.j2'\nwhen = 'maintenance'\n";
    let mut world = Harness::new(&[("a", service), ("web", SERVER)], Handled::default());
    settle(&mut world);
    world
}

fn run_of(world: &Harness, name: &str) -> u64 {
    let mut runs = world.spawned.iter().rev();
    runs.find(|it| it.0 == name).unwrap().1
}

/// Lets the status files catch up with the state.
fn settle(world: &mut Harness) {
    for _ in 0..3 {
        while !world.saying.is_empty() {
            world.said(Ok(()));
        }
        world.pass(1_000);
    }
}

fn other(status: u16) -> Result<(), No> {
    Err(No::Answer(format!("http://web/ answers {status}")))
}

fn yes() -> BTreeMap<String, Told> {
    [("web".to_owned(), Told::Yes)].into()
}

/// Written files are not enough: the client hears of success only when users get the answer.
#[test]
fn it_is_done_when_users_are_told_and_over_when_they_are_not() {
    let mut world = world_with_server();
    let run = run_of(&world, "web");
    world.spawned(run);
    settle(&mut world);
    let mut on = world.set_maintenance(Some(request("x")));
    assert!(world.asking.is_empty(), "nothing is in the files yet");
    world.said(Ok(()));
    assert_eq!(world.asking.len(), 1);
    world.told(other(200));
    assert_eq!(on.try_recv(), Err(TryRecvError::Empty));
    world.pass(250);
    world.told(Err(No::Silence("connection refused".to_owned())));
    world.pass(250);
    world.told(Ok(()));
    assert_eq!(on.try_recv().unwrap().told_by, yes());
    settle(&mut world);
    let mut off = world.set_maintenance(None);
    world.said(Ok(()));
    world.told(Ok(()));
    assert_eq!(off.try_recv(), Err(TryRecvError::Empty), "they still are");
    world.pass(250);
    // A failed question is no proof of a different answer.
    world.told(Err(No::Silence("connection refused".to_owned())));
    assert_eq!(off.try_recv(), Err(TryRecvError::Empty));
    world.pass(250);
    world.told(other(200));
    assert_eq!(off.try_recv().unwrap().told_by, yes());
    assert!(world.asking.is_empty());
}

#[test]
fn users_who_are_not_told_are_waited_for_so_long_and_that_is_said() {
    let mut world = world_with_server();
    let run = run_of(&world, "web");
    world.spawned(run);
    settle(&mut world);
    let mut on = world.set_maintenance(Some(request("x")));
    world.said(Ok(()));
    let begun = world.control.cx.now.moment;
    let reply = loop {
        if let Ok(reply) = on.try_recv() {
            break reply;
        }
        if world.asking.is_empty() {
            world.pass(50);
        } else {
            world.told(other(403));
        }
        assert!(world.control.cx.now.moment.since(begun) <= 5_100);
    };
    let why = "http://web/ answers 403".to_owned();
    assert_eq!(reply.told_by["web"], Told::No { why });
    assert_eq!(reply.unwritten, None);
    assert!(world.control.cx.now.moment.since(begun) >= 4_900);
}

/// The answer to an earlier question says nothing about the present.
#[test]
fn what_was_asked_before_does_not_count() {
    let mut world = world_with_server();
    let run = run_of(&world, "web");
    world.spawned(run);
    settle(&mut world);
    let _on = world.set_maintenance(Some(request("x")));
    world.said(Ok(()));
    assert_eq!(world.asking.len(), 1);
    let mut off = world.set_maintenance(None);
    world.pass(1_000);
    world.said(Ok(()));
    assert_eq!(world.asking.len(), 2);
    world.told(other(200));
    assert_eq!(off.try_recv(), Err(TryRecvError::Empty));
    world.told(other(200));
    assert_eq!(off.try_recv().unwrap().told_by, yes());
}

#[test]
fn who_does_not_run_is_not_asked_and_that_is_said() {
    let mut world = world_with_server();
    let run = run_of(&world, "web");
    world.spawned(run);
    settle(&mut world);
    let mut on = world.set_maintenance(Some(request("x")));
    world.said(Ok(()));
    assert_eq!(world.asking.len(), 1);
    // The service ends before it answers.
    world.act(api::Action::Stop, "web");
    world.ended(run);
    let state = |reply: MaintenanceReply| match &reply.told_by["web"] {
        Told::NotReady { state } => *state,
        other => panic!("{other:?}"),
    };
    assert_eq!(state(on.try_recv().unwrap()), ServiceState::Stopping);
    let mut off = world.set_maintenance(None);
    settle(&mut world);
    assert_eq!(state(off.try_recv().unwrap()), ServiceState::Stopped);
}

//! Starts whose preparation never ends.

use api::{Action, ServiceState};

use crate::{control::harness::Harness, store::Handled};

#[test]
fn a_start_whose_needs_are_never_found_out_can_be_stopped() {
    let services = [("a", "command = ['/bin/a']\n")];
    let mut world = Harness::new(&services, Handled::default());
    let run = world.spawned[0].1;
    world.spawned(run);
    world.act(Action::Stop, "a");
    world.ended(run);
    world.hangs = true;
    world.act(Action::Start, "a");
    assert_eq!(world.status("a").state, ServiceState::Spawning);
    world.act(Action::Stop, "a");
    assert_eq!(world.status("a").state, ServiceState::Stopped);
    world.act(Action::Start, "a");
    world.signal(15);
    // No job writes the history in this test, so the end waits this long for the write.
    world.pass(2_000);
    assert!(world.quit);
}

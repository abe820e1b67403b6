//! The audit lines of operations on their way to the disk. Invariant: each operation has an end in
//! the history.

use api::{Action, ChangeOutcome};

use super::*;
use crate::{
    ask::Peer,
    control::{harness::Harness, input::Input},
    store::Handled,
};

fn filler(number: usize) -> Line {
    Line {
        at: String::new(),
        id: number.to_string(),
        said: Said::Ended {
            outcome: ChangeOutcome::Done,
            detail: String::new(),
            services: Vec::new(),
        },
    }
}

fn ends(lines: &[Line]) -> Vec<(&str, &str)> {
    let ends = lines.iter().filter_map(|line| match &line.said {
        Said::Ended { outcome, .. } => Some((&*line.id, outcome.as_str())),
        Said::Asked { .. } => None,
    });
    ends.collect()
}

/// For an operation that is refused or done immediately, the keeper holds both audit lines until
/// they are written.
#[test]
fn what_no_list_remembers_is_kept_with_both_lines() {
    let services = [("a", "command = ['/bin/a']\n")];
    let mut world = Harness::new(&services, Handled::default());
    let run = world.spawned[0].1;
    world.spawned(run);
    world.act(Action::Reload, "a");
    let (reply, _) = tokio::sync::oneshot::channel();
    world.handle(Input::Ask(crate::ask::Ask::RotateLogs {
        id: "change 2".to_owned(),
        names: vec!["a".to_owned()],
        peer: Peer {
            uid: 0,
            name: "root".to_owned(),
        },
        reply,
    }));
    let kept: Vec<Line> = world.control.audit.kept.iter().cloned().collect();
    assert_eq!(ends(&kept), [("change 1", "refused"), ("change 2", "done")]);
    assert_eq!(kept.len(), 4, "{kept:?}");
    while !world.recording.is_empty() {
        world.recorded();
    }
    assert!(world.control.audit.kept.is_empty(), "the history has it");
}

/// More changes are under way than the list of operations follows.
#[test]
fn a_change_that_is_lost_sight_of_has_an_end_in_the_history() {
    const CHANGES: usize = 65;
    let services = [("a", "command = ['/bin/a']\n")];
    let mut world = Harness::new(&services, Handled::default());
    world.spawned(world.spawned[0].1);
    for _ in 0..CHANGES {
        world.act(Action::Stop, "a");
    }
    let mut written = Vec::new();
    while !world.recording.is_empty() {
        written.extend(world.recorded());
    }
    assert_eq!(ends(&written), [("change 1", "failed")]);
}

/// A disk that hangs and then continues has refused nothing, even if some lines had no room
/// meanwhile.
#[test]
fn lines_that_had_no_room_hold_nobody_up_and_are_said_again() {
    const ID: &str = "change 1";
    let services = [("a", "command = ['/bin/a']\n")];
    let mut world = Harness::new(&services, Handled::default());
    let run = world.spawned[0].1;
    world.spawned(run);
    world.act(Action::Stop, "a");
    world.recorded();
    world.control.audit.add(filler(0));
    world.handle(Input::Timeout);
    assert_eq!(world.recording.len(), 1, "it is being written");
    for number in 0..WAITING_MAX {
        world.control.audit.add(filler(number));
    }
    world.ended(run);
    assert_eq!(world.control.audit.lost, 1);
    let mut ends = 0;
    while !world.recording.is_empty() {
        let lines = world.recorded();
        let ended = |it: &&Line| it.id == ID && matches!(it.said, Said::Ended { .. });
        ends += lines.iter().filter(ended).count();
    }
    assert_eq!((ends, world.control.audit.lost), (1, 0));
    let outcome = world.control.outcome_of(ID).unwrap();
    assert!(outcome.finished && outcome.unstored.history.is_none());
}

//! `ctl why` for a service whose address another process uses, and for a service whose output only
//! mentions an address.

use api::WhyStep;
use engine::Exit;
use keeper::message::Fact;

use crate::{
    control::harness::{Harness, exited},
    sockets::bind,
    store::Handled,
};

fn why(world: &Harness, name: &str) -> WhyStep {
    let mut chain = world.control.views().why(name).unwrap().chain;
    chain.remove(0)
}

/// The last spawned run ends with exit code 1 and this output.
fn fails(world: &mut Harness, said: &str) {
    let run = world.spawned.last().unwrap().1;
    world.spawned(run);
    let mut end = exited(run, Exit::Code(1), world.now.moment);
    if let Fact::Exited { output, .. } = &mut end {
        said.clone_into(output);
    }
    world.fact(end);
    let left = Vec::new();
    world.fact(Fact::Swept { run, left });
}

/// The hint may be any text, so the sentence keeps words that also occur in the hint.
#[test]
fn a_hint_at_an_address_in_use_stands_below_the_sentence_alone() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let web =
        format!("command = ['/bin/web']\nlistens = ['{address}']\nlistens_hint = 'next try in'\n");
    let mut world = Harness::new(&[("web", &web)], Handled::default());
    world.found(world.searching[0], Vec::new());
    let status = world.status("web");
    assert_eq!(status.state, api::ServiceState::Backoff);
    let said = "it is in use by []";
    let reason = status.reason.unwrap();
    let hinted = format!("{said}; next try in; next try in ");
    assert!(reason.starts_with(&hinted), "{reason}");
    let told = why(&world, "web");
    let bare = format!(": {said}; next try in ");
    assert!(told.sentence.contains(&bare), "{}", told.sentence);
    let last = told.history.last().unwrap();
    assert!(last.contains(&bare), "{last}");
    assert_eq!(told.hints[0].text, "next try in");

    drop(listener);
    world.pass(60_000);
    fails(&mut world, "");
    let told = why(&world, "web");
    let bare = ": exit code 1; 2 failures in a row; next try in ";
    assert!(told.sentence.contains(bare), "{}", told.sentence);
    let last = told.history.last().unwrap();
    assert!(last.contains(bare), "{last}");
}

/// An address in use that only the program's output names is no address of the service.
#[test]
fn what_a_program_says_of_itself_makes_no_address_in_use() {
    let web = "command = ['/bin/web']\nvalidate = ['/bin/true']\nlistens_hint = 'move it'\n";
    let mut world = Harness::new(&[("web", web)], Handled::default());
    let said = "the table is in use by a query";
    fails(&mut world, said);
    let told = why(&world, "web");
    assert!(told.sentence.contains(said), "{}", told.sentence);
    let hints: Vec<&str> = told.hints.iter().map(|it| it.text.as_str()).collect();
    assert!(!hints.contains(&"move it"), "{hints:?}");
}

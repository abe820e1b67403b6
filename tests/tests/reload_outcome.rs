//! The outcome of a reload is seen, said, and stays said.

use api::{ReloadOutcome, StatusReply};
use mattervisor_tests::{Ctl, StatusExt, World, free_port, kill};
use nix::sys::signal::Signal;

use crate::reconfigure_rollback::until_kept;

/// A program that takes its file when it starts and at SIGHUP, except one with the word "bad" in it,
/// as servers do. What it runs with is in another file.
struct Program {
    file: String,
    loaded: String,
}

impl Program {
    fn new(world: &World) -> Self {
        Self {
            file: world.file("a.conf"),
            loaded: world.file("a.loaded"),
        }
    }

    fn verbs(&self) -> [String; 2] {
        let (file, loaded) = (&self.file, &self.loaded);
        [
            format!("copy={file}:{loaded}"),
            format!("copy-on-hup={file}:{loaded}:bad"),
        ]
    }

    /// How it is reloaded and what of it is rendered.
    fn more(&self, reload: &str) -> String {
        let file = &self.file;
        format!(
            "[settings]\nword = {{ type = \"string\", default = \"one\" }}\n\
             [reload]\nsignal = \"HUP\"\n{reload}\n\
             [[files]]\npath = \"{file}\"\non_change = \"reload\"\n\
             content = \"word: {{{{ word }}}}\\nanswer: {{{{ reload_token }}}}\\n\"\n"
        )
    }

    /// Asks what it runs with.
    fn asks(&self) -> String {
        let loaded = &self.loaded;
        format!(
            "[reload.confirm]\nexec = [\"/bin/grep\", \"-q\", \"{{{{ reload_token }}}}\", \"{loaded}\"]\ninterval = \"20ms\"\n"
        )
    }

    fn loaded(&self) -> String {
        std::fs::read_to_string(&self.loaded).unwrap()
    }

    fn add(&self, world: &World, reload: &str, further: &[&str]) {
        let own = self.verbs();
        let verbs = own.iter().map(String::as_str);
        let verbs: Vec<&str> = verbs.chain(further.iter().copied()).collect();
        world.child("a", &verbs, &self.more(reload));
    }
}

fn last_reload(status: &StatusReply) -> Option<ReloadOutcome> {
    let outcome = status.service("a").last_reload.as_ref();
    outcome.map(|it| it.outcome)
}

fn said(told: &Ctl, words: &[&str]) {
    for word in words {
        assert!(told.both().contains(word), "no {word:?} in {}", told.both());
    }
}

#[test]
fn a_reload_is_done_when_the_program_answers_with_what_was_rendered_for_it() {
    let mut world = World::new();
    let program = Program::new(&world);
    program.add(&world, &program.asks(), &["sleep"]);
    world.start_ready();
    let pid = world.status().pid("a");
    assert_eq!(last_reload(&world.status()), None);
    world.site("a.word = \"two\"\n");
    world.ctl(&["reconfigure"]).ok();
    let first = program.loaded();
    assert!(first.starts_with("word: two\nanswer: reload-0"), "{first}");
    let status = world.status();
    assert_eq!(
        (last_reload(&status), status.pid("a")),
        (Some(ReloadOutcome::Done), pid)
    );

    // The token alone is no difference, and each reload has another.
    assert_eq!(world.ctl(&["diff-config"]).ok().stdout, "no difference\n");
    said(&world.ctl(&["reconfigure"]).ok(), &["nothing has changed"]);
    assert_eq!(program.loaded(), first);
    world.ctl(&["reload", "a"]).ok();
    assert_ne!(program.loaded(), first);
    assert_eq!(world.status().pid("a"), pid);
    world.ctl(&["restart", "a"]).ok();
    assert_eq!(last_reload(&world.status()), None);
}

#[test]
fn a_program_that_keeps_its_old_configuration_fails_the_reconfigure() {
    let mut world = World::new();
    let program = Program::new(&world);
    let reload = format!("timeout = \"2s\"\n{}", program.asks());
    let health = "[health]\nexec = [\"/bin/true\"]\ninterval = \"10ms\"\n";
    program.add(&world, &format!("{reload}{health}"), &["sleep"]);
    world.start_ready();
    until_kept(&world, 1);
    let (pid, old) = (world.status().pid("a"), program.loaded());

    world.site("a.word = \"bad\"\n");
    let told = world.ctl(&["reconfigure"]).expect_code(1);
    let words = ["the reload was not confirmed", "exit code 1"];
    said(&told, &words);
    said(&told, &["ctl reconfigure --rollback goes back"]);
    assert_eq!(program.loaded(), old);
    // Its health is asked meanwhile, and is well; and the control process may die.
    let control = world.control_pid();
    kill(control, Signal::SIGKILL);
    let status = world.wait_for("another control process", |status| {
        status.supervisor.pid != control && status.service("a").healthy == Some(true)
    });
    assert_eq!(
        (status.pid("a"), last_reload(&status)),
        (pid, Some(ReloadOutcome::NotConfirmed))
    );
    said(&world.ctl(&["status", "a"]).ok(), &words);
    said(&world.ctl(&["why", "a"]).ok(), &words);
    said(&world.ctl(&["why", "a"]).ok(), &["ctl reload a"]);

    // Asked again, it is tried again.
    let told = world.ctl(&["reconfigure"]).expect_code(1);
    said(
        &told,
        &[
            "a reloads: its last reload has failed",
            "the reload was not confirmed",
        ],
    );
    assert_eq!(program.loaded(), old);

    world.ctl(&["reconfigure", "--rollback"]).ok();
    let status = world.status();
    assert_eq!(
        (status.pid("a"), last_reload(&status)),
        (pid, Some(ReloadOutcome::Done))
    );
    assert!(
        program.loaded().starts_with("word: one\n"),
        "{}",
        program.loaded()
    );
    world.site("a.word = \"good\"\n");
    world.ctl(&["reconfigure"]).ok();
    assert!(program.loaded().starts_with("word: good\n"));
}

/// What is not seen in the plan is tried again too, and taken once it is mended.
#[test]
fn a_reload_that_its_validator_refuses_stays_said_until_it_is_mended() {
    let mut world = World::new();
    let program = Program::new(&world);
    let fine = world.file("fine");
    std::fs::write(&fine, "").unwrap();
    let validate = format!("validate = [\"/bin/ls\", \"{fine}\"]\n");
    let own = program.verbs();
    let more = format!("{validate}{}", program.more(&program.asks()));
    world.child("a", &[&own[0], &own[1], "sleep"], &more);
    world.start_ready();
    std::fs::remove_file(&fine).unwrap();
    world.site("a.word = \"two\"\n");
    let words = ["the reload was refused by its validator", "No such file"];
    said(&world.ctl(&["reconfigure"]).expect_code(1), &words);
    said(&world.ctl(&["status", "a"]).ok(), &words);
    said(&world.ctl(&["reconfigure"]).expect_code(1), &words);
    assert_eq!(last_reload(&world.status()), Some(ReloadOutcome::Refused));
    said(&world.ctl(&["reload", "a"]).expect_code(1), &words);

    std::fs::write(&fine, "").unwrap();
    let pid = world.status().pid("a");
    world.ctl(&["reconfigure"]).ok();
    let status = world.status();
    assert_eq!(
        (status.pid("a"), last_reload(&status)),
        (pid, Some(ReloadOutcome::Done))
    );
    assert!(program.loaded().starts_with("word: two\n"));
}

#[test]
fn a_file_that_somebody_else_writes_is_seen_to_be_taken() {
    let mut world = World::new();
    let program = Program::new(&world);
    let watched = world.file("watched");
    std::fs::write(&watched, "first").unwrap();
    let watches = format!("[[watches]]\npath = \"{watched}\"\non_change = \"reload\"\n");
    program.add(&world, &format!("{}{watches}", program.asks()), &["sleep"]);
    world.start_ready();
    let before = program.loaded();
    std::fs::write(&watched, "second").unwrap();
    let status = world.wait_for("it has taken the file", |status| {
        last_reload(status) == Some(ReloadOutcome::Done)
    });
    assert!(status.ready("a"));
    assert_ne!(program.loaded(), before);
}

#[test]
fn a_program_answers_over_http_with_what_was_rendered_for_it() {
    let mut world = World::new();
    let program = Program::new(&world);
    let port = free_port();
    let reload = format!(
        "timeout = \"2s\"\n[reload.confirm]\nhttp = \"http://127.0.0.1:{port}/\"\nbody = \"answer: {{{{ reload_token }}}}\"\ninterval = \"20ms\"\n"
    );
    let loaded = &program.loaded;
    program.add(&world, &reload, &[&format!("http={port}:200:@{loaded}")]);
    world.start_ready();
    world.wait_for("it answers", |_| {
        mattervisor_tests::http_get(port, "/").is_some()
    });
    world.site("a.word = \"bad\"\n");
    let told = world.ctl(&["reconfigure"]).expect_code(1);
    said(
        &told,
        &["the reload was not confirmed", "has no 'answer: reload-0"],
    );
    world.site("a.word = \"good\"\n");
    world.ctl(&["reconfigure"]).ok();
    assert!(program.loaded().starts_with("word: good\n"));
}
